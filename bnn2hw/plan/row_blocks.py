"""Which rows of a layer are computed together: blocks of rows with few and uneven column classes.

Over a block of r rows a column has a sign pattern. Columns whose patterns are equal up to
complement form a *class*: what one counts, all r rows use. Large classes are cheap, so rows that
agree (or disagree) in many columns belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .heap_moves import compression_moves
from .targets import Target

__all__ = ["class_codes", "row_blocks"]

_CANDIDATES = 48
# Pairs of blocks of which rows may be exchanged are tried so often, and thoroughly more often.
_TRIALS_A_ROW, _TRIALS, _THOROUGH = 25, 5000, 10
_TEMPERATURE = 5.0
_EXACT_COST = 90
_PERIOD = 30


def class_codes(negative: NDArray[np.bool_], rows: Sequence[int]) -> NDArray[np.int64]:
    """Return the class of every column over these rows, int64 (columns,).

    Parameters
    ----------
    negative
        bool (rows, columns): where a weight is -1.
    rows
        Numbers of the rows; a bit of the code says whether a row differs from the first of them.
    """
    relative = negative[list(rows[1:])] ^ negative[rows[0]]
    places = 1 << np.arange(len(rows) - 1)
    codes: NDArray[np.int64] = relative.T.astype(np.int64) @ places
    return codes


def row_blocks(
    negative: NDArray[np.bool_], size: int, target: Target, price: float, thorough: bool = False
) -> list[list[int]]:
    """Return the rows in blocks, the last one perhaps smaller: greedy, then rows exchanged.

    Deterministic: the same rows give the same blocks.

    Parameters
    ----------
    negative
        bool (rows, columns).
    size
        Rows of a block.
    target
        What counters cost.
    price
        LUTs that a bit costs which a class leaves (see :func:`.compression_moves`).
    thorough
        Whether to take ten times as long.
    """
    times = _THOROUGH if thorough else 1
    found = _row_blocks(negative.tobytes(), negative.shape, size, target, price, times)
    return [list(block) for block in found]


@lru_cache(maxsize=8)
def _row_blocks(
    packed: bytes, shape: tuple[int, ...], size: int, target: Target, price: float, times: int
) -> list[list[int]]:
    """Return the blocks; those asked for last are kept, as plans are tried on the same rows."""
    negative = np.frombuffer(packed, dtype=np.bool_).reshape(shape)
    table = _class_costs(shape[1], target, price)

    def cost(rows: Sequence[int]) -> float:
        return float(table[np.bincount(class_codes(negative, rows))].sum())

    blocks = _greedy(negative, size, cost)
    _exchange(negative, blocks, table, times)
    return [_paired(negative, block) for block in blocks]


def _exchange(
    negative: NDArray[np.bool_],
    blocks: list[list[int]],
    table: NDArray[np.float64],
    times: int,
) -> None:
    """Exchange rows of two blocks by simulated annealing.

    Of two blocks any two rows may change places. Which do, or whether none does, is drawn with
    the odds of a Gibbs distribution; the temperature falls to zero.
    """
    if len(blocks) < 2:
        return
    chance = np.random.default_rng(0)
    trials = times * min(_TRIALS_A_ROW * len(negative), _TRIALS)
    for trial in range(trials):
        temperature = _TEMPERATURE * max(0.9 - trial / trials, 0) ** 2
        first, second = chance.choice(len(blocks), 2, replace=False).tolist()
        one, two = blocks[first], blocks[second]
        costs = _costs(negative, one, two, table) + _costs(negative, two, one, table).T
        now = table[np.bincount(class_codes(negative, one))].sum()
        now += table[np.bincount(class_codes(negative, two))].sum()
        drawn = np.append(costs.ravel(), now) - temperature * chance.gumbel(size=costs.size + 1)
        best = int(drawn.argmin())
        if best < costs.size:
            i, j = divmod(best, len(two))
            one[i], two[j] = two[j], one[i]


def _costs(
    negative: NDArray[np.bool_],
    block: Sequence[int],
    others: Sequence[int],
    table: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return what a block costs with row i replaced by row j of others, float64 (i, j)."""
    size = len(block)
    rows = negative[list(block)].astype(np.int32)
    codes = np.left_shift(1, np.arange(size, dtype=np.int32)) @ rows
    turned = rows[:, None] ^ negative[list(others)].astype(np.int32)
    places = np.arange(size, dtype=np.int32)[:, None, None]
    replaced = codes ^ turned << places
    replaced = (replaced ^ -(replaced & 1) & (1 << size) - 1) >> 1  # up to complement
    replaced += (np.arange(size * len(others), dtype=np.int32) << size - 1).reshape(
        size, len(others), 1
    )
    counts = np.bincount(replaced.ravel(), minlength=size * len(others) << size - 1)
    costs: NDArray[np.float64] = table[counts].reshape(size, len(others), -1).sum(axis=2)
    return costs


def _class_costs(columns: int, target: Target, price: float) -> NDArray[np.float64]:
    """Return the cost of a class of n columns at index n: exact for small ones, then linear."""
    exact = [0.0, *(compression_moves(target, (n,), price).cost for n in range(1, _EXACT_COST + 1))]
    slope = (exact[-1] - exact[-1 - _PERIOD]) / _PERIOD
    more = exact[-1] + slope * np.arange(1, columns + 1)
    return np.concatenate([exact, more])[: columns + 1]


def _unlike(negative: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how far rows are from being equal or complements, int64 (rows, rows)."""
    signs = 1.0 - 2.0 * negative
    unlike: NDArray[np.int64] = negative.shape[1] - np.abs(signs @ signs.T).astype(np.int64)
    return unlike


def _greedy(
    negative: NDArray[np.bool_], size: int, cost: Callable[[Sequence[int]], float]
) -> list[list[int]]:
    """Return blocks made one after the other, each of the row first left and what fits it best."""
    unlike = _unlike(negative)
    left = list(range(len(negative)))
    blocks = []
    while left:
        block = [left.pop(0)]
        while len(block) < size and left:
            near = sorted(left, key=lambda row: (unlike[block[0], row], row))[:_CANDIDATES]
            best = min(near, key=lambda row: (cost([*block, row]), row))
            left.remove(best)
            block.append(best)
        blocks.append(block)
    return blocks


def _paired(negative: NDArray[np.bool_], block: list[int]) -> list[int]:
    """Return a block with rows that are alike beside one another, pair by pair."""
    unlike = _unlike(negative[block])
    left, order = list(range(len(block))), []
    while len(left) > 1:
        one, two = min(
            ((i, j) for i in left for j in left if i < j), key=lambda pair: (unlike[pair], pair)
        )
        order += [block[one], block[two]]
        left = [k for k in left if k not in (one, two)]
    return order + [block[k] for k in left]
