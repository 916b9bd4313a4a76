"""Random networks for the tests of the model, and what makes two networks the same."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bnn2hw.model import (
    BIPOLAR,
    Affine,
    Argmax,
    BaseGroup,
    Binarize,
    BinaryConv,
    BinaryDense,
    Bipolar,
    ChannelArgmax,
    Codebook,
    Integer,
    Layer,
    MaxPool,
    Network,
    Quantize,
    Samples,
    SumPool,
    Tensor,
    Threshold,
    Upsample,
)


def same(a: Network, b: Network) -> bool:
    """Return whether two networks agree in everything they hold."""
    return (
        (a.name, a.input, a.classes, dict(a.notes)) == (b.name, b.input, b.classes, dict(b.notes))
        and len(a.layers) == len(b.layers)
        and all(same_layer(x, y) for x, y in zip(a.layers, b.layers, strict=True))
        and same_samples(a.samples, b.samples)
        and a.groups == b.groups
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
    if isinstance(a, Codebook) and isinstance(b, Codebook):
        return _equal(a.subset, b.subset) and _equal(a.indices, b.indices)
    return type(a) is type(b) and bool(a == b)


def thresholds(draw: Any, rng: np.random.Generator, channels: int) -> Threshold | None:
    if not draw(st.booleans()):
        return None
    direction = rng.integers(-1, 2, channels)
    level = np.where(direction == 0, rng.integers(0, 2, channels), rng.integers(-99, 99, channels))
    return Threshold(direction, level)


def digits() -> Network:
    """Return a network with a layer of every type."""
    rng = np.random.default_rng(7)
    bits = lambda *shape: rng.integers(0, 2, shape, np.uint8)
    return Network(
        "digits-1",
        Tensor((8, 8, 2), Integer(-128, 127)),
        (
            BinaryConv(
                "conv1", ("input",), bits(4, 3, 3, 1),
                Threshold(np.array([1, -1, 0, 1]), np.array([5, -3, 1, 0])),
                stride=(1, 2), padding=(1, 1, 1, 1), padding_value=-1, dilation=(1, 1), groups=2,
            ),
            MaxPool("pool", ("conv1",), (2, 2), (2, 2)),
            BinaryDense("sums", ("pool",), bits(6, 32)),
            Binarize("sign", ("sums",), Threshold.at_least(np.array([0]))),
            BinaryDense("scores", ("sign",), bits(3, 6)),
            Argmax("class", ("scores",), "last"),
        ),
        classes=("a", "b", "ç"),
        notes={"origin": "a test", "accuracy": "96 %"},
        samples=Samples(rng.integers(-128, 128, (2, 8, 8, 2), np.int32), np.array([2, 0])),
    )  # fmt: skip


def decomposed() -> Network:
    """Return a residual network of two bases, with codebooks, codes and a layer of every type."""
    rng = np.random.default_rng(8)
    kernels = Codebook(rng.permutation(all_bits(4))[:8], rng.integers(0, 8, (3, 3)))
    vectors = Codebook(rng.permutation(all_bits(2))[:2], rng.integers(0, 2, (4, 2)))
    conv = BinaryConv("base0", ("bits",), kernels.expand((3, 2, 2, 3)), codebook=kernels)
    return Network(
        "decomposed",
        Tensor((4, 4, 3), Integer(-100, 100, 4)),
        (
            Binarize("bits", ("input",), Threshold.at_least(np.array([0, 1, -1]))),
            conv,
            replace(conv, name="base1"),
            Affine(
                "mean", ("base0", "base1"), np.array([[3], [5]]), np.array([1, 0, -7]), 3,
                Integer(-20, 20, 5),
            ),
            Quantize("codes", ("mean",), np.array([1, -1, 1]), np.array([[1, 2], [9, 8], [4, 4]])),
            SumPool("pool", ("codes",), (3, 3), (1, 1)),
            Affine("relu", ("pool",), np.array([[1]]), np.array([-5]), 0, Integer(0, 63)),
            BinaryDense("scores", ("relu",), vectors.expand((4, 3)), codebook=vectors),
            Argmax("class", ("scores",)),
        ),
        groups=(BaseGroup("unit", (("base0",), ("base1",)), "mean"),),
    )  # fmt: skip


def all_bits(length: int) -> Any:
    """Return all vectors of so many bits, uint8 (2**length, length)."""
    return (np.arange(1 << length)[:, None] >> np.arange(length) & 1).astype(np.uint8)


def coded(draw: Any, rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Any]:
    """Draw weights of that shape, with the codebook they are made of or without one."""
    taps = int(np.prod(shape[1:-1]))
    length = taps if taps > 1 else draw(st.integers(1, 4))
    if length > 9 or draw(st.booleans()):
        return {"weights": rng.integers(0, 2, shape, np.uint8)}
    size = 1 << draw(st.integers(1, min(length, 4)))
    count = shape[-1] if taps > 1 else -(-shape[-1] // length)
    subset = rng.permutation(all_bits(length))[:size]
    book = Codebook(subset, rng.integers(0, size, (shape[0], count)))
    return {"weights": book.expand(shape), "codebook": book}


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
    choices = ["dense", "argmax", "quantize", "affine", "group"]
    if len(tensor.shape) == 3:
        choices += ["conv", "max_pool", "sum_pool", "channel_argmax"]
        choices += ["upsample"] if tensor.format.width <= 16 and max(tensor.shape) < 99 else []
    if isinstance(tensor.format, Integer):
        choices += ["binarize"]
    kind = draw(st.sampled_from(choices))
    layer: Layer
    if kind == "dense":
        outputs = draw(st.integers(1, 5))
        weights = coded(draw, rng, (outputs, tensor.size))
        layer = BinaryDense(name, (source,), threshold=thresholds(draw, rng, outputs), **weights)
    elif kind == "argmax":
        layer = Argmax(name, (source,), draw(st.sampled_from(["first", "last"])))
    elif kind == "channel_argmax":
        layer = ChannelArgmax(name, (source,), draw(st.sampled_from(["first", "last"])))
    elif kind == "upsample":
        layer = Upsample(name, (source,), draw(st.sampled_from([2, 4])))
    elif kind == "conv":
        layer = _conv(draw, rng, index, tensor.shape, tensor.format, source)
    elif kind in ("max_pool", "sum_pool"):
        pool = MaxPool if kind == "max_pool" else SumPool
        layer = pool(name, (source,), _pair(draw, 1, min(tensor.shape[:2])), _pair(draw, 1, 3))
    elif kind == "affine":
        alike = [edge for edge, other in network.tensors.items() if other.shape == tensor.shape]
        layer = _affine(draw, rng, name, draw(st.lists(st.sampled_from(alike), min_size=1)), tensor)
    elif kind == "quantize":
        channels = draw(st.sampled_from([1, tensor.channels]))
        direction = rng.choice([-1, 1], channels)
        levels = np.sort(rng.integers(-9, 9, (channels, draw(st.integers(1, 3)))), axis=1)
        layer = Quantize(name, (source,), direction, levels * direction[:, None])
    elif kind == "binarize":
        channels = draw(st.sampled_from([1, tensor.channels]))
        layer = Binarize(name, (source,), Threshold.at_least(rng.integers(-9, 9, channels)))
    else:
        bases = [_affine(draw, rng, f"base_{index}_{k}", [source], tensor) for k in range(2)]
        layer = _affine(draw, rng, name, [base.name for base in bases], tensor)
        group = BaseGroup(name, tuple((base.name,) for base in bases), name)
        network = replace(network, layers=(*network.layers, *bases, layer))
        return replace(network, groups=(*network.groups, group))
    return replace(network, layers=(*network.layers, layer))


def _affine(
    draw: Any, rng: np.random.Generator, name: str, inputs: list[str], tensor: Tensor
) -> Affine:
    channels = draw(st.sampled_from([1, tensor.channels]))
    low = draw(st.integers(-99, 99))
    return Affine(
        name,
        tuple(inputs),
        rng.integers(-99, 99, (len(inputs), channels)),
        rng.integers(-99, 99, draw(st.sampled_from([1, tensor.channels]))),
        draw(st.integers(0, 5)),
        Integer(low, low + draw(st.integers(0, 99)), draw(st.integers(0, 3))),
    )


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
        threshold=thresholds(draw, rng, outputs),
        **coded(draw, rng, (outputs, *kernel, shape[2] // groups)),
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
