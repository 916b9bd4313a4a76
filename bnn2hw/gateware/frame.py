"""Frames: a stream that keeps to its length, whatever comes."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FrameGuard"]


class FrameGuard(wiring.Component):
    """Passes frames of exactly so many beats, and tells what was wrong with each.

    A short frame (``last`` too early) is filled up with zeros; what a long one has too much is
    dropped. Either way the next frame starts in step, and each frame has one verdict, which goes
    with its last beat. Throughput one beat a cycle; latency none.

    Parameters
    ----------
    word
        Bits of a beat.
    beats
        Beats of a frame.

    Members
    -------
    i : stream of ``data`` and ``last``
    o : stream of ``unsigned(word)``
    verdict : stream of two bits a frame: bit 0 is "was short", bit 1 is "was long"; its ready must
        stay until a verdict is taken, as that of a queue does
    """

    def __init__(self, word: int, beats: int) -> None:
        self._beats = beats
        layout = data.StructLayout({"data": unsigned(word), "last": unsigned(1)})
        super().__init__(
            {
                "i": In(stream.Signature(layout)),
                "o": Out(stream.Signature(unsigned(word))),
                "verdict": Out(stream.Signature(unsigned(2))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the number of the beat, and whether beats are made up or dropped."""
        m = Module()
        beat = Signal(range(self._beats))
        fills, drops, ends = Signal(), Signal(), Signal()
        has, goes = Signal(), Signal()
        m.d.comb += [
            ends.eq(beat == self._beats - 1),
            has.eq(~drops & (fills | self.i.valid)),
            # Beat and verdict go together or not at all.
            self.o.valid.eq(has & (~ends | self.verdict.ready)),
            self.verdict.valid.eq(has & ends & self.o.ready),
            goes.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(drops | (~fills & self.o.ready & (~ends | self.verdict.ready))),
            self.o.payload.eq(Mux(fills, 0, self.i.p.data)),
            self.verdict.payload.eq(Cat(fills, ~fills & ~self.i.p.last)),
        ]
        with m.If(goes):
            m.d.sync += beat.eq(Mux(ends, 0, beat + 1))
            with m.If(ends):
                m.d.sync += [fills.eq(0), drops.eq(~fills & ~self.i.p.last)]
            with m.Elif(self.i.p.last & ~fills):
                m.d.sync += fills.eq(1)
        with m.Elif(drops & self.i.valid & self.i.p.last):
            m.d.sync += drops.eq(0)
        return m
