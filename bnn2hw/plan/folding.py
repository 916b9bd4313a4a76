"""Folding: weights and constants of a layer that few processing elements compute in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..model.formats import Bipolar, Tensor
from ..model.layers import BinaryConv, LinearLayer
from .graph import Output
from .jobs import Job
from .outputs import BitReadout
from .readout import fold_readout, live_channels

__all__ = ["Folding", "fold_job", "plan_folding"]


@dataclass(frozen=True, eq=False)
class Folding:
    """How a layer is computed by processing elements, each of which reads some inputs a cycle.

    Attributes
    ----------
    layer
        Name of the layer, or of the job whose layers take turns.
    pes, simd
        Processing elements, and inputs of each in a cycle.
    weights
        uint8 bits (channels, inputs of a group); the channels of all turns one behind the other.
    constants
        int64 (border classes, channels): levels of ``value >= level``, or the constants of sums.
    bounds
        Least and greatest value of a channel.
    sums
        Scale, width and sign of sums; None where bits come out.
    turns
        Layers that take turns.
    groups, taps
        Of a convolution in groups: groups, and positions of its kernel. Else one of each.
    """

    layer: str
    pes: int
    simd: int
    weights: NDArray[np.uint8]
    constants: NDArray[np.int64]
    bounds: tuple[int, int]
    sums: tuple[int, int, bool] | None
    turns: int = 1
    groups: int = 1
    taps: int = 1

    @property
    def cycles(self) -> int:
        """Return the cycles of an output position in a turn."""
        channels, inputs = map(int, self.weights.shape)
        return -(-channels // self.turns // self.pes) * -(-inputs // self.simd)


def plan_folding(layer: LinearLayer, source: Tensor, pes: int, simd: int) -> Folding:
    """Return the folding of a layer; numbers beyond its channels and inputs mean all of them.

    A channel that compares downwards is computed with all its weights turned, so that every
    comparison goes one way.
    """
    bits = isinstance(source.format, Bipolar)
    weights = layer.weights.reshape(layer.channels, -1).copy()
    channels, inputs = weights.shape
    groups = {}
    if isinstance(layer, BinaryConv) and layer.groups > 1:
        groups = {"groups": layer.groups, "taps": layer.kernel[0] * layer.kernel[1]}
    outputs = tuple(Output(int(k), int(k)) for k in live_channels(layer, source))
    low, high = source.format.low, source.format.high
    magnitude = inputs * max(abs(low), abs(high))
    least, greatest = (0, inputs) if bits else (-magnitude, magnitude)
    readout = fold_readout(layer, source, outputs)
    sums = None
    if isinstance(readout, BitReadout):
        down = (readout.direction < 0).any(axis=0)
        weights[down] ^= 1
        # The turned value is the greatest and the least one together less the value itself.
        level = np.where(down, least + greatest - readout.level, readout.level)
        fixed = np.where(readout.level > 0, least, greatest + 1)
        constants = np.where(readout.direction == 0, fixed, level)
    else:
        constants = readout.offset
        span = sum_format(readout.low, readout.high)
        sums = (2 if bits else 1, *span)
    return Folding(
        layer.name, min(pes, channels), min(simd, inputs), weights, constants, (least, greatest),
        sums, **groups,
    )  # fmt: skip


def fold_job(job: Job, pes: int, simd: int) -> Folding:
    """Return the folding of a layer, or of layers that take turns; see :func:`plan_folding`."""
    layers = [layer for layer in job.layers if isinstance(layer, LinearLayer)]
    parts = [plan_folding(layer, job.inputs[0], pes, simd) for layer in layers]
    sums, form = parts[0].sums, job.output.format
    return replace(
        parts[0],
        layer=job.name,
        weights=np.concatenate([part.weights for part in parts]),
        constants=np.concatenate([part.constants for part in parts], axis=1),
        sums=sums and (sums[0], form.width, form.signed),
        turns=len(parts),
    )


def sum_format(low: int, high: int) -> tuple[int, bool]:
    """Return width and sign of sums, at least one bit wide."""
    if low < 0:
        return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1, True
    return max(high.bit_length(), 1), False
