"""Folding a layer's threshold, border classes and channel constants into its readout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from .graph import Output
from .outputs import BitReadout, Readout, SumReadout

__all__ = [
    "BitReadout",
    "Readout",
    "SumReadout",
    "fold_readout",
    "live_channels",
    "single_thresholds",
]


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


def single_thresholds(
    layer: LinearLayer, source: Tensor
) -> tuple[NDArray[np.int8], NDArray[np.int64]] | None:
    """Return direction and level (channels,) on signed sums, the same at every position.

    None where the layer gives sums, or where thresholds differ between border positions.
    """
    if layer.threshold is None:
        return None
    direction, level = _reduced(layer, source)
    return (direction[0], level[0]) if len(level) == 1 else None


def fold_readout(layer: LinearLayer, source: Tensor, outputs: Sequence[Output]) -> Readout:
    """Return the readout of a layer whose live channels these outputs give.

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
    for output in outputs:
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
