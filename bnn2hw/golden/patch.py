"""Single output positions: the vectors a layer core reads, and what it must answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..model import BinaryConv, Bipolar, LinearLayer, Tensor
from .values import apply_threshold, check_values, exact_dtype, magnitude, signed

__all__ = ["layer_outputs", "layer_sums", "patches"]

_CHUNK_ELEMENTS = 1 << 22
"""Elements of patches and sums that are numbers at one time."""


def patches(
    layer: LinearLayer, source: Tensor, activations: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the input vector and the border class of every output position.

    Parameters
    ----------
    layer
        A convolution or a dense layer.
    source
        The edge that it reads.
    activations
        Integers of shape (batch, *source.shape); bits 0 and 1 where the source is bipolar.

    Returns
    -------
    patches
        Shape (count, N), elements in (ky, kx, channel) order, positions in (image, y, x) order;
        uint8 bits, or int32 or int64 integers. A padded tap holds the padding value; where zeros
        pad bits it holds a 0 bit, and the class says that it does not count.
    classes
        int64 (count,): row of :meth:`~bnn2hw.model.LinearLayer.valid_taps`.

    Raises
    ------
    ModelError
        If the activations do not fit the source.
    """
    values = check_values(activations, source.shape, source.format, "activations")
    if not isinstance(layer, BinaryConv):
        return values.reshape(len(values), layer.patch_size()), np.zeros(len(values), np.int64)
    top, left, bottom, right = layer.padding
    bits = isinstance(source.format, Bipolar)
    filler = int(layer.padding_value > 0) if bits else layer.padding_value
    padded = np.pad(
        values,
        ((0, 0), (top, bottom), (left, right), (0, 0)),
        constant_values=values.dtype.type(filler),
    )
    height, width = layer.output_size(*source.shape[:2])
    rows, columns = (
        np.arange(count)[:, None] * stride + np.arange(taps)[None, :] * dilation
        for count, taps, stride, dilation in zip(
            (height, width), layer.kernel, layer.stride, layer.dilation, strict=True
        )
    )
    # (batch, y, x, ky, kx, channel)
    windows = padded[:, rows[:, None, :, None], columns[None, :, None, :]]
    classes = np.tile(layer.border_classes(source).reshape(-1), len(values))
    return windows.reshape(len(classes), layer.patch_size()), classes


def layer_sums(
    layer: LinearLayer, source: Tensor, patches: NDArray[Any], classes: NDArray[Any]
) -> NDArray[np.int64]:
    """Return the signed sums ``y = W a`` of patches, int64 (count, channels).

    Taps that do not count in a patch's border class add nothing, whatever they hold.

    Parameters
    ----------
    layer, source
        As for :func:`patches`.
    patches, classes
        As :func:`patches` returns them.

    Raises
    ------
    ModelError
        If patches or classes do not fit the layer.
    """
    terms = layer.patch_size()
    values = check_values(patches, (terms,), source.format, f"patches of {layer.name}")
    taps = layer.valid_taps(source)
    rows = _check_classes(classes, len(values), len(taps))
    dtype = exact_dtype(terms, magnitude(source.format))
    weights = layer.matrix().T.astype(dtype)
    sums = np.empty((len(values), layer.channels), np.int64)
    step = max(1, _CHUNK_ELEMENTS // (terms + layer.channels))
    for start in range(0, len(values), step):
        part = slice(start, start + step)
        a = signed(values[part], source.format, dtype)
        if len(taps) > 1 or not taps.all():
            a *= taps[rows[part]]
        sums[part] = a @ weights
    return sums


def layer_outputs(
    layer: LinearLayer, source: Tensor, patches: NDArray[Any], classes: NDArray[Any]
) -> NDArray[Any]:
    """Return what a layer core answers to patches, shape (count, channels).

    uint8 bits where the layer has a threshold, else int64 signed sums. Parameters and errors are
    those of :func:`layer_sums`.
    """
    sums = layer_sums(layer, source, patches, classes)
    return sums if layer.threshold is None else apply_threshold(sums, layer.threshold)


def _check_classes(classes: Any, count: int, limit: int) -> NDArray[np.int64]:
    """Return border classes as int64 (count,), after a check."""
    array = np.asarray(classes)
    if array.dtype.kind not in "iu" or array.shape != (count,):
        raise ModelError(
            f"border classes are {array.dtype} of shape {array.shape}, expected integers of "
            f"shape ({count},)"
        )
    if count and not 0 <= array.min() <= array.max() < limit:
        raise ModelError(
            f"border classes go from {array.min()} to {array.max()}, expected 0 to {limit - 1}"
        )
    return array.astype(np.int64)
