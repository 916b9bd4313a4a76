"""Mode ``delta`` of the sequential engine: only kernels that differ from the parent's are stored.

The output channels are ordered along a walk that is short in the number of positions (input words)
at which the kernels of two channels differ; a minimum spanning tree over these distances bounds
it from below. Each lane takes a piece of the walk, a channel after the other in its *places*: the
parent of a channel is the one before it, and the first of a lane has none. (A tree's parents would
have to be looked up; the walk's is what the lane has just had.)

Of an input word a lane gets the places at which the kernel changes, each with its index, and adds
to that place the new table entry less the one before. What the places then hold are differences,
and running sums along the places are the channels' sums.

Lanes go through a word together: it takes as many steps as the lane with the most changes, and a
lane that is done repeats its last one, which adds nothing. The first word of a position has a step
for every place, so that it can start all sums anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree

__all__ = ["DeltaOrder", "delta_order"]


@dataclass(frozen=True, eq=False)
class DeltaOrder:
    """Which channel stands where, and the steps of the lanes.

    Attributes
    ----------
    channels
        int64 (lanes, places): the channel; behind the last one it is repeated.
    steps
        int64 (words,): steps of each input word.
    places, indices
        int64 (all steps, lanes): the place that changes, and its index.
    changes
        Changes of all lanes: the steps, were the lanes always busy.
    tree
        Changes that the minimum spanning tree has, with the kernels of its root.
    """

    channels: NDArray[np.int64]
    steps: NDArray[np.int64]
    places: NDArray[np.int64]
    indices: NDArray[np.int64]
    changes: int
    tree: int

    @property
    def ends(self) -> NDArray[np.int64]:
        """Return int64 (all steps,): 1 where a step is the last of its word."""
        ends = np.zeros(len(self.places), np.int64)
        ends[np.cumsum(self.steps) - 1] = 1
        return ends


def delta_order(indices: NDArray[np.int32], lanes: int) -> DeltaOrder:
    """Return the order for kernel indices (outputs, words) on so many lanes."""
    outputs, words = indices.shape
    walk, tree = _walk(indices)
    places = -(-outputs // lanes)
    channels = walk[np.minimum(np.arange(lanes * places), outputs - 1)].reshape(lanes, places)
    kernels = indices[channels]
    changed = np.ones(kernels.shape, np.bool_)
    changed[:, 1:, 1:] = kernels[:, 1:, 1:] != kernels[:, :-1, 1:]
    counts = changed.sum(axis=1)
    steps = counts.max(axis=0)
    made_places, made_indices = [], []
    for word in range(words):
        # the places that change, in order, and then the last of them again and again
        rank = np.argsort(~changed[:, :, word], axis=1, kind="stable")
        chosen = np.minimum(np.arange(steps[word])[None, :], counts[:, word, None] - 1)
        place = np.take_along_axis(rank, chosen, axis=1)
        made_places.append(place.T)
        made_indices.append(np.take_along_axis(kernels[:, :, word], place, axis=1).T)
    return DeltaOrder(
        channels,
        steps.astype(np.int64),
        np.concatenate(made_places).astype(np.int64),
        np.concatenate(made_indices).astype(np.int64),
        int(counts.sum()),
        tree,
    )


def _walk(indices: NDArray[np.int32]) -> tuple[NDArray[np.int64], int]:
    """Return the channels in order, and the changes along a minimum spanning tree.

    A channel is followed by the nearest of those that are left. The walk starts at the channel
    that is farthest from all others, or at the nearest to all, whichever makes it shorter.
    """
    outputs, words = indices.shape
    distance = np.array([np.count_nonzero(indices != row, axis=1) for row in indices])
    total = distance.sum(axis=1)
    walks = [_nearest(distance, int(start)) for start in (total.argmax(), total.argmin())]
    walk = min(walks, key=lambda walk: int(distance[walk[:-1], walk[1:]].sum()))
    # an edge of 0 is none to scipy
    tree = int(minimum_spanning_tree(distance + 1).sum()) - (outputs - 1)
    return walk, tree + words


def _nearest(distance: NDArray[np.int64], start: int) -> NDArray[np.int64]:
    """Return the walk from a channel to the nearest that is left, the first of equally near."""
    left = np.ones(len(distance), np.bool_)
    walk = np.full(len(distance), start, np.int64)
    left[start] = False
    for k in range(1, len(walk)):
        walk[k] = np.where(left, distance[walk[k - 1]], distance.max() + 1).argmin()
        left[walk[k]] = False
    return walk
