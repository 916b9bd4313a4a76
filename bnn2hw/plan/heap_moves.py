"""Which counters to put on a heap: a beam search over the heights of its columns.

Only heights matter for the cost, so that heaps of equal heights share one search. Columns are
worked off from the lowest; a state is the heights that are left, and of the states of a column
the best few go on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from operator import add
from typing import Any, NamedTuple, TypeVar

from .counters import Adder, Counter, Kind, ParityChain
from .targets import Target, Trial

__all__ = ["Moves", "comparison_moves", "compression_moves"]

# The best few of the states; more where additions take several columns together.
_BEAM, _BEAM_CARRIES = 6, 12
# States of a column that are followed while its counters are chosen, and once they are.
_WIDE, _OPTIONS, _A_HEIGHT = 150, 40, 2
# What a bit of the lowest column costs more than one above, where additions go on from it.
_LOWEST_COLUMN = 0.5


class Moves(NamedTuple):
    """The counters to put on each column, in order, with their cost.

    Attributes
    ----------
    cost
        In tables; with the price of the bits that stay.
    columns
        For each column the counters that have it as their lowest; but an adder that ends columns
        stands with the last of them.
    left
        Bits that stay in each column.
    """

    cost: float
    columns: tuple[tuple[Kind, ...], ...]
    left: tuple[int, ...] = ()


_Heights = tuple[int, ...]
_Counted = tuple[int, _Heights, tuple[Kind, ...]]
"""Cost, heights from the column on, counters."""
_State = TypeVar("_State", bound=tuple[Any, ...])


def _counted(target: Target, heights: _Heights) -> Iterator[_Counted]:
    """Yield what full counters can do in the lowest column."""
    reach = max(target.reach, 1)
    tail = heights[reach:]
    for cost, head, kinds in _counted_head(target, heights[:reach] or (0,)):
        yield cost, _on(head, tail, reach), kinds


def _on(head: _Heights, tail: _Heights, reach: int) -> _Heights:
    """Return heights of the columns from ``reach`` on added to those of counters below."""
    if not tail:
        return head
    above = (*head[reach:], *[0] * (len(tail) - len(head) + reach))
    return (*head[:reach], *map(add, above, tail), *above[len(tail) :])


@cache
def _counted_head(target: Target, heights: _Heights) -> tuple[_Counted, ...]:
    """Return what full counters can do, the cheapest way to each heights.

    Only the columns are given that a counter of the lowest one may read.
    """
    states: dict[_Heights, _Counted] = {heights: (0, heights, ())}
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
                columns = _applied(columns, kind)
                spent, kinds = spent + cost, (*kinds, kind)
                if count >= least and (columns not in found or found[columns][0] > spent):
                    found[columns] = spent, columns, kinds
        states = _cheapest(found, _WIDE)
    return tuple(_cheapest(states, _OPTIONS).values())


def _cheapest(states: dict[_Heights, _Counted], count: int) -> dict[_Heights, _Counted]:
    """Return the states of least cost with what their bits will cost; ties by the heights.

    A few stay for each height of the column, as it may have to be a low one.
    """
    if len(states) <= count:
        return states
    ranked = sorted(
        states.values(),
        key=lambda one: (one[0] + sum(one[1]) + _LOWEST_COLUMN * one[1][0], one[1]),
    )
    kept, heights = {}, defaultdict[int, int](int)
    for place, one in enumerate(ranked):
        heights[one[1][0]] += 1
        if place < count or heights[one[1][0]] <= _A_HEIGHT:
            kept[one[1]] = one
    return kept


def _fits(heights: _Heights, kind: Kind) -> int:
    """Return how many counters fit on a column one after the other."""
    most, reads = heights[0], kind.reads
    for column, bits in enumerate(reads):
        if not bits:
            continue
        height = heights[column] if column < len(heights) else 0
        if height < bits:
            return 0
        back = column in kind.places
        if bits > back:
            most = min(most, (height - back) // (bits - back))
    return most


def _applied(heights: _Heights, kind: Kind) -> _Heights:
    """Return the heights once a counter is on the lowest column."""
    size = max(len(heights), kind.places[-1] + 1)
    after = [*heights, *[0] * (size - len(heights))]
    for column, bits in enumerate(kind.reads):
        if bits:
            after[column] -= bits
    for column in kind.places:
        after[column] += 1
    return tuple(after)


@cache
def compression_moves(target: Target, heights: _Heights, price: float) -> Moves:
    """Return the moves that make the cost and ``price`` times the bits left over least.

    Parameters
    ----------
    target
        Its counters and what they cost.
    heights
        Bits of each column, lowest first.
    price
        What a bit which stays costs those who use the heap.
    """
    states: dict[_Heights, Moves] = {heights: Moves(0, ())}
    best: Moves | None = None
    rest = min(price, target.bit * 1.8) * 0.75
    while states:
        after: dict[_Heights, Moves] = {}
        for columns, moves in states.items():
            if not columns:
                best = moves if best is None or moves.cost < best.cost else best
                continue
            for cost, counted, kinds in _counted(target, columns):
                total, above = moves.cost + cost + price * counted[0], _trimmed(counted[1:])
                if above not in after or total < after[above].cost:
                    after[above] = Moves(total, (*moves.columns, kinds), (*moves.left, counted[0]))
        states = _best(target, after, lambda columns: rest * sum(columns))
    assert best is not None
    return best


def _trimmed(heights: _Heights) -> _Heights:
    """Return heights without empty columns at the top."""
    size = len(heights)
    while size and not heights[size - 1]:
        size -= 1
    return heights[:size]


_Waiting = tuple[tuple[int, int], ...]


class _Comparing(NamedTuple):
    """Heights that a comparison has left; bits and constant of columns that wait for an adder."""

    heights: _Heights
    waiting: _Waiting = ()


@cache
def comparison_moves(target: Target, heights: _Heights, top: int, constant: int) -> Moves:
    """Return the moves of least cost for ``sum + constant >= 2**top``.

    The columns listed are ended one after the other; then few enough bits are left for one
    table, or columns from ``top`` on, whose bits decide alone.
    """
    states: dict[_Comparing, Moves] = {_Comparing(heights): Moves(0, ())}
    best: Moves | None = None
    column = 0
    while states:
        after: dict[_Comparing, Moves] = {}
        for state, moves in states.items():
            bits = sum(state.heights)
            if not state.waiting and (bits <= target.lut_inputs or column >= top):
                cost = moves.cost + 1 + _joins(bits, target.lut_inputs)
                if best is None or cost < best.cost:
                    best = Moves(cost, moves.columns)
            elif column < top:
                for cost, key, kinds in _endings(target, state, constant >> column & 1):
                    if key not in after or moves.cost + cost < after[key].cost:
                        after[key] = Moves(moves.cost + cost, (*moves.columns, kinds))
        states = {
            key: moves
            for waits in (False, True)  # those that wait may find no adder: keep others
            for key, moves in _best(
                target,
                {key: moves for key, moves in after.items() if bool(key.waiting) == waits},
                lambda key: target.bit * sum(key.heights),
            ).items()
        }
        column += 1
    assert best is not None
    return best


def _joins(bits: int, lut_inputs: int) -> int:
    """Return the cells that OR bits until one table can take them."""
    return max(-(-(bits - lut_inputs) // (lut_inputs - 1)), 0)


def _endings(
    target: Target, state: _Comparing, constant: int
) -> Iterator[tuple[int, _Comparing, tuple[Kind, ...]]]:
    """Yield the ways to end a column, or to let it wait: (cost, what is left, counters)."""
    if target.carries is not None:
        for counted in _counted(target, state.heights):
            yield from _waiting(target, state.waiting, constant, counted)
    if not state.waiting:
        reach = max(target.reach, 2)
        tail = state.heights[reach:]
        for cost, head, kinds in _ended_heads(target, state.heights[:reach], constant):
            yield cost, _Comparing(_trimmed(_on(head, tail, reach - 1))), kinds


@cache
def _ended_heads(target: Target, heights: _Heights, constant: int) -> tuple[_Counted, ...]:
    """Return the ways to end the lowest column, with the heights above it."""
    found: dict[_Heights, _Counted] = {}

    def offer(cost: int, above: _Heights, kinds: tuple[Kind, ...]) -> None:
        if above not in found or cost < found[above][0]:
            found[above] = cost, above, kinds

    for cost, columns, kinds in _counted(target, heights):
        if columns[0] < 2:
            offer(cost, _ended(columns, columns[0] & constant), kinds)
        for last in _lasts(target, columns, constant):
            left = _ended(_applied(columns, last))
            offer(cost + target.cost(last), left, (*kinds, last))
    return tuple(found.values())


def _lasts(target: Target, heights: _Heights, constant: int) -> Iterator[Kind]:
    """Yield the counters that can end a column."""
    height, above = heights[0], heights[1] if len(heights) > 1 else 0
    for high in range(min(target.lut_inputs - height, above) + 1 if height else 0):
        if height > 1 or high:
            yield _last(height, high, constant)
    if height == 7 and not constant and Trial(ParityChain()) in target.trials:
        yield ParityChain(1)


@cache
def _last(low: int, high: int, constant: int) -> Counter:
    return Counter(low, high, constant, 1)


def _waiting(
    target: Target, waiting: _Waiting, constant: int, counted: _Counted
) -> Iterator[tuple[int, _Comparing, tuple[Kind, ...]]]:
    """Yield a column's joining the columns that wait for an adder, and the adder over them."""
    cost, heights, kinds = counted
    if constant and heights[0] == 2 and waiting:
        half = Counter(2, constant=1)
        cost, heights, kinds = cost + target.cost(half), _applied(heights, half), (*kinds, half)
        constant = 0
    if heights[0] + constant > (2 if waiting else 3) or (not waiting and heights[0] < 2):
        return
    waiting = (*waiting, (heights[0], constant))
    yield cost, _Comparing(_trimmed(_ended(heights)), waiting), kinds
    if len(waiting) > 1:
        number = sum(one << column for column, (_, one) in enumerate(waiting))
        adder = Adder(tuple(bits for bits, _ in waiting), number, len(waiting))
        left = _Comparing(_trimmed(_ended(heights, 1)))
        yield cost + target.cost(adder), left, (*kinds, adder)


def _ended(heights: _Heights, carry: int = 0) -> _Heights:
    """Return heights without the lowest column, a bit of which may be carried."""
    above = heights[1:]
    return (above[0] + carry, *above[1:]) if above else (carry,)


def _best(
    target: Target, states: dict[_State, Moves], rest: Callable[[_State], float]
) -> dict[_State, Moves]:
    """Return the few states of least cost with an estimate of the rest; ties by the state."""
    ranked = sorted(states.items(), key=lambda item: (item[1].cost + rest(item[0]), item[0]))
    return dict(ranked[: _BEAM_CARRIES if target.carries else _BEAM])
