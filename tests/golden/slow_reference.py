"""The meaning of every layer in plain Python loops: slow, and plain to see right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnn2hw.model import (
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Bipolar,
    Format,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Tensor,
    Threshold,
)


def slow_run(network: Network, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return every edge of the network for a batch of images."""
    edges = {"input": np.asarray(images)}
    for layer in network.layers:
        source = network.source(layer)
        outputs = [slow_layer(layer, source, image) for image in edges[layer.inputs[0]]]
        edges[layer.name] = np.array(outputs).reshape(-1, *network.tensors[layer.name].shape)
    return edges


def slow_layer(layer: Layer, source: Tensor, image: NDArray[Any]) -> Any:
    """Return the output of one layer for one image, as nested lists."""
    if isinstance(layer, LinearLayer):
        sums = slow_sums(layer, source, image)
        return sums if layer.threshold is None else slow_threshold(sums, layer.threshold)
    if isinstance(layer, MaxPool):
        return slow_pool(layer, source, image)
    if isinstance(layer, Binarize):
        values = np.vectorize(lambda v: number(v, source.format), otypes=[object])(image)
        return slow_threshold(values.tolist(), layer.threshold)
    assert isinstance(layer, Argmax)
    return [slow_argmax(layer, [int(v) for v in image.reshape(-1)])]


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


def slow_pool(layer: MaxPool, source: Tensor, image: NDArray[Any]) -> Any:
    height, width, channels = source.shape
    return [
        [
            [
                max(
                    int(image[y0 + y, x0 + x, c])
                    for y in range(layer.kernel[0])
                    for x in range(layer.kernel[1])
                )
                for c in range(channels)
            ]
            for x0 in range(0, width - layer.kernel[1] + 1, layer.stride[1])
        ]
        for y0 in range(0, height - layer.kernel[0] + 1, layer.stride[0])
    ]


def slow_argmax(layer: Argmax, values: list[int]) -> int:
    best = 0
    for k, value in enumerate(values):
        if value > values[best] or (value == values[best] and layer.ties == "last"):
            best = k
    return best
