"""Streams of words: collecting, repeating, cutting them up, and holding them for a while."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, unsigned
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .multiplexer import selected
from .turns import Turn

__all__ = ["Alternate", "Fifo", "Gather", "Repeat", "Slice", "Split"]


def _ports(i: Shape | int, o: Shape | int) -> dict[str, wiring.Member]:
    return {"i": In(stream.Signature(unsigned(i))), "o": Out(stream.Signature(unsigned(o)))}


class Gather(wiring.Component):
    """Several words as one, the first at the LSB.

    It flattens a map for a dense layer, and makes a position of narrow beats. Throughput one beat
    a cycle in: the first of the next words comes while the last result goes. Latency one cycle
    after the last word.

    Parameters
    ----------
    word
        Bits of a word.
    count
        Words of a result.
    bits
        Bits of a result; those beyond are dropped. All of them if None.

    Members
    -------
    i : stream of ``unsigned(word)``
    o : stream of ``unsigned(bits)``
    """

    def __init__(self, word: int, count: int, *, bits: int | None = None) -> None:
        self._count = count
        super().__init__(_ports(word, word * count if bits is None else bits))

    def elaborate(self, platform: object) -> Module:
        """Return a shift register and the number of words in it."""
        m = Module()
        words = [
            Signal(self.i.payload.shape(), name=f"word{k}", reset_less=True)
            for k in range(self._count)
        ]
        there = Signal(range(self._count + 1))
        m.d.comb += [
            self.o.valid.eq(there == self._count),
            self.i.ready.eq(~self.o.valid | self.o.ready),
            self.o.payload.eq(Cat(words)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                *(
                    low.eq(high)
                    for low, high in zip(words, [*words[1:], self.i.payload], strict=True)
                ),
                there.eq(Mux(self.o.valid, 1, there + 1)),
            ]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += there.eq(0)
        return m


class Split(wiring.Component):
    """A word as several, the one at the LSB first.

    Throughput one beat a cycle out; latency none. A frame may end within a word: the rest of the
    word is dropped.

    Parameters
    ----------
    word
        Bits of a result.
    count
        Results of a word.
    frame
        Results of a frame.

    Members
    -------
    i : stream of ``unsigned(word * count)``
    o : stream of ``unsigned(word)``
    """

    def __init__(self, word: int, count: int, frame: int) -> None:
        self._word, self._count, self._frame = word, count, frame
        super().__init__(_ports(word * count, word))

    def elaborate(self, platform: object) -> Module:
        """Return a multiplexer and the place in word and frame."""
        m = Module()
        place = Signal(range(self._count))
        done = Signal(range(self._frame))
        ends = Signal()
        starts = range(0, self._count * self._word, self._word)
        words = [self.i.payload[at : at + self._word] for at in starts]
        m.d.comb += [
            ends.eq(done == self._frame - 1),
            self.o.valid.eq(self.i.valid),
            self.o.payload.eq(selected(words, place)),
            self.i.ready.eq(self.o.ready & (ends | (place == self._count - 1))),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [
                place.eq(Mux(self.i.ready, 0, place + 1)),
                done.eq(Mux(ends, 0, done + 1)),
            ]
        return m


class Repeat(wiring.Component):
    """Every word several times.

    Throughput one beat a cycle out; latency none.

    Parameters
    ----------
    word
        Bits of a word.
    count
        How often each comes.

    Members
    -------
    i : stream of ``unsigned(word)``
    o : stream of ``unsigned(word)``
    """

    def __init__(self, word: int, count: int) -> None:
        self._count = count
        super().__init__(_ports(word, word))

    def elaborate(self, platform: object) -> Module:
        """Return how often the word has gone."""
        m = Module()
        turn = Signal(range(self._count))
        last = Signal()
        m.d.comb += [
            last.eq(turn == self._count - 1),
            self.o.valid.eq(self.i.valid),
            self.o.payload.eq(self.i.payload),
            self.i.ready.eq(self.o.ready & last),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += turn.eq(Mux(last, 0, turn + 1))
        return m


class Alternate(wiring.Component):
    """A part of every word: of the first word the first part, of the next the second, in turn.

    Throughput one beat a cycle; latency none.

    Parameters
    ----------
    word
        Bits of a word.
    count
        Parts of a word, of equal size, the first at the LSB.

    Members
    -------
    i : stream of ``unsigned(word)``
    o : stream of ``unsigned(word // count)``
    """

    def __init__(self, word: int, count: int) -> None:
        assert word % count == 0
        self._count = count
        super().__init__(_ports(word, word // count))

    def elaborate(self, platform: object) -> Module:
        """Return a multiplexer and whose turn it is."""
        m = Module()
        bits = len(self.o.payload)
        turn = Turn(m, self._count, self.o.valid & self.o.ready)
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.o.payload.eq(
                turn.choose([self.i.payload.word_select(k, bits) for k in range(self._count)])
            ),
            self.i.ready.eq(self.o.ready),
        ]
        return m


class Slice(wiring.Component):
    """Some elements of every word, without the upper bits that they do not need: wires.

    Parameters
    ----------
    word
        Bits of a word.
    start
        The first bit.
    count
        Elements.
    width, kept
        Bits of an element in the word, and how many of them, from the lowest, are kept.

    Members
    -------
    i : stream of ``unsigned(word)``
    o : stream of ``unsigned(count * kept)``
    """

    def __init__(self, word: int, start: int, count: int, width: int, kept: int) -> None:
        assert start + count * width <= word
        assert kept <= width
        self._bits = [range(at, at + kept) for at in range(start, start + count * width, width)]
        super().__init__(_ports(word, count * kept))

    def elaborate(self, platform: object) -> Module:
        """Return the wires."""
        m = Module()
        elements = (self.i.payload[bits.start : bits.stop] for bits in self._bits)
        m.d.comb += [
            self.o.payload.eq(Cat(elements)),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m


class Fifo(wiring.Component):
    """A queue of words; from a depth of 2 on no path through logic leads from side to side.

    Throughput one word a cycle; latency one cycle up to a depth of 2, two beyond.

    Parameters
    ----------
    word
        Bits of a word.
    depth
        Words that it holds. One alone is a register, ready as soon as its word goes.

    Members
    -------
    i : stream of ``unsigned(word)``
    o : stream of ``unsigned(word)``
    """

    def __init__(self, word: int, depth: int = 2) -> None:
        assert depth >= 1
        self._depth = depth
        super().__init__(_ports(word, word))

    def elaborate(self, platform: object) -> Module:
        """Return two registers, or a memory with a register behind it."""
        m = Module()
        if self._depth > 2:
            m.submodules.queue = queue = fifo.SyncFIFOBuffered(
                width=len(self.i.payload), depth=self._depth
            )
            wiring.connect(m, wiring.flipped(self.i), queue.w_stream)
            wiring.connect(m, queue.r_stream, wiring.flipped(self.o))
            return m
        first = Signal(self.i.payload.shape(), reset_less=True)
        if self._depth == 1:
            held = Signal()
            m.d.comb += [
                self.o.valid.eq(held),
                self.o.payload.eq(first),
                self.i.ready.eq(~held | self.o.ready),
            ]
            with m.If(self.i.ready):
                m.d.sync += [held.eq(self.i.valid), first.eq(self.i.payload)]
            return m
        second = Signal(self.i.payload.shape(), reset_less=True)
        held = Signal(2)
        takes, gives = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~held[1]),
            self.o.valid.eq(held[0]),
            self.o.payload.eq(first),
            takes.eq(self.i.valid & self.i.ready),
            gives.eq(self.o.valid & self.o.ready),
        ]
        with m.If(gives | ~held[0]):
            m.d.sync += [
                first.eq(Mux(held[1], second, self.i.payload)),
                held.eq(Cat(held[1] | takes, 0)),
            ]
        with m.Elif(takes):
            m.d.sync += [second.eq(self.i.payload), held[1].eq(1)]
        return m
