"""Lanes of the sequential engine: select or count, accumulate, compare."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ..plan.engine_program import EngineProgram
from .engine_memory import EngineMemory
from .engine_word import Dot, select_tree, word_layout

__all__ = ["Accumulators", "SelectLanes", "Thresholds", "XnorLanes", "add"]


def add(one: Value, other: Value, carry: Value) -> Value:
    """Return the sum of two signed values and a bit, from one adder: the bit is its carry in."""
    return (Cat(carry, one).as_signed() + Cat(carry, other).as_signed())[1:].as_signed()


class _Lanes(wiring.Component):
    """A value a lane from what the banks hold; the values are registers.

    Members
    -------
    bank : ``In``, the table or word of the pixel
    weights : ``In``, those of the step
    advance : ``In(1)``, whether the registers go on
    o : ``Out(lanes * entry_width)``, signed, lane 0 at the LSB
    carries : ``Out(lanes)``, what is to be added to each value: ``-v`` is ``~v`` and a carry of 1
    """

    def __init__(self, program: EngineProgram, bank: int) -> None:
        self._program = program
        super().__init__(
            {
                "bank": In(bank),
                "weights": In(program.lanes * program.weight_bits),
                "advance": In(1),
                "o": Out(program.lanes * program.entry_width),
                "carries": Out(program.lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the lanes."""
        m = Module()
        values = Signal(len(self.o), name="values", reset_less=True)
        carries = Signal(len(self.carries), reset_less=True)
        made = []
        for lane in range(self._program.lanes):
            weights = self.weights.word_select(lane, self._program.weight_bits)
            made.append(self._value(m, lane, weights))
        with m.If(self.advance):
            m.d.sync += values.eq(Cat(*(value for value, _ in made)))
            m.d.sync += carries.eq(Cat(*(carry for _, carry in made)))
        m.d.comb += [self.o.eq(values), self.carries.eq(carries)]
        return m

    def _value(self, m: Module, lane: int, weights: Value) -> tuple[Value, Value]:
        """Return the value of a lane, and its carry."""
        raise TypeError(f"{type(self).__name__} is abstract")


class SelectLanes(_Lanes):
    """Lanes that select an entry of the table by their index."""

    def __init__(self, program: EngineProgram) -> None:
        super().__init__(program, program.entries * program.slot_width)

    def _value(self, m: Module, lane: int, weights: Value) -> tuple[Value, Value]:
        program = self._program
        width = program.entry_width
        entry = Signal(width, name=f"entry{lane}")
        known = Const(program.unit & 1, program.known_bits)
        slot = select_tree(self.bank, weights, program.slot_width)
        m.d.comb += entry.eq(Cat(known, slot))
        if not self._program.closed:
            return entry, Const(0, 1)
        sign = weights[self._program.index_bits - 1]
        return entry ^ sign.replicate(width), sign


class XnorLanes(_Lanes):
    """Lanes that multiply the word with their own weights, and count."""

    def __init__(self, program: EngineProgram) -> None:
        super().__init__(program, word_layout(program).size + program.entry_width)

    def _value(self, m: Module, lane: int, weights: Value) -> tuple[Value, Value]:
        m.submodules[f"lane{lane}"] = dot = Dot(self._program)
        size = word_layout(self._program).size
        m.d.comb += [
            dot.word.as_value().eq(self.bank[:size]),
            dot.offset.eq(self.bank[size:].as_signed()),
            dot.weights.eq(weights),
        ]
        return dot.o, Const(0, 1)


class Accumulators(wiring.Component):
    """The sums of all groups and pixels, in a memory; one place is read and written a cycle.

    Members
    -------
    place_next : ``In``, the place of the next cycle
    place : ``In``, that of this cycle
    write : ``In(1)``, whether this cycle adds
    first : ``In(1)``, whether the sum starts with this value
    advance : ``In(1)``
    values, carries : ``In(lanes * entry_width)``, ``In(lanes)``
    o : ``Out(lanes * sum_width)``, the new sums
    """

    def __init__(self, program: EngineProgram) -> None:
        self._program = program
        self._places = program.groups * program.pixels
        place = bits_for(self._places - 1)
        super().__init__(
            {
                "place_next": In(place),
                "place": In(place),
                "write": In(1),
                "first": In(1),
                "advance": In(1),
                "values": In(program.lanes * program.entry_width),
                "carries": In(program.lanes),
                "o": Out(program.lanes * program.sum_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the memory and one adder a lane."""
        m = Module()
        program = self._program
        before = self._sums(m)
        sums = []
        for lane in range(program.lanes):
            total = Signal(signed(program.sum_width), name=f"sum{lane}")
            old = before.word_select(lane, program.sum_width).as_signed()
            value = self.values.word_select(lane, program.entry_width).as_signed()
            m.d.comb += total.eq(add(Mux(self.first, 0, old), value, self.carries[lane]))
            sums.append(total)
        m.d.comb += self.o.eq(Cat(*sums))
        return m

    def _sums(self, m: Module) -> Value:
        """Return the sums of the place; they are written back in the same cycle.

        With two places or more, one is read again two cycles after it at the earliest: it has
        been written by then. A place alone is a register.
        """
        width = len(self.o)
        if self._places == 1:
            sums = Signal(width, reset_less=True)
            with m.If(self.write & self.advance):
                m.d.sync += sums.eq(self.o)
            return sums
        m.submodules.places = memory = Memory(shape=width, depth=self._places, init=[])
        reader, writer = memory.read_port(), memory.write_port()
        m.d.comb += [
            reader.addr.eq(self.place_next),
            reader.en.eq(self.advance),
            writer.addr.eq(self.place),
            writer.data.eq(self.o),
            writer.en.eq(self.write & self.advance),
        ]
        return reader.data


class Thresholds(wiring.Component):
    """A bit a lane: ``(sum >= level) ^ inverted``, with the levels of the group from a memory.

    Members
    -------
    group_next : ``In``, the group of the next cycle
    advance : ``In(1)``
    sums : ``In(lanes * sum_width)``
    o : ``Out(lanes)``
    write, write_address, write_data : as of :class:`.EngineMemory`, where it is loadable
    """

    def __init__(self, program: EngineProgram, *, loadable: bool = False) -> None:
        self._program = program
        self._levels = EngineMemory(
            program.lanes * program.level_width, program.levels, loadable=loadable
        )
        names = ("write", "write_address", "write_data") if loadable else ()
        self._load = {name: self._levels.signature.members[name] for name in names}
        super().__init__(
            {
                "group_next": In(bits_for(program.groups - 1)),
                "advance": In(1),
                "sums": In(program.lanes * program.sum_width),
                "o": Out(program.lanes),
                **self._load,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the memory and the comparisons."""
        m = Module()
        m.submodules.levels = levels = self._levels
        m.d.comb += [levels.address.eq(self.group_next), levels.enable.eq(self.advance)]
        for name in self._load:
            m.d.comb += getattr(levels, name).eq(getattr(self, name))
        bits = []
        for lane in range(self._program.lanes):
            word = levels.data.word_select(lane, self._program.level_width)
            total = self.sums.word_select(lane, self._program.sum_width).as_signed()
            bits.append((total >= word[:-1].as_signed()) ^ word[-1])
        m.d.comb += self.o.eq(Cat(*bits))
        return m
