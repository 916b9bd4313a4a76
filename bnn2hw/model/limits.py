"""How large a network may be, so that a small file cannot ask for much memory or time."""

from __future__ import annotations

from ..errors import ModelError
from .formats import Tensor
from .layers import BinaryConv, Layer, LinearLayer

__all__ = ["KERNEL_LIMIT", "MATRIX_LIMIT", "SIDE_LIMIT", "check_input", "check_layer"]

SIDE_LIMIT = 1 << 14
"""Greatest height and width of an input map."""

KERNEL_LIMIT = 1 << 8
"""Greatest height and width of a kernel."""

MATRIX_LIMIT = 1 << 27
"""Greatest number of weights times groups: the size of the matrix that they stand for."""


def check_input(tensor: Tensor) -> None:
    """Check the size of the network's input.

    Raises
    ------
    ModelError
        If a map is larger than :data:`SIDE_LIMIT` along a side.
    """
    if len(tensor.shape) == 3 and max(tensor.shape[:2]) > SIDE_LIMIT:
        raise ModelError(f"input shape {tensor.shape} is larger than {SIDE_LIMIT} along a side")


def check_layer(layer: Layer) -> None:
    """Check the size of a layer.

    Raises
    ------
    ModelError
        If its weights or its kernel are larger than the limits.
    """
    if not isinstance(layer, LinearLayer):
        return
    groups = layer.groups if isinstance(layer, BinaryConv) else 1
    if layer.weights.size * groups > MATRIX_LIMIT:
        raise ModelError(
            f"weights of shape {layer.weights.shape} in {groups} groups make a matrix of more "
            f"than {MATRIX_LIMIT} elements",
            layer=layer.name,
        )
    if isinstance(layer, BinaryConv) and max(layer.kernel) > KERNEL_LIMIT:
        raise ModelError(
            f"kernel {layer.kernel} is larger than {KERNEL_LIMIT} along a side", layer=layer.name
        )
