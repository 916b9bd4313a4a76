"""Folding a float expression and a sign to an integer threshold, exactly.

The expression is evaluated on every sum that a channel can reach, in the data type and order of
the source. What comes out is the same function, not an approximation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImportFailure
from ..model import Bipolar, Format, LinearLayer, Tensor, Threshold

__all__ = [
    "ReachableSums",
    "check_exact",
    "fold",
    "format_values",
    "is_nondecreasing",
    "is_order_preserving",
    "reachable_sums",
]

_CHUNK = 1 << 20
_LIMIT = 1 << 32

Function = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class ReachableSums:
    """The integers that each channel can take: ``low[channel] + offsets``.

    Attributes
    ----------
    low
        int64 (channels,): the least one.
    offsets
        int64 (count,), ascending from 0, the same for every channel: a channel's least sum
        moves with its weights, the distances between sums do not.
    """

    low: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """Yield the sums in ascending order, int64 (count of a chunk, channels)."""
        step = max(1, _CHUNK // len(self.low))
        for start in range(0, len(self.offsets), step):
            yield self.low + self.offsets[start : start + step, None]

    @property
    def greatest(self) -> int:
        """Return the greatest absolute value of all channels."""
        return max(abs(int(self.low.min())), abs(int(self.low.max() + self.offsets[-1])))


def format_values(form: Format) -> ReachableSums:
    """Return the values of a format, for one channel."""
    step = 2 if isinstance(form, Bipolar) else 1
    offsets = np.arange(0, form.high - form.low + 1, step, dtype=np.int64)
    return ReachableSums(np.array([form.low], dtype=np.int64), offsets)


def reachable_sums(layer: LinearLayer, source: Tensor) -> ReachableSums:
    """Return the sums that a layer reaches on an input, in all classes of border positions.

    N bipolar inputs reach -N, -N + 2, ..., N. With zero padding the border positions add those
    of fewer inputs, of either parity. Integer inputs reach every integer of the interval.
    """
    low, high = layer.sum_bounds(source)
    if not isinstance(source.format, Bipolar):
        spread = int(high[0, 0] - low[0, 0])
        step = 1 if source.format.low < source.format.high else max(spread, 1)
        return ReachableSums(low[0], np.arange(0, spread + 1, step, dtype=np.int64))
    # Every channel has as many inputs as any other, so the bounds are the same for all.
    counts = np.unique(high[:, 0])
    most = int(counts[-1])
    reached = np.zeros(2 * most + 1, dtype=np.bool_)
    for count in counts:
        reached[most - count : most + count + 1 : 2] = True
    return ReachableSums(low.min(axis=0), np.flatnonzero(reached).astype(np.int64))


def fold(function: Function, sums: ReachableSums, channels: int, *, layer: str) -> Threshold:
    """Return the threshold that gives 1 where the function of a sum is at least 0.

    Parameters
    ----------
    function
        From integers (count, channels) to floats of that shape; elementwise.
    sums
        Where it is evaluated; of one channel, or of as many as there are.
    channels
        Number of channels of the threshold.
    layer
        What errors call it.

    Returns
    -------
    Threshold
        Levels are reachable sums. A channel that is the same for all of them is constant.

    Raises
    ------
    ImportFailure
        If a channel is NaN somewhere, turns round more than once, or there are too many sums to
        try.
    """
    if len(sums.offsets) * channels > _LIMIT:
        raise ImportFailure(
            f"there are {len(sums.offsets)} sums of {channels} channels to try, which takes too "
            "long",
            layer=layer,
            remedy="quantise the input to fewer bits",
        )
    changes = np.zeros(channels, dtype=np.int64)
    level = np.zeros(channels, dtype=np.int64)
    start = next(sums.chunks())[:1]
    first = last = _bits(function, start, channels, layer)
    before = start
    for chunk in sums.chunks():
        bits = np.concatenate([last, _bits(function, chunk, channels, layer)])
        at = np.broadcast_to(np.concatenate([before, chunk]), bits.shape)
        turns = bits[1:] != bits[:-1]
        changes += turns.sum(axis=0)
        where = turns.argmax(axis=0) + ~first[0]  # a rising bit's first 1, a falling bit's last 1
        level = np.where(turns.any(axis=0), at[where, np.arange(channels)], level)
        last, before = bits[-1:], chunk[-1:]
    _check_turns(changes, layer)
    direction = np.where(changes == 0, 0, np.where(first[0], -1, 1)).astype(np.int8)
    return Threshold(direction, np.where(changes == 0, first[0], level).astype(np.int64))


def _bits(
    function: Function, sums: NDArray[np.int64], channels: int, layer: str
) -> NDArray[np.bool_]:
    values = np.broadcast_to(function(sums), (len(sums), channels))
    unknown = np.isnan(values)
    if unknown.any():
        at, channel = np.argwhere(unknown)[0]
        sum_ = np.broadcast_to(sums, values.shape)[at, channel]
        raise ImportFailure(
            f"the expression before its sign is not a number in channel {channel} at sum {sum_}",
            layer=layer,
            remedy="look for infinite scales and variances below zero",
        )
    bits: NDArray[np.bool_] = values >= 0
    return bits


def _check_turns(changes: NDArray[np.int64], layer: str) -> None:
    wrong = np.flatnonzero(changes > 1)
    if wrong.size:
        raise ImportFailure(
            f"the sign of channel {wrong[0]} changes {changes[wrong[0]]} times over its sums, "
            f"so that no threshold gives it ({wrong.size} channels in all)",
            layer=layer,
            remedy="use a scale, a batch norm or an offset before the sign, no reciprocal",
        )


def check_exact(sums: ReachableSums, dtype: np.dtype[Any], *, layer: str) -> None:
    """Check that every sum is exact in the data type, as integers have no other meaning there.

    Raises
    ------
    ImportFailure
        If the greatest sum is beyond the integers that the data type holds.
    """
    limit = 1 << (np.finfo(dtype).nmant + 1)
    if sums.greatest > limit:
        raise ImportFailure(
            f"sums reach {sums.greatest}, and {dtype} holds integers up to {limit} exactly",
            layer=layer,
            remedy="export the network with a wider float type",
        )


def is_order_preserving(function: Function, sums: ReachableSums, channels: int) -> bool:
    """Return whether comparing the function's values is comparing sums, across all channels.

    It is tried on all reachable sums: the function is the same for every channel and increases
    strictly, so that equal values come of equal sums alone.
    """
    low, high = int(sums.low.min()), int(sums.low.max() + sums.offsets[-1])
    shifts = np.unique((sums.low[:, None] + sums.offsets[None, :]).reshape(-1))
    assert low == shifts[0]
    assert high == shifts[-1]
    values = np.broadcast_to(function(shifts[:, None]), (len(shifts), channels))
    same = bool((values == values[:, :1]).all())
    return same and bool((values[1:, 0] > values[:-1, 0]).all())


def is_nondecreasing(function: Function, sums: ReachableSums, channels: int) -> bool:
    """Return whether a function rises or stays with the sum in every channel.

    It is tried on all reachable sums; one that is not a number somewhere is not nondecreasing.
    """
    before = np.full((1, channels), -np.inf)
    for chunk in sums.chunks():
        values = np.broadcast_to(function(chunk), (len(chunk), channels))
        values = np.concatenate([before, values])
        if not (values[1:] >= values[:-1]).all():
            return False
        before = values[-1:]
    return True
