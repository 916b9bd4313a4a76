"""Counters that two blocks of rows share: columns that are of one class in both.

Beyond the tree of blocks: inside a class it is free which columns a counter takes. Where as many
as it reads lie in one class of a block and in one class of another block too, with the same signs
up to complement, one counter serves both. Choosing such sets without overlap is a packing
problem; a greedy pass, the columns with the fewest other uses first, comes close to its bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .counters import Kind
from .row_blocks import class_codes

__all__ = ["SharedCounter", "shared_counters"]

_CANDIDATE_LIMIT = 40_000


@dataclass(frozen=True)
class SharedCounter:
    """Columns that one counter counts for two blocks.

    Attributes
    ----------
    kind
        The counter.
    blocks
        Numbers of the two blocks.
    columns
        Ascending.
    """

    kind: Kind
    blocks: tuple[int, int]
    columns: tuple[int, ...]


def shared_counters(
    negative: NDArray[np.bool_], blocks: Sequence[Sequence[int]], kinds: Sequence[Kind]
) -> list[SharedCounter]:
    """Return sets of columns for pairs of blocks; in a block no column is in two of them.

    Parameters
    ----------
    negative
        bool (rows, columns): where a weight is -1.
    blocks
        Rows of each block.
    kinds
        Counters of one column of bits; what one leaves is offered to the next.
    """
    free = np.ones((len(blocks), negative.shape[1]), dtype=np.bool_)
    candidates = _candidates(negative, blocks, min(kind.inputs for kind in kinds))
    return [shared for kind in kinds for shared in _packed(candidates, free, kind)]


def _packed(
    candidates: Sequence[tuple[int, int, NDArray[np.int64]]], free: NDArray[np.bool_], kind: Kind
) -> list[SharedCounter]:
    """Return sets of columns that a kind of counter takes, which are then free no more."""
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
            found.append(SharedCounter(kind, (first, second), tuple(taken.tolist())))
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
