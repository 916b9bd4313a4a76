"""The kernels of a layer: which binary kernels its weights are made of, and how often.

A kernel is the weights of one output and one input channel, flattened (ky, kx). Layers without a
kernel of that kind, 1x1 convolutions and dense layers, are cut into vectors of 8 consecutive
inputs (sub-bit supplement, section C); the last vector may be shorter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model.layers import BinaryConv, LinearLayer
from .counting import VECTOR

__all__ = ["vector_of_inputs"]


def has_kernels(layer: LinearLayer) -> bool:
    """Return whether a layer's kernels are larger than 1x1; vectors take their place if not."""
    return isinstance(layer, BinaryConv) and layer.kernel != (1, 1)


def vector_of_inputs(layer: LinearLayer, inputs: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return which kernel or vector each of a group's inputs belongs to, int64 (inputs,).

    ``inputs`` are numbers of the flattened patch, all that the group reads, ascending.
    """
    if has_kernels(layer):
        assert isinstance(layer, BinaryConv)
        return inputs.astype(np.int64) % layer.input_channels
    return np.arange(len(inputs)) // VECTOR
