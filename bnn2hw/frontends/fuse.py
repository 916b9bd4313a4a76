"""Moving thresholds into the layers whose sums they compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..model import Binarize, Layer, LinearLayer, MaxPool, Threshold

__all__ = ["fuse_thresholds"]


def fuse_thresholds(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the same network with as few :class:`Binarize` as can be.

    A linear layer takes over the threshold of a Binarize that is its only reader. Where
    max-pools lie between, the threshold moves before them if none of its channels falls: then
    the threshold of a maximum is the maximum of the thresholds, and pooling bits is an OR.
    """
    result = list(layers)
    for binarize in layers:
        if isinstance(binarize, Binarize):
            result = _fused(result, binarize)
    return tuple(result)


def _fused(layers: list[Layer], binarize: Binarize) -> list[Layer]:
    by_name = {layer.name: layer for layer in layers}
    readers = [edge for layer in layers for edge in layer.inputs]
    pooled = False
    source = by_name.get(binarize.inputs[0])
    while isinstance(source, MaxPool) and readers.count(source.name) == 1:
        pooled = True
        source = by_name.get(source.inputs[0])
    if not isinstance(source, LinearLayer) or source.threshold is not None:
        return layers
    if readers.count(source.name) != 1 or (pooled and (binarize.threshold.direction < 0).any()):
        return layers
    linear = replace(source, threshold=_for_channels(binarize.threshold, source.channels))
    kept = [linear if layer is source else layer for layer in layers if layer is not binarize]
    return [_renamed(layer, binarize.name, binarize.inputs[0]) for layer in kept]


def _for_channels(threshold: Threshold, channels: int) -> Threshold:
    if threshold.channels == channels:
        return threshold
    return Threshold(
        np.broadcast_to(threshold.direction, channels), np.broadcast_to(threshold.level, channels)
    )


def _renamed(layer: Layer, old: str, new: str) -> Layer:
    if old not in layer.inputs:
        return layer
    return replace(layer, inputs=tuple(new if edge == old else edge for edge in layer.inputs))
