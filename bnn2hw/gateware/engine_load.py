"""Loading the memories of a sequential engine through a stream of narrow words."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

__all__ = ["LOAD_WIDTH", "Loader"]

LOAD_WIDTH = 32
"""Bits of a word of the load stream."""


class Loader(wiring.Component):
    """Writes memory after memory, from address 0 on.

    A word of memory comes in as many words of the stream as it needs, least significant first.
    After the last one the memories are loaded; a further word begins anew.

    Parameters
    ----------
    memories
        Width and depth of each memory, in order.

    Members
    -------
    load : stream of ``unsigned(LOAD_WIDTH)``
    loaded : ``Out(1)``
    write : ``Out(1)``, whether ``data`` is written in this cycle
    memory, address : ``Out``, where
    data : ``Out``, as wide as the widest word
    """

    def __init__(self, memories: Sequence[tuple[int, int]]) -> None:
        self._memories = tuple(memories)
        self._beats = [-(-width // LOAD_WIDTH) for width, _ in memories]
        super().__init__(
            {
                "load": In(stream.Signature(unsigned(LOAD_WIDTH))),
                "loaded": Out(1),
                "write": Out(1),
                "memory": Out(bits_for(len(memories) - 1)),
                "address": Out(bits_for(max(depth for _, depth in memories) - 1)),
                "data": Out(max(self._beats) * LOAD_WIDTH),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the counters of beats, addresses and memories, and the word under way."""
        m = Module()
        beat = Signal(range(max(self._beats)))
        address, memory = Signal(self.address.shape()), Signal(self.memory.shape())
        word = Signal(self.data.shape(), reset_less=True)
        depths = [depth for _, depth in self._memories]
        last_beat, last_address, last_memory = Signal(), Signal(), Signal()
        m.d.comb += [
            self.load.ready.eq(1),
            self.data.eq(word),
            last_beat.eq(beat == self._select(memory, self._beats) - 1),
            last_address.eq(address == self._select(memory, depths) - 1),
            last_memory.eq(memory == len(self._memories) - 1),
        ]
        with m.If(self.load.valid):
            m.d.sync += word.word_select(beat, LOAD_WIDTH).eq(self.load.payload)
            m.d.sync += beat.eq(Mux(last_beat, 0, beat + 1))
            with m.If(last_beat):
                m.d.sync += address.eq(Mux(last_address, 0, address + 1))
                with m.If(last_address):
                    m.d.sync += memory.eq(Mux(last_memory, 0, memory + 1))

        # The cycle after: a complete word is written.
        ends, loaded, write = Signal(), Signal(), Signal()
        written, target = Signal(self.address.shape()), Signal(self.memory.shape())
        m.d.sync += [
            write.eq(self.load.valid & last_beat),
            written.eq(address),
            target.eq(memory),
            ends.eq(last_address & last_memory),
        ]
        with m.If(self.load.valid):
            m.d.sync += loaded.eq(0)
        with m.Elif(write & ends):
            m.d.sync += loaded.eq(1)
        m.d.comb += [
            self.loaded.eq(loaded),
            self.write.eq(write),
            self.address.eq(written),
            self.memory.eq(target),
        ]
        return m

    def _select(self, memory: Value, numbers: Sequence[int]) -> Value:
        """Return the number of the memory."""
        value: Value = Const(numbers[-1])
        for number, constant in reversed(list(enumerate(numbers[:-1]))):
            value = Mux(memory == number, Const(constant), value)
        return value
