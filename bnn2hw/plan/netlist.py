"""The bit netlist: counters on weighted bits, and comparisons of their sums.

Bits are numbered: bit i of the patch is bit i, and what the cells write follows. A *literal* is
``2 * bit + inverted``. A *heap* is a sum of literals, each of a weight ``2 ** column``.

A cell is a counter of some kind, or a table of its own. Nothing else is known of where a bit comes
from, and nothing else is needed: a heap is unfolded from its last bits to the patch, each counter's
outputs (weights c, 2c, 4c, ...) being replaced by its inputs, and ends as the linear form over the
patch.
:meth:`Netlist.linear_form` does this, and :meth:`Netlist.prove_comparison` replays how a comparison
drops low bits: proofs for all inputs, not tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from .counters import LUT_INPUTS, Adder, Counter, Kind
from .targets import LUT6, Target, gate_cost

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
        What it reads, the counter's own column first.
    table
        Bit k is the output for inputs k; only where there is no counter.
    first
        Number of the first bit that it writes.
    """

    kind: Kind | None
    literals: tuple[int, ...]
    table: int
    first: int

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
        For each column in turn, the numbers of its cells: counters of whole sums, then one that
        writes carries alone and so ends the column, where more than one bit is left. A cell
        that ends several columns stands with the last of them. The last columns need not end.
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
    target
        What counters cost.
    cells
        A cell reads only bits before its own.
    outputs
        By ascending channel.
    levels
        For every bit, the cells on the longest path to it, or more where its cell comes later.
    """

    inputs: int
    target: Target = LUT6
    cells: list[Cell] = field(default_factory=list)
    outputs: list[BitOutput | SumOutput] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    writer: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert not self.cells, "cells are added one by one"
        self.levels = [0] * self.inputs
        self.writer = [-1] * self.inputs

    def add(
        self, kind: Kind | None, literals: Sequence[int], table: int = 0, level: int = 0
    ) -> list[int]:
        """Add a cell, at a level or as soon as it can be; return literals of what it writes."""
        assert len(literals) == kind.inputs if kind else len(literals) <= LUT_INPUTS
        cell = Cell(kind, tuple(literals), table, len(self.levels))
        level = max(level, self.soonest(literals))
        self.levels += [level] * cell.outputs
        self.writer += [len(self.cells)] * cell.outputs
        self.cells.append(cell)
        return [2 * (cell.first + k) for k in range(cell.outputs)]

    def mark(self) -> tuple[int, int]:
        """Return where the netlist ends now, for :meth:`take_back`."""
        return len(self.cells), len(self.levels)

    def take_back(self, mark: tuple[int, int]) -> None:
        """Take away the cells that were added since a mark; no output may read them."""
        cells, bits = mark
        del self.cells[cells:], self.levels[bits:], self.writer[bits:]

    def soonest(self, literals: Sequence[int]) -> int:
        """Return the least level of a cell that reads these literals."""
        return max((self.levels[literal >> 1] for literal in literals), default=0) + 1

    @property
    def luts(self) -> int:
        """Return the LUTs (or gates) that synthesis counts: those of the cells, and inverters.

        A table reads inverted bits as they are, an adder does not. A bit that adders read
        inverted takes an inverter, unless what writes it can write the inverse instead.
        """
        total = sum(map(self._luts, self.cells)) + self._inverters()
        return -(-total // self.target.unit)

    def _luts(self, cell: Cell) -> int:
        if cell.kind is None and self.target.gates:
            return gate_cost(cell.table, len(cell.literals))
        return self.target.luts(cell.kind)

    def _inverters(self) -> int:
        """Return the bits that need an inverter: a table, or some sums, may write the inverse."""
        added, others = set[int](), set[int]()
        for cell in self.cells:
            (added if isinstance(cell.kind, Adder) else others).update(cell.literals)
        others |= {literal for output in self.outputs for literal in self.literals(output)}
        sums = self.target.carries is not None and self.target.carries.sums

        def free(bit: int) -> bool:
            if self.writer[bit] < 0 or 2 * bit in added:
                return False
            if not isinstance(self.cells[self.writer[bit]].kind, Adder):
                return True
            return sums and not {2 * bit, 2 * bit + 1} & others

        return sum(not free(literal >> 1) for literal in added if literal & 1)

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
            literals = np.array(cell.literals)
            read = bits[literals >> 1] ^ (literals & 1).astype(np.uint8)[:, None]
            if cell.kind is not None:
                bits[cell.first : cell.first + cell.outputs] = cell.kind.evaluate(read)
                continue
            word = np.left_shift(1, np.arange(len(literals))) @ read
            entries = np.array([cell.table >> at & 1 for at in range(1 << len(literals))])
            bits[cell.first] = entries[word]
        return bits

    def prove_counters(self) -> None:
        """Check that what counters write stands for the sum of what they read, for all inputs.

        The tables of a counter are checked, and the functions of a parity chain. An adder is an
        addition.

        Raises
        ------
        ValueError
            If one does not.
        """
        for kind in {cell.kind for cell in self.cells}:
            if kind is None or isinstance(kind, Adder):
                continue
            words = np.arange(1 << kind.inputs)
            read = words >> np.arange(kind.inputs)[:, None] & 1
            written = kind.evaluate(read.astype(np.uint8)).astype(np.int64)
            if isinstance(kind, Counter):
                written = np.array([[one >> k & 1 for k in words.tolist()] for one in kind.tables])
            total = np.left_shift(1, kind.columns) @ read + kind.constant
            if (np.left_shift(1, kind.places) @ written != total >> kind.drop << kind.drop).any():
                raise ValueError(f"{kind} does not write the sum of what it reads")

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
        unit = weight >> kind.places[top]
        parts = [*(weights.pop(cell.first + k, 0) for k in range(top)), weight]
        if top != kind.outputs - 1 or parts != [unit << place for place in kind.places]:
            raise ValueError(f"a sum holds a part of what the counter before bit {bit} writes")
        constant = unit * kind.constant
        for column, literal in zip(kind.columns, cell.literals, strict=True):
            if literal >> 1 not in weights:
                heappush(waiting, -(literal >> 1))
            constant += _put(weights, literal, unit << column)
        return constant

    def prove_comparison(self, output: BitOutput) -> None:
        """Check that the cells of a comparison compare the sum of its heap with its level.

        With :func:`frame`'s M and K, ``sum >= level`` is ``sum + K >= 2**M``. From the lowest
        columns on: once all that is left of d columns (their bits, and their bits of K) is a
        number r in units of the lowest that one counter reads, all else is a multiple of 2**d of
        these units, and r may be replaced by ``2**d * (r >> d)`` without changing the comparison,
        as 2**M is such a multiple too.

        Raises
        ------
        ValueError
            If they do not.
        """
        top, constant = frame(output.level)
        held = [list(literals) for literals in output.heap]
        held += [[] for _ in range(max(top, len(output.steps)) + 4 - len(held))]
        lowest = 0
        for column, numbers in enumerate(output.steps):
            for number in numbers:
                lowest, constant = self._replay_cell(held, lowest, column, number, constant)
            if lowest == column and len(held[column]) < 2:  # (bit + 1) >> 1 is the bit
                held[column + 1] += held[column] if constant >> column & 1 else []
                held[column], lowest = [], column + 1
        if lowest > top:
            raise ValueError(f"a comparison ends column {lowest - 1}, which decides alone")
        rest = [(k, literal) for k, literals in enumerate(held) for literal in literals]
        for number in output.joins:
            rest = self._replay_join(rest, number, top)
        self._check_table(self.cells[output.last], rest, top, constant >> lowest << lowest)

    def _replay_cell(
        self, held: list[list[int]], lowest: int, column: int, number: int, constant: int
    ) -> tuple[int, int]:
        """Take a cell of a column into account.

        Returns the lowest column that has not ended, and what is left of the constant.
        """
        cell, kind = self.cells[number], self.cells[number].kind
        if kind is None or lowest > column:
            raise ValueError(f"column {column} of a comparison holds a cell out of place")
        base = column - max(kind.drop - 1, 0)
        taken = kind.constant << base
        if base < lowest or constant & taken != taken:
            raise ValueError(f"column {column} of a comparison holds a cell out of place")
        turned = kind.self_dual and cell.literals[0] not in held[base]
        for place, literal in zip(kind.columns, cell.literals, strict=True):
            held[base + place].remove(literal ^ turned)  # ValueError where it is not
        for k, place in enumerate(kind.places):
            held[base + place].append(2 * (cell.first + k) + turned)
        constant -= taken
        if kind.drop:
            below = (1 << column + 1) - (1 << lowest)
            if base != lowest or any(held[base : column + 1]) or constant & below:
                raise ValueError(f"column {column} of a comparison ends while it holds bits")
            lowest = column + 1
        return lowest, constant

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
