"""Rows that differ little from another one, and are computed from its sum.

A row that differs from a parent in d columns is the parent's sum and twice the d elements that
turn: it need not be in a block (see :mod:`.row_blocks`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["near_rows"]


def near_rows(distance: NDArray[np.int32], most: int, hops: int) -> NDArray[np.int32]:
    """Return the parent of each row, int32 (rows,), -1 for those that have none.

    Roots are those with the most rows near; from each one a tree of least edges grows (Prim's
    algorithm).

    Parameters
    ----------
    distance
        int32 (rows, rows): in how many columns rows differ, up to complement.
    most
        No edge is longer.
    hops
        Edges from a root at most.
    """
    count = len(distance)
    parent = np.full(count, -1, dtype=np.int32)
    near = distance <= most
    left = near.sum(axis=1) > 1
    far = most + 1
    while left.any():
        root = int(np.where(left, (near & left).sum(axis=1), 0).argmax())
        level = np.where(np.arange(count) == root, 0, hops)
        key = np.full(count, far)
        vertex = root
        while True:
            left[vertex] = False
            if level[vertex] < hops:
                better = left & (distance[vertex] < key)
                key[better], parent[better] = distance[vertex, better], vertex
                level[better] = level[vertex] + 1
            vertex = int(np.where(left, key, far).argmin())
            if not left[vertex] or key[vertex] == far:
                break
    return parent
