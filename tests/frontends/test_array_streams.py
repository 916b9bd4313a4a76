"""Residual networks from arrays: sums of popcounts, codes and pools mean what they say."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw import golden
from bnn2hw.errors import ImportFailure
from bnn2hw.frontends import arrays as arrays_module
from bnn2hw.frontends import import_arrays
from bnn2hw.model import (
    Affine,
    BinaryConv,
    ChannelArgmax,
    Integer,
    Network,
    Quantize,
    SumPool,
    Upsample,
)
from tests.helpers import read_or_told

from .descriptions import damaged, write

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

RNG = np.random.default_rng(4)
ARRAYS: dict[str, NDArray[Any]] = {
    "a": RNG.integers(0, 2, (3, 3, 3, 3), np.uint8),
    "b": RNG.integers(0, 2, (3, 3, 3, 3), np.uint8),
    "one": RNG.integers(0, 2, (2, 1, 1, 3), np.uint8),
    "t": np.array([12, 13, 15]),
    "s": np.array([17, 20, 14]),
    "d": np.array([1, -1, 0], np.int8),
    "up": np.array([1, -1, 1], np.int8),
    "far": np.array([257, 255, 1]),
    "levels": np.array([[10, 14, 18], [40, 30, 20], [9, 9, 9]]),
    "flat": np.array([15, 16, 30]),
    "w": np.array([[1, 2, 3], [-1, 0, 2]]),
    "huge": np.array([[1 << 50, 0, 0], [0, 0, 0]]),
    "none": np.zeros(0, np.int64),
    "wide": np.full((2, 1), 1 << 38),
    "real": np.ones(3),
}
DESCRIPTION: dict[str, Any] = {
    "name": "residual",
    "input": {"shape": [5, 5, 3], "format": "bipolar"},
    "layers": [
        {"type": "conv", "name": "first", "weights": "a", "padding": 1, "padding_value": 1},
        {"type": "affine", "name": "stream", "from": "first", "quantity": "popcount"},
        {"type": "binarize", "name": "bits", "threshold": "t", "direction": "d",
         "convention": "sum >="},
        {"type": "conv", "name": "second", "weights": "b", "padding": 1, "padding_value": 1},
        {"type": "affine", "name": "added", "from": ["second", "stream"], "quantity": "popcount"},
        {"type": "quantize", "name": "codes", "levels": "levels", "direction": "up"},
        {"type": "sum_pool", "name": "pool", "kernel": 5},
        {"type": "argmax", "name": "class"},
    ],
}  # fmt: skip


# A head as FCN-16s: scores of half the resolution join the ones before them.
HEAD: dict[str, Any] = {
    "name": "head",
    "input": {"shape": [4, 6, 3], "format": "bipolar"},
    "layers": [
        {"type": "conv", "name": "score", "weights": "one"},
        {"type": "sum_pool", "name": "half", "kernel": 2},
        {"type": "upsample", "name": "twice", "factor": 2},
        {"type": "affine", "name": "both", "from": ["twice", "score"], "weights": [1, 16],
         "fraction": 4},
        {"type": "upsample", "name": "up", "factor": 4},
        {"type": "channel_argmax", "name": "class", "ties": "last"},
    ],
}  # fmt: skip


def imported(
    tmp_path: Path, description: dict[str, Any], arrays: dict[str, Any] = ARRAYS
) -> Network:
    return import_arrays(*write(tmp_path, description, arrays))


def layer(index: int, **values: Any) -> dict[str, Any]:
    """Return the description with values set in a layer; None takes a key out."""
    return changed(DESCRIPTION, index, values)


def head(index: int, **values: Any) -> dict[str, Any]:
    """Return the same of the segmentation head."""
    return changed(HEAD, index, values)


def changed(base: dict[str, Any], index: int, values: dict[str, Any]) -> dict[str, Any]:
    description = copy.deepcopy(base)
    for key, value in values.items():
        if value is None:
            del description["layers"][index][key]
        else:
            description["layers"][index][key] = value
    return description


def popcounts(bits: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.int64]:
    """Return the popcounts of a 3x3 convolution that pads with 1, position by position."""
    padded = np.pad(bits, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1)
    result = np.zeros(bits.shape, np.int64)
    for y, x, o in np.ndindex(5, 5, 3):
        window = padded[:, y : y + 3, x : x + 3]
        result[:, y, x, o] = (window == weights[o]).sum(axis=(1, 2, 3))
    return result


def test_a_residual_network_sums_popcounts(tmp_path: Path) -> None:
    network = imported(tmp_path, DESCRIPTION)
    images = RNG.integers(0, 2, (6, 5, 5, 3))
    edges = golden.run(network, images)
    stream = popcounts(images, ARRAYS["a"])
    np.testing.assert_array_equal(edges["stream"], stream)
    assert network.tensors["stream"].format == Integer(0, 27)
    rising, falling = stream[..., 0] >= 12, stream[..., 1] <= 13
    bits = np.stack([rising, falling, np.ones_like(rising)], axis=-1)
    np.testing.assert_array_equal(edges["bits"], bits)
    added = popcounts(bits, ARRAYS["b"]) + stream
    np.testing.assert_array_equal(edges["added"], added)
    assert network.tensors["added"].format == Integer(0, 54)
    levels = ARRAYS["levels"]
    codes = np.stack(
        [
            (added[..., 0, None] >= levels[0]).sum(axis=-1),
            (added[..., 1, None] <= levels[1]).sum(axis=-1),
            (added[..., 2, None] >= levels[2]).sum(axis=-1),
        ],
        axis=-1,
    )
    np.testing.assert_array_equal(edges["codes"], codes)
    np.testing.assert_array_equal(edges["pool"], codes.sum(axis=(1, 2), keepdims=True))
    np.testing.assert_array_equal(edges["class"][:, 0], codes.sum(axis=(1, 2)).argmax(axis=1))


@quick
@given(
    weights=st.lists(st.integers(-5, 5), min_size=2, max_size=2), offset=st.integers(-30, 30),
    shift=st.integers(0, 4), quantity=st.sampled_from(["sum", "popcount"]),
)  # fmt: skip
def test_weighted_sums_round_alike_in_both_quantities(
    tmp_path: Path, weights: list[int], offset: int, shift: int, quantity: str
) -> None:
    description = layer(
        4, weights=weights, offset=offset, shift=shift, quantity=quantity, low=-40, high=50
    )
    description["layers"] = description["layers"][:5]
    network = imported(tmp_path, description)
    edges = golden.run(network, RNG.integers(0, 2, (2, 5, 5, 3)))
    second = edges["second"].astype(np.int64)
    if quantity == "popcount":
        second = (second + 27) // 2
    total = weights[0] * second + weights[1] * edges["stream"] + offset
    rounded = np.floor(total / 2**shift + 0.5)  # exact: sums are small
    np.testing.assert_array_equal(edges["added"], np.clip(rounded, -40, 50))


def test_parameters_come_from_arrays_too(tmp_path: Path) -> None:
    added = imported(tmp_path, layer(4, weights="w", offset="t", quantity="sum")).layer("added")
    assert isinstance(added, Affine)
    np.testing.assert_array_equal(added.weights, ARRAYS["w"])
    np.testing.assert_array_equal(added.offset, ARRAYS["t"])
    assert (added.shift, added.half) == (0, 0)
    codes = imported(tmp_path, layer(5, levels="flat", direction=None)).layer("codes")
    assert isinstance(codes, Quantize)
    assert codes.levels.tolist() == [[15, 16, 30]]
    pool = imported(tmp_path, layer(6, kernel=[2, 1], stride=[1, 2])).layer("pool")
    assert isinstance(pool, SumPool)
    assert (pool.kernel, pool.stride) == ((2, 1), (1, 2))


def test_a_low_of_zero_is_relu_and_a_fraction_is_kept(tmp_path: Path) -> None:
    network = imported(tmp_path, layer(1, quantity="sum", low=0, fraction=3))
    assert network.tensors["stream"].format == Integer(0, 27, 3)
    edges = golden.run(network, RNG.integers(0, 2, (2, 5, 5, 3)))
    np.testing.assert_array_equal(edges["stream"], np.maximum(edges["first"], 0))


def test_any_layer_reads_any_layer_before_it(tmp_path: Path) -> None:
    network = imported(tmp_path, layer(3, **{"from": "input"}))
    assert network.layer("second").inputs == ("input",)
    assert network.layer("bits").inputs == ("stream",)


@pytest.mark.parametrize("ties", ["first", "last"])
def test_a_segmentation_head_is_the_one_made_of_layers(tmp_path: Path, ties: Any) -> None:
    network = imported(tmp_path, head(5, ties=ties))
    made = [
        BinaryConv("score", ("input",), ARRAYS["one"]),
        SumPool("half", ("score",)),
        Upsample("twice", ("half",), 2),
        Affine("both", ("twice", "score"), np.array([[1], [16]]), np.array([0]), 0,
               Integer(-12 * 16 - 48, 12 * 16 + 48, 4)),
        Upsample("up", ("both",), 4),
        ChannelArgmax("class", ("up",), ties),
    ]  # fmt: skip
    other = Network("head", network.input, tuple(made))
    assert network.tensors == other.tensors
    images = RNG.integers(0, 2, (5, 4, 6, 3))
    found, expected = (golden.run(one, images)["class"] for one in (network, other))
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (5, 16, 24, 1)
    assert 0 < found.mean() < 1


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no such layer": (
        layer(4, **{"from": ["second", "third"]}),
        "added: key 'from' names 'third', which is no layer before it; those are input, first",
    ),
    "a later layer": (layer(1, **{"from": "added"}), "stream: key 'from' names 'added', which is"),
    "itself": (layer(1, **{"from": "stream"}), "stream: key 'from' names 'stream', which is no"),
    "from nothing": (layer(4, **{"from": []}), "added: key 'layers.from' must be texts"),
    "from numbers": (layer(4, **{"from": [1]}), "added: key 'layers.from' must be texts"),
    "two for one": (
        layer(3, **{"from": ["bits", "bits"]}),
        "second: key 'from' must name 1 layer, not 2; only affine reads more",
    ),
    "two shapes": (
        layer(6, **{"from": "input"}) | {"layers": [
            *DESCRIPTION["layers"][:7],
            {"type": "affine", "name": "sum", "from": ["pool", "added"]},
        ]},
        "sum: reads edges of different shapes",
    ),
    "name twice": (layer(4, name="first"), "first: this name is used twice"),
    "popcounts of zero padding": (
        layer(0, padding_value=0),
        "stream: 'first' has no popcounts: popcounts have no meaning on integer inputs and on "
        "positions padded with zero; use sums",
    ),
    "popcounts of integers": (
        layer(3, **{"from": "stream"}), "added: 'second' has no popcounts: popcounts have no",
    ),
    "popcounts of a stream": (
        layer(2, convention="popcount >="), "bits: popcounts have no meaning on integer inputs",
    ),
    "quantity": (layer(4, quantity="matches"), "added: key 'layers.quantity' is 'matches'"),
    "three weights": (layer(4, weights=[1, 2, 3]), r"weights of shape \(3, 1\) and offsets"),
    "weights of another shape": (layer(4, weights="levels"), r"weights of shape \(3, 3\) and"),
    "a matrix of offsets": (layer(4, offset="levels"), r"offsets of shape \(3, 3\) do not fit 2"),
    "real weights": (layer(4, weights="real"), "array 'real' holds float64, expected integers"),
    "huge weights": (layer(4, weights="huge"), r"weights 'huge' is empty or leaves \+-2\*\*38"),
    "no offsets": (layer(4, offset="none"), "offset 'none' is empty or leaves"),
    "weights beyond": (
        layer(4, weights=[1 << 40, 1]), "added: an integer format .* is wider than 32 bits",
    ),
    "offsets of other channels": (
        layer(4, weights="w", offset=[1, 2]),
        r"added: weights of shape \(2, 3\) and offsets of shape \(2,\) do not fit 2 inputs; give",
    ),
    "a huge shift": (layer(4, shift=62), "added: shift 63 is not 0 to 62"),
    "a negative shift": (layer(4, shift=-2), "added: shift -1 is not 0 to 62"),
    "an empty interval": (layer(4, low=9, high=8), "an integer format from 9 to 8 is empty"),
    "a fraction": (layer(4, fraction=-1), "a fraction of -1 bits"),
    "thresholds missing": (layer(2, threshold=None), "bits: key 'layers.threshold' is missing"),
    "levels that fall": (layer(5, direction=None), "codes: levels must ascend"),
    "levels of other channels": (layer(5, levels="w"), "codes: has directions for 3 channels and"),
    "a direction that would wrap": (layer(5, direction="far"), "codes: direction"),
    "direction of zero": (layer(5, direction="d"), r"codes: directions must be \+1 or -1"),
    "a pool that does not fit": (layer(6, kernel=6), "pool: a pool of .* does not fit"),
    "a factor of three": (head(2, factor=3), "twice: factor 3 is none of 2, 4, 8 to 64"),
    "no factor": (head(2, factor=None), "twice: key 'layers.factor' is missing"),
    "a factor as text": (head(2, factor="2"), "twice: key 'layers.factor' must be an int"),
    "a factor that is too wide": (head(4, factor=1 << 20), "up: factor 1048576 is none of"),
    "upsampling beyond 32 bits": (
        head(3, high=1 << 30), "up: an integer format .* is wider than 32 bits",
    ),
    "other ties": (head(5, ties="both"), "class: key 'layers.ties' is 'both'; choose one"),
    "a class for no bit": (head(5, none=0), "class: key 'layers.none' is unknown"),
    "a dilation beyond the map": (
        layer(0, dilation=9),
        r"first: kernel \(3, 3\) with dilation \(9, 9\) does not fit a 5x5 map",
    ),
    "a stride for sums": (layer(4, stride=2), "added: key 'layers.stride' is unknown"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_description_is_told(tmp_path: Path, case: str) -> None:
    description, message = BAD[case]
    with pytest.raises(ImportFailure, match=message) as caught:
        imported(tmp_path, description)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_popcounts_of_many_inputs_with_wide_weights_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays_module._Import, "_popcount_size", lambda *_: 1 << 26)
    with pytest.raises(ImportFailure, match="added: weights times popcounts do not fit 63 bits"):
        imported(tmp_path, layer(4, weights="wide"))


values = st.one_of(
    st.booleans(),
    st.integers(-3, 20),
    st.sampled_from([1 << 40, -(1 << 40), 1 << 62, 0.5, [], {}, [1, 2], ["first"], "", "\x00"]),
    st.sampled_from([*ARRAYS, "input", "stream", "second", "popcount", "affine", "sum >="]),
)


@settings(quick, max_examples=300)
@given(data=st.data())
def test_changed_descriptions_import_or_are_told(tmp_path: Path, data: st.DataObject) -> None:
    description = damaged(data.draw(st.sampled_from([DESCRIPTION, HEAD])), data, values)
    read_or_told(lambda: imported(tmp_path, description), tmp_path)
