"""The meaning of every layer in plain Python loops: slow, and plain to see right."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnn2hw.model import (
    Affine,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Bipolar,
    ChannelArgmax,
    Format,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Quantize,
    SumPool,
    Tensor,
    Threshold,
    Upsample,
)


def slow_run(network: Network, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return every edge of the network for a batch of images."""
    edges = {"input": np.asarray(images)}
    for layer in network.layers:
        sources = network.sources(layer)
        inputs = zip(*(edges[name] for name in layer.inputs), strict=True)
        outputs = [slow_layer(layer, sources, images) for images in inputs]
        edges[layer.name] = np.array(outputs).reshape(-1, *network.tensors[layer.name].shape)
    return edges


def slow_layer(layer: Layer, sources: Sequence[Tensor], images: Sequence[NDArray[Any]]) -> Any:
    """Return the output of one layer for one image of each input, as nested lists."""
    source, image = sources[0], images[0]
    if isinstance(layer, LinearLayer):
        sums = slow_sums(layer, source, image)
        return sums if layer.threshold is None else slow_threshold(sums, layer.threshold)
    if isinstance(layer, MaxPool | SumPool):
        return slow_pool(layer, source, image)
    if isinstance(layer, Binarize):
        return slow_threshold(numbers(image, source.format), layer.threshold)
    if isinstance(layer, Quantize):
        return each_channel(lambda c, y: slow_code(layer, c, y), numbers(image, source.format))
    if isinstance(layer, Affine):
        values = [
            numbers(image, tensor.format) for image, tensor in zip(images, sources, strict=True)
        ]
        return each_channel(lambda c, *xs: slow_affine(layer, c, xs), *values)
    if isinstance(layer, Upsample):
        return slow_upsample(layer, source, image)
    if isinstance(layer, ChannelArgmax):
        return each_position(lambda values: [slow_argmax(layer, values)], image)
    assert isinstance(layer, Argmax)
    return [slow_argmax(layer, [int(v) for v in image.reshape(-1)])]


def numbers(image: NDArray[Any], form: Format) -> Any:
    """Return the values of an image as nested lists of Python integers."""
    return np.vectorize(lambda v: number(v, form), otypes=[object])(image).tolist()


def each_channel(function: Callable[..., int], *values: Any) -> Any:
    """Return the function of (channel, value of each map) at every place of nested lists."""
    if isinstance(values[0][0], list):
        return [each_channel(function, *parts) for parts in zip(*values, strict=True)]
    return [function(c, *parts) for c, parts in enumerate(zip(*values, strict=True))]


def slow_code(layer: Quantize, channel: int, value: int) -> int:
    k = channel if len(layer.direction) > 1 else 0
    rising = int(layer.direction[k]) > 0
    passed = [value >= int(t) if rising else value <= int(t) for t in layer.levels[k]]
    return passed.count(True)


def slow_affine(layer: Affine, channel: int, values: Sequence[int]) -> int:
    """Return the sum, divided exactly, rounded to nearest with half up, and clipped."""
    k = channel if len(layer.offset) > 1 else 0
    total = sum(int(w) * x for w, x in zip(layer.weights[:, k], values, strict=True))
    exact = Fraction(total + int(layer.offset[k]), 2**layer.shift)
    rounded = math.floor(exact + Fraction(1, 2))
    return min(max(rounded, layer.format.low), layer.format.high)


def number(value: Any, form: Format) -> int:
    return 2 * int(value) - 1 if isinstance(form, Bipolar) else int(value)


def sign(bit: Any) -> int:
    return 1 if bit == 1 else -1


def slow_sums(layer: LinearLayer, source: Tensor, image: NDArray[Any]) -> Any:
    if isinstance(layer, BinaryDense):
        inputs = [number(v, source.format) for v in image.reshape(-1)]
        return [sum(sign(w) * a for w, a in zip(row, inputs, strict=True)) for row in layer.weights]
    assert isinstance(layer, BinaryConv)
    height, width, _ = source.shape
    top, left, bottom, right = layer.padding
    outputs, kernel_y, kernel_x, depth = layer.weights.shape
    per_group = outputs // layer.groups
    span_y = layer.dilation[0] * (kernel_y - 1) + 1
    span_x = layer.dilation[1] * (kernel_x - 1) + 1
    result = []
    for y0 in range(-top, height + bottom - span_y + 1, layer.stride[0]):
        row = []
        for x0 in range(-left, width + right - span_x + 1, layer.stride[1]):
            channels = []
            for o in range(outputs):
                total = 0
                for ky in range(kernel_y):
                    for kx in range(kernel_x):
                        y, x = y0 + ky * layer.dilation[0], x0 + kx * layer.dilation[1]
                        inside = 0 <= y < height and 0 <= x < width
                        for i in range(depth):
                            channel = (o // per_group) * depth + i
                            a = (
                                number(image[y, x, channel], source.format)
                                if inside
                                else layer.padding_value
                            )
                            total += sign(layer.weights[o, ky, kx, i]) * a
                channels.append(total)
            row.append(channels)
        result.append(row)
    return result


def slow_threshold(sums: Any, threshold: Threshold) -> Any:
    if isinstance(sums[0], list):
        return [slow_threshold(part, threshold) for part in sums]
    bits = []
    for channel, total in enumerate(sums):
        k = channel if threshold.channels > 1 else 0
        direction, level = int(threshold.direction[k]), int(threshold.level[k])
        if direction == 0:
            bits.append(level)
        elif direction > 0:
            bits.append(1 if total >= level else 0)
        else:
            bits.append(1 if total <= level else 0)
    return bits


def slow_pool(layer: MaxPool | SumPool, source: Tensor, image: NDArray[Any]) -> Any:
    height, width, channels = source.shape
    sums = isinstance(layer, SumPool)

    def value(bit_or_integer: Any) -> int:
        return number(bit_or_integer, source.format) if sums else int(bit_or_integer)

    return [
        [
            [
                (sum if sums else max)(
                    value(image[y0 + y, x0 + x, c])
                    for y in range(layer.kernel[0])
                    for x in range(layer.kernel[1])
                )
                for c in range(channels)
            ]
            for x0 in range(0, width - layer.kernel[1] + 1, layer.stride[1])
        ]
        for y0 in range(0, height - layer.kernel[0] + 1, layer.stride[0])
    ]


def slow_upsample(layer: Upsample, source: Tensor, image: NDArray[Any]) -> Any:
    """Return the transposed convolution with the bilinear kernel of the map with its edges."""
    height, width, channels = source.shape
    factor = layer.factor
    kernel = [2 * factor - abs(2 * i - 2 * factor + 1) for i in range(2 * factor)]
    result = [[[0] * channels for _ in range(width * factor)] for _ in range(height * factor)]
    for y, x, c in itertools.product(range(-1, height + 1), range(-1, width + 1), range(channels)):
        value = number(
            image[min(max(y, 0), height - 1), min(max(x, 0), width - 1), c], source.format
        )
        for ky, kx in itertools.product(range(2 * factor), repeat=2):
            at_y, at_x = y * factor + ky - factor // 2, x * factor + kx - factor // 2
            if 0 <= at_y < height * factor and 0 <= at_x < width * factor:
                result[at_y][at_x][c] += kernel[ky] * kernel[kx] * value
    return result


def each_position(function: Callable[[list[int]], Any], image: NDArray[Any]) -> Any:
    """Return what a function makes of the channels of every position."""
    if image.ndim == 1:
        return function(image.tolist())
    return [each_position(function, part) for part in image]


def slow_argmax(layer: Argmax | ChannelArgmax, values: list[int]) -> int:
    best = 0
    for k, value in enumerate(values):
        if value > values[best] or (value == values[best] and layer.ties == "last"):
            best = k
    return best
