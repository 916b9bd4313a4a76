"""One thread for PyTorch, as in training: tests run side by side. Digits for Group-Nets."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

with contextlib.suppress(ImportError):
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def digits() -> Any:
    """Return the data set."""
    from bnn2hw.train.data import load_data

    return load_data("digits")


@pytest.fixture(scope="package")
def images(digits: Any) -> Any:
    """Return some of its images, float32 (200, 1, 8, 8)."""
    return digits.inputs()[:200]
