"""Minimum spanning trees of a distance matrix, and what all of them have in common.

Trees are arrays of parents, -1 at the root. Distances of distinct rows are at least 1, so an
edge of weight 0 is never needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EligibleEdges", "bottlenecks", "eligible_edges", "hop_bounds", "path_lengths", "prim"]

_TAKEN = np.int64(1) << 62
_PIVOT_BUDGET = 1 << 32


def prim(distance: NDArray[np.int32], root: int) -> NDArray[np.int32]:
    """Return a minimum spanning tree grown from a root, int32 (vertices,) of parents.

    Among the lightest edges it takes one that leads to the least level (Prim's algorithm, each
    step one pass over an array).
    """
    count = len(distance)
    parent = np.full(count, root, dtype=np.int32)
    level = np.zeros(count, dtype=np.int64)
    key = distance[root].astype(np.int64) * (count + 1)
    key[root] = _TAKEN
    parent[root] = -1
    open_ = key < _TAKEN
    for _ in range(count - 1):
        vertex = int(key.argmin())
        level[vertex] = level[parent[vertex]] + 1
        key[vertex] = _TAKEN
        open_[vertex] = False
        offer = distance[vertex].astype(np.int64) * (count + 1) + level[vertex]
        better = (offer < key) & open_
        key[better] = offer[better]
        parent[better] = vertex
    return parent


def bottlenecks(distance: NDArray[np.int32], parent: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the heaviest edge on the tree path between any two vertices, int32 (n, n).

    For a minimum spanning tree this is the least threshold at which two vertices connect.
    """
    return _along_paths(parent, lambda row, one, two: np.maximum(row, distance[one, two]))


def path_lengths(parent: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the number of edges on the tree path between any two vertices, int32 (n, n)."""
    return _along_paths(parent, lambda row, one, two: row + 1)


def _along_paths(
    parent: NDArray[np.int32],
    extend: Callable[[NDArray[np.int32], int, int], NDArray[np.int32]],
) -> NDArray[np.int32]:
    """Return a figure of all tree paths, 0 of none; ``extend`` takes a row on by an edge."""
    figure = np.zeros((len(parent), len(parent)), dtype=np.int32)
    order = _topological(parent)
    for k, vertex in enumerate(order[1:].tolist(), start=1):
        above, seen = int(parent[vertex]), order[:k]
        row = extend(figure[above, seen], vertex, above)
        figure[vertex, seen] = row
        figure[seen, vertex] = row
    return figure


def _topological(parent: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the vertices by level, the root first."""
    level = np.where(parent < 0, 0, -1)
    last = np.flatnonzero(parent < 0)
    order = [last]
    while len(last):
        last = np.flatnonzero(np.isin(parent, last) & (level < 0))
        level[last] = len(order)
        order.append(last)
    return np.concatenate(order)


@dataclass(frozen=True, eq=False)
class EligibleEdges:
    """The edges that some minimum spanning tree contains, by weight.

    Attributes
    ----------
    weights
        int32 (classes,): ascending.
    ends
        For each weight int32 (edges, 2): the edges of that weight, lower vertex first.
    """

    weights: NDArray[np.int32]
    ends: tuple[NDArray[np.int64], ...]

    def of_weight(self, weight: int) -> NDArray[np.int64]:
        """Return the eligible edges of a weight, int64 (edges, 2)."""
        return self.ends[int(np.searchsorted(self.weights, weight))]


def eligible_edges(distance: NDArray[np.int32], parent: NDArray[np.int32]) -> EligibleEdges:
    """Return every edge that some minimum spanning tree contains, given one of the trees.

    An edge is eligible iff its ends are not connected by strictly lighter edges: iff it is no
    heavier than the tree path between its ends.
    """
    eligible = np.triu(distance == bottlenecks(distance, parent), 1)
    ends = np.argwhere(eligible)
    weight = distance[ends[:, 0], ends[:, 1]]
    weights = np.unique(weight)
    return EligibleEdges(weights, tuple(ends[weight == w] for w in weights))


def hop_bounds(count: int, edges: EligibleEdges) -> NDArray[np.signedinteger]:
    """Return a lower bound for the edges between any two vertices in any minimum spanning tree.

    A minimum spanning tree, cut down to a component of the edges below some weight, spans that
    component; so its path between two vertices stays inside the least component that holds both,
    and passes through every lighter component at most once. The bound is the shortest path in
    which crossing a lighter component costs that component's own bound, weight by weight. It is
    at least the distance in the graph of all eligible edges.

    Returns
    -------
    int16 (count, count), int32 beyond 2**14 vertices.
    """
    # twice "far", the greatest sum that is formed, must fit
    bound = np.full((count, count), count, dtype=np.int16 if count < 1 << 14 else np.int32)
    np.fill_diagonal(bound, 0)
    component = np.arange(count)
    for ends in edges.ends:
        for joined in _joined(component[ends]):
            inside = np.isin(component, joined)
            _join(bound, component, ends[inside[ends[:, 0]]], inside)
            component[inside] = joined[0]
    return bound


def _joined(pairs: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the groups of components that pairs (edges, 2) of components join."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, flat = np.unique(pairs, return_inverse=True)
    first, second = flat.reshape(-1, 2).T
    ones = np.ones(len(first), dtype=np.int8)
    links = coo_array((ones, (first, second)), shape=(len(names), len(names)))
    groups, label = connected_components(links, directed=False)
    return [names[label == group] for group in range(groups)]


def _join(
    bound: NDArray[np.signedinteger],
    component: NDArray[np.int64],
    ends: NDArray[np.int64],
    inside: NDArray[np.bool_],
) -> None:
    """Fill in the bounds between the components that the edges ``ends`` join.

    Pivots are the ends alone, and of the largest component only its ends take part at first: a
    component that swallows single vertices, the common case, costs one row each.
    """
    members = np.flatnonzero(inside)
    names, sizes = np.unique(component[members], return_counts=True)
    largest = component == names[sizes.argmax()]
    pivots = np.unique(ends)
    gates = pivots[largest[pivots]]
    others = np.flatnonzero(inside & ~largest)
    core = np.concatenate([others, gates])
    place = np.empty(len(bound), dtype=np.int64)
    place[core] = np.arange(len(core))

    own = bound[np.ix_(core, core)]
    apart = component[core][:, None] != component[core][None, :]
    hops = own.copy()
    if len(pivots) * len(core) ** 2 > _PIVOT_BUDGET:
        hops[apart] = 1  # still a bound, where the exact one would take minutes
    else:
        first, second = place[ends].T
        hops[first, second] = hops[second, first] = 1
        for pivot in place[pivots].tolist():
            np.minimum(hops, hops[:, pivot, None] + hops[None, pivot, :], out=hops)
    bound[np.ix_(core, core)] = np.where(apart, hops, own)

    whole = np.flatnonzero(largest)
    cross = np.full((len(whole), len(others)), len(bound), dtype=bound.dtype)
    for gate in gates.tolist():
        through = bound[whole, gate][:, None] + hops[place[gate], : len(others)][None, :]
        np.minimum(cross, through, out=cross)
    bound[np.ix_(whole, others)] = cross
    bound[np.ix_(others, whole)] = cross.T
