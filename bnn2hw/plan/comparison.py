"""Comparisons of a heap with a level: only what decides is built."""

from __future__ import annotations

from collections import defaultdict

from .counters import FULL, LUT_INPUTS, terminal
from .heap_moves import comparison_moves
from .netlist import BitOutput, Heap, Netlist, complement, frame, total_weight

__all__ = ["add_comparison", "earliest"]


def add_comparison(netlist: Netlist, heap: Heap, level: int) -> BitOutput:
    """Add the cells of ``sum >= level`` and return it as channel 0, the cheaper of two forms.

    ``sum >= level`` is also ``not (total - sum >= total - level + 1)``, the comparison of the
    inverted heap, whose constant has other bits.

    Parameters
    ----------
    netlist
        Gets the cells.
    heap, level
        The sum, and a level from 1 to its total weight.
    """
    inverted = False
    other = total_weight(heap) - level + 1
    heights = tuple(len(column) for column in heap)
    if comparison_moves(heights, *frame(other)) < comparison_moves(heights, *frame(level)):
        heap, level, inverted = complement(heap), other, True
    top, constant = frame(level)
    moves = comparison_moves(heights, top, constant)
    held: defaultdict[int, list[int]] = defaultdict(list)
    for column, row in enumerate(heap):
        held[column] = list(row)
    steps = []
    for column, (counts, last) in enumerate(moves.columns):
        carry = constant >> column & 1
        kinds = [kind for kind, count in zip(FULL, counts, strict=True) for _ in range(count)]
        kinds += [terminal(*last, carry)] if last != (0, 0) else []
        numbers = []
        for kind in kinds:
            numbers.append(len(netlist.cells))
            literals = earliest(netlist, held[column], kind.low)
            literals += earliest(netlist, held[column + 1], kind.high)
            for k, literal in enumerate(netlist.add(kind, literals)):
                held[column + kind.drop + k].append(literal)
        steps.append(tuple(numbers))
        if carry and last == (0, 0):
            held[column + 1] += held[column]
        held[column] = []
    joins, final = _finish(netlist, held, len(steps), top, constant)
    return BitOutput(0, heap, level, tuple(steps), joins, final, inverted)


def earliest(netlist: Netlist, literals: list[int], count: int) -> list[int]:
    """Remove and return the literals that are there first."""
    literals.sort(key=lambda literal: (netlist.levels[literal >> 1], literal))
    taken, literals[:] = literals[:count], literals[count:]
    return taken


def _finish(
    netlist: Netlist, held: defaultdict[int, list[int]], ended: int, top: int, constant: int
) -> tuple[tuple[int, ...], int]:
    """Add the last cells over what is left; return the numbers of ORs, and of the last one."""
    joins = []
    while sum(len(literals) for literals in held.values()) > LUT_INPUTS:
        many = [literal for column in sorted(held) for literal in held[column]]
        assert all(column >= top for column, literals in held.items() if literals)
        taken = earliest(netlist, many, min(LUT_INPUTS, len(many) - LUT_INPUTS + 1))
        for literals in held.values():
            literals[:] = [literal for literal in literals if literal not in taken]
        joins.append(len(netlist.cells))
        held[top] += netlist.add(None, taken, (1 << (1 << len(taken))) - 2)
    rest = [(column, literal) for column in sorted(held) for literal in held[column]]
    constant = constant >> ended << ended
    table = sum(
        1 << word
        for word in range(1 << len(rest))
        if constant + sum(1 << c for k, (c, _) in enumerate(rest) if word >> k & 1) >= 1 << top
    )
    number = len(netlist.cells)
    netlist.add(None, [literal for _, literal in rest], table)
    return tuple(joins), number
