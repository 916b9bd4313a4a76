"""Moving thresholds does not change a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw import golden
from bnn2hw.frontends.fuse import fuse_thresholds
from bnn2hw.model import (
    BIPOLAR,
    Binarize,
    BinaryConv,
    BinaryDense,
    Layer,
    MaxPool,
    Network,
    Tensor,
    Threshold,
)


def network(layers: list[Layer]) -> Network:
    return Network("net", Tensor((6, 6, 2), BIPOLAR), tuple(layers))


def conv(rng: Any = None, threshold: Threshold | None = None) -> BinaryConv:
    weights = (rng or np.random.default_rng(1)).integers(0, 2, (4, 2, 2, 2), np.uint8)
    return BinaryConv("conv", ("input",), weights, threshold)


RISING = Threshold.at_least(np.array([2, -1, 0, 9]))
FALLING = Threshold(np.array([1, -1, 0, 1]), np.array([2, -1, 1, 0]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), seed=st.integers(0, 999))
def test_the_outputs_stay(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = [conv(rng)]
    for k in range(data.draw(st.integers(0, 2))):
        layers.append(MaxPool(f"pool{k}", (layers[-1].name,), (2, 2), (1, 2)))
    channels = data.draw(st.sampled_from([1, 4]))
    direction = rng.integers(data.draw(st.sampled_from([-1, 0])), 2, channels)
    level = np.where(direction == 0, rng.integers(0, 2, channels), rng.integers(-6, 7, channels))
    layers.append(Binarize("sign", (layers[-1].name,), Threshold(direction, level)))
    size = network(layers).tensors["sign"].size
    layers.append(BinaryDense("fc", ("sign",), rng.integers(0, 2, (3, size), np.uint8)))
    if data.draw(st.booleans()):  # a second reader of the sums
        layers.insert(1, Binarize("other", ("conv",), RISING))
    before, after = network(layers), network(list(fuse_thresholds(layers)))
    images = rng.integers(0, 2, (20, 6, 6, 2))
    np.testing.assert_array_equal(golden.run(before, images)["fc"], golden.run(after, images)["fc"])


def names(layers: list[Layer]) -> list[str]:
    return [layer.name for layer in fuse_thresholds(layers)]


def test_a_layer_takes_its_threshold() -> None:
    (only,) = fuse_thresholds([conv(), Binarize("sign", ("conv",), FALLING)])
    assert isinstance(only, BinaryConv)
    assert only.threshold == FALLING


def test_a_threshold_moves_before_a_pool_unless_it_falls() -> None:
    layers = [conv(), MaxPool("pool", ("conv",)), Binarize("sign", ("pool",), RISING)]
    assert names(layers) == ["conv", "pool"]
    layers[-1] = Binarize("sign", ("pool",), FALLING)
    assert names(layers) == ["conv", "pool", "sign"]


@pytest.mark.parametrize(
    "layers",
    [
        [conv(), Binarize("a", ("conv",), RISING), Binarize("b", ("conv",), RISING)],
        [conv(threshold=RISING), Binarize("a", ("conv",), RISING)],
        [Binarize("a", ("input",), Threshold.at_least(np.array([0])))],
    ],
)
def test_what_others_read_stays(layers: list[Layer]) -> None:
    assert names(layers) == [layer.name for layer in layers]


def test_readers_follow() -> None:
    reader = BinaryDense("fc", ("sign",), np.ones((1, 100), np.uint8))
    layers = [conv(), Binarize("sign", ("conv",), RISING), reader]
    assert fuse_thresholds(layers)[-1].inputs == ("conv",)
    assert replace(reader, inputs=("conv",)).inputs == ("conv",)
