"""Random networks for the tests of the model, and what makes two networks the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bnn2hw.model import (
    BIPOLAR,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Bipolar,
    Integer,
    Layer,
    MaxPool,
    Network,
    Samples,
    Tensor,
    Threshold,
)


def same(a: Network, b: Network) -> bool:
    """Return whether two networks agree in everything they hold."""
    return (
        (a.name, a.input, a.classes, dict(a.notes)) == (b.name, b.input, b.classes, dict(b.notes))
        and len(a.layers) == len(b.layers)
        and all(same_layer(x, y) for x, y in zip(a.layers, b.layers, strict=True))
        and same_samples(a.samples, b.samples)
    )


def same_layer(a: Layer, b: Layer) -> bool:
    return type(a) is type(b) and all(
        _equal(getattr(a, item.name), getattr(b, item.name)) for item in dataclasses.fields(a)
    )


def same_samples(a: Samples | None, b: Samples | None) -> bool:
    if a is None or b is None:
        return a is b
    return _equal(a.images, b.images) and _equal(a.labels, b.labels)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and bool(a == b)


def thresholds(draw: Any, rng: np.random.Generator, channels: int) -> Threshold | None:
    if not draw(st.booleans()):
        return None
    direction = rng.integers(-1, 2, channels)
    level = np.where(direction == 0, rng.integers(0, 2, channels), rng.integers(-99, 99, channels))
    return Threshold(direction, level)


@st.composite
def networks(draw: Any) -> Network:
    """Draw a network of a few layers of every type, valid by construction."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width, channels = (draw(st.integers(4, 9)) for _ in range(3))
    low = draw(st.integers(-200, 0))
    format_ = draw(st.sampled_from([BIPOLAR, Integer(low, low + draw(st.integers(0, 400)))]))
    network = Network(
        "net",
        Tensor((height, width, channels), format_),
        (_conv(draw, rng, 0, (height, width, channels), format_),),
    )
    for index in range(1, draw(st.integers(1, 5))):
        network = _extended(draw, rng, network, index)
    samples = draw(st.sampled_from([None, 0, 3]))
    return dataclasses.replace(
        network,
        classes=tuple(draw(st.lists(st.text(max_size=5), max_size=3))),
        notes=draw(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3)),
        samples=None if samples is None else _samples(draw, rng, network.input, samples),
    )


def _extended(draw: Any, rng: np.random.Generator, network: Network, index: int) -> Network:
    source = network.layers[-1].name
    tensor = network.tensors[source]
    name = f"layer_{index}"
    choices = ["dense", "argmax"]
    if len(tensor.shape) == 3:
        choices += ["conv", "pool"]
    if isinstance(tensor.format, Integer):
        choices += ["binarize"]
    kind = draw(st.sampled_from(choices))
    layer: Layer
    if kind == "dense":
        outputs = draw(st.integers(1, 5))
        weights = rng.integers(0, 2, (outputs, tensor.size), np.uint8)
        layer = BinaryDense(name, (source,), weights, thresholds(draw, rng, outputs))
    elif kind == "argmax":
        layer = Argmax(name, (source,), draw(st.sampled_from(["first", "last"])))
    elif kind == "conv":
        layer = _conv(draw, rng, index, tensor.shape, tensor.format, source)
    elif kind == "pool":
        layer = MaxPool(name, (source,), _pair(draw, 1, min(tensor.shape[:2])), _pair(draw, 1, 3))
    else:
        channels = draw(st.sampled_from([1, tensor.channels]))
        layer = Binarize(name, (source,), Threshold.at_least(rng.integers(-9, 9, channels)))
    return dataclasses.replace(network, layers=(*network.layers, layer))


def _pair(draw: Any, low: int, high: int) -> tuple[int, int]:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


def _conv(
    draw: Any,
    rng: np.random.Generator,
    index: int,
    shape: tuple[int, ...],
    format_: Any,
    source: str = "input",
) -> BinaryConv:
    groups = draw(st.sampled_from([g for g in range(1, shape[2] + 1) if shape[2] % g == 0]))
    outputs = groups * draw(st.integers(1, 3))
    kernel = (draw(st.integers(1, min(3, shape[0]))), draw(st.integers(1, min(3, shape[1]))))
    fits = all(2 * (k - 1) + 1 <= n for k, n in zip(kernel, shape, strict=False))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    allowed = [
        v for v in (-1, 0, 1) if isinstance(format_, Bipolar) or format_.low <= v <= format_.high
    ]
    return BinaryConv(
        f"layer_{index}",
        (source,),
        rng.integers(0, 2, (outputs, *kernel, shape[2] // groups), np.uint8),
        thresholds(draw, rng, outputs),
        stride=_pair(draw, 1, 3),
        padding=padding if allowed else (0, 0, 0, 0),
        padding_value=draw(st.sampled_from(allowed or [0])),
        dilation=_pair(draw, 1, 2) if fits else (1, 1),
        groups=groups,
    )


def _samples(draw: Any, rng: np.random.Generator, tensor: Tensor, count: int) -> Samples:
    low = 0 if isinstance(tensor.format, Bipolar) else tensor.format.low
    images = rng.integers(low, tensor.format.high + 1, (count, *tensor.shape), np.int32)
    labels = rng.integers(0, 10, count) if draw(st.booleans()) else None
    return Samples(images, labels)
