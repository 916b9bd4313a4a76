"""Popcounts: how many bits are 1, and how many agree with a row of constant weights."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .compressor import CompressorTree
from .pipeline import Pipeline
from .shared import SharedModules

__all__ = ["Popcount", "XnorPopcount"]


class Popcount(wiring.Component):
    """The number of ones, by a compressor tree.

    Throughput one word a cycle; latency ``latency`` cycles, 0 without a pipeline.

    Parameters
    ----------
    size
        Number of bits.
    pipeline
        Adder levels between registers, or None.

    Attributes
    ----------
    level
        Adder levels from input to output.
    latency
        Cycles from input to output.

    Members
    -------
    i : ``In(size)``
    advance : ``In(1)``, whether the registers go on; 1 where it is not connected
    o : ``Out(size.bit_length())``
    """

    def __init__(self, size: int, *, pipeline: int | None = None) -> None:
        self._pipeline = Pipeline(pipeline)
        self._tree = CompressorTree({0: [size]}, size.bit_length())
        self.level = self._tree.level
        self.latency = self._pipeline.stage(self.level)
        super().__init__({"i": In(size), "advance": In(1, init=1), "o": Out(size.bit_length())})

    def elaborate(self, platform: object) -> Module:
        """Return the tree."""
        m = Module()
        total = self._tree.build(m, {0: [[self.i]]}, self._pipeline, self.advance)
        m.d.comb += self.o.eq(total)
        return m


class XnorPopcount(wiring.Component):
    """The number of chosen activations that agree with constant weights: ``popcount(XNOR(a, w))``.

    The processing element of a binary layer (MST supplement, Eq. 2). The XNOR with constants is
    wires and inverters and counts no level. Throughput one word a cycle.

    Parameters
    ----------
    size
        Width of the patch in bits.
    taps
        Numbers of the bits that are read.
    weights
        Bits, one a tap.
    pipeline
        Adder levels between registers, or None.

    Attributes
    ----------
    level
        Adder levels from input to output.
    latency
        Cycles from input to output.

    Members
    -------
    i : ``In(size)``
    advance : ``In(1)``, whether the registers go on; 1 where it is not connected
    o : ``Out(len(taps).bit_length())``
    """

    def __init__(
        self,
        size: int,
        taps: Sequence[int],
        weights: Sequence[int],
        *,
        pipeline: int | None = None,
    ) -> None:
        assert len(taps) == len(weights)
        self._taps = tuple(taps)
        self._weights = sum(1 << k for k, bit in enumerate(weights) if bit)
        self._pipeline = pipeline
        count = len(taps).bit_length()
        self.level = CompressorTree({0: [len(taps)]}, count).level
        self.latency = Pipeline(pipeline).stage(self.level)
        super().__init__({"i": In(size), "advance": In(1, init=1), "o": Out(count)})

    def elaborate(self, platform: object) -> Module:
        """Return wires, inverters and popcount."""
        m = Module()
        size = len(self._taps)
        equal = Signal(size)
        m.d.comb += equal.eq(~(chosen(self.i, self._taps) ^ Const(self._weights, size)))
        if isinstance(platform, SharedModules):
            advance = self.advance if self.latency else None
            m.submodules.popcount = platform.instance(
                size, self._pipeline, i=equal, o=self.o, advance=advance
            )
        else:
            m.submodules.popcount = popcount = Popcount(size, pipeline=self._pipeline)
            m.d.comb += [
                popcount.i.eq(equal),
                popcount.advance.eq(self.advance),
                self.o.eq(popcount.o),
            ]
        return m


def chosen(value: Value, taps: Sequence[int]) -> Value:
    """Return the bits of a value with these numbers, runs of neighbours as one slice."""
    runs: list[list[int]] = []
    for tap in taps:
        if runs and runs[-1][1] == tap:
            runs[-1][1] += 1
        else:
            runs.append([tap, tap + 1])
    return Cat(*(value[start:stop] for start, stop in runs))
