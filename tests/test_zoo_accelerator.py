"""TFC on its hardware, with real images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "zoo" / "accelerate.py"


@pytest.mark.slow
@pytest.mark.zoo
def test_tfc(zoo: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, EXAMPLE, "tfc", "--interval", "64",
            "--images", "2000", "--out", tmp_path / "out",
        ],
        env={**os.environ, "BNN2HW_ZOO": str(zoo)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2000 images, every answer as expected" in done.stdout
    assert "64 cycles an image" in done.stdout
