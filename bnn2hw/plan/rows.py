"""The distinct rows of a layer: what is left to compute once free copies are put aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError
from ..model.formats import Tensor
from ..model.layers import LinearLayer
from .readout import live_channels

__all__ = ["DistinctRows", "distinct_rows"]

_EXACT_FLOAT32 = 1 << 24


@dataclass(frozen=True, eq=False)
class DistinctRows:
    """The distinct weight rows among the live channels of one group.

    Attributes
    ----------
    inputs
        int32 (n,): the inputs that the group reads, ascending.
    signs
        int8 (rows, n): -1 and +1, the row of the class's first channel.
    first
        int32 (rows,): the lowest channel with this row; ascending.
    channels
        int32 (channels,): the live channels of the group, ascending.
    row
        int32 (channels,): which row each channel has.
    inverted
        bool (channels,): whether the channel has the complement of that row.
    """

    inputs: NDArray[np.int32]
    signs: NDArray[np.int8]
    first: NDArray[np.int32]
    channels: NDArray[np.int32]
    row: NDArray[np.int32]
    inverted: NDArray[np.bool_]

    def distances(self, complement: bool) -> NDArray[np.int32]:
        """Return the Hamming distances of the rows, int32 (rows, rows).

        With ``complement`` the distance to the nearer of a row and its complement, min(d, n - d).

        Raises
        ------
        PlanError
            If rows are too long for an exact product in float32.
        """
        count = self.signs.shape[1]
        if count >= _EXACT_FLOAT32:
            raise PlanError(f"rows of {count} weights are longer than 2**24 - 1")
        rows = self.signs.astype(np.float32)
        # every partial sum is an integer below 2**24, so the BLAS product is exact
        distance: NDArray[np.int32] = (count - (rows @ rows.T).astype(np.int32)) // 2
        return np.minimum(distance, count - distance) if complement else distance


def distinct_rows(layer: LinearLayer, source: Tensor, complement: bool) -> list[DistinctRows]:
    """Return the distinct rows of every group that has live channels.

    Channels are of one group where they read the same inputs. With ``complement``, a row and its
    complement count as one.
    """
    live = live_channels(layer, source).astype(np.int32)
    matrix = layer.matrix()[live]
    if len(live) == 0:
        return []
    used = np.packbits(matrix != 0, axis=1)
    _, group = np.unique(used, axis=0, return_inverse=True)
    group = group.reshape(-1)
    _, start = np.unique(group, return_index=True)
    return [
        _distinct(live[group == number], matrix[group == number], complement)
        for number in group[np.sort(start)]
    ]


def _distinct(
    channels: NDArray[np.int32], matrix: NDArray[np.int8], complement: bool
) -> DistinctRows:
    inputs = np.flatnonzero(matrix[0]).astype(np.int32)
    signs = matrix[:, inputs]
    flipped = signs[:, 0] < 0 if complement else np.zeros(len(signs), dtype=np.bool_)
    keys = np.packbits((signs < 0) ^ flipped[:, None], axis=1)
    _, start, row = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(start), dtype=np.int32)
    rank[np.argsort(start)] = np.arange(len(start), dtype=np.int32)
    start = np.sort(start)
    of = rank[row.reshape(-1)]
    return DistinctRows(
        inputs, signs[start], channels[start], channels, of, flipped != flipped[start][of]
    )
