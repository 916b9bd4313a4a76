"""Input words of the sequential engine: their layout, their elements, and products with weights."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..plan.engine_program import EngineProgram
from .popcount import Popcount
from .sums import SignedSum, Term

__all__ = ["Dot", "elements", "offset", "select_tree", "word_layout"]


def word_layout(program: EngineProgram) -> data.StructLayout:
    """Return an input word: ``data``, element 0 at the LSB, and ``valid``, a bit an element."""
    members = {"data": unsigned(program.unit * program.element_width)}
    if program.masked:
        members["valid"] = unsigned(program.unit)
    return data.StructLayout(members)


def elements(program: EngineProgram, word: data.View) -> list[Value]:
    """Return the elements of a word as signed or unsigned integers; one that is masked is 0."""
    parts = [word.data.word_select(k, program.element_width) for k in range(program.unit)]
    if not program.bits:
        return [part.as_signed() if program.element_signed else part for part in parts]
    valid = word.valid if program.masked else Const(-1, program.unit)
    return [Cat(valid[k], valid[k] & ~bit).as_signed() for k, bit in enumerate(parts)]


def select_tree(values: Value, select: Value, width: int) -> Value:
    """Return the element that ``select`` chooses, by a tree of multiplexers of whole vectors."""
    count = len(values) // width
    for bit in reversed(range((count - 1).bit_length())):
        half = width << bit
        values = Mux(select[bit], values[half:], values[:half])
    return values


class Dot(wiring.Component):
    """The signed sum of a word's elements under the signs of a lane's weights. Combinational.

    ``2 * S + offset``, where S is the count of bits that agree with the weights (or the sum of the
    integers that they take as they are), and the offset that of :func:`offset`, which all lanes
    share: less the number of bits that count (or less the sum of all integers).

    Members
    -------
    word : ``In(word_layout(program))``
    weights : ``In(unit)``
    offset : ``In(signed(entry_width))``
    o : ``Out(signed(entry_width))``
    """

    def __init__(self, program: EngineProgram) -> None:
        self._program = program
        super().__init__(
            {
                "word": In(word_layout(program)),
                "weights": In(program.unit),
                "offset": In(signed(program.entry_width)),
                "o": Out(signed(program.entry_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the products and their sum."""
        m = Module()
        program = self._program
        if program.bits:
            agree = ~(self.word.data ^ self.weights)
            if program.masked:
                agree &= self.word.valid
            part = _popcount(m, agree, "count")
        else:
            chosen = [
                element & self.weights[k].replicate(program.element_width)
                for k, element in enumerate(elements(program, self.word))
            ]
            part = _sum(m, program, chosen, "sum")
        m.d.comb += self.o.eq((part << 1) + self.offset)
        return m


def _popcount(m: Module, bits: Value, name: str) -> Value:
    count = Popcount(len(bits))
    m.submodules[name] = count
    m.d.comb += count.i.eq(bits)
    return count.o


def _sum(m: Module, program: EngineProgram, terms: list[Value], name: str) -> Value:
    shape = Shape(program.element_width, program.element_signed)
    total = SignedSum([Term(shape)] * len(terms), shape=signed(program.entry_width))
    m.submodules[name] = total
    for k, term in enumerate(terms):
        m.d.comb += getattr(total, f"i{k}").eq(term)
    return total.o


def offset(m: Module, program: EngineProgram, word: data.View) -> Value:
    """Return the offset that all weights share on a word (see :class:`Dot`)."""
    if program.bits and not program.masked:
        return Const(-program.unit, signed(program.entry_width))
    value = Signal(signed(program.entry_width), name="offset")
    if program.bits:
        m.d.comb += value.eq(-_popcount(m, word.valid, "valid_count"))
    else:
        m.d.comb += value.eq(-_sum(m, program, elements(program, word), "total"))
    return value
