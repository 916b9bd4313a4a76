"""The bundled network: it loads, it is what it says, and its accuracy is the recorded one."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.model import Argmax, BinaryConv, BinaryDense, Integer, Network, Samples, Tensor, load
from bnn2hw.networks import bundled_path


@pytest.fixture(scope="module")
def network() -> Network:
    return load(bundled_path())


@pytest.fixture(scope="module")
def samples(network: Network) -> Samples:
    assert network.samples is not None
    return network.samples


def test_it_is_small_and_has_its_layers(network: Network) -> None:
    assert bundled_path().stat().st_size < 200_000
    assert network.input == Tensor((8, 8, 1), Integer(0, 16))
    names = [layer.name for layer in network.layers]
    assert names == ["conv1", "conv2", "pool", "conv3", "dense", "class"]
    convolutions = [network.layer(f"conv{k}") for k in (1, 2, 3)]
    assert all(isinstance(layer, BinaryConv) and layer.threshold for layer in convolutions)
    assert [layer.weights.shape for layer in network.linear_layers()] == [
        (32, 3, 3, 1),
        (32, 3, 3, 32),
        (32, 3, 3, 32),
        (10, 512),
    ]
    assert isinstance(network.layer("dense"), BinaryDense)
    assert isinstance(network.layers[-1], Argmax)
    assert network.classes == tuple("0123456789")


def test_paddings_are_of_two_kinds(network: Network) -> None:
    """Zeros at the border of bits, with nine classes of positions, and -1, which needs none."""
    classes = {}
    for layer in network.linear_layers():
        if isinstance(layer, BinaryConv):
            classes[layer.name] = (
                layer.padding_value,
                len(layer.valid_taps(network.source(layer))),
            )
    assert classes == {"conv1": (0, 1), "conv2": (0, 9), "conv3": (-1, 1)}


def test_recorded_accuracy_is_the_measured_one(network: Network, samples: Samples) -> None:
    assert samples.labels is not None
    right, count = (int(n) for n in network.notes["accuracy"].split()[0].split("/"))
    assert count == len(samples.images) == 360
    assert golden.accuracy(network, samples.images, samples.labels) == right / count
    assert right / count >= 0.96


def test_weights_and_bits_are_alive(network: Network, samples: Samples) -> None:
    """No layer is all one sign, and hidden bits vary over the images."""
    edges = golden.run(network, samples.images)
    for layer in network.linear_layers():
        assert 0.2 < layer.weights.mean() < 0.8
    for name in ("conv1", "conv2", "conv3"):
        assert 0.1 < edges[name].mean() < 0.9


def test_patches_of_real_images_equal_the_image_level(network: Network, samples: Samples) -> None:
    edges = golden.run(network, samples.images)
    for layer in network.linear_layers():
        source = network.source(layer)
        patches, classes = golden.patches(layer, source, edges[layer.inputs[0]])
        outputs = golden.layer_outputs(layer, source, patches, classes)
        assert np.array_equal(outputs.reshape(edges[layer.name].shape), edges[layer.name])


def test_samples_are_the_held_out_split(network: Network, samples: Samples) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    digits = datasets.load_digits()
    assert "test_size=360, random_state=0, stratify=labels" in network.notes["split"]
    _, test = selection.train_test_split(
        np.arange(len(digits.target)), test_size=360, random_state=0, stratify=digits.target
    )
    assert np.array_equal(samples.images[..., 0], digits.images[test])
    assert np.array_equal(samples.labels, digits.target[test])
