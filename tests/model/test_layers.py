"""Layers, formats, thresholds and networks: their shapes and bounds against plain counting."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.errors import ModelError
from bnn2hw.model import (
    BIPOLAR,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Bipolar,
    Integer,
    LinearLayer,
    MaxPool,
    Network,
    Samples,
    Tensor,
    Threshold,
    limits,
)
from bnn2hw.model.limits import check_input, check_layer

from .networks import networks

quick = settings(max_examples=100, deadline=None, derandomize=True)


# ------------------------------------------------------------------------------- formats


@given(low=st.integers(-(1 << 31), (1 << 32) - 1), size=st.integers(0, 1 << 32))
@quick
def test_widths_are_least(low: int, size: int) -> None:
    high = low + size
    fits = [
        width
        for width in range(1, 33)
        if (-(1 << width - 1) <= low and high < 1 << width - 1) or 0 <= low <= high < 1 << width
    ]
    if not fits:
        with pytest.raises(ModelError, match="wider than 32 bits"):
            Integer(low, high)
        return
    form = Integer(low, high)
    unsigned = [width for width in fits if low >= 0 and high < 1 << width]
    assert form.width == (unsigned or fits)[0]
    assert form.signed == (low < 0)


def test_formats_say_what_they_are() -> None:
    assert (str(BIPOLAR), BIPOLAR.low, BIPOLAR.high, BIPOLAR.width) == ("bipolar", -1, 1, 1)
    assert not BIPOLAR.signed
    assert str(Integer(-3, 4)) == "integer -3..4"


# ----------------------------------------------------------------------------- thresholds


@quick
@given(data=st.data())
def test_reduced_thresholds_are_the_same_function(data: st.DataObject) -> None:
    number = st.integers(-9, 9)
    direction = np.array(data.draw(st.lists(st.integers(-1, 1), min_size=1, max_size=5)))
    level = np.array([data.draw(number if d else st.integers(0, 1)) for d in direction])
    ends = np.sort([[data.draw(number), data.draw(number)] for _ in direction], axis=1)
    threshold = Threshold(direction, level)
    reduced = threshold.reduced(ends[:, 0], ends[:, 1])
    for channel, (low, high) in enumerate(ends):
        bits = [bit(threshold, channel, sum_) for sum_ in range(low, high + 1)]
        assert bits == [bit(reduced, channel, sum_) for sum_ in range(low, high + 1)]
        assert (reduced.direction[channel] == 0) == (len(set(bits)) == 1)


def bit(threshold: Threshold, channel: int, sum_: int) -> bool:
    direction, level = int(threshold.direction[channel]), int(threshold.level[channel])
    return level == 1 if direction == 0 else sum_ * direction >= level * direction


def test_thresholds_compare_and_do_not_change() -> None:
    threshold = Threshold.at_least(np.array([1, 2]))
    assert threshold == Threshold(np.array([1, 1]), np.array([1, 2]))
    assert threshold != Threshold(np.array([1, -1]), np.array([1, 2]))
    assert threshold != "threshold"
    with pytest.raises(ValueError, match="read-only"):
        threshold.level[0] = 3


@pytest.mark.parametrize(
    ("direction", "level", "message"),
    [
        ([1.0], [1], "direction must be a one-dimensional array of integers"),
        ([1], [[1]], "level must be a one-dimensional array of integers"),
        ([1, 1], [1], "2 directions and 1 levels"),
        ([2], [1], "must be -1, 0 or"),
        ([0], [2], "constant channel"),
        ([1], [1 << 41], "within"),
    ],
)
def test_wrong_thresholds_are_told(direction: Any, level: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Threshold(np.array(direction), np.array(level))


# --------------------------------------------------------------------------------- layers


def plain_taps(layer: BinaryConv, source: Tensor, y: int, x: int) -> list[bool]:
    """Return which inputs of the patch at (y, x) lie inside the map, tap by tap."""
    height, width, channels = source.shape
    inside = []
    for ky, kx in itertools.product(*map(range, layer.kernel)):
        row = y * layer.stride[0] - layer.padding[0] + ky * layer.dilation[0]
        column = x * layer.stride[1] - layer.padding[1] + kx * layer.dilation[1]
        inside += [0 <= row < height and 0 <= column < width] * channels
    return inside


@quick
@given(network=networks())
def test_border_classes_tell_the_taps_of_every_position(network: Network) -> None:
    layer = network.layers[0]
    assert isinstance(layer, BinaryConv)
    classes, taps = layer.border_classes(network.input), layer.valid_taps(network.input)
    for (y, x), class_ in np.ndenumerate(classes):
        expected = plain_taps(layer, network.input, y, x)
        if layer.padding_value != 0 or network.input.format != BIPOLAR:
            expected = [True] * len(expected)
        assert taps[class_].tolist() == expected


@quick
@given(network=networks())
def test_bounds_are_reached_and_not_left(network: Network) -> None:
    for layer in network.linear_layers():
        source = network.source(layer)
        low, high = layer.sum_bounds(source)
        form = source.format
        for class_, valid in enumerate(layer.valid_taps(source)):
            for channel, row in enumerate(layer.matrix()):
                terms = [sorted((w * form.low, w * form.high)) for w in row[valid].tolist()]
                assert low[class_, channel] == sum(least for least, _ in terms)
                assert high[class_, channel] == sum(most for _, most in terms)
        if layer.threshold is None:
            bounds = Integer(int(low.min()), int(high.max()), source.format.fraction)
            assert network.tensors[layer.name].format == bounds


def test_groups_read_their_own_channels() -> None:
    weights = np.random.default_rng(0).integers(0, 2, (4, 1, 2, 3), np.uint8)
    layer = BinaryConv("conv", ("input",), weights, groups=2)
    matrix = layer.matrix().reshape(4, 2, 6)
    for output in range(4):
        start = 3 * (output // 2)
        own = np.zeros((2, 6), np.int8)
        own[:, start : start + 3] = 2 * weights[output, 0].astype(np.int8) - 1
        np.testing.assert_array_equal(matrix[output], own)
    assert (layer.input_channels, layer.patch_size()) == (6, 12)


BITS = np.ones((2, 3, 3, 2), np.uint8)
MAP = Tensor((6, 6, 2), BIPOLAR)
WRONG: dict[str, tuple[Any, str]] = {
    "a name that starts with a digit": (lambda: Argmax("1a", ("input",)), "'1a' is not usable"),
    "an empty name": (lambda: Argmax("", ("input",)), "'' is not usable"),
    "the name of the input": (lambda: Argmax("input", ("input",)), "'input' is not usable"),
    "no input": (lambda: Argmax("a", ()), "layer a: has 0 inputs and takes 1"),
    "signs for bits": (
        lambda: BinaryDense("a", ("input",), np.array([[-1]])),
        "weights must be bits.*store",
    ),
    "a threshold of other size": (
        lambda: BinaryDense("a", ("input",), BITS[0, 0], Threshold.at_least(np.zeros(2, int))),
        "threshold has 2 channels, the layer has 3",
    ),
    "a vector for a convolution": (
        lambda: BinaryConv("a", ("input",), BITS).output(Tensor((72,), BIPOLAR)),
        r"reads \(height, width, 2\) and gets \(72,\)",
    ),
    "other channels": (
        lambda: BinaryConv("a", ("input",), BITS).output(Tensor((6, 6, 3), BIPOLAR)),
        "reads",
    ),
    "padding outside the format": (
        lambda: BinaryConv(
            "a", ("input",), BITS, padding=(1, 1, 1, 1), padding_value=-1
        ).output(Tensor((6, 6, 2), Integer(0, 3))),
        "padding value -1 is outside the input format integer 0..3",
    ),
    "taps that are too far apart": (
        lambda: BinaryConv(
            "a", ("input",), BITS, padding=(6, 6, 6, 6), dilation=(1, 6)
        ).output(MAP),
        "layer a: taps 6 positions apart exceed",
    ),
    "a pool that does not fit": (
        lambda: MaxPool("a", ("input",), (7, 1), (1, 1)).output(MAP),
        "does not fit shape",
    ),
    "a pool of a vector": (lambda: MaxPool("a", ("input",)).output(Tensor((9,), BIPOLAR)), "fit"),
    "a binarize of other size": (
        lambda: Binarize("a", ("input",), Threshold.at_least(np.zeros(3, int))).output(MAP),
        "threshold has 3 channels, the edge has 2",
    ),
    "a shape of rank two": (lambda: Tensor((3, 3), BIPOLAR), "is neither"),
    "no layers": (lambda: Network("n", MAP, ()), "has no layers"),
    "an unusable name": (lambda: Network("a b", MAP, ()), "'a b' is not usable"),
    "an unknown layer": (
        lambda: Network("n", MAP, (Argmax("a", ("input",)),)).layer("b"),
        "network n has no layer 'b'; it has a",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_told(case: str) -> None:
    build, message = WRONG[case]
    with pytest.raises(ModelError, match=message):
        build()


def test_a_layer_alone_reads_its_source() -> None:
    conv = BinaryConv("conv", ("input",), BITS, Threshold.at_least(np.zeros(2, int)))
    dense = BinaryDense("fc", ("conv",), np.ones((3, 32), np.uint8))
    network = Network("net", MAP, (conv, dense))
    images = np.zeros((1, 4, 4, 2), np.int32)
    alone = network.single("fc", Samples(images))
    assert alone.name == "net-fc"
    assert alone.input == Tensor((4, 4, 2), BIPOLAR)
    assert alone.tensors["fc"] == network.tensors["fc"] == Tensor((3,), Integer(-32, 32))
    with pytest.raises(ModelError, match="leave the input format"):
        network.single("fc", Samples(images - 1))
    with pytest.raises(ModelError, match="sample images are int32 of shape"):
        network.single("fc", Samples(images[0]))


def test_abstract_layers_have_no_meaning() -> None:
    layer = LinearLayer("a", ("input",), BITS)
    with pytest.raises(TypeError, match="abstract"):
        layer.matrix()
    with pytest.raises(TypeError, match="abstract"):
        layer.output(MAP)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = BinaryConv("conv", ("input",), BITS, groups=2)
    check_layer(layer)
    check_layer(MaxPool("pool", ("input",)))
    check_input(Tensor((1 << 20,), BIPOLAR))
    with pytest.raises(ModelError, match="larger than 16384"):
        check_input(Tensor((1, 1 << 15, 1), Bipolar()))
    monkeypatch.setattr(limits, "MATRIX_LIMIT", 2 * layer.weights.size - 1)
    with pytest.raises(ModelError, match=r"layer conv: weights .* in 2 groups"):
        check_layer(layer)
    monkeypatch.setattr(limits, "MATRIX_LIMIT", 2 * layer.weights.size)
    check_layer(replace(layer, groups=1))
    monkeypatch.setattr(limits, "KERNEL_LIMIT", 2)
    with pytest.raises(ModelError, match="layer conv: kernel"):
        check_layer(layer)
