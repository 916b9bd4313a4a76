"""The least deep minimum spanning tree that can be found.

Which of the minimum spanning trees is least deep is a hard question where distances tie. Trees
grown from several roots are improved by exchanging edges of equal weight on the longest path; a
lower bound tells how far the result can be from the least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .spanning import EligibleEdges, eligible_edges, hop_bounds, path_lengths, prim

__all__ = ["ShallowTree", "shallow_tree"]

_ROOTS = 6
_PATIENCE = 40
_TENURE = 8


@dataclass(frozen=True, eq=False)
class ShallowTree:
    """A minimum spanning tree and how deep it is.

    Attributes
    ----------
    parent
        int32 (vertices,): -1 at the root, which is the centre.
    depth
        Edges from the root to the farthest vertex.
    bound
        No minimum spanning tree has a lesser depth, whatever its root.
    """

    parent: NDArray[np.int32]
    depth: int
    bound: int


def shallow_tree(distance: NDArray[np.int32]) -> ShallowTree:
    """Return the least deep minimum spanning tree found, for distances int32 (n, n).

    The result depends on the distances alone: moves and seeds are fixed.
    """
    count = len(distance)
    if count == 1:
        return ShallowTree(np.full(1, -1, dtype=np.int32), 0, 0)
    edges = eligible_edges(distance, prim(distance, 0))
    apart = hop_bounds(count, edges)
    reach = apart.max(axis=1)
    diameter = int(reach.max())
    bound = max(int(reach.min()), (diameter + 1) // 2)
    best: _Paths | None = None
    for seed, root in enumerate(np.argsort(reach, kind="stable")[:_ROOTS].tolist()):
        paths = _shortened(_Paths(prim(distance, root)), distance, edges, diameter, bound, seed)
        if best is None or paths.diameter < best.diameter:
            best = paths
        if best.depth <= bound:
            break
    assert best is not None
    return ShallowTree(best.parent(), best.depth, bound)


class _Paths:
    """A tree as the number of edges between any two vertices."""

    def __init__(self, parent: NDArray[np.int32]) -> None:
        self.hops = path_lengths(parent)

    @property
    def diameter(self) -> int:
        """Return the edges on the longest path."""
        return int(self.hops.max())

    @property
    def depth(self) -> int:
        """Return the depth below the centre."""
        return int(self.hops.max(axis=1).min())

    def copy(self) -> _Paths:
        """Return a copy that can be changed."""
        copy = object.__new__(_Paths)
        copy.hops = self.hops.copy()
        return copy

    def parent(self) -> NDArray[np.int32]:
        """Return the parents below the centre, int32 (vertices,)."""
        root = int(self.hops.max(axis=1).argmin())
        level = self.hops[root]
        above = (self.hops == 1) & (level[None, :] < level[:, None])
        parent: NDArray[np.int32] = above.argmax(axis=1).astype(np.int32)
        parent[root] = -1
        return parent

    def longest(self) -> NDArray[np.int64]:
        """Return the vertices of a longest path in order."""
        start, end = divmod(int(self.hops.argmax()), len(self.hops))
        on = np.flatnonzero(self.hops[start] + self.hops[end] == self.hops[start, end])
        return on[np.argsort(self.hops[start, on])]

    def exchange(self, near: NDArray[np.bool_], inner: int, outer: int) -> None:
        """Join the side ``near`` of a removed edge by the edge (inner, outer) to the other side."""
        one, two = np.flatnonzero(near), np.flatnonzero(~near)
        across = self.hops[one, inner][:, None] + 1 + self.hops[outer, two][None, :]
        self.hops[np.ix_(one, two)] = across
        self.hops[np.ix_(two, one)] = across.T


@dataclass(frozen=True)
class _Exchange:
    """The best edge to put in place of a tree edge."""

    diameter: int
    removed: tuple[int, int]
    inner: int
    outer: int


def _shortened(
    paths: _Paths,
    distance: NDArray[np.int32],
    edges: EligibleEdges,
    diameter: int,
    depth: int,
    seed: int,
) -> _Paths:
    """Return a tree of least diameter found by exchanges, a tabu search with a fixed seed.

    It ends at a diameter or depth that is known to be the least, after ``_PATIENCE`` moves
    without gain, or where no exchange is left.
    """
    random = np.random.default_rng(seed)
    best, forbidden, idle, move = paths.copy(), dict[tuple[int, int], int](), 0, 0
    while idle < _PATIENCE and best.diameter > diameter and best.depth > depth:
        blocked = {edge for edge, until in forbidden.items() if until > move}
        chosen = _best_exchange(paths, distance, edges, blocked, best.diameter, random)
        if chosen is None:
            break
        one, two = chosen.removed
        paths.exchange(paths.hops[one] < paths.hops[two], chosen.inner, chosen.outer)
        forbidden[(min(one, two), max(one, two))] = move + _TENURE
        move, idle = move + 1, idle + 1
        if chosen.diameter < best.diameter:
            best, idle = paths.copy(), 0
    return best


def _best_exchange(
    paths: _Paths,
    distance: NDArray[np.int32],
    edges: EligibleEdges,
    blocked: set[tuple[int, int]],
    record: int,
    random: np.random.Generator,
) -> _Exchange | None:
    """Return the exchange on the longest path with the least diameter, ties at random.

    Blocked edges stay out unless they break the record.
    """
    longest = paths.longest()
    found: list[_Exchange] = []
    for one, two in zip(longest[:-1].tolist(), longest[1:].tolist(), strict=True):
        ends = edges.of_weight(int(distance[one, two]))
        if len(ends) < 2:
            continue
        near = paths.hops[one] < paths.hops[two]
        ends = ends[near[ends[:, 0]] != near[ends[:, 1]]]
        if len(ends) < 2:
            continue
        found += _exchanges(paths.hops, (one, two), near, ends, blocked, record)
    if not found:
        return None
    least = min(exchange.diameter for exchange in found)
    ties = [exchange for exchange in found if exchange.diameter == least]
    return ties[int(random.integers(len(ties)))]


def _exchanges(
    hops: NDArray[np.int32],
    removed: tuple[int, int],
    near: NDArray[np.bool_],
    ends: NDArray[np.int64],
    blocked: set[tuple[int, int]],
    record: int,
) -> list[_Exchange]:
    """Return the best exchanges of one edge for edges ``ends`` across the same cut."""
    swap = ~near[ends[:, 0]]
    inner = np.where(swap, ends[:, 1], ends[:, 0])
    outer = np.where(swap, ends[:, 0], ends[:, 1])
    one, reach_one = _side(hops, removed[0], near)
    two, reach_two = _side(hops, removed[1], ~near)
    through = reach_one[inner] + 1 + reach_two[outer]
    diameter = np.maximum(through, max(one, two))
    removed_key = (min(removed), max(removed))
    allowed = [
        k
        for k, key in enumerate(map(tuple, ends.tolist()))
        if key != removed_key and (key not in blocked or diameter[k] < record)
    ]
    if not allowed:
        return []
    least = min(int(diameter[k]) for k in allowed)
    return [
        _Exchange(least, removed, int(inner[k]), int(outer[k]))
        for k in allowed
        if diameter[k] == least
    ]


def _side(
    hops: NDArray[np.int32], vertex: int, side: NDArray[np.bool_]
) -> tuple[int, NDArray[np.int32]]:
    """Return diameter and reach (vertices,) of the side of a cut that holds a vertex."""
    first = int(np.where(side, hops[vertex], -1).argmax())
    second = int(np.where(side, hops[first], -1).argmax())
    return int(hops[first, second]), np.maximum(hops[first], hops[second])
