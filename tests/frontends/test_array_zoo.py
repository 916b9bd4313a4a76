"""Published networks from their arrays: every value that others computed comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.frontends import import_network
from bnn2hw.model import Affine, BinaryConv, Integer, Network, load, save

EXAMPLES = Path(__file__).parents[2] / "examples" / "zoo"


def from_zoo(zoo: Path, name: str) -> tuple[Network, Any]:
    network = import_network(zoo / f"{name}.npz", EXAMPLES / f"{name}.toml")
    return network, np.load(zoo / f"expected_{name}.npz")


@pytest.mark.zoo
@pytest.mark.parametrize(("name", "right"), [("tfc_w1a1_mnist", 9296), ("lfc_w1a1_mnist", 9840)])
def test_mnist(zoo: Path, name: str, right: int) -> None:
    network, expected = from_zoo(zoo, name)
    file = np.load(zoo / "mnist_t10k_bits.npz")
    edges = golden.run(network, np.unpackbits(file["bits"], axis=1))
    for layer in network.linear_layers():
        if layer.threshold is None:
            matches = (edges[layer.name][:16] + layer.patch_size()) // 2
            np.testing.assert_array_equal(matches, expected[f"{layer.name}_popcount"])
        else:
            np.testing.assert_array_equal(edges[layer.name][:16], expected[f"{layer.name}_out"])
    np.testing.assert_array_equal(edges["class"][:, 0], expected["prediction"])
    assert (edges["class"][:, 0] == file["labels"]).sum() == right
    assert network.samples is not None
    np.testing.assert_array_equal(edges["input"][:64], network.samples.images)


@pytest.mark.zoo
def test_cifar10(zoo: Path) -> None:
    network, expected = from_zoo(zoo, "cnv_w1a1_cifar10")
    pixels = np.load(zoo / "cifar10_samples.npz")["images"]
    images = np.clip(np.floor((pixels / 255 * 2 - 1) * 128 + 0.5), -128, 127).astype(np.int32)
    assert network.samples is not None
    np.testing.assert_array_equal(images[:4], network.samples.images)
    edges = golden.run(network, images)
    np.testing.assert_array_equal((edges["fc8"] + 512) // 2, expected["fc8_popcount"])
    np.testing.assert_array_equal(edges["class"][:, 0], expected["prediction"])
    outputs = [layer.name for layer in network.layers if f"{layer.name}_out" in expected]
    assert len(outputs) == 10
    for name in outputs:
        bits = expected[f"{name}_out"]
        if name.startswith(("conv", "pool")):
            bits = np.unpackbits(bits, axis=-1)
        np.testing.assert_array_equal(edges[name][:4], bits.reshape(edges[name][:4].shape))


# ------------------------------------------------------------------------------- ResNet-18

UNITS = [f"stage{stage}_unit{unit}" for stage in (1, 2, 3, 4) for unit in (1, 2)]


@pytest.fixture(scope="module")
def resnet(zoo: Path) -> tuple[Network, Any]:
    return from_zoo(zoo, "bmxnet_resnet18_cifar10")


def logits(parameters: Any, stream: np.ndarray) -> np.ndarray:
    """Return the float head of the network: batch norm, ReLU, average, dense layer."""
    gamma, beta, mean, variance = (
        parameters[f"float_bn1_{name}"].astype(np.float64)
        for name in ("gamma", "beta", "moving_mean", "moving_var")
    )
    normal = np.maximum(gamma * (stream - mean) / np.sqrt(variance + 2e-5) + beta, 0)
    features = normal.mean(axis=(1, 2))
    return features @ parameters["float_fc1_weight"].T + parameters["float_fc1_bias"]


@pytest.mark.zoo
def test_resnet18(zoo: Path, resnet: tuple[Network, Any]) -> None:
    network, expected = resnet
    assert sum(layer.weights.size for layer in network.linear_layers()) == 11_161_600
    assert sum(isinstance(layer, BinaryConv) for layer in network.layers) == 20
    assert network.samples is not None
    assert len(network.samples.images) == 8
    streams = golden.run(network, network.samples.images, edges=UNITS)
    for unit in UNITS:
        np.testing.assert_array_equal(streams[unit][:2], expected[f"{unit}_residual"])
    parameters = np.load(zoo / "bmxnet_resnet18_cifar10.npz")
    got = logits(parameters, streams[UNITS[-1]])
    np.testing.assert_allclose(got, expected["logits"], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(got.argmax(axis=1), expected["logits"].argmax(axis=1))


@pytest.mark.zoo
def test_the_streams_of_resnet18_never_saturate(resnet: tuple[Network, Any]) -> None:
    network, _ = resnet
    for unit in UNITS:
        layer = network.layer(unit)
        assert isinstance(layer, Affine)
        low, high = layer.sum_bounds(*network.sources(layer))
        assert layer.format == Integer(int(low.min()) >> 1, int(high.max()) >> 1)
        assert layer.format.low == 0, "a sum of popcounts"


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("stage1_unit1_conv1", {"padding_value": -1}),
        ("stage1_unit1_conv2", {"padding_value": 0}),
        ("stage1_unit1", {"offset": np.array([576])}),
        ("stage1_unit1", {"shift": 0}),
    ],
)
def test_mutants_of_resnet18_are_rejected(
    resnet: tuple[Network, Any], name: str, values: dict[str, Any]
) -> None:
    network, expected = resnet
    layers = [
        replace(layer, **values) if layer.name == name else layer for layer in network.layers[:4]
    ]
    assert network.samples is not None
    mutant = Network("mutant", network.input, tuple(layers))
    stream = golden.run(mutant, network.samples.images[:2], edges=["stage1_unit1"])["stage1_unit1"]
    assert not np.array_equal(stream, expected["stage1_unit1_residual"])


@pytest.mark.zoo
def test_resnet18_comes_back_from_its_model_file(
    resnet: tuple[Network, Any], tmp_path: Path
) -> None:
    network, expected = resnet
    save(network, tmp_path / "resnet.npz")
    again = load(tmp_path / "resnet.npz")
    assert list(again.tensors.items()) == list(network.tensors.items())
    assert again.samples is not None
    got = golden.run(again, again.samples.images[:2], edges=["stage1_unit2"])["stage1_unit2"]
    np.testing.assert_array_equal(got, expected["stage1_unit2_residual"])
