"""The network that travels with the package, so that everything can be tried at once."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["bundled_path"]


def bundled_path() -> Path:
    """Return where the bundled network lies: a model file, trained by ``examples/digits``."""
    return Path(str(resources.files(__name__).joinpath("digits.npz")))
