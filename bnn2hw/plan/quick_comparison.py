"""Comparisons of a heap with a level in few levels, for where the one of fewest tables is too deep.

The cheapest comparison ends column after column, and each one waits for the carry of those below.
The bits of the upper columns are there long before that carry comes. So they are counted
meanwhile, until one table reads all that is left of them, and the carry.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import count

from .counters import Adder, Counter, Kind
from .heap_cells import finish, put
from .netlist import BitOutput, Heap, Netlist, frame

__all__ = ["add_quick_comparison"]


def add_quick_comparison(netlist: Netlist, heap: Heap, level: int, meanwhile: int) -> BitOutput:
    """Add the cells of ``sum >= level`` level by level and return it as channel 0.

    Parameters
    ----------
    netlist
        Gets the cells.
    heap, level
        The sum, and a level from 1 to its total weight.
    meanwhile
        The level from which on upper columns are counted in any case.
    """
    return _Comparison(netlist, heap, level).build(meanwhile)


class _Comparison:
    """What is left of a heap while the cells of a comparison are added."""

    def __init__(self, netlist: Netlist, heap: Heap, level: int) -> None:
        self._netlist, self._heap, self._level = netlist, heap, level
        self._top, self._constant = frame(level)
        self._held: defaultdict[int, list[int]] = defaultdict(list)
        for column, row in enumerate(heap):
            self._held[column] = list(row)
        self._steps: list[list[int]] = [[] for _ in range(self._top)]
        self._lowest = 0
        self._room = netlist.target.lut_inputs
        self._kinds = _column_kinds(netlist)

    def build(self, meanwhile: int) -> BitOutput:
        """Add the cells of one level after the other, and then the last ones."""
        for now in count(1):
            self._end(now)
            if self._few() or self._lowest == self._top:
                break
            for column in range(self._lowest, self._top):
                self._count(column, now, now >= meanwhile)
        while self._steps and not self._steps[-1] and len(self._steps) > self._lowest:
            self._steps.pop()
        self._skip(len(self._steps))
        steps = tuple(tuple(numbers) for numbers in self._steps)
        joins, last = finish(self._netlist, self._held, self._lowest, self._top, self._constant)
        return BitOutput(0, self._heap, self._level, steps, joins, last, inverted=False)

    def _skip(self, top: int) -> None:
        """End columns of a single bit, or of none: it is carried where the constant has one."""
        held = self._held
        while self._lowest < top and len(held[self._lowest]) < 2:
            carried = held.pop(self._lowest)
            if self._constant >> self._lowest & 1:
                held[self._lowest + 1] += carried
            self._lowest += 1

    def _end(self, now: int) -> None:
        """End the lowest columns whose bits are there and fit one counter."""
        self._skip(self._top)
        base = column = self._lowest
        bits = 0
        while column < self._top and 0 < len(self._held[column]) <= self._room - bits:
            if len(self._ready(column, now)) < len(self._held[column]):
                break
            bits += len(self._held[column])
            column += 1
        if column == base:
            return
        constant = self._constant >> base & (1 << column - base) - 1
        reads = tuple(len(self._held[one]) for one in range(base, column))
        self._put(base, column - 1, Counter(reads, constant, column - base))
        self._constant -= constant << base
        self._lowest = column

    def _count(self, column: int, now: int, anyway: bool) -> None:
        """Count what is there of a column, as long as it is too high, or all the rest is."""
        while True:
            high = len(self._held[column]) > self._room
            if not high and (not anyway or self._few()):
                return
            ready = len(self._ready(column, now))
            kind = next((kind for kind in self._kinds if kind.inputs <= ready), None)
            if kind is None:
                return
            self._put(column, column, kind)

    def _few(self) -> bool:
        """Return whether one table reads all that is left."""
        return sum(map(len, self._held.values())) <= self._room

    def _put(self, base: int, column: int, kind: Kind) -> None:
        self._steps[column].append(len(self._netlist.cells))
        put(self._netlist, self._held, base, kind)

    def _ready(self, column: int, now: int) -> list[int]:
        """Return the literals of a column that cells of a level can read."""
        levels = self._netlist.levels
        return [literal for literal in self._held[column] if levels[literal >> 1] < now]


def _column_kinds(netlist: Netlist) -> list[Kind]:
    """Return the counters of one column of whole sums, the largest first."""
    kinds = (trial.kind for trial in netlist.target.trials)
    single = [kind for kind in kinds if len(kind.reads) == 1 and not isinstance(kind, Adder)]
    return sorted(single, key=lambda kind: -kind.inputs)
