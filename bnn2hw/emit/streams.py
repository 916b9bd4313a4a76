"""Options of the stream units that work on integers: what the model's layers are on wires.

On wires a bit is 0 or 1 and stands for -1 or +1, that is 2 b - 1: where a layer reads bits, its
constants are changed for numbers 0 and 1, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError
from ..model import Affine, Binarize, Bipolar, Format, Quantize, SumPool, Tensor

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
    layers: Sequence[Affine], sources: Sequence[Tensor], pipeline: int | None
) -> dict[str, object]:
    """Return the options of an :class:`~bnn2hw.gateware.affine.AffineUnit`.

    ``layers`` take turns, and ``sources`` hold what each of them reads. They get the greatest
    shift of all, which changes no result: what a layer's own shift would have dropped still is.

    Raises
    ------
    PlanError
        If that shift makes weights too wide.
    """
    channels = sources[0].channels
    bits = np.array([isinstance(source.format, Bipolar) for source in sources])[:, None]
    shift = max(layer.shift for layer in layers)
    rows, offsets = [], []
    for layer in layers:
        more = shift - layer.shift
        if max(np.abs(layer.weights).sum(), np.abs(layer.offset).max()) >= 1 << 61 - more:
            raise PlanError("weights do not fit 62 bits beside other bases'", layer=layer.name)
        weights = np.broadcast_to(layer.weights << more, (len(sources), channels))
        offset = (layer.offset << more) - np.where(bits, weights, 0).sum(0)
        rows.append(np.where(bits, 2 * weights, weights))
        offsets.append(offset)
    return {
        "intervals": tuple(element_interval(source.format) for source in sources),
        "weights": np.stack(rows),
        "offset": np.stack(offsets),
        "shift": shift,
        "low": tuple(layer.format.low for layer in layers),
        "high": tuple(layer.format.high for layer in layers),
        "pipeline": pipeline,
    }


def quantize_options(
    layers: Sequence[Quantize | Binarize], source: Tensor, pipeline: int | None
) -> dict[str, object]:
    """Return the options of a :class:`~bnn2hw.gateware.quantize.QuantizeUnit`.

    ``layers`` take turns, and ``source`` holds what each of them reads. A threshold is one level;
    where it is constant, that is out of reach or always passed.
    """
    low, high = element_interval(source.format)
    directions, rows = [], []
    for layer in layers:
        if isinstance(layer, Binarize):
            facing, level = layer.threshold.direction, layer.threshold.level[:, None]
        else:
            facing, level = layer.direction, layer.levels
        facing = np.broadcast_to(facing, source.channels)
        levels = np.broadcast_to(level, (source.channels, level.shape[1]))
        fixed = facing[:, None] == 0
        if isinstance(source.format, Bipolar):
            levels = np.where(fixed, levels, bit_levels(facing[:, None], levels))
        rows.append(np.where(fixed, np.where(levels > 0, low, high + 1), levels))
        directions.append(np.where(facing == 0, 1, facing).astype(np.int8))
    return {
        "direction": np.stack(directions),
        "levels": np.stack(rows),
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
