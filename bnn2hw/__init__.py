"""bnn2hw: from trained binary neural networks to verified hardware on open tools.

The functions here are the steps a user takes; they are loaded when first used, so that
``import bnn2hw.plan`` does not load simulator and synthesis.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .errors import Bnn2hwError

if TYPE_CHECKING:
    from .api import (
        compress,
        generate,
        generate_engine,
        import_model,
        inspect,
        load_network,
        simulate,
        synthesise,
        timeline,
    )
    from .model import Network, load, save

__all__ = [
    "Bnn2hwError",
    "Network",
    "compress",
    "generate",
    "generate_engine",
    "import_model",
    "inspect",
    "load",
    "load_network",
    "save",
    "simulate",
    "synthesise",
    "timeline",
]

_ROOMS = {"Network": "model", "load": "model", "save": "model"}


def __getattr__(name: str) -> object:
    """Load a public name from its room."""
    if name not in __all__:
        raise AttributeError(f"module 'bnn2hw' has no attribute {name!r}")
    return getattr(import_module(f".{_ROOMS.get(name, 'api')}", __name__), name)
