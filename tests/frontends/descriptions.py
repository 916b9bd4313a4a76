"""Arrays and descriptions as files, for the tests of their import."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st


def toml(value: Any) -> str:
    """Return a value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{k}" = {toml(v)}' for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return repr(value)


def write(tmp_path: Path, description: dict[str, Any], arrays: dict[str, Any]) -> tuple[Path, Path]:
    np.savez(tmp_path / "a.npz", **arrays)
    (tmp_path / "a.toml").write_text("".join(f"{k} = {toml(v)}\n" for k, v in description.items()))
    return tmp_path / "a.npz", tmp_path / "a.toml"


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (holder, key) of a description."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, k) for k in keys] + [place for k in keys for place in _places(value[k])]


def damaged(
    description: dict[str, Any], data: st.DataObject, values: st.SearchStrategy[Any]
) -> dict[str, Any]:
    """Return a description with one or two keys gone or of another value."""
    found = copy.deepcopy(description)
    for _ in range(data.draw(st.integers(1, 2))):
        holder, key = data.draw(st.sampled_from(_places(found)))
        if isinstance(holder, dict) and data.draw(st.booleans()):
            del holder[key]
        else:
            holder[key] = data.draw(values)
    return found
