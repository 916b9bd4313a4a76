"""What tests share: where the real networks are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ZOO = Path(os.environ.get("BNN2HW_ZOO", Path(__file__).parents[2] / "shared" / "zoo"))


@pytest.fixture(scope="session")
def zoo() -> Path:
    """Return the folder of real networks made by others, or skip."""
    if not ZOO.is_dir():
        pytest.skip(f"there are no real networks at {ZOO}: set BNN2HW_ZOO")
    return ZOO
