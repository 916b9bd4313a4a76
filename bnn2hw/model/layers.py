"""The layers of a network as integers: frozen dataclasses that validate themselves.

Weights are uint8 bits, 1 for +1 and 0 for -1. A linear layer computes signed sums
``y = W a`` with W in {-1, +1} and, where it has a threshold, bits of them. Vectors flatten in
(ky, kx, channel) order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .formats import BIPOLAR, Bipolar, Format, Integer, Tensor
from .threshold import Threshold

__all__ = [
    "Argmax",
    "Binarize",
    "BinaryConv",
    "BinaryDense",
    "Layer",
    "LinearLayer",
    "MaxPool",
]


def _check_weights(weights: NDArray[np.uint8], ndim: int, layer: str) -> NDArray[np.uint8]:
    array = np.asarray(weights)
    if array.dtype.kind not in "iub" or array.ndim != ndim or array.size == 0:
        raise ModelError(
            f"weights must be {ndim}-dimensional bits, not {array.dtype} of shape {array.shape}",
            layer=layer,
        )
    if array.min() < 0 or array.max() > 1:
        raise ModelError(
            "weights must be bits, 1 for +1 and 0 for -1",
            layer=layer,
            remedy="store (sign + 1) / 2",
        )
    array = np.array(array, dtype=np.uint8)
    array.flags.writeable = False
    return array


def _check_threshold(threshold: Threshold | None, channels: int, layer: str) -> None:
    if threshold is not None and threshold.channels != channels:
        raise ModelError(
            f"threshold has {threshold.channels} channels, the layer has {channels}", layer=layer
        )


@dataclass(frozen=True, eq=False)
class Layer:
    """A node of the network: a name and the names of the edges it reads.

    An edge bears the name of the layer that drives it; ``input`` is the network's input.
    """

    name: str
    inputs: tuple[str, ...]

    arity: ClassVar[int] = 1

    def __post_init__(self) -> None:
        ok = self.name and all(c.isascii() and (c.isalnum() or c == "_") for c in self.name)
        if not ok or self.name[0].isdigit() or self.name == "input":
            raise ModelError(
                f"layer name {self.name!r} is not usable",
                remedy="use letters, digits and underscores, starting with a letter",
            )
        if len(self.inputs) != self.arity:
            raise ModelError(
                f"has {len(self.inputs)} inputs and takes {self.arity}", layer=self.name
            )

    def output(self, *inputs: Tensor) -> Tensor:
        """Return shape and format of the output for these inputs.

        Raises
        ------
        ModelError
            If the layer cannot read them.
        """
        raise TypeError(f"{type(self).__name__} is abstract")


@dataclass(frozen=True, eq=False)
class LinearLayer(Layer):
    """A binary linear map, with an optional threshold: what a layer core computes.

    Attributes
    ----------
    weights
        uint8 bits; the first axis is the output channel.
    threshold
        Bits come out where it is given, signed sums where it is None.
    """

    weights: NDArray[np.uint8]
    threshold: Threshold | None = None

    @property
    def channels(self) -> int:
        """Return the number of output channels."""
        return int(self.weights.shape[0])

    def matrix(self) -> NDArray[np.int8]:
        """Return W, int8 of shape (channels, N): -1, +1, and 0 where a group has no weight."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def patch_size(self) -> int:
        """Return N, the number of inputs of one output position."""
        return int(self.matrix().shape[1])

    def valid_taps(self, source: Tensor) -> NDArray[np.bool_]:
        """Return bool (classes, N): which taps count, for each class of border positions.

        There is one class, with all taps, unless bits are padded with zeros.
        """
        return np.ones((1, self.patch_size()), dtype=np.bool_)

    def sum_bounds(self, source: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the exact least and greatest sum, int64 (classes, channels)."""
        taps = self.valid_taps(source).astype(np.int64)
        matrix = self.matrix()
        plus = taps @ (matrix > 0).T.astype(np.int64)
        minus = taps @ (matrix < 0).T.astype(np.int64)
        low, high = source.format.low, source.format.high
        return plus * low - minus * high, plus * high - minus * low

    def _output_format(self, source: Tensor) -> Format:
        if self.threshold is not None:
            return BIPOLAR
        low, high = self.sum_bounds(source)
        return Integer(int(low.min()), int(high.max()))


@dataclass(frozen=True, eq=False)
class BinaryDense(LinearLayer):
    """A binary dense layer; weights (outputs, inputs). Maps are flattened (y, x, channel)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weights", _check_weights(self.weights, 2, self.name))
        _check_threshold(self.threshold, self.channels, self.name)

    def matrix(self) -> NDArray[np.int8]:
        """Return W, int8 (outputs, inputs)."""
        return (2 * self.weights.astype(np.int8) - 1).astype(np.int8)

    def patch_size(self) -> int:
        """Return the number of inputs."""
        return int(self.weights.shape[1])

    def output(self, *inputs: Tensor) -> Tensor:
        """Return (outputs,), bipolar or integer."""
        (source,) = inputs
        if source.size != self.patch_size():
            raise ModelError(
                f"reads {self.patch_size()} inputs and gets {source.size} of shape {source.shape}",
                layer=self.name,
            )
        return Tensor((self.channels,), self._output_format(source))


@dataclass(frozen=True, eq=False)
class BinaryConv(LinearLayer):
    """A binary convolution; weights (outputs, ky, kx, inputs / groups).

    Attributes
    ----------
    stride, dilation
        (vertical, horizontal), at least 1.
    padding
        (top, left, bottom, right) positions, with ``padding_value`` -1, 0 or +1 in them.
    groups
        Output channel o reads the input channels of group ``o // (outputs / groups)``.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    padding_value: Literal[-1, 0, 1] = 0
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weights", _check_weights(self.weights, 4, self.name))
        _check_threshold(self.threshold, self.channels, self.name)
        for name, size, least in (("stride", 2, 1), ("dilation", 2, 1), ("padding", 4, 0)):
            value = getattr(self, name)
            if len(value) != size or any(not 0 <= n <= 1 << 15 or n < least for n in value):
                raise ModelError(
                    f"{name} {value} must be {size} integers from {least} to {1 << 15}",
                    layer=self.name,
                )
        if self.padding_value not in (-1, 0, 1):
            raise ModelError(
                f"padding value {self.padding_value} is not -1, 0 or +1", layer=self.name
            )
        if self.groups < 1 or self.channels % self.groups:
            raise ModelError(
                f"{self.groups} groups do not divide {self.channels} channels", layer=self.name
            )

    @property
    def kernel(self) -> tuple[int, int]:
        """Return (ky, kx)."""
        return int(self.weights.shape[1]), int(self.weights.shape[2])

    @property
    def input_channels(self) -> int:
        """Return the number of channels it reads, of all groups."""
        return int(self.weights.shape[3]) * self.groups

    def patch_size(self) -> int:
        """Return ky * kx * input channels."""
        return self.kernel[0] * self.kernel[1] * self.input_channels

    def matrix(self) -> NDArray[np.int8]:
        """Return W, int8 (outputs, ky * kx * input channels), 0 outside an output's group."""
        outputs, ky, kx, depth = self.weights.shape
        matrix = np.zeros(
            (self.groups, outputs // self.groups, ky, kx, self.groups, depth), np.int8
        )
        signs = 2 * self.weights.astype(np.int8) - 1
        group = np.arange(self.groups)
        matrix[group, :, :, :, group] = signs.reshape(self.groups, -1, ky, kx, depth)
        return matrix.reshape(outputs, -1)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the output map.

        Raises
        ------
        ModelError
            If the kernel does not fit.
        """
        top, left, bottom, right = self.padding
        size = []
        for n, before, after, k, d, s in zip(
            (height, width), (top, left), (bottom, right), self.kernel, self.dilation, self.stride,
            strict=True,
        ):  # fmt: skip
            room = n + before + after - (d * (k - 1) + 1)
            if room < 0:
                raise ModelError(
                    f"kernel {self.kernel} with dilation {self.dilation} does not fit a "
                    f"{height}x{width} map with padding {self.padding}",
                    layer=self.name,
                )
            size.append(room // s + 1)
        return size[0], size[1]

    def border_classes(self, source: Tensor) -> NDArray[np.int64]:
        """Return int64 (height, width): the class of every output position.

        Positions of one class have the same taps inside the map (see :meth:`valid_taps`).
        """
        return self._borders(source)[0]

    def valid_taps(self, source: Tensor) -> NDArray[np.bool_]:
        """Return bool (classes, N): the taps that count in each class of border positions."""
        return self._borders(source)[1]

    def _borders(self, source: Tensor) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        height, width, _ = source.shape
        out_height, out_width = self.output_size(height, width)
        if self.padding_value != 0 or not isinstance(source.format, Bipolar):
            return (
                np.zeros((out_height, out_width), np.int64),
                np.ones((1, self.patch_size()), np.bool_),
            )
        axes = []
        for n, out, before, k, d, s in zip(
            (height, width), (out_height, out_width), self.padding[:2], self.kernel,
            self.dilation, self.stride, strict=True,
        ):  # fmt: skip
            at = np.arange(out)[:, None] * s - before + np.arange(k)[None, :] * d
            axes.append(np.unique((at >= 0) & (at < n), axis=0, return_inverse=True))
        (rows, row_of), (columns, column_of) = axes
        classes = row_of.reshape(-1)[:, None] * len(columns) + column_of.reshape(-1)[None, :]
        taps = rows[:, None, :, None] & columns[None, :, None, :]
        taps = taps.reshape(len(rows) * len(columns), -1)
        return classes.astype(np.int64), np.repeat(taps, self.input_channels, axis=1)

    def output(self, *inputs: Tensor) -> Tensor:
        """Return (height, width, channels), bipolar or integer."""
        (source,) = inputs
        if len(source.shape) != 3 or source.channels != self.input_channels:
            raise ModelError(
                f"reads (height, width, {self.input_channels}) and gets {source.shape}",
                layer=self.name,
            )
        if any(self.padding) and isinstance(source.format, Integer):
            low, high = source.format.low, source.format.high
            if not low <= self.padding_value <= high:
                raise ModelError(
                    f"padding value {self.padding_value} is outside the input format "
                    f"{source.format}",
                    layer=self.name,
                )
        height, width = self.output_size(*source.shape[:2])
        return Tensor((height, width, self.channels), self._output_format(source))


@dataclass(frozen=True, eq=False)
class MaxPool(Layer):
    """The maximum over windows: OR where the input is bipolar. There is no padding."""

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

    def output(self, *inputs: Tensor) -> Tensor:
        """Return the shrunken map in the input's format."""
        (source,) = inputs
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
        return Tensor((height, width, source.channels), source.format)


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
class Argmax(Layer):
    """The class: the index of the greatest input, the first or the last of equal ones."""

    ties: Literal["first", "last"] = "first"

    def output(self, *inputs: Tensor) -> Tensor:
        """Return one integer, the index."""
        (source,) = inputs
        if self.ties not in ("first", "last"):
            raise ModelError(f"ties go to 'first' or 'last', not {self.ties!r}", layer=self.name)
        return Tensor((1,), Integer(0, source.size - 1))
