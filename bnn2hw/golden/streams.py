"""The meaning of the layers without binary weights, on whole images, in integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model import Affine, Argmax, MaxPool, Quantize, SumPool, Tensor
from .values import edge_dtype, positions, signed

__all__ = ["affine", "argmax", "max_pool", "quantize", "sum_pool"]


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
    flat = edge.reshape(len(edge), -1)
    if layer.ties == "first":
        return np.asarray(flat.argmax(axis=1, keepdims=True))
    return np.asarray(flat.shape[1] - 1 - flat[:, ::-1].argmax(axis=1, keepdims=True))
