"""Codebooks of layers: recognised where kernels are few, projected where they are not.

A codebook of :mod:`..model.codebook` with 2**tau kernels stands for a layer's weights as indices
of tau bits. Subsets that are closed under negation are ordered so that row ``k + size / 2`` is
the complement of row ``k``: the top bit of an index is a sign, the others are the address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError, UsageError
from ..model.codebook import Codebook
from ..model.layers import LinearLayer
from .kernels import Kernels, kernels_of

__all__ = ["LONGEST", "check_tau", "exchanged", "ordered", "project", "recognise"]

LONGEST = 10
"""Most weights of a kernel that has codebooks here: all ``2**LONGEST`` kernels are weighed."""

_FAR = 1 << 14
_KICKS = 16


def recognise(layer: LinearLayer, *, closed: bool = False) -> Codebook | None:
    """Return the least codebook that gives exactly the layer's weights.

    It has the smallest tau, and is closed under negation where that takes no larger one; with
    ``closed`` it always is. None where an index would have as many bits as a kernel has weights,
    or the kernels have more than :data:`LONGEST`.
    """
    kernels = kernels_of(layer)
    if kernels is None or kernels.length > LONGEST:
        return None
    patterns = _patterns(kernels)
    found: Codebook | None = None
    for folded in (True,) if closed else (False, True):
        codes = np.unique(_folded(kernels.whole, kernels.length, folded))
        codes = np.concatenate([codes, _uncovered(codes, kernels, folded)])
        tau = max(int(len(codes) - 1).bit_length() + folded, 1)
        if tau < kernels.length and (found is None or tau == found.tau):
            found = patterns.codebook(codes, tau, folded)
    return found


def ordered(codebook: Codebook) -> Codebook:
    """Return the same codebook; a closed one with complements half its size apart."""
    if not codebook.closed:
        return codebook
    codes = codebook.subset @ (1 << np.arange(codebook.length))
    complements = (1 << codebook.length) - 1 - codes
    rows = np.argsort(np.where(codes < complements, codes, complements + (1 << codebook.length)))
    place = np.empty_like(rows)
    place[rows] = np.arange(len(rows))
    return Codebook(codebook.subset[rows], place[codebook.indices].astype(np.int32))


def project(layer: LinearLayer, tau: int, *, closed: bool = False) -> tuple[LinearLayer, int]:
    """Return the layer with the nearest weights that 2**tau kernels give, and how many change.

    The subset is the one of least total Hamming distance to the layer's kernels that is found:
    the most frequent kernels as a start, then :func:`exchanged`. Each kernel is replaced by the
    nearest of the subset, the first of equally near ones. This is lossy.

    Parameters
    ----------
    layer
        The layer; its thresholds stay.
    tau
        Bits of an index, 1 to below the weights of a kernel (9 for 3x3, 8 for vectors).
    closed
        Whether the subset is to be closed under negation.

    Raises
    ------
    UsageError
        If tau is out of range.
    PlanError
        If kernels have more than :data:`LONGEST` weights.
    """
    kernels = check_tau(layer, tau)
    patterns = _patterns(kernels)
    start = patterns.most_frequent(1 << (tau - closed), closed)
    chosen = exchanged(patterns.distances(closed), patterns.counts, start)
    codebook = patterns.codebook(chosen, tau, closed)
    weights = codebook.expand(layer.weights.shape)
    changed = int(np.count_nonzero(weights != layer.weights))
    return replace(layer, weights=weights, codebook=codebook), changed


def check_tau(layer: LinearLayer, tau: int) -> Kernels:
    """Check that indices of tau bits can stand for a layer's kernels, and return those.

    Raises
    ------
    UsageError, PlanError
        As :func:`project`.
    """
    kernels = kernels_of(layer)
    if kernels is None or kernels.length > LONGEST:
        raise PlanError(
            f"kernels of more than {LONGEST} weights have no codebook",
            layer=layer.name,
            remedy="leave this layer out",
        )
    if not 1 <= tau < kernels.length:
        raise UsageError(
            f"tau {tau} is no width of an index of kernels of {kernels.length} weights",
            layer=layer.name,
            remedy=f"give 1 to {kernels.length - 1}",
        )
    return kernels


def exchanged(
    distance: NDArray[np.int64], counts: NDArray[np.int64], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return candidates to which patterns have a lesser total distance than to those of a start.

    One candidate after the other takes the place of another one while that brings the total
    down (partitioning around medoids, the swaps taken as they come). Then some are replaced at
    random, with fixed seeds, and the search goes on from there; the best set of all is returned.

    Parameters
    ----------
    distance
        (patterns, candidates).
    counts
        (patterns,): how often each pattern counts.
    start
        Numbers of the first candidates, distinct.

    Returns
    -------
    As many distinct numbers.
    """
    offers = np.ascontiguousarray(distance.T, dtype=np.int16)
    least, best = _exchange(offers, counts, start)
    for seed in range(_KICKS):
        random = np.random.default_rng(seed)
        kicked = best.copy()
        others = np.setdiff1d(np.arange(len(offers)), best)
        moved = min(len(best), 2 + len(best) // 8, len(others))
        kicked[random.choice(len(best), moved, replace=False)] = random.choice(
            others, moved, replace=False
        )
        total, found = _exchange(offers, counts, kicked)
        if total < least:
            least, best = total, found
    return best


def _exchange(
    offers: NDArray[np.integer], counts: NDArray[np.int64], start: NDArray[np.int64]
) -> tuple[int, NDArray[np.int64]]:
    """Return the total distance and the set that no exchange of one candidate makes better.

    ``offers`` are distances (candidates, patterns).
    """
    chosen, patterns = start.copy(), np.arange(offers.shape[1])
    free = np.ones(len(offers), dtype=np.bool_)
    free[chosen] = False
    candidate = unchanged = 0
    stale = True
    while unchanged < len(offers):
        if stale:
            near = offers[chosen]
            nearest = near.argmin(axis=0)
            first = near[nearest, patterns]
            near[nearest, patterns] = _FAR
            # what a pattern can lose at most with its own candidate
            span = near.min(axis=0) - first
            stale = False
        if free[candidate]:
            change = offers[candidate] - first
            loss = np.bincount(nearest, np.clip(change, 0, span) * counts, minlength=len(chosen))
            removed = int(loss.argmin())
            stale = bool(loss[removed] + np.minimum(change, 0) @ counts < 0)
        if stale:
            free[chosen[removed]], free[candidate] = True, False
            chosen[removed], unchanged = candidate, 0
        candidate, unchanged = (candidate + 1) % len(offers), unchanged + 1
    return int((first * counts).sum()), chosen


@dataclass(frozen=True, eq=False)
class _Patterns:
    """The distinct kernels of a layer, the shorter vectors last.

    Attributes
    ----------
    kernels
        Where they are from.
    codes, counts
        int64 (patterns,): each code and how often it occurs.
    masks
        int64 (patterns,): the bits of the code that count.
    of
        (outputs, vectors): which pattern stands where.
    """

    kernels: Kernels
    codes: NDArray[np.int64]
    counts: NDArray[np.int64]
    masks: NDArray[np.int64]
    of: NDArray[np.int64]

    def distances(self, closed: bool) -> NDArray[np.int64]:
        """Return Hamming distances to all kernels, or to all pairs of complements."""
        candidates = np.arange(1 << (self.kernels.length - closed))
        distance = self._distance(candidates)
        if closed:
            distance = np.minimum(distance, self._distance(~candidates))
        return distance

    def _distance(self, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        differing = (self.codes[:, None] ^ candidates[None, :]) & self.masks[:, None]
        distance: NDArray[np.int64] = np.bitwise_count(differing).astype(np.int64)
        return distance

    def most_frequent(self, count: int, closed: bool) -> NDArray[np.int64]:
        """Return the most frequent kernels, the lowest codes of equally frequent ones."""
        codes = _folded(self.codes, self.kernels.length, closed)
        every = 1 << (self.kernels.length - closed)
        frequency = np.bincount(codes, self.counts, minlength=every)
        return np.argsort(-frequency, kind="stable")[:count]

    def codebook(self, codes: NDArray[np.int64], tau: int, closed: bool) -> Codebook:
        """Return the codebook of these kernels (and complements), filled up with unused ones."""
        length = self.kernels.length
        size = 1 << (tau - closed)
        unused = np.setdiff1d(np.arange(2 * size), codes)[: size - len(codes)]
        codes = np.sort(np.concatenate([codes, unused]))
        if closed:
            codes = np.concatenate([codes, ~codes & (1 << length) - 1])
        subset = codes[:, None] >> np.arange(length) & 1
        nearest = self._distance(codes).argmin(axis=1)
        return Codebook(subset.astype(np.uint8), nearest[self.of].astype(np.int32))


def _patterns(kernels: Kernels) -> _Patterns:
    whole, of, counts = np.unique(kernels.whole, return_counts=True, return_inverse=True)
    short, ends, more = np.unique(kernels.short, return_counts=True, return_inverse=True)
    masks = np.repeat([kernels.length, kernels.tail], [len(whole), len(short)])
    return _Patterns(
        kernels,
        np.concatenate([whole, short]),
        np.concatenate([counts, more]),
        (np.int64(1) << masks) - 1,
        np.concatenate(
            [of.reshape(kernels.whole.shape), len(whole) + ends.reshape(kernels.short.shape)],
            axis=1,
        ),
    )


def _folded(codes: NDArray[np.int64], length: int, closed: bool) -> NDArray[np.int64]:
    """Return codes, of pairs of complements the lesser one where the subset is closed."""
    return np.minimum(codes, (1 << length) - 1 - codes) if closed else codes


def _uncovered(codes: NDArray[np.int64], kernels: Kernels, closed: bool) -> NDArray[np.int64]:
    """Return a kernel for each shorter vector that no kernel (or complement) begins with."""
    begun = _folded(codes & (1 << kernels.tail) - 1, kernels.tail, closed)
    return np.setdiff1d(_folded(kernels.short, kernels.tail, closed), begun)
