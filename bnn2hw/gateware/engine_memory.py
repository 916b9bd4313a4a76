"""Memories of the sequential engine, and the stream of weights that comes from one."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

__all__ = ["EngineMemory", "WeightStream"]


class EngineMemory(wiring.Component):
    """A memory that is read synchronously, so that Yosys maps it to block RAM.

    The data of an address come in the next cycle, and stay while ``enable`` is 0.

    Parameters
    ----------
    width
        Bits of a word.
    init
        Its words, at least one.
    loadable
        Whether there is a port to write it.

    Members
    -------
    address : ``In``
    enable : ``In(1)``
    data : ``Out(width)``
    write, write_address, write_data : ``In``, where it is loadable
    """

    def __init__(self, width: int, init: Sequence[int], *, loadable: bool = False) -> None:
        self._width, self._init, self._loadable = width, tuple(init), loadable
        address = bits_for(len(self._init) - 1)
        members = {"address": In(address), "enable": In(1, init=1), "data": Out(width)}
        if loadable:
            members |= {
                "write": In(1),
                "write_address": In(address),
                "write_data": In(width),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Return the memory; one word alone is a register or a constant."""
        m = Module()
        if len(self._init) == 1:
            word = Signal(self._width, init=self._init[0], reset_less=True)
            m.d.comb += self.data.eq(word)
            if self._loadable:
                with m.If(self.write):
                    m.d.sync += word.eq(self.write_data)
            return m
        m.submodules.words = memory = Memory(
            shape=self._width, depth=len(self._init), init=self._init
        )
        reader = memory.read_port()
        m.d.comb += [
            reader.addr.eq(self.address),
            reader.en.eq(self.enable),
            self.data.eq(reader.data),
        ]
        if self._loadable:
            writer = memory.write_port()
            m.d.comb += [
                writer.addr.eq(self.write_address),
                writer.data.eq(self.write_data),
                writer.en.eq(self.write),
            ]
        return m


class WeightStream(wiring.Component):
    """The weights of one step after the other, round and round, each gathered from memory words.

    From the cycle on in which the weights of a step are first used, those of the next one are
    gathered, and are there ``fetch`` cycles later: no sooner, so that the time of a step does not
    depend on how long the lanes waited before it.

    Parameters
    ----------
    width
        Bits of memory word.
    fetch
        Words of a step.
    init, loadable
        As of :class:`EngineMemory`; the number of words is a multiple of ``fetch``.

    Members
    -------
    run : ``In(1)``; while it is 0 the stream stands before its first step
    valid : ``Out(1)``
    weights : ``Out(width * fetch)``, of the step, the first word at the LSB
    use : ``In(1)``, whether the weights are used in this cycle; only while ``valid``
    take : ``In(1)``, whether that is for the last time
    write, write_address, write_data : as of :class:`EngineMemory`
    """

    def __init__(
        self, width: int, fetch: int, init: Sequence[int], *, loadable: bool = False
    ) -> None:
        self._width, self._fetch, self._depth = width, fetch, len(init)
        self._memory = EngineMemory(width, init, loadable=loadable)
        self._loadable = loadable
        members = {
            "run": In(1, init=1),
            "valid": Out(1),
            "weights": Out(width * fetch),
            "use": In(1),
            "take": In(1),
        }
        if loadable:
            members |= {
                name: self._memory.signature.members[name]
                for name in ("write", "write_address", "write_data")
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Return the memory, its address counter, and the words under way."""
        m = Module()
        m.submodules.memory = memory = self._memory
        if self._loadable:
            for name in ("write", "write_address", "write_data"):
                m.d.comb += getattr(memory, name).eq(getattr(self, name))

        address = Signal(memory.address.shape())
        waiting = Signal()  # the memory's output is a word that has not been moved on
        issue, shift, transfer = Signal(), Signal(), Signal()
        m.d.comb += [memory.address.eq(address), memory.enable.eq(issue)]
        with m.If(issue):
            m.d.sync += address.eq(Mux(address == self._depth - 1, 0, address + 1))
            m.d.sync += waiting.eq(1)
        with m.Elif(shift | transfer):
            m.d.sync += waiting.eq(0)

        words = memory.data
        complete = waiting
        if self._fetch > 1:
            gathered = Signal(self._width * (self._fetch - 1), reset_less=True)
            count = Signal(range(self._fetch))
            words = Cat(gathered, memory.data)
            complete = waiting & (count == self._fetch - 1)
            used = Signal()
            with m.If(self.use):
                m.d.sync += used.eq(~self.take)
            m.d.comb += shift.eq(waiting & ~complete & (~self.valid | self.use | used))
            with m.If(shift):
                m.d.sync += gathered.eq(words[self._width :])
                m.d.sync += count.eq(count + 1)
            with m.Elif(transfer):
                m.d.sync += count.eq(0)
        m.d.comb += transfer.eq(complete & (~self.valid | self.take))
        m.d.comb += issue.eq(self.run & (~waiting | shift | transfer))

        weights = Signal(self._width * self._fetch, reset_less=True)
        valid = Signal()
        m.d.comb += [self.weights.eq(weights), self.valid.eq(valid)]
        with m.If(transfer):
            m.d.sync += [weights.eq(words), valid.eq(1)]
        with m.Elif(self.take):
            m.d.sync += valid.eq(0)
        with m.If(~self.run):
            m.d.sync += [address.eq(0), waiting.eq(0), valid.eq(0)]
            if self._fetch > 1:
                m.d.sync += count.eq(0)
        return m
