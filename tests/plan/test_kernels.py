"""Kernels of layers: their codes, how many there are, how often; and when sharing them pays."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

from bnn2hw.model import BinaryConv, LinearLayer, Tensor
from bnn2hw.plan.kernels import break_even, kernels_of, vector_of_inputs
from tests.plan.strategies import dense, layers, random_bits

EXAMPLES = settings(max_examples=200, deadline=None, derandomize=True)


def texts(layer: LinearLayer) -> dict[tuple[int, int], str]:
    """Return the kernel of every output and input channel or vector as text, one by one."""
    weights = layer.weights
    found = {}
    if weights.ndim == 4 and weights.shape[1:3] != (1, 1):
        for output in range(len(weights)):
            for channel in range(weights.shape[3]):
                kernel = weights[output, :, :, channel]
                found[output, channel] = "".join(map(str, kernel.reshape(-1).tolist()))
        return found
    for output, row in enumerate(weights.reshape(len(weights), -1).tolist()):
        for start in range(0, len(row), 8):
            found[output, start // 8] = "".join(map(str, row[start : start + 8]))
    return found


def negated(text: str) -> str:
    return text.translate(str.maketrans("01", "10"))


@EXAMPLES
@given(layers)
def test_kernels_are_those_found_one_by_one(case: tuple[LinearLayer, Tensor]) -> None:
    layer, _ = case
    kernels = kernels_of(layer)
    assert kernels is not None
    expected = texts(layer)
    assert kernels.frequencies() == Counter(expected.values())
    assert kernels.distinct() == len(set(expected.values()))
    pairs = {place: min(text, negated(text)) for place, text in expected.items()}
    assert kernels.distinct(negation=True) == len(set(pairs.values()))
    outputs = layer.channels // kernels.groups
    for negation, texts_ in ((False, expected), (True, pairs)):
        each: dict[tuple[int, int], set[str]] = {}
        for (output, vector), text in texts_.items():
            each.setdefault((output // outputs, vector), set()).add(text)
        counts = [len(each[place]) for place in sorted(each)]
        assert kernels.distinct_each(negation=negation).tolist() == counts


@EXAMPLES
@given(layers)
def test_inputs_of_one_kernel_share_its_vector(case: tuple[LinearLayer, Tensor]) -> None:
    layer, _ = case
    row = layer.matrix()[0]
    inputs = np.flatnonzero(row).astype(np.int32)
    vector = vector_of_inputs(layer, inputs)
    found = [
        "".join("1" if sign > 0 else "0" for sign in row[inputs[vector == number]])
        for number in np.unique(vector)
    ]
    assert found == [text for (output, _), text in sorted(texts(layer).items()) if output == 0]


def test_kernels_that_are_too_large_have_no_codes() -> None:
    large = random_bits(2, 8 * 8 * 3).reshape(2, 8, 8, 3)
    assert kernels_of(BinaryConv("layer", ("input",), weights=large)) is None
    fits = kernels_of(BinaryConv("layer", ("input",), weights=large[:, :, :7]))
    assert fits is not None and fits.length == 56


def test_code_has_the_first_weight_at_the_lsb() -> None:
    kernels = kernels_of(dense(np.array([[1, 0, 0, 0, 1, 0, 0, 0, 1, 1]], dtype=np.uint8)))
    assert kernels is not None
    assert kernels.codes.tolist() == [[0b10001, 0b11]]
    assert (kernels.length, kernels.tail) == (8, 2)


@pytest.mark.parametrize(("length", "outputs"), [(9, 64), (9, 512), (9, 2), (8, 10), (4, 100)])
def test_break_even_is_where_bit_ops_are_equal(length: int, outputs: int) -> None:
    tau = break_even(length, outputs)
    pays = [2 * length * 2**t + outputs < 2 * length * outputs for t in range(length + 1)]
    assert pays[: tau + 1] == [True] * (tau + 1) or tau == 0
    assert not any(pays[tau + 1 :])
    if length == 9 and outputs > 2:
        assert 2**tau < 0.95 * outputs < 2 ** (tau + 1) or tau == 9
