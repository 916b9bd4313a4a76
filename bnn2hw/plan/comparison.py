"""Comparisons of a heap with a level: only what decides is built."""

from __future__ import annotations

from collections import defaultdict

from .comparison_moves import comparison_moves
from .counters import Adder, Kind
from .heap_moves import Moves
from .netlist import BitOutput, Heap, Netlist, complement, frame, total_weight

__all__ = ["add_comparison", "put"]


# What a counter costs that the next one waits for: least tables first, then fewer levels.
_STEPS = (0.0, 0.5, 1.5, 4.0)


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
        Levels that it may have; where it has more, forms of fewer levels are tried.
    """
    start = netlist.mark()
    least = None
    for step in _STEPS:
        for turned in sorted(
            (False, True), key=lambda one: _moves(netlist, heap, level, one, step).cost
        ):
            output = _added(netlist, heap, level, turned, step)
            levels = netlist.levels[netlist.cells[output.last].first]
            if most is None or levels <= most:
                return output
            if least is None or levels < least[0]:
                least = levels, turned, step
            netlist.take_back(start)
    assert least is not None
    return _added(netlist, heap, level, *least[1:])


def _moves(netlist: Netlist, heap: Heap, level: int, turned: bool, step: float) -> Moves:
    if turned:
        level = total_weight(heap) - level + 1
    heights = tuple(len(column) for column in heap)
    return comparison_moves(netlist.target, heights, *frame(level), step)


def _added(netlist: Netlist, heap: Heap, level: int, turned: bool, step: float) -> BitOutput:
    moves = _moves(netlist, heap, level, turned, step)
    if turned:
        heap, level = complement(heap), total_weight(heap) - level + 1
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
    joins, final = _finish(netlist, held, len(steps), top, constant)
    return BitOutput(0, heap, level, tuple(steps), joins, final, turned)


def put(netlist: Netlist, held: defaultdict[int, list[int]], column: int, kind: Kind) -> None:
    """Put a counter on a column of literals: it takes those that are there first.

    An adder takes those that are inverted like most of its column.
    """
    inverted = _mostly_inverted(held[column])
    literals = [
        literal
        for place, bits in enumerate(kind.reads)
        for literal in (
            _alike(netlist, held[column + place], bits, inverted)
            if isinstance(kind, Adder)
            else earliest(netlist, held[column + place], bits)
        )
    ]
    turned = isinstance(kind, Adder) and kind.self_dual and _mostly_inverted(literals)
    written = netlist.add(kind, [literal ^ turned for literal in literals])
    for place, literal in zip(kind.places, written, strict=True):
        held[column + place].append(literal ^ turned)


def _mostly_inverted(literals: list[int]) -> bool:
    return 2 * sum(literal & 1 for literal in literals) > len(literals)


def _alike(netlist: Netlist, literals: list[int], count: int, inverted: bool) -> list[int]:
    """Remove and return literals, first of all those that are inverted, or those that are not."""
    literals.sort(key=lambda one: (one & 1 != inverted, netlist.levels[one >> 1], one))
    taken, literals[:] = literals[:count], literals[count:]
    return taken


def earliest(netlist: Netlist, literals: list[int], count: int) -> list[int]:
    """Remove and return the literals that are there first."""
    literals.sort(key=lambda literal: (netlist.levels[literal >> 1], literal))
    taken, literals[:] = literals[:count], literals[count:]
    return taken


def _finish(
    netlist: Netlist, held: defaultdict[int, list[int]], ended: int, top: int, constant: int
) -> tuple[tuple[int, ...], int]:
    """Add the last cells over what is left; return the numbers of ORs, and of the last one."""
    joins, inputs = [], netlist.target.lut_inputs
    while sum(len(literals) for literals in held.values()) > inputs:
        many = [literal for column in sorted(held) for literal in held[column]]
        assert all(column >= top for column, literals in held.items() if literals)
        taken = earliest(netlist, many, min(inputs, len(many) - inputs + 1))
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
