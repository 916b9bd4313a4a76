"""Codebooks against plain loops, and groups of bases: what is refused, and with which words."""

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
    Affine,
    BaseGroup,
    BinaryConv,
    BinaryDense,
    Codebook,
    Integer,
    Network,
    Tensor,
)

from .networks import all_bits

quick = settings(max_examples=100, deadline=None, derandomize=True)


def random_codebook(length: int, size: int, shape: tuple[int, int], seed: int) -> Codebook:
    rng = np.random.default_rng(seed)
    return Codebook(rng.permutation(all_bits(length))[:size], rng.integers(0, size, shape))


@quick
@given(
    outputs=st.integers(1, 4), inputs=st.integers(1, 4), kernel=st.sampled_from([(3, 3), (1, 2)]),
    tau=st.integers(1, 2), seed=st.integers(0, 99),
)  # fmt: skip
def test_kernels_stand_at_output_and_input(
    outputs: int, inputs: int, kernel: tuple[int, int], tau: int, seed: int
) -> None:
    book = random_codebook(kernel[0] * kernel[1], 1 << tau, (outputs, inputs), seed)
    weights = book.expand((outputs, *kernel, inputs))
    assert (book.tau, book.length) == (tau, kernel[0] * kernel[1])
    for o, y, x, i in np.ndindex(weights.shape):
        assert weights[o, y, x, i] == book.subset[book.indices[o, i], y * kernel[1] + x]


@quick
@given(
    outputs=st.integers(1, 4), inputs=st.integers(1, 20), length=st.integers(2, 8),
    seed=st.integers(0, 99), dense=st.booleans(),
)  # fmt: skip
def test_vectors_stand_for_consecutive_inputs(
    outputs: int, inputs: int, length: int, seed: int, dense: bool
) -> None:
    book = random_codebook(length, 4, (outputs, -(-inputs // length)), seed)
    weights = book.expand((outputs, inputs) if dense else (outputs, 1, 1, inputs))
    for o, i in itertools.product(range(outputs), range(inputs)):
        expected = book.subset[book.indices[o, i // length], i % length]
        assert weights.reshape(outputs, inputs)[o, i] == expected


def test_closed_subsets_hold_every_complement() -> None:
    closed = Codebook(np.array([[0, 0, 1], [1, 1, 0]]), np.array([[0]]))
    assert closed.closed
    assert not Codebook(np.array([[0, 0, 1], [1, 0, 1]]), np.array([[0]])).closed
    assert Codebook(all_bits(3), np.array([[7]])).closed


BOOK = random_codebook(9, 8, (4, 3), 1)
WEIGHTS = BOOK.expand((4, 3, 3, 3))
VECTORS = random_codebook(8, 4, (2, 2), 2)

WRONG: dict[str, tuple[Any, str]] = {
    "three kernels": (lambda: Codebook(all_bits(2)[:3], [[0]]), "3 kernels, expected 2, 4, 8"),
    "one kernel": (lambda: Codebook(all_bits(2)[:1], [[0]]), "1 kernels, expected 2, 4, 8"),
    "a kernel twice": (lambda: Codebook([[0, 1], [0, 1]], [[0]]), "holds a kernel twice"),
    "signs": (lambda: Codebook([[-1, 1], [1, 1]], [[0]]), "subset must be bits.*store"),
    "a flat subset": (lambda: Codebook([0, 1], [[0]]), "subset must be 2-dimensional bits"),
    "an index beyond": (lambda: Codebook(all_bits(2), [[4]]), "from 4 to 4, expected 0 to 3"),
    "an index below": (lambda: Codebook(all_bits(2), [[-1]]), "from -1 to -1, expected 0 to 3"),
    "a huge index": (lambda: Codebook(all_bits(2), [[1 << 40]]), "indices must lie within"),
    "flat indices": (lambda: Codebook(all_bits(2), [1]), "indices must be 2-dimensional integers"),
    "real indices": (lambda: Codebook(all_bits(2), [[1.0]]), "indices must be 2-dimensional"),
    "kernels of another size": (
        lambda: BinaryConv("c", ("input",), np.ones((4, 2, 2, 3), int), codebook=BOOK),
        "layer c: a codebook of kernels of 9 weights does not fit weights of shape",
    ),
    "too few indices": (
        lambda: BinaryConv("c", ("input",), WEIGHTS[:3], codebook=BOOK),
        r"layer c: codebook indices have shape \(4, 3\), weights .* take \(3, 3\)",
    ),
    "too few vectors": (
        lambda: BinaryDense("d", ("input",), np.ones((2, 17), int), codebook=VECTORS),
        r"layer d: codebook indices have shape \(2, 2\), .* take \(2, 3\)",
    ),
    "other weights": (
        lambda: BinaryConv("c", ("input",), 1 - WEIGHTS, codebook=BOOK),
        "layer c: the codebook gives other weights than the layer has; change both",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_codebook_that_does_not_fit_is_told(case: str) -> None:
    build, message = WRONG[case]
    with pytest.raises(ModelError, match=message):
        build()


def test_one_wrong_weight_is_seen_anywhere() -> None:
    layer = BinaryConv("c", ("input",), WEIGHTS, codebook=BOOK)
    for place in range(0, WEIGHTS.size, 7):
        wrong = WEIGHTS.copy()
        wrong.flat[place] ^= 1
        with pytest.raises(ModelError, match="other weights"):
            replace(layer, weights=wrong)


# --------------------------------------------------------------------------------- groups


def affine(name: str, *inputs: str) -> Affine:
    ones = np.ones((len(inputs), 1), np.int64)
    return Affine(name, inputs, ones, np.array([0]), 0, Integer(-99, 99))


def network(*groups: BaseGroup, crossed: bool = False) -> Network:
    layers = (
        affine("a0", "input"), affine("a1", "a0"),
        affine("b0", "input"), affine("b1", "b0", *(("a0",) if crossed else ())),
        affine("sum", "a1", "b1"),
    )  # fmt: skip
    return Network("net", Tensor((4,), BIPOLAR), layers, groups=groups)


GOOD = BaseGroup("unit", (("a0", "a1"), ("b0", "b1")), "sum")


def test_parallel_bases_are_taken() -> None:
    assert network(GOOD).groups == (GOOD,)
    assert network(GOOD, replace(GOOD, name="other")).groups[1].name == "other"
    assert network().groups == ()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([GOOD, GOOD], "there are two of group 'unit'"),
        ([replace(GOOD, bases=())], "'unit' has no bases, or an empty one"),
        ([replace(GOOD, bases=(("a0",), ()))], "'unit' has no bases, or an empty one"),
        ([replace(GOOD, bases=(("a0",), ("c0",)))], "'unit' names 'c0', which is no layer"),
        ([replace(GOOD, bases=(("a0",), ("input",)))], "'unit' names 'input', which is no layer"),
        ([replace(GOOD, bases=(("a0",), ("a0",)))], "'unit' has layer 'a0' twice"),
        ([replace(GOOD, output="b1")], "the output 'b1' of group 'unit' must be a layer of no"),
        ([replace(GOOD, output="end")], "the output 'end' of group 'unit' must be a layer of no"),
        ([replace(GOOD, bases=(("a0",), ("a1",)))], "layer a1: .*base 1 reads 'a0' of base 0"),
    ],
)
def test_groups_that_are_none_are_told(groups: list[BaseGroup], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        network(*groups)


def test_bases_that_read_each_other_are_told() -> None:
    with pytest.raises(ModelError, match="layer b1: group 'unit' is not parallel"):
        network(GOOD, crossed=True)
