"""One stream for several readers."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fork"]


class Fork(wiring.Component):
    """One stream to several readers, each of which takes every word when it can.

    Throughput one word a cycle; latency none. A word goes as soon as all have taken it.

    Parameters
    ----------
    word
        Bits of a word.
    readers
        How many.

    Members
    -------
    i : stream of ``unsigned(word)``
    o0, o1, ... : the same
    """

    def __init__(self, word: int, readers: int) -> None:
        port = stream.Signature(unsigned(word))
        self._names = [f"o{k}" for k in range(readers)]
        super().__init__({"i": In(port), **{name: Out(port) for name in self._names}})

    def elaborate(self, platform: object) -> Module:
        """Return which readers have taken the word."""
        m = Module()
        outputs = [getattr(self, name) for name in self._names]
        done = Signal(len(outputs))
        takes = Signal(len(outputs))
        m.d.comb += self.i.ready.eq((done | takes).all())
        for k, output in enumerate(outputs):
            m.d.comb += [
                output.payload.eq(self.i.payload),
                output.valid.eq(self.i.valid & ~done[k]),
                takes[k].eq(output.ready),
            ]
        with m.If(self.i.valid):
            m.d.sync += done.eq(Mux(self.i.ready, 0, done | takes))
        return m
