"""Equal popcounts as one module: what keeps emitted text short and its making quick."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Instance, ResetSignal, Signal

__all__ = ["SharedModules"]


class SharedModules:
    """The platform under which popcounts are instances of modules that are converted once.

    Amaranth elaborates and writes every submodule anew, and a layer has hundreds of popcounts of
    a few sizes. Without this platform each of them is a submodule of its own.

    Parameters
    ----------
    prefix
        Goes before the names of the modules.

    Attributes
    ----------
    popcounts
        Size and pipeline of each popcount that is needed, by the name of its module.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.popcounts: dict[str, tuple[int, int | None]] = {}

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
