"""Parts as modules of their own: what keeps emitted text short and each stage's text its own."""

from __future__ import annotations

import re

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["SharedModules"]


class SharedModules:
    """The platform under which equal popcounts and the stages of a network are instances.

    Amaranth elaborates and writes every submodule anew, and a layer has hundreds of popcounts of
    a few sizes: each size is converted once. A stage is converted alone, so that its text is the
    same whatever stands around it. Without this platform each part is a submodule as any other.

    Parameters
    ----------
    prefix
        Goes before the names of the modules.

    Attributes
    ----------
    popcounts
        Size and pipeline of each popcount that is needed, by the name of its module.
    stages
        The RTLIL of each stage, by the name of its module.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
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

    def stage(self, name: str, component: wiring.Component) -> Instance:
        """Return an instance of a stage's module, on the signals of the component's ports."""
        module = f"{self._prefix}_{name}"
        text = rtlil.convert(component, module, platform=self, emit_src=False)
        self.stages[module] = text
        ports: dict[str, Value] = {}
        for path, member, value in component.signature.flatten(component):
            direction = "i" if member.flow == In else "o"
            ports[f"{direction}_{'__'.join(map(str, path))}"] = Value.cast(value)
        for port, signal in (("clk", ClockSignal()), ("rst", ResetSignal())):
            if re.search(rf"^  wire width 1 input \d+ +\\{port}$", text, re.MULTILINE):
                ports[f"i_{port}"] = signal
        return Instance(module, **ports)
