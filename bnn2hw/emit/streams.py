"""Options of the stream units that work on integers: what the model's layers are on wires.

On wires a bit is 0 or 1 and stands for -1 or +1, that is 2 b - 1: where a layer reads bits, its
constants are changed for numbers 0 and 1, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..model import Affine, Bipolar, Format, Quantize, SumPool, Tensor

__all__ = [
    "affine_options",
    "bit_levels",
    "element_interval",
    "quantize_options",
    "sum_pool_options",
]


def element_interval(form: Format) -> tuple[int, int]:
    """Return the least and greatest element of a format as a number on wires."""
    return (0, 1) if isinstance(form, Bipolar) else (form.low, form.high)


def affine_options(
    layer: Affine, sources: Sequence[Tensor], pipeline: int | None
) -> dict[str, object]:
    """Return the options of an :class:`~bnn2hw.gateware.affine.AffineUnit`."""
    channels = sources[0].channels
    weights = np.broadcast_to(layer.weights, (len(sources), channels))
    bits = np.array([isinstance(source.format, Bipolar) for source in sources])[:, None]
    return {
        "intervals": tuple(element_interval(source.format) for source in sources),
        "weights": np.where(bits, 2 * weights, weights),
        "offset": layer.offset - np.where(bits, weights, 0).sum(0),
        "shift": layer.shift,
        "low": layer.format.low,
        "high": layer.format.high,
        "pipeline": pipeline,
    }


def quantize_options(layer: Quantize, source: Tensor, pipeline: int | None) -> dict[str, object]:
    """Return the options of a :class:`~bnn2hw.gateware.quantize.QuantizeUnit`."""
    low, high = element_interval(source.format)
    direction = np.broadcast_to(layer.direction, source.channels)
    levels = np.broadcast_to(layer.levels, (source.channels, layer.count))
    if isinstance(source.format, Bipolar):
        levels = bit_levels(direction[:, None], levels)
    return {
        "direction": direction,
        "levels": levels,
        "low": low,
        "high": high,
        "pipeline": pipeline,
    }


def bit_levels(direction: NDArray[np.integer], level: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return levels for bits 0 and 1 that are levels for -1 and +1.

    direction * (2 b - 1) >= direction * level is direction * b >= direction * (level + 1) / 2.
    """
    facing = direction.astype(np.int64)
    return facing * -(-facing * (level + 1) // 2)


def sum_pool_options(layer: SumPool, source: Tensor) -> dict[str, object]:
    """Return the options of a :class:`~bnn2hw.gateware.pool.SumPool`."""
    low, high = element_interval(source.format)
    return {
        "size": source.shape[:2],
        "channels": source.channels,
        "kernel": layer.kernel,
        "stride": layer.stride,
        "low": low,
        "high": high,
        "bipolar": isinstance(source.format, Bipolar),
    }
