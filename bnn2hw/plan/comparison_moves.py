"""Which counters compare a heap with a level: a beam search over the heights of its columns.

The columns are ended from the lowest on: once the bits of one column, or of a few together, fit
one counter, it writes their carries alone. A column whose bits fit may also wait, to be ended
with those above it: ``x + y >= level`` of two numbers takes a table for two bits of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from .counters import Adder, Counter, Kind, ParityChain
from .heap_moves import Heights, Moves, applied, beam, counted, placed_on, trimmed
from .targets import Target

__all__ = ["comparison_moves"]

# Ways to end a column that are followed, and of those that let it wait.
_WAYS = 8

_HALF, _CHAIN = Counter((2,), constant=1), ParityChain(1)

_Waiting = tuple[tuple[int, int], ...]
"""Bits and constant of columns that wait for a counter that ends them."""
_ColumnWay = tuple[int, Heights, _Waiting, tuple[Kind, ...]]
"""What is done with a column: tables, heights above that are left, what waits, and counters."""


class _Comparing(NamedTuple):
    """Heights that a comparison has left, and the columns below that wait."""

    heights: Heights
    waiting: _Waiting = ()


class _Way(NamedTuple):
    """A way to end a column, or to let it wait.

    Its tables, the heights above that are left, the columns that wait, the counters, and how many
    bits are left and wait.
    """

    cost: int
    left: Heights
    waiting: _Waiting
    kinds: tuple[Kind, ...]
    bits: int


@cache
def comparison_moves(
    target: Target, heights: Heights, top: int, constant: int, step: float = 0.0
) -> Moves:
    """Return the moves of least cost for ``sum + constant >= 2**top``.

    The columns listed are ended one after the other, or wait for one above; then few enough bits
    are left for one table, or columns from ``top`` on, whose bits decide alone.

    Parameters
    ----------
    target
        Its counters and what they cost.
    heights
        Bits of each column, lowest first.
    top, constant
        What the sum is compared with (see :func:`.frame`).
    step
        What each counter that ends columns costs more, as the next one waits for it.
    """
    states: dict[_Comparing, Moves] = {_Comparing(heights): Moves(0, ())}
    best: Moves | None = None
    column = 0
    reach = max(target.reach, 2)
    while states:
        ways: list[tuple[float, float, _Way, Heights, Moves]] = []
        for (columns, waiting), moves in states.items():
            bits = sum(columns)
            if not waiting and (bits <= target.lut_inputs or column >= top):
                cost = moves.cost + target.table * (1 + _joins(bits, target.lut_inputs))
                if best is None or cost < best.cost:
                    best = Moves(cost, moves.columns)
            elif column < top:
                tail = columns[reach:]
                rest = target.bit * sum(tail)
                for way in _ways(target, columns[:reach], waiting, constant >> column & 1):
                    cost = moves.cost + way.cost
                    if step and way.kinds and way.kinds[-1].drop:
                        cost += step * target.table
                    ways.append((cost + rest + target.bit * way.bits, cost, way, tail, moves))
        ways.sort(key=lambda one: one[0])
        states = {}
        room = [beam(target)] * 2  # those that wait may find no counter: keep others
        for _, cost, way, tail, moves in ways:
            if room[bool(way.waiting)]:
                key = _Comparing(trimmed(placed_on(way.left, tail, reach - 1)), way.waiting)
                if key not in states:
                    states[key] = Moves(cost, (*moves.columns, way.kinds))
                    room[bool(way.waiting)] -= 1
            elif not any(room):
                break
        column += 1
    assert best is not None
    return best


def _joins(bits: int, lut_inputs: int) -> int:
    """Return the cells that OR bits until one table can take them."""
    return max(-(-(bits - lut_inputs) // (lut_inputs - 1)), 0)


@cache
def _ways(target: Target, heights: Heights, waiting: _Waiting, constant: int) -> tuple[_Way, ...]:
    """Return ways to go on with the lowest column, the best few of those that end and that wait.

    Only the columns are given that a counter of the lowest one may read.
    """
    found: dict[tuple[Heights, _Waiting], _Way] = {}
    for cost, columns, kinds in counted(target, heights or (0,)):
        for own, left, below, last in _column_ways(target, columns, waiting, constant):
            key = left, below
            if key not in found or cost + own < found[key].cost:
                bits = sum(left) + sum(bits for bits, _ in below)
                found[key] = _Way(cost + own, left, below, (*kinds, *last), bits)
    ranked = sorted(
        found.values(), key=lambda way: (way.cost + target.bit * way.bits, way.left, way.waiting)
    )
    ends = [way for way in ranked if not way.waiting]
    waits = [way for way in ranked if way.waiting]
    return (*ends[:_WAYS], *waits[:_WAYS])


def _column_ways(
    target: Target, heights: Heights, waiting: _Waiting, constant: int
) -> Iterator[_ColumnWay]:
    """Yield what can be done with a column once full counters are on it."""
    if not waiting and heights[0] < 2:
        yield 0, _above(heights, heights[0] & constant), (), ()
    if not waiting and heights[0] == 7 and not constant and target.chains:
        yield target.cost(_CHAIN), applied(heights, _CHAIN)[1:], (), (_CHAIN,)
    yield from _table_ways(target, heights, waiting, constant)
    if target.carries is not None:
        yield from _adder_ways(target, heights, waiting, constant)


def _table_ways(
    target: Target, heights: Heights, waiting: _Waiting, constant: int
) -> Iterator[_ColumnWay]:
    """Yield counters that end a column and those that wait, and its joining them."""
    bits = (*(height for height, _ in waiting), heights[0])
    room = target.lut_inputs - sum(bits)
    if room < 0 or not heights[0] or (waiting and target.carries is not None):
        return  # carries end several columns
    waits = (*waiting, (heights[0], constant))
    number = sum(one << column for column, (_, one) in enumerate(waits))
    above = heights[1] if len(heights) > 1 else 0
    for high in range(min(room, above) + 1):
        if sum(bits) + high > 1:
            last = _ending((*bits, high) if high else bits, number, len(bits))
            yield target.cost(last), _written(heights, last, high), (), (last,)
    if room and bits[0] > 1 and target.carries is None:
        yield 0, _above(heights), waits, ()


def _written(heights: Heights, last: Counter, high: int) -> Heights:
    """Return the heights above a column once a counter has ended it and read some bits above."""
    left = [*_above(heights), *[0] * len(last.places)]
    left[0] -= high
    for place in last.places:
        left[place - last.drop] += 1
    return tuple(left)


def _adder_ways(
    target: Target, heights: Heights, waiting: _Waiting, constant: int
) -> Iterator[_ColumnWay]:
    """Yield a column's joining the columns that wait for an adder, and the adder over them."""
    cost: int = 0
    kinds: tuple[Kind, ...] = ()
    if constant and heights[0] == 2 and waiting:
        cost, heights, kinds = target.cost(_HALF), applied(heights, _HALF), (_HALF,)
        constant = 0
    waits = (*waiting, (heights[0], constant))
    fits = all(bits + one <= (2 if column else 3) for column, (bits, one) in enumerate(waits))
    if not fits or waits[0][0] < 2:
        return
    yield cost, _above(heights), waits, kinds
    number = sum(one << column for column, (_, one) in enumerate(waits))
    most = number + sum(bits << column for column, (bits, _) in enumerate(waits))
    if len(waits) > 1 and most >> len(waits):
        adder = _adder(tuple(bits for bits, _ in waits), number)
        yield cost + target.cost(adder), _above(heights, 1), (), (*kinds, adder)


@cache
def _ending(reads: tuple[int, ...], constant: int, drop: int) -> Counter:
    return Counter(reads, constant, drop)


@cache
def _adder(reads: tuple[int, ...], constant: int) -> Adder:
    return Adder(reads, constant, len(reads))


def _above(heights: Heights, carry: int = 0) -> Heights:
    """Return heights without the lowest column, a bit of which may be carried."""
    above = heights[1:]
    return (above[0] + carry, *above[1:]) if above else (carry,)
