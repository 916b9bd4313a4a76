"""Counters that two blocks of rows share: six columns that are of one class in both.

Beyond the tree of blocks: inside a class it is free which six columns a counter takes. Where six
columns lie in one class of a block and in one class of another block too, with the same signs up
to complement, one counter serves both. Choosing such sixes without overlap is a packing problem;
a greedy pass, the columns with the fewest other uses first, comes close to its bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .row_blocks import class_codes

__all__ = ["SharedSix", "shared_sixes"]

_COLUMNS = 6
_CANDIDATE_LIMIT = 40_000


@dataclass(frozen=True)
class SharedSix:
    """Six columns that one counter counts for two blocks.

    Attributes
    ----------
    blocks
        Numbers of the two blocks.
    columns
        Ascending.
    """

    blocks: tuple[int, int]
    columns: tuple[int, ...]


def shared_sixes(negative: NDArray[np.bool_], blocks: Sequence[Sequence[int]]) -> list[SharedSix]:
    """Return sets of six columns for pairs of blocks; in a block no column is in two of them.

    Parameters
    ----------
    negative
        bool (rows, columns): where a weight is -1.
    blocks
        Rows of each block.
    """
    candidates = _candidates(negative, blocks)
    uses = np.zeros((len(blocks), negative.shape[1]))
    for first, second, columns in candidates:
        uses[first, columns] += 1
        uses[second, columns] += 1
    candidates.sort(key=lambda c: float((uses[c[0], c[2]] + uses[c[1], c[2]]).mean()))
    free = np.ones(uses.shape, dtype=np.bool_)
    found = []
    for first, second, columns in candidates:
        left = columns[free[first, columns] & free[second, columns]]
        order = np.argsort(uses[first, left] + uses[second, left], kind="stable")
        for start in range(0, len(left) - _COLUMNS + 1, _COLUMNS):
            taken = np.sort(left[order[start : start + _COLUMNS]])
            free[first, taken] = free[second, taken] = False
            found.append(SharedSix((first, second), tuple(taken.tolist())))
    return found


def _candidates(
    negative: NDArray[np.bool_], blocks: Sequence[Sequence[int]]
) -> list[tuple[int, int, NDArray[np.int64]]]:
    """Return (block, other block, columns of one class in both), at least six columns each.

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
            for code in np.flatnonzero(counts >= _COLUMNS).tolist():
                found.append((first, second, order[ends[code] - counts[code] : ends[code]]))
        if len(found) > _CANDIDATE_LIMIT:
            break
    return found
