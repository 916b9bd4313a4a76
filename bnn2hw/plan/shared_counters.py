"""Counters that two blocks of rows share: columns that are of one class in both.

Beyond the tree of blocks: inside a class it is free which columns a counter takes. Where as many
as it reads lie in one class of a block and in one class of another block too, with the same signs
up to complement, one counter serves both. A few of its weights may even have the wrong sign: the
row adds twice the right one. Choosing such sets without overlap is a packing problem; a greedy
pass, the columns with the fewest other uses first, finds most of what annealing does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from .counters import Kind
from .row_blocks import class_codes

__all__ = ["SharedCounter", "shared_counters"]

_CANDIDATE_LIMIT = 40_000
# Pairs of blocks that are searched for counters of wrong signs.
_PAIRS = 300


@dataclass(frozen=True, eq=False)
class SharedCounter:
    """Columns that one counter counts for two blocks.

    A weight of row r and column c is taken as negative where ``turned[c] ^ rows[r]``.

    Attributes
    ----------
    kind
        The counter.
    blocks
        Numbers of the two blocks.
    columns
        Ascending.
    turned
        bool (columns,).
    rows
        For each block bool (rows of the block,).
    """

    kind: Kind
    blocks: tuple[int, int]
    columns: tuple[int, ...]
    turned: NDArray[np.bool_]
    rows: tuple[NDArray[np.bool_], NDArray[np.bool_]]


def shared_counters(
    negative: NDArray[np.bool_],
    blocks: Sequence[Sequence[int]],
    kinds: Sequence[tuple[Kind, int]],
) -> list[SharedCounter]:
    """Return sets of columns for pairs of blocks; in a block no column is in two of them.

    Parameters
    ----------
    negative
        bool (rows, columns): where a weight is -1.
    blocks
        Rows of each block.
    kinds
        Counters of one column of bits, with the number of wrong signs that one may have; what one
        leaves is offered to the next.
    """
    free = np.ones((len(blocks), negative.shape[1]), dtype=np.bool_)
    candidates = _candidates(negative, blocks, min(kind.inputs for kind, _ in kinds))
    found = []
    for kind, wrong in kinds:
        if wrong:
            found += list(_nearly(negative, blocks, free, kind, wrong))
        else:
            for pair, columns in _packed(candidates, free, kind):
                found.append(_shared(negative, blocks, kind, pair, columns, int(columns[0])))
    return found


def _shared(
    negative: NDArray[np.bool_],
    blocks: Sequence[Sequence[int]],
    kind: Kind,
    pair: tuple[int, int],
    columns: NDArray[np.int64],
    like: int,
) -> SharedCounter:
    """Return a counter that takes columns to have the signs of one of them, up to complement."""
    first = negative[blocks[pair[0]][0], like]  # the first row reads the counter as it is
    one, two = (negative[blocks[number], like] ^ first for number in pair)
    wrong = (negative[[*blocks[pair[0]], *blocks[pair[1]]]][:, columns].T ^ [*one, *two]).sum(1)
    turned = 2 * wrong > len(one) + len(two)
    return SharedCounter(kind, pair, tuple(columns.tolist()), turned, (one, two))


def _nearly(
    negative: NDArray[np.bool_],
    blocks: Sequence[Sequence[int]],
    free: NDArray[np.bool_],
    kind: Kind,
    wrong: int,
) -> Iterator[SharedCounter]:
    """Yield counters of few wrong signs, those with the fewest first; their columns are taken."""
    waiting = [
        (total, pair, like)
        for pair in islice(_pairs(len(blocks)), _PAIRS)
        for total, like in _centres(negative, blocks, free, pair, kind.inputs, wrong)
    ]
    heapify(waiting)
    while waiting:
        total, pair, like = heappop(waiting)
        columns = np.flatnonzero(free[pair[0]] & free[pair[1]])
        if len(columns) < kind.inputs:
            continue
        rows = [*blocks[pair[0]], *blocks[pair[1]]]
        apart = (negative[rows][:, columns] ^ negative[rows, like][:, None]).sum(axis=0)
        apart = np.minimum(apart, len(rows) - apart)
        nearest = np.argsort(apart, kind="stable")[: kind.inputs]
        now = int(apart[nearest].sum())
        if now == total:
            taken = np.sort(columns[nearest])
            free[pair[0], taken] = free[pair[1], taken] = False
            yield _shared(negative, blocks, kind, pair, taken, like)
        if now <= wrong:
            heappush(waiting, (now, pair, like))


def _centres(
    negative: NDArray[np.bool_],
    blocks: Sequence[Sequence[int]],
    free: NDArray[np.bool_],
    pair: tuple[int, int],
    size: int,
    wrong: int,
) -> Iterator[tuple[int, int]]:
    """Yield (wrong signs, column) where so many free columns are nearly alike in two blocks."""
    columns = np.flatnonzero(free[pair[0]] & free[pair[1]])
    if len(columns) < size:
        return
    rows = [*blocks[pair[0]], *blocks[pair[1]]]
    signs = 1 - 2 * negative[rows][:, columns].astype(np.float32)
    _, centres = np.unique(class_codes(negative[:, columns], rows), return_index=True)
    apart = (len(rows) - np.abs(signs[:, centres].T @ signs)).astype(np.int16) // 2
    total, missing = np.zeros(len(centres), dtype=np.int64), np.full(len(centres), size)
    for distance in range(wrong + 1):
        taken = np.minimum(missing, (apart == distance).sum(axis=1))
        total, missing = total + distance * taken, missing - taken
    good = (missing == 0) & (total <= wrong)
    yield from zip(total[good].tolist(), columns[centres[good]].tolist(), strict=True)


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    """Yield pairs of blocks, those near one another first."""
    for distance in range(1, count):
        for first in range(count - distance):
            yield first, first + distance


def _packed(
    candidates: Sequence[tuple[int, int, NDArray[np.int64]]], free: NDArray[np.bool_], kind: Kind
) -> list[tuple[tuple[int, int], NDArray[np.int64]]]:
    """Return pairs and columns that a kind of counter takes, which are then free no more."""
    size = kind.inputs
    left = [
        (first, second, columns[free[first, columns] & free[second, columns]])
        for first, second, columns in candidates
    ]
    candidates = [one for one in left if len(one[2]) >= size]
    uses = np.zeros(free.shape)
    for first, second, columns in candidates:
        uses[first, columns] += 1
        uses[second, columns] += 1
    candidates = sorted(
        candidates, key=lambda c: float((uses[c[0], c[2]] + uses[c[1], c[2]]).mean())
    )
    found = []
    for first, second, columns in candidates:
        there = columns[free[first, columns] & free[second, columns]]
        order = np.argsort(uses[first, there] + uses[second, there], kind="stable")
        for start in range(0, len(there) - size + 1, size):
            taken = np.sort(there[order[start : start + size]])
            free[first, taken] = free[second, taken] = False
            found.append(((first, second), taken))
    return found


def _candidates(
    negative: NDArray[np.bool_], blocks: Sequence[Sequence[int]], size: int
) -> list[tuple[int, int, NDArray[np.int64]]]:
    """Return (block, other block, columns of one class in both), at least so many columns each.

    Blocks near one another come first, and no more once there are very many.
    """
    codes = [class_codes(negative, block) for block in blocks]
    found = []
    for distance in range(1, len(blocks)):
        for first in range(len(blocks) - distance):
            second = first + distance
            turned = negative[blocks[first][0]] ^ negative[blocks[second][0]]
            classes = 1 << (len(blocks[second]) - 1)
            joint = (codes[first] * classes + codes[second]) * 2 + turned
            order = np.argsort(joint, kind="stable")
            counts = np.bincount(joint)
            ends = np.cumsum(counts)
            for code in np.flatnonzero(counts >= size).tolist():
                found.append((first, second, order[ends[code] - counts[code] : ends[code]]))
        if len(found) > _CANDIDATE_LIMIT:
            break
    return found
