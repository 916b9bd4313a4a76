"""RTLIL as parts and what joins them: stages of a network, or blocks of a layer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..errors import SynthesisError

__all__ = ["PART", "Part", "split_design"]

# What the top module of every part is called, so that equal parts are equal texts.
PART = "part"

_MODULE = re.compile(r"^module \\(\S+)\n(.*?)^end$", re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"^(  cell \\)(\S+)( \\(\S+))$", re.MULTILINE)
_PORT = re.compile(r"^  wire .*\b(?:input|output) +\d+ .*$", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """A piece of a design that is synthesised alone.

    Attributes
    ----------
    name
        Name of the stage or block; empty for what joins them.
    module
        Name of its module in the design.
    text
        RTLIL of the module, called :data:`PART`, and of all below it. It depends on nothing
        around it, and so tells equal parts from others.
    boxes
        Modules of the other parts, which are black boxes in what joins them.
    """

    name: str
    module: str
    text: str
    boxes: frozenset[str] = frozenset()


def split_design(
    text: str, top: str, names: Collection[str], path: Sequence[str] = ("core",)
) -> list[Part]:
    """Return the parts of a design, and last what joins them.

    Parameters
    ----------
    text
        RTLIL of the design, as :func:`bnn2hw.emit.verilog.to_rtlil` writes it.
    top
        Name of its module.
    names
        Names of the parts: of their instances in the module at the end of the path.
    path
        Names of instances, from the top on down.

    Raises
    ------
    SynthesisError
        If the text holds no such design.
    """
    modules = {match[1]: match[2] for match in _MODULE.finditer(text)}
    holder = top
    for instance in path:
        holder = _instances(modules.get(holder, "")).get(instance, "")
    found = {
        name: module
        for name, module in _instances(modules.get(holder, "")).items()
        if name in names and module in modules
    }
    if set(found) != set(names):
        raise SynthesisError(
            f"its RTLIL holds no module {top} with these parts", remedy="generate the build again"
        )
    parts = [Part(name, module, _closure(modules, module)) for name, module in found.items()]
    boxes = {
        module: "\n".join(match[0] for match in _PORT.finditer(modules[module]))
        for module in found.values()
    }
    return [*parts, Part("", top, _closure(modules, top, boxes), frozenset(boxes))]


def _instances(body: str) -> dict[str, str]:
    """Return the modules of a module's instances by instance name."""
    return {match[4]: match[2] for match in _CELL.finditer(body)}


def _closure(modules: Mapping[str, str], root: str, boxes: Mapping[str, str] | None = None) -> str:
    """Return a module and all below it, numbered in order of appearance; boxes by name alone."""
    boxes = boxes or {}
    names = {root: PART}
    texts = []
    for module in (queue := [root]):
        for below in _instances(modules[module]).values():
            if below in modules and below not in boxes and below not in names:
                names[below] = f"{PART}_{len(names)}"
                queue.append(below)
        body = _CELL.sub(lambda match: match[1] + names.get(match[2], match[2]) + match[3],
                         modules[module])  # fmt: skip
        texts.append(f"module \\{names[module]}\n{body}end\n")
    texts += [
        f"attribute \\blackbox 1\nmodule \\{name}\n{ports}\nend\n" for name, ports in boxes.items()
    ]
    return "\n".join(texts)
