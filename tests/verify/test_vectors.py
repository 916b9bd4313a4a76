"""Vectors reach the corners they promise, and their expected outputs are the layer's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.golden import layer_sums
from bnn2hw.model import (
    BIPOLAR,
    BinaryConv,
    BinaryDense,
    Format,
    Integer,
    Network,
    Samples,
    Tensor,
    Threshold,
)
from bnn2hw.verify import make_vectors


def conv_network(fmt: Format, padding_value: int, seed: int, groups: int = 1) -> Network:
    generator = np.random.default_rng(seed)
    weights = generator.integers(0, 2, (6, 3, 2, 4 // groups)).astype(np.uint8)
    threshold = Threshold(
        generator.choice([-1, 1], 6).astype(np.int8), generator.integers(-4, 5, 6)
    )
    layer = BinaryConv(
        "conv",
        ("input",),
        weights,
        threshold,
        padding=(1, 1, 1, 0),
        padding_value=padding_value,
        groups=groups,
    )
    low = 0 if fmt == BIPOLAR else fmt.low
    images = generator.integers(low, fmt.high, (3, 5, 4, 4), endpoint=True).astype(np.int32)
    return Network("net", Tensor((5, 4, 4), fmt), (layer,), samples=Samples(images))


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.sampled_from([BIPOLAR, Integer(-8, 7), Integer(0, 16)]),
    st.sampled_from([0, 1]),
    st.sampled_from([1, 2]),
    st.integers(0, 1000),
)
def test_both_sides_of_every_threshold_are_met_in_every_border_class(
    fmt: Format, padding_value: int, groups: int, seed: int
) -> None:
    network = conv_network(fmt, padding_value, seed, groups)
    (layer,) = network.layers
    vectors = make_vectors(network, 0, seed)
    assert set(vectors.kinds) == {"corner"}
    sums = layer_sums(layer, network.input, vectors.patches, vectors.borders)
    low, high = layer.sum_bounds(network.input)
    step = 2 if fmt == BIPOLAR else 1
    for border in range(len(low)):
        here = sums[vectors.borders == border]
        assert (here.min(axis=0) == low[border]).all()
        assert (here.max(axis=0) == high[border]).all()
        for channel in range(layer.channels):
            level = int(layer.threshold.level[channel])
            least, greatest = int(low[border, channel]), int(high[border, channel])
            reachable = np.arange(least, greatest + 1, step)
            up = layer.threshold.direction[channel] > 0
            below = reachable[reachable < level] if up else reachable[reachable <= level]
            above = reachable[reachable >= level] if up else reachable[reachable > level]
            if len(below) and len(above):
                assert {int(below[-1]), int(above[0])} <= set(here[:, channel].tolist())


def test_padded_bits_are_zero_bits() -> None:
    network = conv_network(BIPOLAR, 0, 5)
    (layer,) = network.layers
    vectors = make_vectors(network, 500, 5)
    padded = ~layer.valid_taps(network.input)[vectors.borders]
    assert padded.any()
    assert not vectors.patches[padded].any()


def test_half_of_the_further_vectors_are_real_patches() -> None:
    network = conv_network(Integer(0, 16), 0, 1)
    vectors = make_vectors(network, 101, 1)
    assert vectors.kinds.count("real") == 50
    assert vectors.kinds.count("random") == 51
    assert network.samples is not None
    image_rows = {
        tuple(row)
        for image in np.pad(network.samples.images, ((0, 0), (1, 1), (1, 0), (0, 0)))
        for y in range(5)
        for x in range(4)
        for row in [image[y : y + 3, x : x + 2].reshape(-1).tolist()]
    }
    real = vectors.patches[np.array(vectors.kinds) == "real"]
    assert all(tuple(row) in image_rows for row in real.tolist())


def test_the_seed_decides_the_vectors() -> None:
    network = conv_network(BIPOLAR, 1, 2)
    one, same, other = (make_vectors(network, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.patches, same.patches)
    assert not np.array_equal(one.patches, other.patches)


@pytest.mark.parametrize("samples", [None, Samples(np.zeros((0, 7), np.int32))])
def test_a_layer_without_samples_or_threshold_has_vectors_too(samples: Samples | None) -> None:
    layer = BinaryDense("fc", ("input",), np.eye(3, 7, dtype=np.uint8))
    network = Network("net", Tensor((7,), BIPOLAR), (layer,), samples=samples)
    vectors = make_vectors(network, 10, 0)
    assert vectors.kinds.count("random") == 10
    assert vectors.expected.min() == -7
    assert vectors.expected.max() == 7
