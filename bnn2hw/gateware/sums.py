"""Sums of integers: the reuse of a parent channel, and any number of terms with sign and shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Const, Elaboratable, Module, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..plan.graph import interval_width
from .compressor import CompressorTree
from .pipeline import Pipeline, delayed
from .shared import SharedModules

__all__ = ["ReuseAdder", "SignedSum", "Term", "interval_shape"]


def interval_shape(low: int, high: int) -> Shape:
    """Return the shape of numbers of an interval, one bit at least."""
    return Shape(max(interval_width(low, high), 1), low < 0)


class ReuseAdder(wiring.Component):
    """A channel from its parent: ``parent + 2 * part`` or ``parent - 2 * part``.

    One adder and no constant (MST supplement, Eq. 3, with the constant of the edge left to the
    channel's threshold). Combinational, one level.

    Parameters
    ----------
    parent, part
        Shapes of the operands.
    subtract
        Whether the part is taken away.
    shape
        Shape of the result, which must hold it.

    Members
    -------
    parent : ``In(parent)``
    part : ``In(part)``
    o : ``Out(shape)``
    """

    def __init__(self, parent: Shape, part: Shape, *, subtract: bool, shape: Shape) -> None:
        self._subtract = subtract
        super().__init__({"parent": In(parent), "part": In(part), "o": Out(shape)})

    def elaborate(self, platform: object) -> Module:
        """Return the adder."""
        m = Module()
        twice = self.part << 1
        m.d.comb += self.o.eq(self.parent - twice if self._subtract else self.parent + twice)
        return m


@dataclass(frozen=True)
class Term:
    """A term of a sum: ``sign * value << shift``.

    Attributes
    ----------
    shape
        Shape of the value.
    sign
        +1 or -1.
    shift
        0 or more.
    level
        Level of the value; it comes in the stage of that level.
    start
        Where the value is an element of the patch, its first bit there; None where the value
        comes through a port of its own.
    """

    shape: Shape
    sign: int = 1
    shift: int = 0
    level: int = 0
    start: int | None = None

    @property
    def inverted(self) -> int:
        """Return which bits go inverted into the columns, as a mask.

        Bits of negative weight (the sign bit, or all others where the term is subtracted) are
        replaced by their inverse: ``-b = ~b - 1``.
        """
        magnitude = (1 << self.shape.width) - 1
        if not self.shape.width:
            return 0
        top = 1 << (self.shape.width - 1) if self.shape.signed else 0
        return top if self.sign > 0 else magnitude ^ top

    @property
    def correction(self) -> int:
        """Return the constant that goes with the inverted bits."""
        return -(self.inverted << self.shift)


class SignedSum(wiring.Component):
    """The sum of any number of terms and a constant.

    All bits go into one compressor tree; bits of negative weight go in inverted, and what they
    leave is merged with the constant, so that there is one carry-propagate addition in all. One
    term alone that is added to nothing is wires. Throughput one sum a cycle.

    Parameters
    ----------
    terms
        The terms.
    constant
        Added to them.
    shape
        Shape of the result, which must hold it.
    size
        Width of the patch in bits.
    pipeline
        Adder levels between registers, or None.
    shallow
        Whether two numbers are added plainly, and the tree of more spares levels with half adders
        (see :class:`.CompressorTree`).

    Attributes
    ----------
    level
        Level of the result.
    latency
        Cycles from an operand of level 0 to the output.

    Members
    -------
    data : ``In(size)``, the patch, where a term reads it
    i0, i1, ... : ``In(term.shape)``, of the other terms, by their number
    advance : ``In(1)``, whether the registers go on; 1 where it is not connected
    o : ``Out(shape)``
    """

    def __init__(
        self,
        terms: Sequence[Term],
        constant: int = 0,
        *,
        shape: Shape,
        size: int = 0,
        pipeline: int | None = None,
        shallow: bool = False,
    ) -> None:
        self._terms = tuple(terms)
        self._key = self._terms, constant, shape, size, pipeline, shallow
        self._pipeline = Pipeline(pipeline)
        self._constant = constant
        self._wires = len(terms) == 1 and terms[0].sign > 0 and constant == 0
        self._plain = self._wires or (shallow and _is_addition(terms, constant))
        constant += sum(term.correction for term in terms)
        self._slots = _slots(self._terms, constant, shape.width)
        heights = {level: [len(slot) for slot in row] for level, row in self._slots.items()}
        self._tree = CompressorTree(heights, shape.width, shallow=shallow)
        self.level = self._tree.level
        if self._plain:
            self.level = terms[0].level + (not self._wires)
        self.latency = self._pipeline.stage(self.level)
        members = {f"i{k}": In(term.shape) for k, term in enumerate(terms) if term.start is None}
        if len(members) < len(terms):
            members["data"] = In(size)
        super().__init__({**members, "advance": In(1, init=1), "o": Out(shape)})

    def within(self, platform: object) -> Elaboratable:
        """Return the sum as a submodule; of sums that are alike, each is an instance of one."""
        if isinstance(platform, SharedModules):
            return platform.alike(self, self._key)
        return self

    def elaborate(self, platform: object) -> Module:
        """Return the tree over the columns."""
        m = Module()
        if self._plain:
            m.d.comb += self.o.eq(self._addition(m))
            return m
        facing = []
        for k, term in enumerate(self._terms):
            value = self._value(k)
            turned = Signal(term.shape.width, name=f"term{k}")
            m.d.comb += turned.eq(value ^ Const(term.inverted, term.shape.width))
            facing.append(turned)
        bits = {
            level: [
                [Const(1, 1) if slot is None else facing[slot[0]][slot[1]] for slot in column]
                for column in row
            ]
            for level, row in self._slots.items()
        }
        m.d.comb += self.o.eq(self._tree.build(m, bits, self._pipeline, self.advance))
        return m

    def _addition(self, m: Module) -> Value:
        """Return the terms added by operators, in the stage of the result."""
        total: Value = Const(self._constant)
        for k, term in enumerate(self._terms):
            value = self._value(k)
            value = (value.as_signed() if term.shape.signed else value) << term.shift
            cycles = self._pipeline.registers(term.level, self.level)
            value = delayed(m, value, cycles, f"term{k}", self.advance)
            total = total + value if term.sign > 0 else total - value
        return total

    def _value(self, number: int) -> Value:
        """Return the bits of a term's value."""
        term = self._terms[number]
        if term.start is None:
            return Value.cast(getattr(self, f"i{number}").as_unsigned())
        return Value.cast(self.data[term.start : term.start + term.shape.width])


def _is_addition(terms: Sequence[Term], constant: int) -> bool:
    """Return whether terms of one level and a constant are one addition or subtraction.

    A constant of 1 is the carry into an addition.
    """
    negative = sum(term.sign < 0 for term in terms)
    carry = constant == 1 and len(terms) == 2 and not negative
    numbers = len(terms) + (constant != 0 and not carry)
    return numbers <= 2 and negative <= 1 and len({term.level for term in terms}) == 1


_Slot = tuple[int, int] | None


def _slots(terms: Sequence[Term], constant: int, width: int) -> dict[int, list[list[_Slot]]]:
    """Return what goes into each column at each level: (term, bit), or None for a constant 1."""
    first = min((term.level for term in terms), default=0)
    slots: dict[int, list[list[_Slot]]] = {first: [[] for _ in range(width)]}
    for k, term in enumerate(terms):
        row = slots.setdefault(term.level, [[] for _ in range(width)])
        for bit in range(min(term.shape.width, width - term.shift)):
            row[term.shift + bit].append((k, bit))
    for column in range(width):
        if constant >> column & 1:
            slots[first][column].append(None)
    return slots
