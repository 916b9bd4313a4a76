"""Whole networks: edges on demand, chunks, dtypes, exactness at the bounds, and bad input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.errors import ModelError
from bnn2hw.golden import images as images_module
from bnn2hw.golden import patch as patch_module
from bnn2hw.golden.values import exact_dtype
from bnn2hw.model import (
    BIPOLAR,
    Argmax,
    BinaryConv,
    BinaryDense,
    Format,
    Integer,
    Layer,
    MaxPool,
    Network,
    Tensor,
    Threshold,
)
from tests.golden.golden_strategies import random_images
from tests.golden.slow_reference import slow_run

RNG = np.random.default_rng(2024)


def bits(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, shape).astype(np.uint8)


def at_least(*levels: int) -> Threshold:
    return Threshold.at_least(np.array(levels))


NETWORK = Network(
    "small",
    Tensor((6, 6, 1), Integer(0, 16)),
    (
        BinaryConv("conv1", ("input",), bits(4, 3, 3, 1), at_least(0, 5, -5, 9), padding=(1,) * 4),
        MaxPool("pool", ("conv1",)),
        BinaryConv("conv2", ("pool",), bits(4, 3, 3, 4), at_least(0, 1, -2, 3), padding=(1,) * 4),
        BinaryDense("side", ("pool",), bits(3, 36)),
        BinaryDense("dense", ("conv2",), bits(5, 36)),
        Argmax("class", ("dense",)),
    ),
)
IMAGES = random_images(NETWORK.input, 9, seed=3)
LABELS = np.arange(9) % 5


def test_every_edge_equals_the_loops() -> None:
    expected = slow_run(NETWORK, IMAGES)
    got = golden.run(NETWORK, IMAGES)
    assert list(got) == list(NETWORK.tensors)
    for name, edge in got.items():
        assert np.array_equal(edge, expected[name]), name
        assert edge.shape == (9, *NETWORK.tensors[name].shape)
        is_bits = NETWORK.tensors[name].format == BIPOLAR
        assert edge.dtype == (np.uint8 if is_bits else np.int32), name


def test_chosen_edges_come_alone_and_layers_they_do_not_need_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = golden.run(NETWORK, IMAGES)
    computed = []
    apply = images_module._apply

    def recording(layer: Layer, *values: Any) -> np.ndarray:
        computed.append(layer.name)
        return apply(layer, *values)

    monkeypatch.setattr(images_module, "_apply", recording)
    got = golden.run(NETWORK, IMAGES, edges=["dense", "conv1", "input"])
    assert list(got) == ["dense", "conv1", "input"]
    assert computed == ["conv1", "pool", "conv2", "dense"]
    for name, edge in got.items():
        assert np.array_equal(edge, whole[name])


@pytest.mark.parametrize("size", [1, 1 << 12, 1 << 14])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    whole = golden.run(NETWORK, IMAGES)
    layer = NETWORK.linear_layers()[1]
    source = NETWORK.source(layer)
    patches, classes = golden.patches(layer, source, whole["pool"])
    sums = golden.layer_sums(layer, source, patches, classes)
    monkeypatch.setattr(images_module, "_CHUNK_BYTES", size)
    monkeypatch.setattr(patch_module, "_CHUNK_ELEMENTS", size // 16)
    for name, edge in golden.run(NETWORK, IMAGES).items():
        assert np.array_equal(edge, whole[name])
    assert np.array_equal(golden.layer_sums(layer, source, patches, classes), sums)


def test_predict_and_accuracy() -> None:
    expected = slow_run(NETWORK, IMAGES)["class"][:, 0]
    got = golden.predict(NETWORK, IMAGES)
    assert got.dtype == np.int64
    assert np.array_equal(got, expected)
    right = sum(int(a == b) for a, b in zip(expected, LABELS, strict=True))
    assert golden.accuracy(NETWORK, IMAGES, LABELS) == right / 9
    assert golden.accuracy(NETWORK, IMAGES, expected) == 1.0


def test_no_images_are_legal() -> None:
    none = np.zeros((0, 6, 6, 1), np.int64)
    assert golden.run(NETWORK, none)["conv2"].shape == (0, 3, 3, 4)
    assert golden.predict(NETWORK, none).shape == (0,)
    with pytest.raises(ModelError, match="there are no images to measure the accuracy on"):
        golden.accuracy(NETWORK, none, np.zeros(0, np.int64))


@pytest.mark.parametrize(
    ("form", "size", "dtype"),
    [
        (BIPOLAR, 70_000, np.float32),
        (Integer(0, 1 << 15), 511, np.float32),
        (Integer(0, 1 << 15), 512, np.float64),
        (Integer(-(1 << 31), (1 << 31) - 1), 500, np.float64),
        (Integer(0, (1 << 32) - 1), (1 << 21) + 2, np.int64),
    ],
)
def test_sums_at_both_ends_of_their_bounds_are_exact(form: Format, size: int, dtype: type) -> None:
    assert exact_dtype(size, max(form.high, -form.low)) is dtype
    weights = np.ones((2, size), np.uint8)
    weights[1, 0] = 0
    source = Tensor((size,), form)
    layer = BinaryDense("y", ("input",), weights)
    low, high = (0, 1) if form == BIPOLAR else (form.low, form.high)
    images = np.stack([np.full(size, low), np.full(size, high), np.full(size, high)])
    images[2, 1] = high - 1
    values = images * 2 - 1 if form == BIPOLAR else images
    total = values.sum(axis=1)
    expected = np.stack([total, total - 2 * values[:, 0]], axis=1)
    patches, classes = golden.patches(layer, source, images)
    assert np.array_equal(golden.layer_sums(layer, source, patches, classes), expected)
    # Sums of more than 32 bits cannot leave a layer, but levels can tell neighbours apart.
    levels = np.minimum(expected[1], 1 << 40)
    network = Network("wide", source, (replace(layer, threshold=at_least(*levels)),))
    assert np.array_equal(golden.run(network, images)["y"], expected >= levels)


def test_a_network_of_wide_integers_gives_wide_edges() -> None:
    form = Integer(0, (1 << 32) - 1)
    network = Network("wide", Tensor((4,), form), (Argmax("class", ("input",)),))
    images = np.array([[0, 1 << 31, (1 << 32) - 1, 5]])
    got = golden.run(network, images)
    assert got["input"].dtype == np.int64
    assert np.array_equal(got["input"], images)
    assert got["class"].tolist() == [[2]]


def error(call: object, *args: object, **options: object) -> str:
    with pytest.raises(ModelError) as caught:
        call(*args, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_bad_images_are_told_in_one_line() -> None:
    assert error(golden.run, NETWORK, IMAGES / 16) == (
        "images are float64 of shape (9, 6, 6, 1), expected integers of shape (count, 6, 6, 1)"
    )
    assert error(golden.run, NETWORK, IMAGES[0]) == (
        "images are int64 of shape (6, 6, 1), expected integers of shape (count, 6, 6, 1)"
    )
    assert error(golden.predict, NETWORK, IMAGES + 8).endswith("expected 0 to 16")
    assert error(golden.predict, NETWORK, IMAGES - 1).startswith("images have values from -1 to ")
    assert "float64" in error(golden.run, NETWORK, np.full(IMAGES.shape, np.nan))
    assert "object" in error(golden.run, NETWORK, np.full(IMAGES.shape, None))
    assert "of shape ()" in error(golden.run, NETWORK, 3)
    flat = Network("flat", Tensor((36,), BIPOLAR), (BinaryDense("y", ("input",), bits(2, 36)),))
    signs = np.where(bits(4, 36) > 0, 1, -1)
    assert error(golden.run, flat, signs) == (
        "images have values from -1 to 1, expected 0 to 1; give bits, 1 for +1 and 0 for -1"
    )
    assert golden.run(flat, signs > 0)["y"].shape == (4, 2), "booleans are bits"


def test_unknown_edges_bad_labels_and_networks_without_classes() -> None:
    assert error(golden.run, NETWORK, IMAGES, edges=["conv9"]) == (
        "network small has no edge 'conv9'; it has input, conv1, pool, conv2, side, dense, class"
    )
    assert error(golden.accuracy, NETWORK, IMAGES, LABELS[:4]) == (
        "labels are int64 of shape (4,), expected integers of shape (9,)"
    )
    assert "float64" in error(golden.accuracy, NETWORK, IMAGES, LABELS / 2)
    headless = replace(NETWORK, layers=NETWORK.layers[:-1])
    assert "its last layer is not an argmax" in error(golden.predict, headless, IMAGES)


def test_bad_patches_are_told_in_one_line() -> None:
    layer = NETWORK.linear_layers()[1]
    source = NETWORK.source(layer)
    pooled = golden.run(NETWORK, IMAGES, edges=["pool"])["pool"]
    patches, classes = golden.patches(layer, source, pooled)
    assert "activations are uint8 of shape (9, 3, 3)" in error(
        golden.patches, layer, source, pooled[..., 0]
    )
    assert "patches of conv2 are uint8" in error(
        golden.layer_sums, layer, source, patches[:, 1:], classes
    )
    assert "patches of conv2 have values from 0 to 2" in error(
        golden.layer_sums, layer, source, patches + patches, classes
    )
    assert error(golden.layer_sums, layer, source, patches, classes[1:]) == (
        "border classes are int64 of shape (80,), expected integers of shape (81,)"
    )
    assert error(golden.layer_outputs, layer, source, patches, classes + 1) == (
        "border classes go from 1 to 9, expected 0 to 8"
    )
