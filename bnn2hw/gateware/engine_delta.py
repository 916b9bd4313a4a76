"""Mode ``delta`` of the sequential engine: differences between channels, and their running sums."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ..plan.engine_program import EngineProgram

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
    memory, read in the same cycle in which it is written.

    Members
    -------
    places : ``In(lanes * place_bits)``, those of the step, a cycle before its values
    values : ``In(lanes * entry_width)``
    pixel : ``In``
    write : ``In(1)``, whether this cycle adds
    first, fresh : ``In(1)``, whether it is in the first word, and whether in the first step of a
        word
    reading : ``In(1)``, whether this cycle reads a running sum instead
    group : ``In``, the place that is read; they come in order
    advance : ``In(1)``
    o : ``Out(lanes * sum_width)``, the running sums
    """

    def __init__(self, program: EngineProgram) -> None:
        self._program = program
        super().__init__(
            {
                "places": In(program.lanes * program.place_bits),
                "values": In(program.lanes * program.entry_width),
                "pixel": In(bits_for(program.pixels - 1)),
                "write": In(1),
                "first": In(1),
                "fresh": In(1),
                "reading": In(1),
                "group": In(bits_for(program.groups - 1)),
                "advance": In(1),
                "o": Out(program.lanes * program.sum_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return a memory, a difference, a sum and a running sum of each lane."""
        m = Module()
        program = self._program
        places = Signal(len(self.places), reset_less=True)
        with m.If(self.advance):
            m.d.sync += places.eq(self.places)
        sums = []
        for lane in range(program.lanes):
            place = places.word_select(lane, program.place_bits) if places.shape().width else None
            value = self.values.word_select(lane, program.entry_width).as_signed()
            sums.append(self._lane(m, lane, Const(0, 1) if place is None else place, value))
        m.d.comb += self.o.eq(Cat(*sums))
        return m

    def _lane(self, m: Module, lane: int, place: Value, value: Value) -> Value:
        """Return the running sum of a lane."""
        program = self._program
        memory = Memory(shape=program.sum_width, depth=program.groups << len(self.pixel), init=[])
        m.submodules[f"places{lane}"] = memory
        reader, writer = memory.read_port(domain="comb"), memory.write_port()
        address = Cat(self.pixel, Mux(self.reading, self.group, place))
        before = self._delayed(m, value, self.write, f"before{lane}")
        change = value - Mux(self.fresh, 0, before.as_signed())
        running = Signal(program.sum_width, name=f"running{lane}")
        earlier = self._delayed(m, running, self.reading, f"earlier{lane}")
        m.d.comb += [
            reader.addr.eq(address),
            writer.addr.eq(address),
            writer.data.eq(Mux(self.first, 0, reader.data) + change),
            writer.en.eq(self.write & self.advance),
            running.eq(Mux(self.group == 0, 0, earlier) + reader.data),
        ]
        return running

    def _delayed(self, m: Module, value: Value, enable: Value, name: str) -> Value:
        """Return the value that the same pixel had at the last enabled step."""
        for pixel in range(self._program.pixels):
            register = Signal(value.shape(), name=f"{name}_{pixel}", reset_less=True)
            with m.If(enable & self.advance):
                m.d.sync += register.eq(value)
            value = register
        return value
