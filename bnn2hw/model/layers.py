"""Layers and linear layers as integers: frozen dataclasses that validate themselves.

Weights are uint8 bits, 1 for +1 and 0 for -1. A linear layer computes signed sums
``y = W a`` with W in {-1, +1} and, where it has a threshold, bits of them. Vectors flatten in
(ky, kx, channel) order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .checks import checked_bits
from .codebook import Codebook
from .formats import BIPOLAR, Bipolar, Format, Integer, Tensor
from .threshold import Threshold

__all__ = ["BinaryConv", "BinaryDense", "Layer", "LinearLayer"]


@dataclass(frozen=True, eq=False)
class Layer:
    """A node of the network: a name and the names of the edges it reads.

    An edge bears the name of the layer that drives it; ``input`` is the network's input.
    """

    name: str
    inputs: tuple[str, ...]

    arity: ClassVar[int | None] = 1
    """The number of inputs; None where there may be any number of them."""

    def __post_init__(self) -> None:
        ok = self.name and all(c.isascii() and (c.isalnum() or c == "_") for c in self.name)
        if not ok or self.name[0].isdigit() or self.name == "input":
            raise ModelError(
                f"layer name {self.name!r} is not usable",
                remedy="use letters, digits and underscores, starting with a letter",
            )
        if not self.inputs or len(self.inputs) != (self.arity or len(self.inputs)):
            raise ModelError(
                f"has {len(self.inputs)} inputs and takes {self.arity or 'at least 1'}",
                layer=self.name,
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
    codebook
        The kernels that the weights are made of, where they are few (sub-bit networks); metadata
        that agrees with the weights.
    """

    weights: NDArray[np.uint8]
    threshold: Threshold | None = None
    codebook: Codebook | None = field(default=None, kw_only=True)

    def _check_weights(self, ndim: int) -> None:
        """Check what all linear layers have, with weights of that rank."""
        weights = checked_bits(self.weights, ndim, "weights", self.name)
        object.__setattr__(self, "weights", weights)
        if self.threshold is not None and self.threshold.channels != self.channels:
            raise ModelError(
                f"threshold has {self.threshold.channels} channels, the layer has {self.channels}",
                layer=self.name,
            )
        if self.codebook is not None:
            try:
                expanded = self.codebook.expand(weights.shape)
            except ModelError as error:
                raise error.located(layer=self.name) from error
            if not np.array_equal(expanded, weights):
                raise ModelError(
                    "the codebook gives other weights than the layer has",
                    layer=self.name,
                    remedy="change both together, or leave the codebook out",
                )

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
        return Integer(int(low.min()), int(high.max()), source.format.fraction)


@dataclass(frozen=True, eq=False)
class BinaryDense(LinearLayer):
    """A binary dense layer; weights (outputs, inputs). Maps are flattened (y, x, channel)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_weights(2)

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
        self._check_weights(4)
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
            if k > 1 and d > 1 and d >= n:
                raise ModelError(
                    f"taps {d} positions apart exceed a {height}x{width} map",
                    layer=self.name,
                    remedy=f"choose a dilation below {n}",
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
