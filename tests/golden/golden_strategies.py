"""Random layers with a source and inputs that fit them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.errors import ModelError
from bnn2hw.model import (
    BIPOLAR,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Bipolar,
    ChannelArgmax,
    Format,
    Integer,
    Layer,
    LinearLayer,
    MaxPool,
    Quantize,
    SumPool,
    Tensor,
    Threshold,
    Upsample,
)

FORMATS: tuple[Format, ...] = (
    BIPOLAR,
    Integer(0, 16),
    Integer(-3, 5),
    Integer(-128, 127),
    Integer(1, 2),
    Integer(-(1 << 31), (1 << 31) - 1),
    Integer(0, (1 << 32) - 1),
)
SIDE = st.integers(1, 6)
SMALL = st.integers(1, 3)

Case = tuple[Layer, Tensor, NDArray[Any]]
L = TypeVar("L", bound=LinearLayer)


def random_images(tensor: Tensor, count: int, seed: int) -> NDArray[Any]:
    """Return images of a tensor's shape, ends of the format included more often than not."""
    rng = np.random.default_rng(seed)
    bits = isinstance(tensor.format, Bipolar)
    low, high = (0, 1) if bits else (tensor.format.low, tensor.format.high)
    images = rng.integers(low, high + 1, (count, *tensor.shape), dtype=np.int64)
    ends = rng.integers(0, 4, images.shape)
    return np.where(ends == 0, low, np.where(ends == 1, high, images))


@st.composite
def thresholds(draw: st.DrawFn, channels: int, bound: int) -> Threshold:
    """Draw thresholds, constant channels and levels just beyond the sums included."""
    direction = np.array([draw(st.sampled_from((-1, 0, 1))) for _ in range(channels)], np.int8)
    level = [
        draw(st.integers(-bound - 1, bound + 1)) if d else draw(st.integers(0, 1))
        for d in direction
    ]
    return Threshold(direction, np.array(level, np.int64))


def bits_of(draw: st.DrawFn, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    seed = draw(st.integers(0, 1 << 16))
    return np.random.default_rng(seed).integers(0, 2, shape).astype(np.uint8)


def fitting(layer: L, source: Tensor) -> tuple[L, Tensor]:
    """Return layer and source where the kernel fits and sums have at most 32 bits."""
    try:
        layer.output(source)
    except ModelError:
        assume(False)
    return layer, source


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[BinaryConv, Tensor]:
    """Draw a convolution and its source: stride, padding, dilation, groups, formats."""
    groups, depth = draw(SMALL), draw(SMALL)
    outputs = groups * draw(SMALL)
    source = Tensor((draw(SIDE), draw(SIDE), groups * depth), draw(st.sampled_from(FORMATS)))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    values = (-1, 0, 1)
    if isinstance(source.format, Integer):
        values = tuple(v for v in values if source.format.low <= v <= source.format.high)
    assume(not any(padding) or values)
    weights = bits_of(draw, (outputs, draw(SMALL), draw(SMALL), depth))
    bound = weights[0].size * groups * max(abs(source.format.low), abs(source.format.high))
    threshold = draw(st.none() | thresholds(outputs, bound))
    layer = BinaryConv(
        "layer",
        ("input",),
        weights,
        threshold,
        stride=(draw(SMALL), draw(SMALL)),
        padding=padding,
        padding_value=draw(st.sampled_from(values or (0,))),
        dilation=(draw(SMALL), draw(SMALL)),
        groups=groups,
    )
    return fitting(layer, source)


@st.composite
def dense_layers(draw: st.DrawFn) -> tuple[BinaryDense, Tensor]:
    """Draw a dense layer on a vector or a map."""
    shape = draw(st.sampled_from(((7,), (2, 3, 2), (1, 1, 5), (1,))))
    source = Tensor(shape, draw(st.sampled_from(FORMATS)))
    outputs = draw(st.integers(1, 5))
    bound = source.size * max(abs(source.format.low), abs(source.format.high))
    threshold = draw(st.none() | thresholds(outputs, bound))
    weights = bits_of(draw, (outputs, source.size))
    return fitting(BinaryDense("layer", ("input",), weights, threshold), source)


@st.composite
def linear_cases(draw: st.DrawFn) -> tuple[LinearLayer, Tensor, NDArray[Any]]:
    """Draw a linear layer, its source and up to three images."""
    layer, source = draw(st.one_of(convolutions(), dense_layers()))
    images = random_images(source, draw(st.integers(0, 3)), draw(st.integers(0, 1 << 16)))
    return layer, source, images


@st.composite
def quantizers(draw: st.DrawFn, source: Tensor) -> Quantize:
    """Draw a quantiser of that source; levels repeat, and go just beyond the values."""
    rows, count = draw(st.sampled_from((1, source.channels))), draw(st.integers(1, 5))
    bound = max(abs(source.format.low), abs(source.format.high)) + 1
    direction = np.array([draw(st.sampled_from((-1, 1))) for _ in range(rows)])
    levels = [
        sorted(draw(st.integers(-bound, bound)) for _ in range(count))[:: int(d)] for d in direction
    ]
    return Quantize("layer", ("input",), direction, np.array(levels))


@st.composite
def other_cases(draw: st.DrawFn) -> Case:
    """Draw a pool, thresholds of their own or an argmax, its source and up to three images."""
    form = draw(st.sampled_from(FORMATS))
    source = Tensor((draw(SIDE), draw(SIDE), draw(SMALL)), form)
    kind = draw(
        st.sampled_from(("max", "sum", "binarize", "quantize", "argmax", "upsample", "each"))
    )
    layer: Layer
    if kind in ("max", "sum"):
        kernel = (draw(st.integers(1, source.shape[0])), draw(st.integers(1, source.shape[1])))
        pool = MaxPool if kind == "max" else SumPool
        layer = pool("layer", ("input",), kernel, (draw(SMALL), draw(SMALL)))
        assume(kind == "max" or form.width < 32)
    elif kind == "quantize":
        layer = draw(quantizers(source))
    elif kind == "binarize":
        channels = draw(st.sampled_from((1, source.channels)))
        bound = max(abs(form.low), abs(form.high))
        layer = Binarize("layer", ("input",), draw(thresholds(channels, bound)))
    elif kind == "upsample":
        layer = Upsample("layer", ("input",), draw(st.sampled_from((2, 4))))
        assume(form.width <= 24)
    elif kind == "each":
        layer = ChannelArgmax("layer", ("input",), draw(st.sampled_from(("first", "last"))))
    else:
        layer = Argmax("layer", ("input",), draw(st.sampled_from(("first", "last"))))
    return layer, source, random_images(source, draw(st.integers(0, 3)), draw(st.integers(0, 99)))
