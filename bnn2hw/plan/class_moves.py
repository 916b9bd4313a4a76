"""Columns counted in a neighbouring class, so that the classes of a block fill whole counters.

A counter takes six columns of one class, and few classes hold a multiple of six. A column may be
counted in another class of the block, whose signs are wrong for one row, which adds twice the
column with its right sign on its own. That costs less than a table, and is worth it where a counter
gets filled. Columns whose signs are wrong for several rows of a half, and are put right there, were
tried too, and gained nothing.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .heap_moves import compression_moves
from .targets import Target

__all__ = ["moved_columns"]

# Columns that change their class together, at most.
_TOGETHER = 5
_NEVER = 1e9


def moved_columns(
    codes: NDArray[np.int64], counted: NDArray[np.int64], size: int, target: Target
) -> list[tuple[int, int, int, int]]:
    """Return moves of columns: (class, other class, columns, the row that is wrong then).

    The move that saves most comes first, and so on until none saves anything.

    Parameters
    ----------
    codes
        int64 (columns,): classes (see :func:`.class_codes`) of the columns that may move.
    counted
        int64 (classes,): counters of three bits that each class has got already.
    size
        Rows of the block.
    target
        What counters cost, and wrong signs.
    """
    if size < 3 or not target.wrong:
        return []
    # the first row is what the others are compared with
    masks = np.append((1 << size - 1) - 1, 1 << np.arange(size - 1))
    own = np.bincount(codes, minlength=1 << size - 1)
    held = own.copy()
    costs = _class_costs(target, held, counted)
    classes = np.arange(len(held))
    to = classes[:, None] ^ masks
    together = np.arange(1, _TOGETHER + 1)[:, None]
    found: list[tuple[int, int, int, int]] = []
    while True:
        least = np.maximum(held - together, 0)
        saved = costs[classes, held] - costs[classes, least]
        saved[own < together] = -_NEVER
        more = costs[classes, held + together] - costs[classes, held]
        total = more[:, to] - saved[:, :, None] + together[:, :, None] * target.wrong
        best = int(total.argmin())
        if total.flat[best] > -1e-9:
            return found
        at, origin, mask = np.unravel_index(best, total.shape)
        columns, other = int(at) + 1, int(to[origin, mask])
        held[origin] -= columns
        own[origin] -= columns
        held[other] += columns
        if held[other] + _TOGETHER >= costs.shape[1]:
            costs = _class_costs(target, held, counted)
        found.append((int(origin), other, columns, int(mask)))


def _class_costs(
    target: Target, held: NDArray[np.int64], counted: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what each class costs with n columns, float64 (classes, n)."""
    most = -(-(int(held.max()) + 2 * _TOGETHER) // 32) * 32  # few lengths, so that they are kept
    rows = {count: _costs(target, count, most) for count in set(counted.tolist())}
    return np.array([rows[count] for count in counted.tolist()])


@cache
def _costs(target: Target, counted: int, most: int) -> NDArray[np.float64]:
    return np.array([_cost(target, counted, columns) for columns in range(most)])


@cache
def _cost(target: Target, counted: int, columns: int) -> float:
    """Return the tables of a class, and of the bits that it leaves."""
    heights = (columns + counted, counted, counted) if counted else (columns,)
    return compression_moves(target, heights, target.left).cost
