"""Which counters to put on a heap: a beam search over the heights of its columns.

Only heights matter for the cost, so that heaps of equal heights share one search. Columns are
worked off from the lowest; a state is the heights that are left, and of the states of a column
the best few go on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from operator import add
from typing import NamedTuple

from .counters import Kind
from .targets import Target

__all__ = [
    "Heights",
    "Moves",
    "applied",
    "beam",
    "compression_moves",
    "counted",
    "placed_on",
    "trimmed",
]

# The best few of the states; more where additions take several columns together.
_BEAM, _BEAM_CARRIES = 4, 12
# States of a column that are followed while its counters are chosen, and once they are.
_WIDE, _OPTIONS, _A_HEIGHT = 150, 40, 2
# What a bit of the lowest column costs more than one above, where additions go on from it.
_LOWEST_COLUMN = 0.5


Heights = tuple[int, ...]
"""Bits of each column of a heap, lowest first."""


class Moves(NamedTuple):
    """The counters to put on each column, in order, with their cost.

    Attributes
    ----------
    cost
        In tables; with the price of the bits that stay.
    columns
        For each column the counters that have it as their lowest; but one that ends columns stands
        with the last of them.
    left
        Bits that stay in each column.
    """

    cost: float
    columns: tuple[tuple[Kind, ...], ...]
    left: tuple[int, ...] = ()


Counted = tuple[int, Heights, tuple[Kind, ...]]
"""Cost, heights from the column on, counters."""


def _counted(target: Target, heights: Heights) -> Iterator[Counted]:
    """Yield what full counters can do in the lowest column."""
    reach = max(target.reach, 1)
    tail = heights[reach:]
    for cost, head, kinds in counted(target, heights[:reach] or (0,)):
        yield cost, placed_on(head, tail, reach), kinds


def placed_on(head: Heights, tail: Heights, reach: int) -> Heights:
    """Return heights of the columns from ``reach`` on added to those of counters below."""
    if not tail:
        return head
    above = (*head[reach:], *[0] * (len(tail) - len(head) + reach))
    return (*head[:reach], *map(add, above, tail), *above[len(tail) :])


@cache
def counted(target: Target, heights: Heights) -> tuple[Counted, ...]:
    """Return what full counters can do, the cheapest way to each heights.

    Only the columns are given that a counter of the lowest one may read.
    """
    states: dict[Heights, Counted] = {heights: (0, heights, ())}
    for trial in target.trials:
        kind, cost = trial.kind, target.cost(trial.kind)
        found = dict(states)
        for spent, columns, kinds in states.values():
            most = _fits(columns, kind)
            least = 1
            if trial.most is not None:
                most = min(most, trial.most)
            elif trial.fewer is not None:
                least = max(most - trial.fewer, 1)
            for count in range(1, most + 1):
                columns = applied(columns, kind)
                spent, kinds = spent + cost, (*kinds, kind)
                if count >= least and (columns not in found or found[columns][0] > spent):
                    found[columns] = spent, columns, kinds
        states = _cheapest(found, _WIDE, target.table)
    return tuple(_cheapest(states, _OPTIONS, target.table).values())


def _cheapest(states: dict[Heights, Counted], count: int, bit: int) -> dict[Heights, Counted]:
    """Return the states of least cost with what each bit will cost; ties by the heights.

    A few stay for each height of the column, as it may have to be a low one.
    """
    if len(states) <= count:
        return states
    ranked = sorted(
        states.values(),
        key=lambda one: (one[0] + bit * (sum(one[1]) + _LOWEST_COLUMN * one[1][0]), one[1]),
    )
    kept, heights = {}, defaultdict[int, int](int)
    for place, one in enumerate(ranked):
        heights[one[1][0]] += 1
        if place < count or heights[one[1][0]] <= _A_HEIGHT:
            kept[one[1]] = one
    return kept


def _fits(heights: Heights, kind: Kind) -> int:
    """Return how many counters fit on a column one after the other."""
    most, columns = heights[0], len(heights)
    for column, bits, back in kind.takes:
        if column >= columns or heights[column] < bits:
            return 0
        if bits > back:
            most = min(most, (heights[column] - back) // (bits - back))
    return most


def applied(heights: Heights, kind: Kind) -> Heights:
    """Return the heights once a counter is on the lowest column."""
    size = max(len(heights), kind.places[-1] + 1)
    after = [*heights, *[0] * (size - len(heights))]
    for column, bits, _ in kind.takes:
        after[column] -= bits
    for column in kind.places:
        after[column] += 1
    return tuple(after)


@cache
def compression_moves(target: Target, heights: Heights, price: float, late: float = 0.0) -> Moves:
    """Return the moves that make the cost and ``price`` times the bits left over least.

    Parameters
    ----------
    target
        Its counters and what they cost.
    heights
        Bits of each column, lowest first.
    price
        What a bit which stays costs those who use the heap.
    late
        What a column costs more where counters read carries of the column below, and so wait for
        it.
    """
    states: dict[Heights, Moves] = {heights: Moves(0, ())}
    best: Moves | None = None
    rest = min(price, target.bit * 1.8) * 0.75
    early = iter(heights)
    while states:
        first = next(early, 0)
        ways: list[tuple[float, float, Heights, tuple[Kind, ...], Moves]] = []
        for columns, moves in states.items():
            if not columns:
                best = moves if best is None or moves.cost < best.cost else best
                continue
            for cost, after, kinds in _counted(target, columns):
                total = moves.cost + cost + price * after[0]
                if late and kinds and sum(kind.reads[0] - 1 for kind in kinds) >= first:
                    total += late
                ways.append((total + rest * sum(after[1:]), total, after, kinds, moves))
        ways.sort(key=lambda way: (way[0], way[2]))
        states = {}
        for _, total, (stays, *above), kinds, moves in ways:
            key = trimmed(tuple(above))
            if key not in states:
                states[key] = Moves(total, (*moves.columns, kinds), (*moves.left, stays))
                if len(states) == beam(target):
                    break
    assert best is not None
    return best


def trimmed(heights: Heights) -> Heights:
    """Return heights without empty columns at the top."""
    size = len(heights)
    while size and not heights[size - 1]:
        size -= 1
    return heights[:size]


def beam(target: Target) -> int:
    """Return how many states of a column are followed."""
    return _BEAM_CARRIES if target.carries else _BEAM
