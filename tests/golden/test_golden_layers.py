"""Every layer type against plain Python loops, and broken meanings that must be told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

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
from tests.golden.golden_strategies import Case, linear_cases, other_cases, random_images
from tests.golden.slow_reference import slow_run, slow_sums

BOUNDED = settings(max_examples=150, deadline=None, derandomize=True)


def agree(layer: Layer, source: Tensor, images: np.ndarray, meant: Layer | None = None) -> bool:
    """Return whether golden's ``layer`` is what the loops say of ``meant``, on these images."""
    got = golden.run(Network("net", source, (layer,)), images)["layer"]
    expected = slow_run(Network("net", source, (meant or layer,)), images)["layer"]
    return got.shape == expected.shape and bool((got == expected).all())


@BOUNDED
@given(linear_cases())
def test_linear_layers_equal_the_loops(case: Case) -> None:
    assert agree(*case)


@BOUNDED
@given(other_cases())
def test_other_layers_equal_the_loops(case: Case) -> None:
    assert agree(*case)


@BOUNDED
@given(linear_cases())
def test_patches_equal_images_and_loops(case: tuple[LinearLayer, Tensor, Any]) -> None:
    layer, source, images = case
    vectors, classes = golden.patches(layer, source, images)
    output = layer.output(source)
    count = len(images) * output.size // layer.channels
    assert vectors.shape == (count, layer.patch_size())
    assert classes.shape == (count,)
    sums = golden.layer_sums(layer, source, vectors, classes)
    expected = np.array([slow_sums(layer, source, image) for image in images], np.int64)
    assert np.array_equal(sums, expected.reshape(count, layer.channels))
    bits = golden.layer_outputs(layer, source, vectors, classes)
    edges = golden.run(Network("net", source, (layer,)), images)
    assert np.array_equal(bits.reshape(edges["layer"].shape), edges["layer"])


def some_bits(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, shape).astype(np.uint8)


CONV = BinaryConv(
    "layer",
    ("input",),
    some_bits(4, 2, 3, 3),
    Threshold(np.array([1, -1, 1, 0], np.int8), np.array([0, -1, 2, 1])),
    stride=(2, 1),
    padding=(1, 0, 2, 1),
    padding_value=0,
    dilation=(1, 2),
    groups=2,
)
MAP = Tensor((6, 7, 6), BIPOLAR)
DENSE = BinaryDense("layer", ("input",), some_bits(5, 24))
POOL = MaxPool("layer", ("input",), (3, 2), (1, 2))
BINARIZE = Binarize("layer", ("input",), Threshold(np.array([1, -1], np.int8), np.array([3, 4])))

MUTANTS: dict[str, tuple[Layer, Layer, Tensor]] = {
    "zero padding taken as -1": (CONV, replace(CONV, padding_value=-1), MAP),
    "zero padding taken as +1": (CONV, replace(CONV, padding_value=1), MAP),
    "padding shifted": (CONV, replace(CONV, padding=(2, 1, 1, 0)), MAP),
    "strides swapped": (CONV, replace(CONV, stride=(1, 2)), MAP),
    "dilations swapped": (CONV, replace(CONV, dilation=(2, 1)), MAP),
    "kernel flipped": (CONV, replace(CONV, weights=CONV.weights[:, ::-1]), MAP),
    "groups interleaved": (CONV, replace(CONV, weights=CONV.weights[[0, 2, 1, 3]]), MAP),
    "threshold one off": (
        CONV,
        replace(CONV, threshold=Threshold(CONV.threshold.direction, [1, -1, 2, 1])),
        MAP,
    ),
    "direction ignored": (
        CONV,
        replace(CONV, threshold=Threshold(np.array([1, 1, 1, 0], np.int8), [0, -1, 2, 1])),
        MAP,
    ),
    "constant inverted": (
        CONV,
        replace(CONV, threshold=Threshold(CONV.threshold.direction, [0, -1, 2, 0])),
        MAP,
    ),
    "flattened channel first": (
        DENSE,
        replace(
            DENSE,
            weights=DENSE.weights.reshape(5, 2, 3, 4).transpose(0, 3, 1, 2).reshape(5, 24),
        ),
        Tensor((2, 3, 4), BIPOLAR),
    ),
    "pool strides swapped": (POOL, replace(POOL, stride=(2, 1)), MAP),
    "pool kernel swapped": (POOL, replace(POOL, kernel=(2, 3)), MAP),
    "binarize one off": (
        BINARIZE,
        replace(BINARIZE, threshold=Threshold(BINARIZE.threshold.direction, np.array([4, 4]))),
        Tensor((3, 3, 2), Integer(0, 7)),
    ),
    "ties to the last": (
        Argmax("layer", ("input",), "first"),
        Argmax("layer", ("input",), "last"),
        Tensor((9,), Integer(0, 3)),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_rejected(name: str) -> None:
    meant, mutant, source = MUTANTS[name]
    images = random_images(source, 12, seed=5)
    assert agree(meant, source, images)
    assert not agree(mutant, source, images, meant)


def test_patch_that_loses_its_border_class_is_wrong() -> None:
    images = random_images(MAP, 4, seed=6)
    vectors, classes = golden.patches(CONV, MAP, images)
    expected = golden.layer_sums(CONV, MAP, vectors, classes)
    inner = int(np.flatnonzero(CONV.valid_taps(MAP).all(axis=1))[0])
    lost = golden.layer_sums(CONV, MAP, vectors, np.full_like(classes, inner))
    assert not np.array_equal(lost, expected)
    assert np.array_equal(lost[classes == inner], expected[classes == inner])


def test_what_a_padded_tap_holds_does_not_matter_where_zeros_pad() -> None:
    vectors, classes = golden.patches(CONV, MAP, random_images(MAP, 4, seed=7))
    padded = ~CONV.valid_taps(MAP)[classes]
    assert padded.any()
    assert not vectors[padded].any(), "a padded tap is a 0 bit"
    expected = golden.layer_outputs(CONV, MAP, vectors, classes)
    assert np.array_equal(golden.layer_outputs(CONV, MAP, vectors | padded, classes), expected)
