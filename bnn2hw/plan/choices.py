"""The choice of style, plan and folding for each layer of a network, as a file to edit."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .planner import METHODS
from .targets import TARGETS

__all__ = ["Choice", "choices_text", "read_choices"]

_LIMIT = 1 << 20
_KEYS = {
    "spatial": ("plan",),
    "folded": ("pes", "simd"),
    "engine": ("lanes", "kernel_units"),
}
# Of the whole network, beside the layers; no layer has a hyphen in its name.
_PIPELINE = "pipeline-levels"


@dataclass(frozen=True)
class Choice:
    """How a layer is computed.

    Attributes
    ----------
    plan
        Name of the planner of a spatial layer; None where it is sequential.
    pes, simd
        Processing elements and inputs of each in a cycle, of a folded layer.
    lanes, kernel_units
        Of a layer on an engine, as of :class:`.EngineParameters`.
    target
        What the planners ``rowtree`` and ``auto`` plan a spatial layer for, as of
        :func:`.plan_layer`.
    """

    plan: str | None = None
    pes: int = 0
    simd: int = 0
    lanes: int = 0
    kernel_units: int = 0
    target: str | None = None

    @property
    def style(self) -> str:
        """Return ``spatial``, ``folded`` or ``engine``."""
        if self.plan is not None:
            return "spatial"
        return "engine" if self.lanes else "folded"

    def to_json(self) -> dict[str, object]:
        """Return style and parameters as JSON values."""
        found = {"style": self.style, **{key: getattr(self, key) for key in _KEYS[self.style]}}
        return found if self.target is None else {**found, "target": self.target}


def choices_text(choices: Mapping[str, Choice], pipeline: int | None = None) -> str:
    """Return the text of a file of choices, with the adder levels between registers if any."""
    parts = ["# How each layer is computed: edit, and pass to generate --choices.\n"]
    if pipeline is not None:
        parts.append(f"{_PIPELINE} = {pipeline}\n")
    for name, choice in choices.items():
        # The text of numbers and simple strings is the same in JSON and TOML.
        lines = [f"{key} = {json.dumps(value)}" for key, value in choice.to_json().items()]
        parts.append("\n".join([f"\n[{name}]", *lines, ""]))
    return "".join(parts)


def read_choices(
    path: Path, layers: Mapping[str, tuple[int, int]]
) -> tuple[dict[str, Choice], int | None]:
    """Return the choices of a file, for some or all layers, and its levels between registers.

    Parameters
    ----------
    path
        The file.
    layers
        Channels and inputs of the layers with weights. Elements beyond them are as good as all.

    Raises
    ------
    UsageError
        If the file is not there or not TOML, names an unknown layer, or a choice makes no sense.
    """
    try:
        if path.stat().st_size > _LIMIT:
            raise UsageError("a file of choices is not that long", file=path)
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=path) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"is not TOML: {error}", file=path) from None
    choices = {}
    pipeline = found.pop(_PIPELINE, None)
    if pipeline is not None and (type(pipeline) is not int or pipeline < 1):
        raise UsageError(f"{_PIPELINE} must be an integer from 1 on", file=path)
    for name, entry in found.items():
        if name not in layers:
            raise UsageError(
                f"there is no layer {name!r} with weights",
                file=path,
                remedy=f"use {', '.join(layers)}",
            )
        try:
            choices[name] = _choice(entry)
        except ValueError as error:
            raise UsageError(str(error), file=path, layer=name) from None
    return choices, pipeline


def _choice(entry: Any) -> Choice:
    style = entry.get("style") if isinstance(entry, dict) else None
    # Membership of a tuple compares: a list or table of the file has no hash.
    if style not in tuple(_KEYS):
        raise ValueError(f"style must be one of {', '.join(_KEYS)}")
    plain = entry.keys() - {"target"} if style == "spatial" else entry.keys()
    if plain != {"style", *_KEYS[style]}:
        raise ValueError(f"a {style} layer has the keys style, {', '.join(_KEYS[style])}")
    if style == "spatial":
        if entry["plan"] not in METHODS:
            raise ValueError(f"plan must be one of {', '.join(METHODS)}")
        if entry.get("target", "lut6") not in tuple(TARGETS):
            raise ValueError(f"target must be one of {', '.join(TARGETS)}")
        return Choice(entry["plan"], target=entry.get("target"))
    sizes = {key: entry[key] for key in _KEYS[style]}
    for key, value in sizes.items():
        if type(value) is not int or not 1 <= value <= 1 << 24:
            raise ValueError(f"{key} must be an integer from 1 on")
    return Choice(**sizes)
