"""Comparisons of a heap with a level: only what decides is built."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol

from .comparison_moves import comparison_moves
from .heap_cells import finish, put
from .heap_moves import Moves
from .netlist import BitOutput, Heap, Netlist, complement, frame, total_weight
from .quick_comparison import add_quick_comparison

__all__ = ["add_comparison"]


# What a counter costs that the next one waits for: fewer levels for more tables.
_STEPS = (0.5, 1.5, 4.0)
# Levels before the last one from which on upper columns are counted meanwhile.
_MEANWHILE = range(1, 8)


class _Form(Protocol):
    """A way to add the cells of a comparison."""

    def __call__(self, netlist: Netlist, heap: Heap, level: int) -> BitOutput: ...


def add_comparison(netlist: Netlist, heap: Heap, level: int, most: int | None = None) -> BitOutput:
    """Add the cells of ``sum >= level`` and return it as channel 0, the cheaper of two forms.

    ``sum >= level`` is also ``not (total - sum >= total - level + 1)``, the comparison of the
    inverted heap, whose constant has other bits.

    Parameters
    ----------
    netlist
        Gets the cells.
    heap, level
        The sum, and a level from 1 to its total weight.
    most
        Levels that it may have; where it has more, the cheapest of the forms of fewer levels is
        taken that has not, or the one of the fewest levels.
    """
    turned = sorted((False, True), key=lambda one: _cost(netlist, *_read(heap, level, one)))
    start = netlist.mark()
    for one in turned:
        output = _add(netlist, heap, level, _by_moves, one)
        if most is None or _levels(netlist, output) <= most:
            return output
        netlist.take_back(start)
    assert most is not None
    best: tuple[int, int, _Form, bool] | None = None
    for form in _forms(most):
        for one in turned:
            levels = max(_levels(netlist, _add(netlist, heap, level, form, one)), most)
            luts = sum(netlist.target.cost(cell.kind) for cell in netlist.cells[start[0] :])
            netlist.take_back(start)
            if best is None or (levels, luts) < best[:2]:
                best = levels, luts, form, one
    assert best is not None
    return _add(netlist, heap, level, *best[2:])


def _forms(most: int) -> Iterator[_Form]:
    """Yield ways to add a comparison that may have fewer levels, and more tables."""
    yield _by_moves
    for step in _STEPS:
        yield partial(_by_moves, step=step)
    for last in _MEANWHILE:
        yield partial(add_quick_comparison, meanwhile=most - last)


def _levels(netlist: Netlist, output: BitOutput) -> int:
    return netlist.levels[netlist.cells[output.last].first]


def _read(heap: Heap, level: int, turned: bool) -> tuple[Heap, int]:
    """Return a heap and its level, inverted or as they are."""
    return (complement(heap), total_weight(heap) - level + 1) if turned else (heap, level)


def _add(netlist: Netlist, heap: Heap, level: int, form: _Form, turned: bool) -> BitOutput:
    return replace(form(netlist, *_read(heap, level, turned)), inverted=turned)


def _cost(netlist: Netlist, heap: Heap, level: int) -> float:
    return _moves(netlist, heap, level, 0.0).cost


def _moves(netlist: Netlist, heap: Heap, level: int, step: float) -> Moves:
    heights = tuple(len(column) for column in heap)
    return comparison_moves(netlist.target, heights, *frame(level), step)


def _by_moves(netlist: Netlist, heap: Heap, level: int, step: float = 0.0) -> BitOutput:
    """Add the cells of the moves of least cost."""
    moves = _moves(netlist, heap, level, step)
    top, constant = frame(level)
    held: defaultdict[int, list[int]] = defaultdict(list)
    for column, row in enumerate(heap):
        held[column] = list(row)
    steps = []
    lowest = 0
    for column, kinds in enumerate(moves.columns):
        numbers = []
        for kind in kinds:
            numbers.append(len(netlist.cells))
            base = column - max(kind.drop - 1, 0)
            put(netlist, held, base, kind)
            constant -= kind.constant << base
            if kind.drop:
                lowest = column + 1
        steps.append(tuple(numbers))
        if lowest == column and len(held[column]) < 2:
            held[column + 1] += held[column] if constant >> column & 1 else []
            held[column], lowest = [], column + 1
    joins, last = finish(netlist, held, lowest, top, constant)
    return BitOutput(0, heap, level, tuple(steps), joins, last, inverted=False)
