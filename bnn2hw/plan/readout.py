"""How the values of an adder graph become the layer's outputs.

The graph computes match counts P of bits (or sums of integers); the layer is defined on signed
sums ``y = 2 P - N``. Sign, constant and border correction of a channel are folded here into one
integer comparison of its value, or into ``scale * value + offset`` where the layer gives sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from .graph import AdderGraph

__all__ = ["BitReadout", "Readout", "SumReadout", "fold_readout", "live_channels"]


@dataclass(frozen=True, eq=False)
class BitReadout:
    """One bit a channel.

    Attributes
    ----------
    value
        int32 (channels,): number of the graph value compared; -1 where the bit is constant.
    direction
        int8 (classes, channels): +1 is ``value >= level``, -1 is ``value <= level``, 0 is the
        constant bit ``level``.
    level
        int64 (classes, channels).

    There is one row for each class of border positions, and one row alone where borders do not
    matter. Levels of varying channels lie inside the value's interval, so that every comparison
    can come out both ways.
    """

    value: NDArray[np.int32]
    direction: NDArray[np.int8]
    level: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SumReadout:
    """The signed sum of a channel: ``scale * value + offset``.

    Attributes
    ----------
    value
        int32 (channels,): number of the graph value.
    scale
        int8 (channels,): -2, -1, +1 or +2.
    offset
        int64 (classes, channels).
    low, high
        Interval of the sums over all channels and classes: the output format.
    """

    value: NDArray[np.int32]
    scale: NDArray[np.int8]
    offset: NDArray[np.int64]
    low: int
    high: int


Readout = BitReadout | SumReadout


def live_channels(layer: LinearLayer, source: Tensor) -> NDArray[np.int64]:
    """Return the channels that must be computed: those whose output is not constant."""
    if layer.threshold is None:
        return np.arange(layer.channels)
    direction, _ = _reduced(layer, source)
    return np.flatnonzero((direction != 0).any(axis=0))


def _reduced(layer: LinearLayer, source: Tensor) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return direction and level (classes, channels) on signed sums, constants recognised."""
    assert layer.threshold is not None
    low, high = layer.sum_bounds(source)
    rows = [layer.threshold.reduced(*bounds) for bounds in zip(low, high, strict=True)]
    return np.stack([r.direction for r in rows]), np.stack([r.level for r in rows])


def fold_readout(layer: LinearLayer, source: Tensor, graph: AdderGraph) -> Readout:
    """Return the readout of a layer whose live channels the graph computes.

    With bits at the input, the value of an output is the match count over the patch as the
    hardware sees it, a padded zero being a 0 bit (-1): ``y = 2 P - N - sum of padded (-w)``.
    """
    matrix = layer.matrix().astype(np.int64)
    if isinstance(source.format, Bipolar):
        padded = ~layer.valid_taps(source)
        used = (matrix != 0).sum(axis=1)
        scale, shift = 2, padded.astype(np.int64) @ matrix.T - used[None, :]
    else:
        scale, shift = 1, np.zeros((1, layer.channels), dtype=np.int64)

    value = np.full(layer.channels, -1, dtype=np.int32)
    sign = np.ones(layer.channels, dtype=np.int64)
    constant = np.zeros(layer.channels, dtype=np.int64)
    for output in graph.outputs:
        value[output.channel] = output.value
        sign[output.channel] = output.sign
        constant[output.channel] = output.constant
    shift = shift + scale * constant  # y = scale * sign * value + shift

    if layer.threshold is None:
        low, high = layer.sum_bounds(source)
        return SumReadout(
            value, (scale * sign).astype(np.int8), shift, int(low.min()), int(high.max())
        )
    direction, level = _reduced(layer, source)
    varies = direction != 0
    # direction * y >= direction * level, solved for the value by exact integer division
    bound = direction * (level - shift)  # direction * scale * sign * value >= bound
    least = -((-bound) // scale)  # direction * sign * value >= least
    facing = (direction * sign).astype(np.int64)
    return BitReadout(
        np.where(varies.any(axis=0), value, -1).astype(np.int32),
        np.where(varies, facing, 0).astype(np.int8),
        np.where(varies, facing * least, level),
    )
