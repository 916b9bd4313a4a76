"""Mode ``delta`` of the sequential engine: differences between channels, and their running sums."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ..plan.engine_program import EngineProgram
from .engine_lanes import add

__all__ = ["DeltaAccumulators", "DeltaWalk"]


class DeltaWalk:
    """Where a step stands: in the changes of a word, or in the readout behind the last word.

    Parameters
    ----------
    m
        The module that it adds its counters to.
    program
        Of the engine.
    step
        Whether a step is made in this cycle.
    ends
        Whether the weights are those of the last step of a word.
    """

    def __init__(self, m: Module, program: EngineProgram, step: Value, ends: Value) -> None:
        self.pixel = Signal(bits_for(program.pixels - 1), name="pixel")
        self.group = Signal(bits_for(program.groups - 1), name="group")
        self.reading = Signal()
        self.fresh = Signal(init=1)
        word = Signal(bits_for(program.words - 1), name="word")
        self.group_ends = self.pixel == program.pixels - 1
        self.first_word = word == 0
        self.offers = self.reading
        last_word = word == program.words - 1
        word_ends = ~self.reading & self.group_ends & ends
        readout_ends = self.reading & self.group_ends & (self.group == program.groups - 1)
        self.item_ends = readout_ends | (word_ends & ~last_word)
        with m.If(step):
            m.d.sync += self.pixel.eq(Mux(self.group_ends, 0, self.pixel + 1))
            with m.If(self.reading & self.group_ends):
                m.d.sync += self.group.eq(Mux(readout_ends, 0, self.group + 1))
            with m.Elif(self.group_ends):
                m.d.sync += self.fresh.eq(ends)
            with m.If(word_ends & last_word):
                m.d.sync += self.reading.eq(1)
            with m.If(readout_ends):
                m.d.sync += self.reading.eq(0)
            with m.If(self.item_ends):
                m.d.sync += word.eq(Mux(last_word, 0, word + 1))


class DeltaAccumulators(wiring.Component):
    """The differences of all places and pixels, and their running sums.

    A value less the one before it is added to its place; a step that is repeated adds nothing so.
    Sums are taken modulo their width, which holds all that are read. Each lane has its own
    memory, and two adders: one takes the difference, the other adds it to its place, or in the
    readout a place to the running sum.

    Members
    -------
    places : ``In(lanes * place_bits)``, those of the step, a cycle before its values
    pixel, group : ``In``, of the step, a cycle before its values
    reading : ``In(1)``, whether the step reads the running sums of the group instead, a cycle
        before it does; groups come in order
    values, carries : ``In(lanes * entry_width)``, ``In(lanes)``
    adding : ``In(1)``, whether there is a step in this cycle
    first, fresh : ``In(1)``, whether it is in the first word, and whether it is the first of a word
    advance : ``In(1)``
    o : ``Out(lanes * sum_width)``, the running sums
    """

    def __init__(self, program: EngineProgram) -> None:
        self._program = program
        super().__init__(
            {
                "places": In(program.lanes * program.place_bits),
                "pixel": In(bits_for(program.pixels - 1)),
                "group": In(bits_for(program.groups - 1)),
                "reading": In(1),
                "values": In(program.lanes * program.entry_width),
                "carries": In(program.lanes),
                "adding": In(1),
                "first": In(1),
                "fresh": In(1),
                "advance": In(1),
                "o": Out(program.lanes * program.sum_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return a memory, a difference and a sum of each lane."""
        m = Module()
        program = self._program
        reading, starts = Signal(), Signal()
        with m.If(self.advance):
            m.d.sync += [reading.eq(self.reading), starts.eq(self.group == 0)]
        sums = []
        for lane in range(program.lanes):
            before = self._sum_before(m, lane, self.adding & ~reading)
            change, carry = self._change(m, lane, self.adding & ~reading)
            total = Signal(program.sum_width, name=f"sum{lane}")
            earlier = self._delayed(m, total, self.adding & reading, f"earlier{lane}")
            m.d.comb += total.eq(
                add(
                    Mux(self.first & ~reading, 0, before),
                    Mux(reading, Mux(starts, 0, earlier.as_signed()), change),
                    carry & ~reading,
                )
            )
            sums.append(total)
        m.d.comb += self.o.eq(Cat(*sums))
        return m

    def _sum_before(self, m: Module, lane: int, write: Value) -> Value:
        """Return what the step's place holds; the lane's sum is written back to it.

        It is read a cycle before, when the step before it may be under way at the same place: the
        memory gives what is written in the same cycle.
        """
        program = self._program
        pixel = self.pixel[: (program.pixels - 1).bit_length()]
        memory = Memory(shape=program.sum_width, depth=program.groups << len(pixel), init=[])
        m.submodules[f"places{lane}"] = memory
        writer = memory.write_port()
        reader = memory.read_port(transparent_for=(writer,))
        place: Value = Const(0, 1)
        if program.place_bits:
            place = self.places.word_select(lane, program.place_bits)
        address = Signal(len(reader.addr), name=f"address{lane}", reset_less=True)
        with m.If(self.advance):
            m.d.sync += address.eq(reader.addr)
        m.d.comb += [
            reader.addr.eq(Cat(pixel, Mux(self.reading, self.group, place))),
            reader.en.eq(self.advance),
            writer.addr.eq(address),
            writer.data.eq(self.o.word_select(lane, program.sum_width)),
            writer.en.eq(write & self.advance),
        ]
        return reader.data.as_signed()

    def _change(self, m: Module, lane: int, write: Value) -> tuple[Value, Value]:
        """Return a lane's value less the one before it, and the carry that is to be added.

        Value and carry stand for ``v + c``, so the difference is ``v + ~v' + c`` and ``1 - c'``.
        """
        width = self._program.entry_width
        value, carry = self.values.word_select(lane, width), self.carries[lane]
        before = self._delayed(m, Cat(value, carry), write, f"before{lane}")
        change = add(value, Mux(self.fresh, 0, ~before[:width]), carry)
        return change, ~self.fresh & ~before[width]

    def _delayed(self, m: Module, value: Value, enable: Value, name: str) -> Value:
        """Return the value that the same pixel had at the last enabled step."""
        for pixel in range(self._program.pixels):
            register = Signal(len(value), name=f"{name}_{pixel}", reset_less=True)
            with m.If(enable & self.advance):
                m.d.sync += register.eq(value)
            value = register
        return value
