"""Networks that others trained, against values that separate code computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bnn2hw import golden
from bnn2hw.model import (
    BIPOLAR,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Integer,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Tensor,
    Threshold,
)

pytestmark = pytest.mark.zoo


def mnist(zoo: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    file = np.load(zoo / "mnist_t10k_bits.npz")
    return np.unpackbits(file["bits"], axis=1), file["labels"]


def above(popcounts: NDArray[np.int32], size: int) -> Threshold:
    """Return the threshold ``popcount > level`` on signed sums of so many terms."""
    return Threshold.at_least(2 * (popcounts.astype(np.int64) + 1) - size)


def dense(arrays: dict[str, NDArray[np.int32]], name: str, source: str) -> BinaryDense:
    weights = arrays[f"{name}_weight"].astype(np.uint8)
    level = arrays.get(f"{name}_threshold")
    threshold = None if level is None else above(level, weights.shape[1])
    return BinaryDense(name, (source,), weights, threshold)


def dense_network(zoo: Path, name: str) -> Network:
    arrays = dict(np.load(zoo / f"{name}_w1a1_mnist.npz"))
    sources = ("input", "fc0", "fc1", "fc2")
    layers = [dense(arrays, f"fc{k}", source) for k, source in enumerate(sources)]
    return Network(name, Tensor((784,), BIPOLAR), (*layers, Argmax("class", ("fc3",))))


def with_highest_output_head(network: Network) -> Network:
    """Return LFC with its head: the class is the highest output that is 1, and 0 where none is.

    Output 0 may as well be 1 always: it decides only where no higher output is 1.
    """
    direction, level = np.ones(10, np.int8), np.ones(10, np.int64)
    direction[0] = 0
    bits = Binarize("bits", ("fc3",), Threshold(direction, level))
    head = Argmax("class", ("bits",), "last")
    return replace(network, layers=(*network.layers[:-1], bits, head))


def matches(sums: NDArray[np.int32], layer: Layer) -> NDArray[np.int32]:
    """Return popcounts of matching bits from signed sums."""
    assert isinstance(layer, LinearLayer)
    return (sums + layer.patch_size()) // 2


@pytest.mark.parametrize(("name", "right"), [("tfc", 9296), ("lfc", 9840)])
def test_mnist(zoo: Path, name: str, right: int) -> None:
    network = dense_network(zoo, name)
    expected = np.load(zoo / f"expected_{name}_w1a1_mnist.npz")
    images, labels = mnist(zoo)
    edges = golden.run(network, images[:16])
    for layer in network.linear_layers():
        source = network.source(layer)
        patches, classes = golden.patches(layer, source, edges[layer.inputs[0]])
        sums = golden.layer_sums(layer, source, patches, classes)
        assert np.array_equal(matches(sums, layer), expected[f"{layer.name}_popcount"])
        if layer.threshold is not None:
            assert np.array_equal(edges[layer.name], expected[f"{layer.name}_out"])
    if name == "lfc":
        network = with_highest_output_head(network)
    assert np.array_equal(golden.predict(network, images), expected["prediction"])
    assert golden.accuracy(network, images, labels) == right / 10_000


def cnv(zoo: Path) -> Network:
    arrays = dict(np.load(zoo / "cnv_w1a1_cifar10.npz"))
    layers: list[Layer] = []
    edge = "input"
    for k in range(6):
        weights = arrays[f"conv{k}_weight"]
        level = arrays[f"conv{k}_threshold"]
        threshold = (
            Threshold.at_least(level.astype(np.int64) + 1)
            if k == 0
            else above(level, weights[0].size)
        )
        layers.append(BinaryConv(f"conv{k}", (edge,), weights, threshold))
        edge = f"conv{k}"
        if k in (1, 3):
            layers.append(MaxPool(f"pool{k}", (edge,)))
            edge = f"pool{k}"
    for k in (6, 7, 8):
        layers.append(dense(arrays, f"fc{k}", edge))
        edge = f"fc{k}"
    layers.append(Argmax("class", (edge,)))
    return Network("cnv", Tensor((32, 32, 3), Integer(-128, 127)), tuple(layers))


def test_cnv(zoo: Path) -> None:
    network = cnv(zoo)
    expected = np.load(zoo / "expected_cnv_w1a1_cifar10.npz")
    pixels = np.load(zoo / "cifar10_samples.npz")["images"] / 255
    images = np.clip(np.floor((pixels * 2 - 1) * 128 + 0.5), -128, 127).astype(np.int64)
    assert np.array_equal(images[:4], expected["conv0_input_q"])
    edges = golden.run(network, images[:4])
    for layer in network.layers[:-2]:
        bits = expected[f"{layer.name}_out"]
        if edges[layer.name].ndim == 4:
            bits = np.unpackbits(bits, axis=-1)
        assert np.array_equal(edges[layer.name], bits), layer.name
    for layer in network.linear_layers():
        source = network.source(layer)
        patches, classes = golden.patches(layer, source, edges[layer.inputs[0]])
        sums = golden.layer_sums(layer, source, patches, classes)
        key = "conv0_acc" if layer.name == "conv0" else f"{layer.name}_popcount"
        got = sums if layer.name == "conv0" else matches(sums, layer)
        assert np.array_equal(got.reshape(expected[key][:4].shape), expected[key][:4]), layer.name
    whole = golden.run(network, images, edges=["fc8", "class"])
    assert np.array_equal(matches(whole["fc8"], network.layer("fc8")), expected["fc8_popcount"])
    assert np.array_equal(whole["class"][:, 0], expected["prediction"])
