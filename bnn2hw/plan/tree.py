"""The spanning tree of a layer's channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SpanningTree"]


@dataclass(frozen=True, eq=False)
class SpanningTree:
    """Which channel each channel is computed from.

    A grouped layer has one tree a group, and so more than one root: a spanning forest.

    Attributes
    ----------
    channels
        int32 (vertices,): the channel of each vertex, in topological order: parents first.
    parent
        int32 (vertices,): the parent's channel, -1 for a root.
    distance
        int32 (vertices,): weights in which the channel differs from its parent, after inversion
        where ``inverted``; for a root the number of its weights.
    inverted
        bool (vertices,): whether the channel is computed from its parent's complement.
    depth_bound
        A lower bound for the depth of any minimum spanning tree of this graph (0 if none known).
    """

    channels: NDArray[np.int32]
    parent: NDArray[np.int32]
    distance: NDArray[np.int32]
    inverted: NDArray[np.bool_]
    depth_bound: int = 0

    @property
    def total(self) -> int:
        """Return the XNOR terms: the weights of the roots plus all distances."""
        return int(self.distance.sum())

    @property
    def depth(self) -> int:
        """Return the number of edges from a root to the farthest channel."""
        depth: dict[int, int] = {-1: -1}
        for channel, parent in zip(self.channels.tolist(), self.parent.tolist(), strict=True):
            depth[channel] = depth[parent] + 1
        return max(depth.values(), default=0)
