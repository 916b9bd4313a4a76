"""Spanning trees of bounded depth and small weight.

A tree of depth at most H is an assignment of levels 0 .. H, one vertex (the root) at level 0: the
best parent of a vertex is the nearest one at any lower level. So the search moves single vertices
between levels. The change of weight of every such move is kept up to date, and each step draws
one of all of them by its Boltzmann weight at a falling temperature: simulated annealing without
rejections. Moves, temperatures and seeds are fixed, so the result depends on the distances alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bounded_tree"]

_ROOTS = 8
# moves for each vertex, and at most
_TRIAL_MOVES = (10, 250)
_FINAL_MOVES = (80, 2000)
_HOT, _WARM, _COLD = 0.4, 0.2, 0.04  # in standard deviations of the distances
_NEVER = 1e15


def bounded_tree(distance: NDArray[np.int32], depth: int, root: int) -> NDArray[np.int32]:
    """Return a tree of at most ``depth`` edges below its root and of small weight.

    Parameters
    ----------
    distance
        int32 (n, n), symmetric.
    depth
        At least 1. For 1 the result is the lightest star.
    root
        A root to try, beside those with the least sum of distances.

    Returns
    -------
    int32 (n,): parents, -1 at the root.
    """
    central = np.argsort(distance.sum(axis=1, dtype=np.int64), kind="stable")[:_ROOTS].tolist()
    if depth == 1 or len(distance) <= 2:
        levels = np.ones(len(distance), dtype=np.int64)
        levels[central[0]] = 0
        return _nearest_below(distance, levels)
    spread = max(float(np.std(distance[np.triu_indices(len(distance), 1)])), 0.25)
    trials = []
    for seed, start in enumerate(dict.fromkeys([*central, root])):
        search = _LevelSearch(distance, depth, _grown_levels(distance, depth, start))
        trials.append(
            _anneal(search, _moves(_TRIAL_MOVES, distance), _HOT * spread, _COLD * spread, seed)
        )
    weight, levels = min(trials, key=lambda trial: trial[0])
    search = _LevelSearch(distance, depth, levels)
    final = _anneal(search, _moves(_FINAL_MOVES, distance), _WARM * spread, _COLD * spread, seed=0)
    return _nearest_below(distance, final[1] if final[0] < weight else levels)


def _moves(budget: tuple[int, int], distance: NDArray[np.int32]) -> int:
    each, most = budget
    return min(each * len(distance), most)


def _nearest_below(distance: NDArray[np.int32], levels: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return each vertex's nearest vertex at a lower level, the lowest of equally near ones."""
    order = np.argsort(levels, kind="stable")
    allowed = levels[order][None, :] < levels[:, None]
    cost = np.where(allowed, distance[:, order], np.iinfo(np.int32).max)
    parent: NDArray[np.int32] = order[cost.argmin(axis=1)].astype(np.int32)
    parent[levels == 0] = -1
    return parent


def _grown_levels(distance: NDArray[np.int32], depth: int, root: int) -> NDArray[np.int64]:
    """Return the levels of a tree grown by Prim's algorithm, no vertex below ``depth``."""
    count = len(distance)
    levels = np.zeros(count, dtype=np.int64)
    parent = np.full(count, root)
    key = distance[root].astype(np.float64)
    key[root] = np.inf
    open_ = key < np.inf
    for _ in range(count - 1):
        vertex = int(key.argmin())
        levels[vertex] = levels[parent[vertex]] + 1
        open_[vertex] = False
        key[vertex] = np.inf
        if levels[vertex] < depth:
            better = (distance[vertex] < key) & open_
            key[better] = distance[vertex][better]
            parent[better] = vertex
    return levels


def _anneal(
    search: _LevelSearch, moves: int, hot: float, cold: float, seed: int
) -> tuple[float, NDArray[np.int64]]:
    """Return weight and levels of the lightest tree met."""
    random = np.random.default_rng(seed)
    size = search.count * search.depth
    # drawing from a pool at random offsets costs far less than fresh noise for every move
    pool = random.gumbel(size=4 * size)
    best, levels = search.weight, search.levels.copy()
    for move, offset in enumerate(random.integers(0, 3 * size, moves).tolist()):
        temperature = hot * (cold / hot) ** (move / moves)
        change = search.changes().reshape(-1)
        # the greatest of Gumbel noise minus change / temperature is a Boltzmann draw
        chosen = int((change - temperature * pool[offset : offset + size]).argmin())
        search.move(chosen // search.depth, chosen % search.depth + 1)
        if search.weight < best:
            best, levels = search.weight, search.levels.copy()
    return best, levels


class _LevelSearch:
    """A tree as levels, and what every move of one vertex to another level would cost.

    Attributes
    ----------
    near
        float64 (depth, n): the distance to the nearest vertex at level h or lower.
    parent, cost, second
        (n,): the nearest vertex at a lower level, its distance, and the second least distance.
    gain
        float64 (n, depth + 1): by how much the vertices at level h or lower would come nearer if
        the vertex were below them.
    loss
        float64 (n, depth + 1): by how much the vertex's children at level h or lower would move
        away if it were not below them.

    All are integers held in float64, exact below 2**53.
    """

    def __init__(self, distance: NDArray[np.int32], depth: int, levels: NDArray[np.int64]) -> None:
        self.count, self.depth, self.levels = len(distance), depth, levels.copy()
        self.distance = distance.astype(np.float64)
        np.fill_diagonal(self.distance, _NEVER)
        self.near = np.full((depth, self.count), _NEVER)
        for level in range(depth):
            at = self.distance[levels == level].min(axis=0, initial=_NEVER)
            self.near[level] = np.minimum(self.near[max(level - 1, 0)], at)
        self.parent = np.zeros(self.count, dtype=np.int64)
        self.cost, self.second = np.zeros(self.count), np.full(self.count, _NEVER)
        self.gain = np.zeros((self.count, depth + 1))
        self.loss = np.zeros((self.count, depth + 1))
        self._attach(np.flatnonzero(levels > 0))
        self.weight = float(self.cost.sum())

    def changes(self) -> NDArray[np.float64]:
        """Return float64 (n, depth): the change of weight if a vertex moved to level 1 .. depth.

        Moves of the root and moves that change nothing have ``_NEVER``.
        """
        vertices = np.arange(self.count)
        lower = np.arange(1, self.depth + 1)[None, :] < self.levels[:, None]
        change = np.where(lower, self.gain[:, 1:], self.loss[:, 1:])
        change += self.near.T
        here = np.where(
            lower, self.gain[vertices, self.levels, None], self.loss[vertices, self.levels, None]
        )
        change -= here + self.cost[:, None]
        change[vertices, np.maximum(self.levels, 1) - 1] = _NEVER
        change[self.levels == 0] = _NEVER
        return change

    def move(self, vertex: int, level: int) -> None:
        """Move a vertex to a level of 1 or more."""
        before = int(self.levels[vertex])
        low, high = min(before, level), max(before, level)
        row = self.distance[vertex]
        affected = (self.levels > low) & (self.levels <= high) & (row <= self.second)
        affected[vertex] = True
        changed = np.flatnonzero(affected)
        self._detach(changed)
        self.weight -= float(self.cost[changed].sum())
        self.levels[vertex] = level
        if level < before:
            np.minimum(self.near[level:before], row, out=self.near[level:before])
        else:
            self._withdraw(row, before, level)
        self._attach(changed)
        self.weight += float(self.cost[changed].sum())

    def _withdraw(self, row: NDArray[np.float64], before: int, level: int) -> None:
        """Bring ``near`` up to date after a vertex with these distances has left a level."""
        stale = np.flatnonzero((self.near[before:level] == row).any(axis=0))
        columns = self.distance[:, stale]
        for h in range(before, level):
            self.near[h, stale] = columns[self.levels <= h].min(axis=0, initial=_NEVER)

    def _attach(self, vertices: NDArray[np.int64]) -> None:
        """Find parents for vertices and add what they contribute to gains and losses."""
        allowed = self.levels[None, :] < self.levels[vertices][:, None]
        cost = np.where(allowed, self.distance[vertices], _NEVER)
        row = np.arange(len(vertices))
        parent = cost.argmin(axis=1)
        self.parent[vertices], self.cost[vertices] = parent, cost[row, parent]
        cost[row, parent] = _NEVER
        self.second[vertices] = cost.min(axis=1)
        self._contribute(vertices, 1.0)

    def _detach(self, vertices: NDArray[np.int64]) -> None:
        self._contribute(vertices, -1.0)

    def _contribute(self, vertices: NDArray[np.int64], sign: float) -> None:
        levels = self.levels[vertices]
        reached = np.where(levels[:, None] <= np.arange(self.depth + 1)[None, :], sign, 0.0)
        nearer = self.cost[vertices][:, None] - self.distance[vertices]
        np.maximum(nearer, 0.0, out=nearer)
        self.gain += nearer.T @ reached
        # only the root's children have no second choice, and the root does not move
        choice = self.second[vertices] < _NEVER
        farther = np.where(choice, self.second[vertices] - self.cost[vertices], 0.0)
        np.add.at(self.loss, self.parent[vertices], farther[:, None] * reached)
