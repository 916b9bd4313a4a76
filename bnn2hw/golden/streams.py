"""The meaning of the layers without binary weights, on whole images, in integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model import Affine, Argmax, ChannelArgmax, MaxPool, Quantize, SumPool, Tensor, Upsample
from .values import edge_dtype, positions, signed

__all__ = ["affine", "argmax", "channel_argmax", "max_pool", "quantize", "sum_pool", "upsample"]


def max_pool(layer: MaxPool, source: Tensor, edge: NDArray[Any]) -> NDArray[Any]:
    """Return the maximum over windows, in the edge's dtype."""
    first, *others = _windows(layer, source, edge)
    result = first.copy()
    for window in others:
        np.maximum(result, window, out=result)
    return result


def sum_pool(layer: SumPool, source: Tensor, edge: NDArray[Any]) -> NDArray[Any]:
    """Return the sum over windows, bits as +1 and -1."""
    values = signed(edge, source.format, edge_dtype(layer.output(source).format))
    first, *others = _windows(layer, source, values)
    result = first.copy()
    for window in others:
        result += window
    return result


def _windows(
    layer: MaxPool | SumPool, source: Tensor, edge: NDArray[Any]
) -> Iterator[NDArray[Any]]:
    """Yield, for each tap of the kernel, what it sees at all output positions."""
    height, width, _ = layer.output(source).shape
    for ky, kx in np.ndindex(*layer.kernel):
        rows = positions(ky, 1, layer.stride[0], height)
        yield edge[:, rows, positions(kx, 1, layer.stride[1], width)]


def quantize(layer: Quantize, source: Tensor, edge: NDArray[Any]) -> NDArray[np.int32]:
    """Return the codes: how many levels of its channel each value passes."""
    values = signed(edge, source.format, np.int64)
    direction = layer.direction.astype(np.int64)
    values *= direction
    codes = np.zeros(values.shape, np.int32)
    for level in layer.levels.T:
        codes += values >= level * direction
    return codes


def affine(layer: Affine, sources: Sequence[Tensor], edges: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the weighted sum, shifted with half up and saturated.

    The layer holds every partial sum within 63 bits, so int64 is exact; its ``>>`` rounds down.
    """
    total = np.zeros(edges[0].shape, np.int64)
    total += layer.offset + layer.half
    for weights, source, edge in zip(layer.weights, sources, edges, strict=True):
        term = signed(edge, source.format, np.int64)
        term *= weights
        total += term
    total >>= layer.shift
    np.clip(total, layer.format.low, layer.format.high, out=total)
    return total.astype(edge_dtype(layer.format), copy=False)


def argmax(layer: Argmax, edge: NDArray[Any]) -> NDArray[np.int64]:
    """Return the index of the greatest element, shape (batch, 1)."""
    return _greatest(edge.reshape(len(edge), -1), layer.ties)


def channel_argmax(layer: ChannelArgmax, edge: NDArray[Any]) -> NDArray[np.int64]:
    """Return the index of the greatest channel of every position."""
    return _greatest(edge, layer.ties)


def _greatest(values: NDArray[Any], ties: str) -> NDArray[np.int64]:
    """Return the index of the greatest element along the last axis, which becomes 1."""
    if ties == "first":
        return np.asarray(values.argmax(axis=-1, keepdims=True))
    last = values.shape[-1] - 1
    return np.asarray(last - values[..., ::-1].argmax(axis=-1, keepdims=True))


def upsample(layer: Upsample, source: Tensor, edge: NDArray[Any]) -> NDArray[Any]:
    """Return the map between its positions, first along y, then along x."""
    values = signed(edge, source.format, edge_dtype(layer.output(source).format))
    for axis in (1, 2):
        place = np.arange(values.shape[axis] * layer.factor)
        near = place // layer.factor
        # how far o lies from the middle of the nearest position, in units of 1 / (2 factor)
        off = 2 * (place % layer.factor) + 1 - layer.factor
        far = np.clip(near + np.sign(off), 0, values.shape[axis] - 1)
        share = np.abs(off).astype(values.dtype).reshape(-1, *[1] * (3 - axis))
        mixed, other = values.take(near, axis), values.take(far, axis)
        mixed *= 2 * layer.factor - share
        other *= share
        mixed += other
        values = mixed
    return values
