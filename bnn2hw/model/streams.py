"""Layers without binary weights: what happens to a stream of bits or integers on its way.

Pools, thresholds of their own, quantisers, weighted sums, upsampling, and the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .checks import checked_integers
from .formats import BIPOLAR, Format, Integer, Tensor
from .layers import Layer
from .threshold import Threshold

__all__ = [
    "Affine",
    "Argmax",
    "Binarize",
    "ChannelArgmax",
    "MaxPool",
    "Quantize",
    "SumPool",
    "Upsample",
]

_LEVEL_LIMIT = 1 << 40
_COUNT_LIMIT = (1 << 8) - 1
_SUM_LIMIT = 1 << 62
_MOST_FACTOR = 1 << 6


@dataclass(frozen=True, eq=False)
class _Pool(Layer):
    """Windows over a map, without padding."""

    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernel", "stride"):
            value = getattr(self, name)
            if len(value) != 2 or any(not 1 <= n <= 1 << 15 for n in value):
                raise ModelError(
                    f"{name} {value} must be 2 integers from 1 to {1 << 15}", layer=self.name
                )

    def _output(self, source: Tensor, form: Format) -> Tensor:
        """Return the shrunken map, in that format."""
        if len(source.shape) != 3 or any(
            n < k for n, k in zip(source.shape, self.kernel, strict=False)
        ):
            raise ModelError(
                f"a pool of {self.kernel} does not fit shape {source.shape}", layer=self.name
            )
        height, width = (
            (n - k) // s + 1
            for n, k, s in zip(source.shape[:2], self.kernel, self.stride, strict=True)
        )
        return Tensor((height, width, source.channels), form)


@dataclass(frozen=True, eq=False)
class MaxPool(_Pool):
    """The maximum over windows: OR where the input is bipolar. There is no padding."""

    def output(self, *inputs: Tensor) -> Tensor:
        """Return the shrunken map in the input's format."""
        (source,) = inputs
        return self._output(source, source.format)


@dataclass(frozen=True, eq=False)
class SumPool(_Pool):
    """The sum over windows, bits as +1 and -1: an average pool without its division."""

    def output(self, *inputs: Tensor) -> Tensor:
        """Return the shrunken map of integers."""
        (source,) = inputs
        form, taps = source.format, self.kernel[0] * self.kernel[1]
        return self._output(source, Integer(taps * form.low, taps * form.high, form.fraction))


@dataclass(frozen=True, eq=False)
class Binarize(Layer):
    """A threshold of its own, one a channel or one for all, of integers or bits as +1 and -1."""

    threshold: Threshold

    def output(self, *inputs: Tensor) -> Tensor:
        """Return the same shape, bipolar."""
        (source,) = inputs
        if self.threshold.channels not in (1, source.channels):
            raise ModelError(
                f"threshold has {self.threshold.channels} channels, the edge has {source.channels}",
                layer=self.name,
            )
        return Tensor(source.shape, BIPOLAR)


@dataclass(frozen=True, eq=False)
class Quantize(Layer):
    """Several thresholds a channel: integers, or bits as +1 and -1, to codes 0..count.

    The code of y is the number of levels with y >= level (direction +1) or y <= level (-1), so
    a channel of direction -1 falls where y rises.

    Attributes
    ----------
    direction
        int8 (channels,) of +1 and -1, or (1,) for all channels.
    levels
        int64 (channels, count), or (1, count) for all channels, within +-2**40; along count they
        ascend for +1 and descend for -1, and may repeat. At most 255, for codes of 8 bits.
    """

    direction: NDArray[np.int8]
    levels: NDArray[np.int64]

    def __post_init__(self) -> None:
        super().__post_init__()
        direction = checked_integers(
            self.direction, 1, "direction", dtype=np.int8, limit=1, layer=self.name
        )
        levels = checked_integers(self.levels, 2, "levels", limit=_LEVEL_LIMIT, layer=self.name)
        if not direction.all():
            raise ModelError("directions must be +1 or -1", layer=self.name)
        if levels.shape[1] > _COUNT_LIMIT:
            raise ModelError(
                f"has {levels.shape[1]} levels, at most {_COUNT_LIMIT} are possible",
                layer=self.name,
            )
        steps = np.diff(levels, axis=1)
        rising, falling = (steps >= 0).all(axis=1), (steps <= 0).all(axis=1)
        direction, levels = _alike(self.name, "directions", direction, "levels", levels)
        if not np.where(direction > 0, rising, falling).all():
            raise ModelError(
                "levels must ascend where the direction is +1, and descend where it is -1",
                layer=self.name,
                remedy="sort them: a code counts the levels that are passed",
            )
        object.__setattr__(self, "direction", direction)
        object.__setattr__(self, "levels", levels)

    @property
    def count(self) -> int:
        """Return the number of levels, which is the greatest code."""
        return int(self.levels.shape[1])

    def output(self, *inputs: Tensor) -> Tensor:
        """Return the same shape, integers 0..count."""
        (source,) = inputs
        _check_channels(self, len(self.direction), source)
        return Tensor(source.shape, Integer(0, self.count))


@dataclass(frozen=True, eq=False)
class Affine(Layer):
    """A weighted sum of edges, channel by channel, in fixed point: shifted, rounded, saturated.

    ``clip((sum_k weights[k] x_k + offset + half) >> shift, format.low, format.high)`` with half =
    2**(shift - 1), or 0 where shift is 0; ``>>`` rounds down, so the whole rounds to nearest and
    half up. Bits count as +1 and -1. It serves residual sums, means of bases, gates, folded batch
    norms of real-valued streams, and ReLU (weight 1, shift 0, a format from 0 on).

    Attributes
    ----------
    weights
        int64 (inputs, channels), or (inputs, 1) for all channels.
    offset
        int64 (channels,), or (1,) for all channels.
    shift
        0 to 62 bits.
    format
        Of the output.
    """

    weights: NDArray[np.int64]
    offset: NDArray[np.int64]
    shift: int
    format: Integer

    arity: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = checked_integers(self.weights, 2, "weights", limit=_SUM_LIMIT, layer=self.name)
        offset = checked_integers(self.offset, 1, "offset", limit=_SUM_LIMIT, layer=self.name)
        if not 0 <= self.shift <= 62:
            raise ModelError(f"shift {self.shift} is not 0 to 62", layer=self.name)
        if len(weights) != len(self.inputs):
            raise ModelError(
                f"has weights for {len(weights)} inputs and {len(self.inputs)} inputs",
                layer=self.name,
            )
        offset, columns = _alike(self.name, "offsets", offset, "weights", weights.T)
        object.__setattr__(self, "weights", columns.T)
        object.__setattr__(self, "offset", offset)

    @property
    def half(self) -> int:
        """Return what is added before the shift, so that it rounds half up."""
        return (1 << self.shift) >> 1

    def sum_bounds(self, *inputs: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the exact least and greatest of ``sum + offset + half``, int64 (channels,).

        Raises
        ------
        ModelError
            If a sum, or a part of it, could leave 63 bits.
        """
        most = int(np.abs(self.offset).max()) + self.half
        for row, tensor in zip(self.weights, inputs, strict=True):
            most += int(np.abs(row).max()) * max(abs(tensor.format.low), abs(tensor.format.high))
        if most >= _SUM_LIMIT:
            raise ModelError(
                f"sums of up to {most} do not fit 63 bits",
                layer=self.name,
                remedy="give weights and offset fewer bits, and a smaller shift",
            )
        low = np.array([[tensor.format.low] for tensor in inputs])
        high = np.array([[tensor.format.high] for tensor in inputs])
        plus, minus = np.maximum(self.weights, 0), np.minimum(self.weights, 0)
        constant = self.offset + self.half
        return (
            (plus * low + minus * high).sum(0) + constant,
            (plus * high + minus * low).sum(0) + constant,
        )

    def output(self, *inputs: Tensor) -> Tensor:
        """Return the inputs' shape in the layer's format."""
        shapes = sorted({tensor.shape for tensor in inputs})
        if len(shapes) > 1:
            raise ModelError(
                f"reads edges of different shapes, {' and '.join(map(str, shapes))}",
                layer=self.name,
            )
        _check_channels(self, len(self.offset), inputs[0])
        self.sum_bounds(*inputs)
        return Tensor(inputs[0].shape, self.format)


@dataclass(frozen=True, eq=False)
class Upsample(Layer):
    """Bilinear upsampling of a map, exact in fixed point: the head of FCN-32s and FCN-16s.

    Output position o lies at ``(o + 1/2) / factor - 1/2`` of the input, between two positions an
    axis; beyond the map its edges go on. That is the transposed convolution of the map so
    enlarged, of that stride, with a bilinear kernel of ``2 * factor`` taps. In units of ``1 / (2
    * factor)`` an axis the weights are integers, so the output has ``2 * log2(2 * factor)`` bits
    of fraction more, and nothing is rounded.

    Attributes
    ----------
    factor
        A power of two, 2 to 64.
    """

    factor: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.factor <= _MOST_FACTOR or self.factor & (self.factor - 1):
            raise ModelError(
                f"factor {self.factor} is none of 2, 4, 8 to {_MOST_FACTOR}", layer=self.name
            )

    def output(self, *inputs: Tensor) -> Tensor:
        """Return the larger map, integers with more bits of fraction."""
        (source,) = inputs
        if len(source.shape) != 3:
            raise ModelError(f"reads a map and gets shape {source.shape}", layer=self.name)
        height, width, channels = source.shape
        unit, form = (2 * self.factor) ** 2, source.format
        return Tensor(
            (height * self.factor, width * self.factor, channels),
            Integer(form.low * unit, form.high * unit, form.fraction + unit.bit_length() - 1),
        )


@dataclass(frozen=True, eq=False)
class Argmax(Layer):
    """The class: the index of the greatest input, the first or the last of equal ones."""

    ties: Literal["first", "last"] = "first"

    def output(self, *inputs: Tensor) -> Tensor:
        """Return one integer, the index."""
        (source,) = inputs
        _check_ties(self.ties, self.name)
        return Tensor((1,), Integer(0, source.size - 1))


@dataclass(frozen=True, eq=False)
class ChannelArgmax(Layer):
    """The class of every position: the index of its greatest channel, as in segmentation."""

    ties: Literal["first", "last"] = "first"

    def output(self, *inputs: Tensor) -> Tensor:
        """Return one integer a position, the index."""
        (source,) = inputs
        _check_ties(self.ties, self.name)
        return Tensor((*source.shape[:-1], 1), Integer(0, source.channels - 1))


def _check_ties(ties: str, layer: str) -> None:
    if ties not in ("first", "last"):
        raise ModelError(f"ties go to 'first' or 'last', not {ties!r}", layer=layer)


def _alike(
    layer: str, what: str, array: NDArray[np.int64], other: str, second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return two arrays with as many rows, one row being repeated; both read-only."""
    rows = max(len(array), len(second))
    if {len(array), len(second)} - {1, rows}:
        raise ModelError(
            f"has {what} for {len(array)} channels and {other} for {len(second)}", layer=layer
        )
    return (
        np.broadcast_to(array, (rows, *array.shape[1:])),
        np.broadcast_to(second, (rows, *second.shape[1:])),
    )


def _check_channels(layer: Layer, channels: int, source: Tensor) -> None:
    """Check that a layer has one row, or one for each channel of the edge."""
    if channels not in (1, source.channels):
        raise ModelError(
            f"has parameters for {channels} channels, the edge has {source.channels}",
            layer=layer.name,
        )
