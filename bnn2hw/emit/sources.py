"""The Amaranth source that travels with a build: components, and constants as text."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from ..plan.outputs import Readout

__all__ = ["component_texts", "literal", "readout_fields"]

# Copied into every build directory, so that its Amaranth source needs no bnn2hw.
_COMPONENTS = (
    "errors.py",
    "object_cache.py",
    "toolchain.py",
    "plan/counters.py",
    "plan/engine_program.py",
    "plan/graph.py",
    "plan/netlist.py",
    "plan/netlist_parts.py",
    "plan/netlist_text.py",
    "plan/outputs.py",
    "plan/targets.py",
    "plan/text.py",
    "emit/verilog.py",
)


def component_texts() -> dict[str, str]:
    """Return the components' sources as the small package ``hdl`` of a build directory."""
    package = Path(__file__).parent.parent
    names = [*_COMPONENTS]
    names += [f"gateware/{path.name}" for path in sorted((package / "gateware").glob("*.py"))]
    texts = {
        f"hdl/{name}": (package / name).read_text(encoding="utf-8")
        for name in names
        if not name.endswith("__init__.py")
    }
    for folder in ("", "plan/", "gateware/", "emit/"):
        texts[f"hdl/{folder}__init__.py"] = ""
    return texts


def readout_fields(readout: Readout) -> list[tuple[str, str]]:
    """Return names and values of a readout's fields as Python text."""
    return [(field.name, literal(getattr(readout, field.name))) for field in fields(readout)]


def literal(value: object) -> str:
    """Return a number, a tuple or an array as Python text."""
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()}, dtype=np.{value.dtype.name})"
    if isinstance(value, tuple):
        return f"({''.join(literal(part) + ', ' for part in value)})"
    return repr(value)
