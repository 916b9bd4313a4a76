"""The plan along a spanning tree: each channel reuses the sum of its parent.

Eq. 3 of the MST supplement, ``P_j = P_i - d + 2 P_ij``, where P_ij counts matches over the d
positions in which channel j differs from its parent i. The graph keeps ``V_j = P_j + c_j``, so
that an edge is one count and one addition without a constant; c_j, and the sign of channels that
are computed as their complement, go to the outputs. Equal rows share one value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from .bounded import bounded_tree
from .graph import AdderGraph, Count, Node, Output, Sum, interval_width
from .rows import DistinctRows, distinct_rows
from .shallow import shallow_tree
from .tree import SpanningTree

__all__ = ["ChannelForest", "tree_graph"]


class ChannelForest:
    """The live channels of a layer as graphs of Hamming distances, one a group.

    With ``complement`` the distance of two channels is min(d, N - d).

    Raises
    ------
    PlanError
        If rows are too long (see :meth:`.rows.DistinctRows.distances`).
    """

    def __init__(self, layer: LinearLayer, source: Tensor, complement: bool = True) -> None:
        self._rows = distinct_rows(layer, source, complement)
        self._distances = [rows.distances(complement) for rows in self._rows]
        self._shallow = [shallow_tree(distance) for distance in self._distances]

    def tree(self, max_depth: int | None = None) -> SpanningTree:
        """Return a spanning tree of every group, as one :class:`.tree.SpanningTree`.

        It is a minimum spanning tree, as shallow as :func:`.shallow.shallow_tree` finds it; where
        that is deeper than ``max_depth``, a light tree of that depth (:mod:`.bounded`).
        """
        parts = []
        for rows, distance, shallow in zip(self._rows, self._distances, self._shallow, strict=True):
            parent = shallow.parent
            if max_depth is not None and shallow.depth > max_depth:
                parent = bounded_tree(distance, max_depth, int(parent.argmin()))
            parts.append(_vertices(rows, parent, distance))
        if not parts:
            none = np.zeros(0, dtype=np.int32)
            return SpanningTree(none, none, none, none.astype(np.bool_))
        channels, parents, distances, inverted = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        bound = max(shallow.bound for shallow in self._shallow)
        return SpanningTree(channels, parents, distances, inverted, bound)


def _vertices(
    rows: DistinctRows, parent: NDArray[np.int32], distance: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Return channels, parents, distances and inversions of one group, parents first."""
    order = _topological(parent)
    count = len(rows.inputs)
    above = parent[order[1:]]
    first = rows.first[order]
    product = (rows.signs[order[1:]] * rows.signs[above]).sum(axis=1, dtype=np.int64)
    near = distance[order[1:], above]
    inverted = np.concatenate([[False], (count - product) // 2 != near])

    copies = np.flatnonzero(~np.isin(rows.channels, rows.first))
    of = rows.row[copies]
    return (
        np.concatenate([first, rows.channels[copies]]),
        np.concatenate([[-1], rows.first[above], rows.first[of]]).astype(np.int32),
        np.concatenate([[count], near, np.zeros(len(copies))]).astype(np.int32),
        np.concatenate([inverted, rows.inverted[copies]]),
    )


def _topological(parent: NDArray[np.int32]) -> list[int]:
    """Return the vertices depth first, the root first.

    So a channel follows its parent closely, and few values are live at a time.
    """
    children: list[list[int]] = [[] for _ in parent]
    for vertex in range(len(parent) - 1, -1, -1):
        if parent[vertex] >= 0:
            children[parent[vertex]].append(vertex)
    order, stack = [], np.flatnonzero(parent < 0).tolist()
    while stack:
        vertex = stack.pop()
        order.append(vertex)
        stack.extend(children[vertex])
    return order


def tree_graph(layer: LinearLayer, source: Tensor, tree: SpanningTree) -> AdderGraph:
    """Return the graph that computes every channel of a tree from its parent.

    The tree may be any spanning tree with true distances, over the layer's live channels.
    """
    bits = isinstance(source.format, Bipolar)
    builder = _Builder(layer.matrix(), bits)
    for channel, parent, distance, inverted in zip(
        tree.channels.tolist(),
        tree.parent.tolist(),
        tree.distance.tolist(),
        tree.inverted.tolist(),
        strict=True,
    ):
        if parent < 0:
            builder.root(channel)
        elif distance == 0:
            builder.copy(channel, parent, inverted)
        else:
            builder.reuse(channel, parent, inverted)
    low, high = (0, 1) if bits else (source.format.low, source.format.high)
    return AdderGraph(
        builder.inputs, low, high, tuple(builder.nodes), tuple(builder.outputs(tree.channels))
    )


class _Builder:
    """Adds the nodes of one channel after the other.

    ``value``, ``sign`` and ``offset`` of a channel say where its row, times the sign, is found:
    for bits ``V = P(sign * row) + offset``, for integers ``V = sign * row . x``.
    """

    def __init__(self, matrix: NDArray[np.int8], bits: bool) -> None:
        self.matrix, self.bits, self.inputs = matrix, bits, int(matrix.shape[1])
        self.nodes: list[Node] = []
        self.value: dict[int, int] = {}
        self.sign: dict[int, int] = {}
        self.offset: dict[int, int] = {}

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return self.inputs + len(self.nodes) - 1

    def _row_sum(self, taps: NDArray[np.int64], signs: NDArray[np.int8], label: str) -> int:
        """Add the count of matches over taps, or the signed sum of integers."""
        inputs = taps.astype(np.int32)
        if self.bits:
            return self._add(Count(inputs, signs < 0, label))
        return self._add(Sum(inputs, signs, np.zeros(len(taps), dtype=np.int8), 0, label))

    def root(self, channel: int) -> None:
        """Add a channel in full."""
        taps = np.flatnonzero(self.matrix[channel])
        signs = self.matrix[channel, taps]
        self.value[channel] = self._row_sum(taps, signs, f"channel{channel}")
        self.sign[channel], self.offset[channel] = 1, 0

    def copy(self, channel: int, parent: int, inverted: bool) -> None:
        """Let a channel have its parent's value, or its negation."""
        self.value[channel], self.offset[channel] = self.value[parent], self.offset[parent]
        self.sign[channel] = -self.sign[parent] if inverted else self.sign[parent]

    def reuse(self, channel: int, parent: int, inverted: bool) -> None:
        """Add a channel as its parent's value and twice the sum over what differs."""
        sign = -self.sign[parent] if inverted else self.sign[parent]
        row = self.matrix[channel] * np.int8(sign)
        taps = np.flatnonzero(row != self.matrix[parent] * np.int8(self.sign[parent]))
        signs = row[taps]
        if self.bits:
            direction, offset = self._narrow(int(np.count_nonzero(row)), parent, len(taps))
        else:
            # mostly positive terms: the negations are in the one that adds the sum
            direction, offset = (1 if int(signs.sum()) >= 0 else -1), 0
        label = f"channel{channel}_from_channel{parent}"
        if len(taps) == 1 and not self.bits:
            part, factor = int(taps[0]), int(signs[0])
        else:
            part, factor = self._row_sum(taps, signs * np.int8(direction), label), direction
        sources, weights = [self.value[parent], part], [1, factor]
        self.value[channel] = self._add(
            Sum(
                np.array(sources, dtype=np.int32),
                np.array(weights, dtype=np.int8),
                np.array([0, 1], dtype=np.int8),
                0,
                f"channel{channel}",
            )
        )
        self.sign[channel], self.offset[channel] = sign, offset

    def _narrow(self, count: int, parent: int, distance: int) -> tuple[int, int]:
        """Return +1 to add matches or -1 to subtract mismatches, and the child's offset.

        The narrower interval [offset, count + offset] wins, then the offset nearer to 0.
        """
        choices = [
            (interval_width(offset, count + offset), abs(offset), direction, offset)
            for direction in (1, -1)
            for offset in (self.offset[parent] + direction * distance,)
        ]
        _, _, direction, offset = min(choices)
        return direction, offset

    def outputs(self, channels: NDArray[np.int32]) -> list[Output]:
        """Return the outputs, which bear signs and offsets."""
        found = []
        for channel in sorted(channels.tolist()):
            sign, offset = self.sign[channel], self.offset[channel]
            constant = -sign * offset
            if sign < 0 and self.bits:
                constant += int(np.count_nonzero(self.matrix[channel]))
            found.append(Output(channel, self.value[channel], sign, constant))
        return found
