"""Compressor trees: the sum of columns of bits as vectors of compressors and one addition.

A column holds the bits of one weight (1, 2, 4, ...). A level takes equally long slices of a
column and compresses them as whole vectors, many lanes a statement, until no column has more
than two bits; a carry-propagate addition ends it. Three compressors of full adders are used,
the first that fits:

- (5,1;3): five bits and one of the next column give one bit in each of three columns;
- (6;3): six bits give one bit in each of three columns;
- (3;2): a full adder.

Where a tree is to be shallow, half adders, (2;2), end it. The first two are functions of six
inputs, so an output is one six-input LUT: they remove a bit a LUT, where full adders alone,
scheduled after Wallace or Dadda, take about 1.4. In four-input LUTs the same tree costs some 15 %
more than full adders alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Signal, Value

from .pipeline import Pipeline, delayed

__all__ = ["CompressorTree", "Compressors"]

_KINDS = ((5, 1), (6, 0), (3, 0))


class Compressors(NamedTuple):
    """Equal compressors side by side, one vector of them.

    Attributes
    ----------
    column
        The column they read, and the lowest that they write.
    low, high
        Bits that one reads from its column and from the next one.
    lanes
        How many there are.
    """

    column: int
    low: int
    high: int
    lanes: int

    @property
    def outputs(self) -> int:
        """Return the bits that one writes, one a column."""
        return 3 if self.low + self.high > 3 else 2


def _compressors(heights: Sequence[int]) -> list[Compressors]:
    """Return the compressors of one level over columns of these heights."""
    free = [*heights, 0]
    chosen = []
    for column in range(len(heights)):
        for low, high in _KINDS:
            lanes = free[column] // low
            if high:
                lanes = min(lanes, free[column + 1])
                free[column + 1] -= lanes
            if lanes:
                free[column] -= low * lanes
                chosen.append(Compressors(column, low, high, lanes))
    return chosen


def _last_compressors(heights: Sequence[int]) -> list[Compressors]:
    """Return the compressors that make columns of three bits into ones of two, in one level.

    A column of two that a carry comes to takes a half adder, after Dadda: else the carries would
    run up the columns, one a level.
    """
    chosen = []
    carry = 0
    for column, height in enumerate(heights):
        carry = int(height + carry > 2)
        if carry:
            chosen.append(Compressors(column, height, 0, 1))
    return chosen


def _compressed(heights: Sequence[int], chosen: Sequence[Compressors]) -> list[int]:
    """Return the heights after a level; what leaves the top column is dropped."""
    after = [*heights, 0, 0]
    for group in chosen:
        after[group.column] -= group.low * group.lanes
        after[group.column + 1] -= group.high * group.lanes
        for k in range(group.outputs):
            after[group.column + k] += group.lanes
    return after[: len(heights)]


class CompressorTree:
    """The plan of a tree, and its building.

    Parameters
    ----------
    heights
        For each level at which bits arrive, how many there are in each column, lowest first.
        Late bits join a tree that is under way.
    width
        Width of the result in bits; the sum is taken modulo ``2 ** width``.
    shallow
        Whether half adders spare levels once no column has more than three bits.

    Attributes
    ----------
    level
        Level of the result (see :mod:`.pipeline`).
    """

    def __init__(
        self, heights: Mapping[int, Sequence[int]], width: int, *, shallow: bool = False
    ) -> None:
        self.width = width
        arrivals = {level: [*row, *[0] * width][:width] for level, row in heights.items()}
        waiting = sorted(arrivals)
        level = waiting.pop(0)
        columns = arrivals[level]
        # (level of the operands, level of the results, compressors; none are a wait)
        self._steps: list[tuple[int, int, list[Compressors]]] = []
        while waiting or max(columns, default=0) > 2:
            last = shallow and max(columns, default=0) == 3
            chosen = (_last_compressors if last else _compressors)(columns)
            after = level + 1 if chosen else waiting[0]
            self._steps.append((level, after, chosen))
            columns, level = _compressed(columns, chosen), after
            if level in waiting:
                waiting.remove(level)
                columns = [a + b for a, b in zip(columns, arrivals[level], strict=True)]
        self._last = level
        self._single = max(columns, default=0) < 2
        self.level = level if self._single else level + 1

    def build(
        self,
        m: Module,
        bits: Mapping[int, Sequence[Sequence[Value]]],
        pipeline: Pipeline,
        advance: Value,
    ) -> Value:
        """Add the tree to a module and return the sum, ``width`` bits.

        Parameters
        ----------
        m
            The module.
        bits
            For each level at which bits arrive, the values whose bits make each column. They
            come in the stage of that level; constant ones are 1.
        pipeline
            Where the registers lie.
        advance
            Whether they go on.
        """
        columns = [_Column() for _ in range(self.width)]
        for level, after, chosen in self._steps:
            _join(columns, bits.get(level, ()))
            _register(m, columns, level, pipeline.registers(level, after), advance)
            _compress(m, columns, chosen, level)
        _join(columns, bits.get(self._last, ()))
        _register(m, columns, self._last, pipeline.registers(self._last, self.level), advance)
        total = _row(columns)
        return total if self._single else (total + _row(columns))[: self.width]


class _Column:
    """The bits of one weight: slices of the values that hold them, as (value, start, stop).

    Slices of slices of concatenations would be walked anew for each of their uses.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Value, int, int]] = []

    def add(self, value: Value) -> None:
        """Put the bits of a value behind the others."""
        if len(value):
            self._parts.append((value, 0, len(value)))

    def take(self, lanes: int) -> Value:
        """Remove and return the first bits."""
        taken = []
        while lanes:
            value, start, stop = self._parts.pop(0)
            middle = min(start + lanes, stop)
            if middle < stop:
                self._parts.insert(0, (value, middle, stop))
            taken.append(value[start:middle])
            lanes -= middle - start
        return taken[0] if len(taken) == 1 else Cat(*taken)

    def take_or_zero(self) -> Value:
        """Remove and return the first bit, or return a constant 0 where there is none."""
        return self.take(1) if self._parts else Const(0, 1)

    def take_all(self) -> tuple[Value, int]:
        """Remove all bits; return the variable ones, and how many constant ones there are."""
        values = [part for part in self._parts if not isinstance(part[0], Const)]
        ones = len(self._parts) - len(values)
        self._parts = []
        return Cat(*(value[start:stop] for value, start, stop in values)), ones


def _row(columns: Sequence[_Column]) -> Value:
    """Remove and return one bit of each column."""
    return Cat(*(column.take_or_zero() for column in columns))


def _join(columns: Sequence[_Column], arrived: Sequence[Sequence[Value]]) -> None:
    """Put arriving values behind the bits of their columns; those above the width drop out."""
    for column, values in zip(columns, arrived, strict=False):
        for value in values:
            column.add(value)


def _register(
    m: Module, columns: Sequence[_Column], level: int, cycles: int, advance: Value
) -> None:
    """Put registers behind a level into all columns; constants need none."""
    if cycles == 0:
        return
    for k, column in enumerate(columns):
        bits, ones = column.take_all()
        if len(bits):
            column.add(delayed(m, bits, cycles, f"level{level}_column{k}", advance))
        for _ in range(ones):
            column.add(Const(1, 1))


def _compress(
    m: Module, columns: Sequence[_Column], chosen: Sequence[Compressors], level: int
) -> None:
    """Add one level of compressors."""
    made: list[list[Value]] = [[] for _ in range(len(columns) + 2)]
    for group in chosen:
        slices = [columns[group.column].take(group.lanes) for _ in range(group.low)]
        slices += [columns[group.column + 1].take(group.lanes) for _ in range(group.high)]
        adders = _Adders(m, f"level{level + 1}_column{group.column}_{len(slices)}to{group.outputs}")
        outputs = adders.compress(slices, group.low, len(columns) - group.column)
        for k, output in enumerate(outputs):
            made[group.column + k].append(output)
    _join(columns, made)


class _Adders:
    """Vectors of full adders of one group of compressors, named after it."""

    def __init__(self, m: Module, name: str) -> None:
        self._m = m
        self._name = name
        self._count = 0

    def _signal(self, value: Value, what: str) -> Signal:
        signal = Signal(len(value), name=f"{self._name}_{what}{self._count}")
        self._m.d.comb += signal.eq(value)
        return signal

    def full(self, a: Value, b: Value, c: Value) -> tuple[Signal, Signal]:
        """Return sums and carries of three vectors."""
        self._count += 1
        half = self._signal(a ^ b, "half")
        return self._signal(half ^ c, "sum"), self._signal((a & b) | (half & c), "carry")

    def compress(self, bits: Sequence[Value], low: int, columns: int) -> list[Value]:
        """Return the outputs of compressors with ``low`` inputs in their own column.

        There are no more than ``columns`` of them.
        """
        if len(bits) == 2:
            both, one = self._signal(bits[0] & bits[1], "carry"), bits[0] ^ bits[1]
            return [self._signal(one, "sum"), both][:columns]
        first, carry = self.full(*bits[:3])
        if low == 3:
            return [first, carry][:columns]
        if low == 5:
            ones, other = self.full(first, bits[3], bits[4])
            third = bits[5]
        else:
            second, other = self.full(*bits[3:6])
            ones = self._signal(first ^ second, "sums")
            third = self._signal(first & second, "both")
        twos, fours = self.full(carry, other, third)
        return [ones, twos, fours][:columns]
