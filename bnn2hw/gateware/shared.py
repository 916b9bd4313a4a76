"""Parts as modules of their own: what keeps emitted text short and each stage's text its own."""

from __future__ import annotations

import re
from collections.abc import Hashable

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["SharedModules"]


class SharedModules:
    """The platform under which equal popcounts and sums, and stages of a network, are instances.

    Amaranth elaborates and writes every submodule anew, and a layer has hundreds of popcounts of
    a few sizes, and of sums that are alike: each is converted once, a sum once in each stage. A
    stage is converted alone, so that its text is the same whatever stands around it. Without this
    platform each part is a submodule as any other.

    Parameters
    ----------
    prefix
        Goes before the names of the modules.

    Attributes
    ----------
    popcounts
        Size and pipeline of each popcount that is needed, by the name of its module.
    stages
        The RTLIL of each stage, with its sums, by the name of its module.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = self._within = prefix
        self._alike: dict[Hashable, tuple[str, str]] = {}
        self.popcounts: dict[str, tuple[int, int | None]] = {}
        self.stages: dict[str, str] = {}

    def instance(
        self, size: int, pipeline: int | None, *, i: Signal, o: Signal, advance: Signal | None
    ) -> Instance:
        """Return an instance of a popcount's module; ``advance`` is None if it has no registers."""
        name = f"{self._prefix}_popcount{size}"
        if advance is None:
            self.popcounts[name] = size, None
            return Instance(name, i_i=i, o_o=o)
        name += f"_cut{pipeline}"
        self.popcounts[name] = size, pipeline
        clock = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        return Instance(name, i_i=i, o_o=o, i_advance=advance, **clock)

    def alike(self, component: wiring.Component, key: Hashable) -> Instance:
        """Return an instance of the module that all components of a key share in this stage."""
        if key not in self._alike:
            name = f"{self._within}_alike{len(self._alike)}"
            self._alike[key] = name, rtlil.convert(component, name, platform=self, emit_src=False)
        name, text = self._alike[key]
        return _instance(name, text, component)

    def stage(self, name: str, component: wiring.Component) -> Instance:
        """Return an instance of a stage's module, on the signals of the component's ports."""
        module = f"{self._prefix}_{name}"
        self._within, self._alike = module, {}
        text = rtlil.convert(component, module, platform=self, emit_src=False)
        self.stages[module] = "\n".join([text, *(text for _, text in self._alike.values())])
        self._within, self._alike = self._prefix, {}
        return _instance(module, text, component)

    def texts(self) -> list[str]:
        """Return the RTLIL of all stages, and of the sums that are in none."""
        return [*self.stages.values(), *(text for _, text in self._alike.values())]


def _instance(module: str, text: str, component: wiring.Component) -> Instance:
    """Return an instance of a module with this text on the signals of a component's ports."""
    ports: dict[str, Value] = {}
    for path, member, value in component.signature.flatten(component):
        direction = "i" if member.flow == In else "o"
        ports[f"{direction}_{'__'.join(map(str, path))}"] = Value.cast(value)
    for port, signal in (("clk", ClockSignal()), ("rst", ResetSignal())):
        if re.search(rf"^  wire width 1 input \d+ +\\{port}$", text, re.MULTILINE):
            ports[f"i_{port}"] = signal
    return Instance(module, **ports)
