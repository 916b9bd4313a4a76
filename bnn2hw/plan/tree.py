"""The spanning tree of a layer's channels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import networkx

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
        A lower bound for the depth of any minimum spanning tree of this graph, free edges not
        counted (0 if none known).
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
    def weight(self) -> int:
        """Return the weight of the tree: the distances alone, without the roots."""
        return int(self.distance[self.parent >= 0].sum())

    @cached_property
    def levels(self) -> NDArray[np.int32]:
        """Return int32 (vertices,): edges from the root to each vertex, free edges not counted.

        An edge of distance 0 is free: parent and child are one value in the hardware.
        """
        level = {-1: -1}
        for channel, parent, distance in zip(
            self.channels.tolist(), self.parent.tolist(), self.distance.tolist(), strict=True
        ):
            level[channel] = level[parent] + (distance > 0)
        return np.array([level[channel] for channel in self.channels.tolist()], dtype=np.int32)

    @property
    def depth(self) -> int:
        """Return the level of the farthest channel: the reuse adders in a row."""
        return int(self.levels.max(initial=0))

    def graph(self) -> networkx.DiGraph:
        """Return the tree as a networkx graph, with edges from parent to child.

        Nodes are channels in topological order and bear ``level``, ``distance`` and ``inverted``;
        edges bear ``distance`` and ``inverted``. The graph bears ``total``, ``depth`` and
        ``depth_bound``.
        """
        import networkx  # heavy, and only those who walk or draw the tree need it

        graph = networkx.DiGraph(total=self.total, depth=self.depth, depth_bound=self.depth_bound)
        for channel, parent, distance, inverted, level in zip(
            self.channels.tolist(),
            self.parent.tolist(),
            self.distance.tolist(),
            self.inverted.tolist(),
            self.levels.tolist(),
            strict=True,
        ):
            graph.add_node(channel, level=level, distance=distance, inverted=inverted)
            if parent >= 0:
                graph.add_edge(parent, channel, distance=distance, inverted=inverted)
        return graph
