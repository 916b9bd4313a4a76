"""The bit netlist: counters on weighted bits, and comparisons of their sums.

Bits are numbered: bit i of the patch is bit i, and what the cells write follows. A *literal* is
``2 * bit + inverted``. A *heap* is a sum of literals, each of a weight ``2 ** column``.

A cell is a counter, or a table of its own. Nothing else is known of where a bit comes from, and
nothing else is needed: a heap is unfolded from its last bits to the patch, each counter's outputs
(weights c, 2c, 4c) being replaced by its inputs, and ends as the linear form over the patch.
:meth:`Netlist.linear_form` does this, and :meth:`Netlist.prove_comparison` replays how a comparison
drops low bits: proofs for all inputs, not tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from .counters import LUT_INPUTS, Counter

__all__ = [
    "BitOutput",
    "Cell",
    "Heap",
    "Netlist",
    "SumOutput",
    "complement",
    "frame",
    "total_weight",
]

Heap = tuple[tuple[int, ...], ...]
"""Literals by column, lowest column first."""


def complement(heap: Heap) -> Heap:
    """Return the heap of inverted literals: its sum is the total weight less the other's."""
    return tuple(tuple(literal ^ 1 for literal in column) for column in heap)


def total_weight(heap: Heap) -> int:
    """Return the greatest sum that a heap can have."""
    return sum(len(column) << k for k, column in enumerate(heap))


@dataclass(frozen=True)
class Cell:
    """What writes bits: a counter, or one table (then there is one bit).

    Attributes
    ----------
    kind
        The counter; None for a table.
    literals
        What it reads, the counter's own column first; six at most.
    table
        Bit k is the output for inputs k; only where there is no counter.
    first
        Number of the first bit that it writes.
    """

    kind: Counter | None
    literals: tuple[int, ...]
    table: int
    first: int

    @property
    def tables(self) -> tuple[int, ...]:
        """Return the truth table of each bit that it writes."""
        return (self.table,) if self.kind is None else self.kind.tables

    @property
    def outputs(self) -> int:
        """Return the number of bits that it writes."""
        return 1 if self.kind is None else self.kind.outputs


@dataclass(frozen=True)
class BitOutput:
    """A comparison: whether the sum of a heap reaches a level, and how it is built.

    Attributes
    ----------
    channel
        Output channel of the layer.
    heap
        The sum compared.
    level
        From 1 to the heap's total weight.
    steps
        For each column in turn, the numbers of the cells that end it: counters of whole sums,
        and one that writes carries alone where more than one bit is left.
    joins
        Numbers of cells that OR bits which decide alone.
    last
        Number of the cell, a table, that gives the comparison.
    inverted
        Whether the channel is 1 where the sum does not reach the level.
    """

    channel: int
    heap: Heap
    level: int
    steps: tuple[tuple[int, ...], ...]
    joins: tuple[int, ...]
    last: int
    inverted: bool


@dataclass(frozen=True)
class SumOutput:
    """The sum of a heap, as it is."""

    channel: int
    heap: Heap


@dataclass
class Netlist:
    """Cells in evaluation order and the outputs made of them.

    Attributes
    ----------
    inputs
        Bits of the patch.
    cells
        A cell reads only bits before its own.
    outputs
        By ascending channel.
    levels
        For every bit, the LUTs on the longest path to it.
    """

    inputs: int
    cells: list[Cell] = field(default_factory=list)
    outputs: list[BitOutput | SumOutput] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    writer: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert not self.cells, "cells are added one by one"
        self.levels = [0] * self.inputs
        self.writer = [-1] * self.inputs

    def add(self, kind: Counter | None, literals: Sequence[int], table: int = 0) -> list[int]:
        """Add a cell and return the literals of the bits that it writes."""
        assert len(literals) == (kind.inputs if kind else len(literals)) <= LUT_INPUTS
        cell = Cell(kind, tuple(literals), table, len(self.levels))
        level = max((self.levels[literal >> 1] for literal in literals), default=0) + 1
        self.levels += [level] * cell.outputs
        self.writer += [len(self.cells)] * cell.outputs
        self.cells.append(cell)
        return [2 * (cell.first + k) for k in range(cell.outputs)]

    @property
    def luts(self) -> int:
        """Return the LUTs of all cells: one a bit that is written."""
        return len(self.levels) - self.inputs

    def literals(self, output: BitOutput | SumOutput) -> Iterator[int]:
        """Yield the literals that an output reads from the rest."""
        if isinstance(output, SumOutput):
            for column in output.heap:
                yield from column
        else:
            yield 2 * self.cells[output.last].first + output.inverted

    def evaluate(self, patches: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return all bits, uint8 (bits, count), for patches of bits, uint8 (count, inputs)."""
        bits = np.zeros((len(self.levels), len(patches)), dtype=np.uint8)
        bits[: self.inputs] = patches.T
        for cell in self.cells:
            word = np.zeros(len(patches), dtype=np.uint8)
            for k, literal in enumerate(cell.literals):
                word |= (bits[literal >> 1] ^ (literal & 1)) << k
            for k, table in enumerate(cell.tables):
                entries = np.array([table >> at & 1 for at in range(1 << len(cell.literals))])
                bits[cell.first + k] = entries[word]
        return bits

    def linear_form(self, heap: Heap) -> tuple[NDArray[np.int64], int]:
        """Return coefficients over the bits of the patch, int64 (inputs,), and the constant.

        Raises
        ------
        ValueError
            If the heap is no linear form: it holds a part of what a counter writes, or a table.
        """
        weights: dict[int, int] = {}
        constant = 0
        for column, literals in enumerate(heap):
            for literal in literals:
                constant += _put(weights, literal, 1 << column)
        waiting = [-bit for bit in weights]
        heapify(waiting)
        form = np.zeros(self.inputs, dtype=np.int64)
        while waiting:
            bit = -heappop(waiting)
            weight = weights.pop(bit, 0)
            if bit < self.inputs:
                form[bit] = weight
                continue
            if weight == 0:
                continue
            constant += self._unfold(bit, weight, weights, waiting)
        return form, constant

    def _unfold(self, bit: int, weight: int, weights: dict[int, int], waiting: list[int]) -> int:
        """Replace what a counter writes by what it reads, and return the constant that is left."""
        cell = self.cells[self.writer[bit]]
        kind = cell.kind
        if kind is None or kind.drop:
            raise ValueError(f"bit {bit} of a sum does not come from a counter of whole sums")
        top = bit - cell.first
        unit = weight >> top
        parts = [weights.pop(cell.first + k, 0) for k in range(top)]
        if top != kind.outputs - 1 or [*parts, weight] != [unit << k for k in range(top + 1)]:
            raise ValueError(f"a sum holds a part of what the counter before bit {bit} writes")
        constant = 0
        for k, literal in enumerate(cell.literals):
            if literal >> 1 not in weights:
                heappush(waiting, -(literal >> 1))
            constant += _put(weights, literal, unit << (k >= kind.low))
        return constant

    def prove_comparison(self, output: BitOutput) -> None:
        """Check that the cells of a comparison compare the sum of its heap with its level.

        With :func:`frame`'s M and K, ``sum >= level`` is ``sum + K >= 2**M``. Column by column:
        once what is left of the column (its bits and its bit of K) is a number r of no more than
        one counter, and all else is even in its units, r may be replaced by ``2 * (r >> 1)``
        without changing the comparison, as 2**M is even too.

        Raises
        ------
        ValueError
            If they do not.
        """
        top, constant = frame(output.level)
        held = [list(literals) for literals in output.heap]
        held += [[] for _ in range(max(top, len(output.steps)) + 4 - len(held))]
        for column, numbers in enumerate(output.steps):
            self._replay_column(held, column, numbers, constant >> column & 1)
        rest = [(k, literal) for k, literals in enumerate(held) for literal in literals]
        for number in output.joins:
            rest = self._replay_join(rest, number, top)
        constant = constant >> len(output.steps) << len(output.steps)
        self._check_table(self.cells[output.last], rest, top, constant)

    def _replay_column(
        self, held: list[list[int]], column: int, numbers: Sequence[int], carry: int
    ) -> None:
        """Take the cells of a column into account, and its end."""
        ended = False
        for number in numbers:
            kind, cell = self.cells[number].kind, self.cells[number]
            if kind is None or ended or (kind.drop and kind.carry != carry):
                raise ValueError(f"column {column} of a comparison holds a cell out of place")
            for k, literal in enumerate(cell.literals):
                held[column + (k >= kind.low)].remove(literal)  # ValueError where it is not
            for k in range(kind.outputs):
                held[column + kind.drop + k].append(2 * (cell.first + k))
            ended = bool(kind.drop)
        if len(held[column]) > (not ended):
            raise ValueError(f"column {column} of a comparison ends while it holds bits")
        if carry and not ended:  # (bit + 1) >> 1 is the bit
            held[column + 1] += held[column]
        held[column] = []

    def _replay_join(
        self, rest: list[tuple[int, int]], number: int, top: int
    ) -> list[tuple[int, int]]:
        """Take an OR of bits into account that decide the comparison alone."""
        cell = self.cells[number]
        if cell.kind is not None or cell.table != (1 << (1 << len(cell.literals))) - 2:
            raise ValueError("a comparison joins bits by something else than an OR")
        for literal in cell.literals:
            column = next((k for k, other in rest if other == literal), -1)
            if column < top:
                raise ValueError("a comparison joins a bit that does not decide it alone")
            rest.remove((column, literal))
        return [*rest, (top, 2 * cell.first)]

    def _check_table(
        self, cell: Cell, rest: list[tuple[int, int]], top: int, constant: int
    ) -> None:
        """Check the last table of a comparison against all values of the bits that are left."""
        places = [cell.literals.index(literal) for _, literal in rest]  # ValueError if it is not
        if cell.kind is not None or sorted(places) != list(range(len(cell.literals))):
            raise ValueError("the last table of a comparison reads other bits than are left")
        for word in range(1 << len(places)):
            total = sum(
                1 << column
                for (column, _), place in zip(rest, places, strict=True)
                if word >> place & 1
            )
            if (cell.table >> word & 1) != (total + constant >= 1 << top):
                raise ValueError("the last table of a comparison is wrong")


def frame(level: int) -> tuple[int, int]:
    """Return (M, K), so that ``sum >= level`` is ``sum + K >= 2**M`` with 0 <= K < 2**M."""
    top = max((level - 1).bit_length(), 1)
    return top, (1 << top) - level


def _put(weights: dict[int, int], literal: int, weight: int) -> int:
    """Add a literal to a weighted sum of bits, and return the constant that goes with it."""
    bit, inverted = literal >> 1, literal & 1
    weights[bit] = weights.get(bit, 0) + (-weight if inverted else weight)
    return weight if inverted else 0
