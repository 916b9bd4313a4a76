"""The manifests of a build directory: what tools downstream read instead of the compiler."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BuildError
from ..toolchain import find_yosys

__all__ = ["FORMAT", "layer_directories", "manifest_text", "read_manifest", "versions"]

FORMAT = 1
_KEYS = {
    "build": ("network", "layers", "files"),
    "layer": (
        "layer",
        "top",
        "input",
        "output",
        "pipeline",
        "plan",
        "verilator_flags",
        "make_flags",
    ),
    "board": ("network", "top", "board", "link", "input", "output", "commands", "bitstream"),
    "network": (
        "network",
        "top",
        "input",
        "output",
        "interval_cycles",
        "joint_edges",
        "stages",
        "verilator_flags",
        "make_flags",
        "harness_flags",
    ),
}


def versions() -> dict[str, str]:
    """Return the versions that decide the bytes of a build."""
    yosys = find_yosys()
    return {
        "bnn2hw": importlib.metadata.version("bnn2hw"),
        "amaranth": importlib.metadata.version("amaranth"),
        "yosys": f"{yosys.version} ({yosys.kind})",
    }


def manifest_text(kind: str, values: Mapping[str, object]) -> str:
    """Return the JSON text of a manifest of this kind: ``build``, ``layer``, ``network``."""
    return json.dumps({"tool": "bnn2hw", "kind": kind, "format": FORMAT, **values}, indent=2) + "\n"


def read_manifest(directory: Path, *kinds: str) -> dict[str, Any]:
    """Return the manifest of a directory of one of these kinds: build, layer, network.

    Raises
    ------
    BuildError
        If there is none, or it is not one of this kind and format.
    """
    path = directory / "manifest.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    kind = found.get("kind") if isinstance(found, dict) else None
    if not isinstance(found, dict) or found.get("tool") != "bnn2hw" or kind not in kinds:
        raise BuildError(
            f"this is not a {' or '.join(kinds)} directory: it holds no manifest.json of one",
            file=directory,
            remedy="make one with 'bnn2hw generate'",
        )
    if any(key not in found for key in _KEYS[str(kind)]) or found.get("format") != FORMAT:
        raise BuildError(
            f"the manifest of format {found.get('format')!r} is not one that this version writes",
            file=path,
            remedy="generate the build again",
        )
    return found


def layer_directories(directory: Path, *kinds: str) -> dict[str, Path]:
    """Return the directory of each layer of a build by layer name, or of its network.

    Parameters
    ----------
    directory
        The build directory.
    kinds
        What its parts may be: ``layer``, ``network``; layers alone if left out.

    Raises
    ------
    BuildError
        If this is not a build, or a layer of it is missing.
    """
    layers = read_manifest(directory, "build").get("layers")
    if not isinstance(layers, dict) or not all(
        isinstance(top, str) and top.isidentifier() for top in layers.values()
    ):
        raise BuildError(
            "the manifest lists no layers",
            file=directory / "manifest.json",
            remedy="generate the build again",
        )
    found = {name: directory / top for name, top in layers.items()}
    for path in found.values():
        read_manifest(path, *(kinds or ("layer",)))
    return found
