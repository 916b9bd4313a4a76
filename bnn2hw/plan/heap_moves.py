"""Which counters to put on a heap: a beam search over the heights of its columns.

Only heights matter for the cost, so that heaps of equal heights share one search. Columns are
worked off from the lowest; a state is the heights that are left, and of the states of a column
the best few go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, TypeVar

from .counters import FULL, LUT_INPUTS, terminal

__all__ = ["ColumnMoves", "Moves", "comparison_moves", "compression_moves"]

_BEAM = 12
# LUTs for each bit that a comparison still holds, to rank states: what the rest costs on average.
_LUTS_PER_BIT = 0.55


class ColumnMoves(NamedTuple):
    """What is done in a column: how many counters of each kind of FULL, then perhaps its end.

    Attributes
    ----------
    counts
        One number for each counter of :data:`~.counters.FULL`, used in that order.
    last
        Bits of the column and of the next one that the ending counter takes; (0, 0) for none.
    """

    counts: tuple[int, ...]
    last: tuple[int, int]


class Moves(NamedTuple):
    """The moves of all columns, with their cost in LUTs (and in the price of bits that stay)."""

    cost: float
    columns: tuple[ColumnMoves, ...]


_Heights = tuple[int, ...]
_State = TypeVar("_State", bound=tuple[Any, ...])


@cache
def _counts(height: int, above: int) -> tuple[tuple[int, int, _Heights, tuple[int, ...]], ...]:
    """Return what full counters can do in a column: (LUTs, bits left, gains above, counts).

    Each counter takes its bits and gives one back to the column. Near the most (6;3) that fit,
    others are tried in small numbers.
    """
    found = []
    sixes = height // 5
    for six in range(max(0, sixes - 2), sixes + 1):
        for five in range(3):
            for three in range(3):
                for adder in range(2):
                    counts = (six, five, three, adder)
                    left = height - sum(
                        (kind.low - 1) * n for kind, n in zip(FULL, counts, strict=True)
                    )
                    taken = sum(kind.high * n for kind, n in zip(FULL, counts, strict=True))
                    if left < 1 - (not any(counts)) or taken > above:
                        continue
                    luts = sum(kind.outputs * n for kind, n in zip(FULL, counts, strict=True))
                    carries = (sum(counts) - taken, six + five + three)
                    found.append((luts, left, carries, counts))
    return tuple(found)


def _raised(heights: _Heights, gains: tuple[int, ...]) -> _Heights:
    """Return heights with gains added from the first on, without empty columns at the top."""
    size = max(len(heights), len(gains))
    padded = [*heights, *[0] * (size - len(heights))]
    for k, gain in enumerate(gains):
        padded[k] += gain
    while padded and not padded[-1]:
        padded.pop()
    return tuple(padded)


@cache
def compression_moves(heights: _Heights, price: float) -> Moves:
    """Return the moves that make LUTs and ``price`` times the bits left over least.

    Parameters
    ----------
    heights
        Bits of each column, lowest first.
    price
        LUTs that a bit which stays costs those who use the heap.
    """
    states: dict[tuple[_Heights, int], Moves] = {(heights, 0): Moves(0, ())}
    best: Moves | None = None
    while states:
        after: dict[tuple[_Heights, int], Moves] = {}
        for (columns, left), moves in states.items():
            if not columns:
                done = Moves(moves.cost + price * left, moves.columns)
                best = done if best is None else min(best, done)
                continue
            above = columns[1] if len(columns) > 1 else 0
            for luts, stay, gains, counts in _counts(columns[0], above):
                key = (_raised(columns[1:], gains), left + stay)
                made = Moves(moves.cost + luts, (*moves.columns, ColumnMoves(counts, (0, 0))))
                after[key] = min(after[key], made) if key in after else made
        states = _best(after, lambda key: price * key[1] + min(price, 1) * 0.75 * sum(key[0]))
    assert best is not None
    return best


@cache
def comparison_moves(heights: _Heights, top: int, constant: int) -> Moves:
    """Return the moves of least LUTs for ``sum + constant >= 2**top``.

    The columns listed are ended one after the other; then at most six bits are left for one
    table, or columns from ``top`` on, whose bits decide alone.
    """
    states: dict[_Heights, Moves] = {heights: Moves(0, ())}
    best: Moves | None = None
    column = 0
    while states:
        after: dict[_Heights, Moves] = {}
        carry = constant >> column & 1
        for columns, moves in states.items():
            bits = sum(columns)
            if bits <= LUT_INPUTS or column >= top:
                done = Moves(moves.cost + 1 + _joins(bits), moves.columns)
                best = done if best is None else min(best, done)
                continue
            for luts, gains, step in _endings(columns[0], columns[1] if columns[1:] else 0, carry):
                key = _raised(columns[1:], gains)
                made = Moves(moves.cost + luts, (*moves.columns, step))
                after[key] = min(after[key], made) if key in after else made
        states = _best(after, lambda key: _LUTS_PER_BIT * sum(key))
        column += 1
    assert best is not None
    return best


def _joins(bits: int) -> int:
    """Return the cells that OR bits until six are left."""
    return max(-(-(bits - LUT_INPUTS) // (LUT_INPUTS - 1)), 0)


@cache
def _endings(height: int, above: int, carry: int) -> tuple[tuple[int, _Heights, ColumnMoves], ...]:
    """Return the ways to end a column: (LUTs, gains of the columns above, moves)."""
    return tuple(_all_endings(height, above, carry))


def _all_endings(
    height: int, above: int, carry: int
) -> Iterator[tuple[int, _Heights, ColumnMoves]]:
    for luts, left, (one, two), counts in _counts(height, above):
        if left > LUT_INPUTS:
            continue
        if left < 2:
            yield luts, (one + left * carry, two), ColumnMoves(counts, (0, 0))
        for high in range(min(LUT_INPUTS - left, above + one) + 1 if left else 0):
            if left == 1 and not high:
                continue
            gains = [one - high, two, 0]
            outputs = terminal(left, high, carry).outputs
            for k in range(outputs):
                gains[k] += 1
            yield luts + outputs, tuple(gains), ColumnMoves(counts, (left, high))


def _best(states: dict[_State, Moves], rest: Callable[[_State], float]) -> dict[_State, Moves]:
    """Return the few states of least cost with an estimate of the rest; ties by the state."""
    ranked = sorted(states.items(), key=lambda item: (item[1].cost + rest(item[0]), item[0]))
    return dict(ranked[:_BEAM])
