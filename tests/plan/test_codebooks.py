"""Codebooks: recognised ones give the same weights, projected ones are near, small ones best."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.errors import ModelError, PlanError, UsageError
from bnn2hw.model import BinaryConv, Codebook, LinearLayer, Tensor
from bnn2hw.plan import codebooks
from bnn2hw.plan.codebooks import exchanged, ordered, project, recognise
from bnn2hw.plan.kernels import kernels_of
from tests.plan.strategies import dense, layers, random_bits

EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True)
FEW = settings(max_examples=40, deadline=None, derandomize=True)


@st.composite
def made_of_codebooks(draw: st.DrawFn) -> tuple[LinearLayer, Codebook, bool]:
    """Draw a layer made of a codebook, closed or not: 3x3, 2x2, 1x1, or dense with a tail."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, closed = draw(st.sampled_from(("3x3", "2x2", "1x1", "dense"))), draw(st.booleans())
    outputs, inputs = draw(st.integers(1, 40)), draw(st.integers(1, 20))
    length = {"3x3": 9, "2x2": 4}.get(kind, 8)
    tau = draw(st.integers(1, min(length - 1, 5)))
    codes = random.permutation(1 << (length - closed))[: 1 << (tau - closed)]
    if closed:
        codes = np.concatenate([codes, ~codes])
    subset = (codes[:, None] >> np.arange(length) & 1).astype(np.uint8)
    vectors = inputs if length != 8 else -(-inputs // 8)
    book = Codebook(subset, random.integers(0, len(codes), (outputs, vectors)).astype(np.int32))
    if kind == "dense":
        return dense(book.expand((outputs, inputs))), book, closed
    side = {"3x3": 3, "2x2": 2, "1x1": 1}[kind]
    weights = book.expand((outputs, side, side, inputs))
    return BinaryConv("layer", ("input",), weights=weights), book, closed


@EXAMPLES
@given(made_of_codebooks())
def test_a_layer_made_of_a_codebook_is_recognised(
    case: tuple[LinearLayer, Codebook, bool],
) -> None:
    layer, book, closed = case
    found = recognise(layer)
    assert found is not None
    assert np.array_equal(found.expand(layer.weights.shape), layer.weights)
    assert found.tau <= book.tau
    assert found.closed or not closed or found.tau < book.tau
    kernels = kernels_of(layer)
    assert kernels is not None
    if kernels.tail == kernels.length:
        assert found.tau == max((kernels.distinct() - 1).bit_length(), 1)
    check_order(found)


def check_order(book: Codebook) -> None:
    """Check that closed subsets have their complements in the second half."""
    half = len(book.subset) // 2
    if book.closed:
        assert np.array_equal(book.subset[half:], 1 - book.subset[:half])


@EXAMPLES
@given(made_of_codebooks())
def test_closing_takes_one_bit_more_at_most(
    case: tuple[LinearLayer, Codebook, bool],
) -> None:
    layer, book, closed = case
    found, least = recognise(layer, closed=True), recognise(layer)
    assert least is not None
    if found is None:
        assert least.tau == least.length - 1 and not least.closed
        return
    assert found.closed and least.tau <= found.tau <= least.tau + 1
    assert np.array_equal(found.expand(layer.weights.shape), layer.weights)
    assert found.tau <= book.tau or not closed
    assert found.tau == least.tau if least.closed else found.tau == least.tau + 1
    check_order(found)


@EXAMPLES
@given(made_of_codebooks(), st.randoms(use_true_random=False))
def test_ordering_keeps_the_weights(
    case: tuple[LinearLayer, Codebook, bool], random: Random
) -> None:
    layer, book, _ = case
    rows = np.array(random.sample(range(len(book.subset)), len(book.subset)))
    shuffled = Codebook(book.subset[rows], rows.argsort()[book.indices].astype(np.int32))
    found = ordered(shuffled)
    assert np.array_equal(found.expand(layer.weights.shape), layer.weights)
    assert found.closed == shuffled.closed
    check_order(found)


@EXAMPLES
@given(layers)
def test_what_is_recognised_is_exact_and_least(case: tuple[LinearLayer, Tensor]) -> None:
    layer, _ = case
    found, kernels = recognise(layer), kernels_of(layer)
    assert kernels is not None
    whole = len(np.unique(kernels.whole))
    if found is None:
        assert kernels.distinct() > 1 << (kernels.length - 2) or kernels.length == 1
        return
    assert np.array_equal(found.expand(layer.weights.shape), layer.weights)
    assert found.length == kernels.length > found.tau
    assert whole <= len(found.subset)
    if kernels.tail == kernels.length:  # shorter vectors may need no kernel of their own
        assert kernels.distinct() > 1 << (found.tau - 1) or found.tau == 1


@FEW
@given(layers, st.integers(1, 8), st.booleans())
def test_projection_is_the_nearest_and_never_worse_than_its_start(
    case: tuple[LinearLayer, Tensor], tau: int, closed: bool
) -> None:
    layer, _ = case
    kernels = kernels_of(layer)
    assert kernels is not None
    if tau >= kernels.length:
        with pytest.raises(UsageError, match=f"layer layer: tau {tau} is no width of an index"):
            project(layer, tau, closed=closed)
        return
    found, changed = project(layer, tau, closed=closed)
    book = found.codebook
    assert book is not None and book.tau == tau
    assert changed == np.count_nonzero(found.weights != layer.weights)
    assert found.threshold is layer.threshold
    assert book.closed or not closed
    check_order(book)
    distance = nearest_distances(layer, book.subset)
    assert changed == distance
    # the most frequent kernels, counted apart, shorter vectors as if -1 followed
    codes = kernels.codes.reshape(-1)
    mask = (1 << kernels.length) - 1
    if closed:
        codes = np.minimum(codes, mask - codes)
    frequency = np.bincount(codes, minlength=1 << (kernels.length - closed))
    start = np.argsort(-frequency, kind="stable")[: 1 << (tau - closed)]
    start = np.concatenate([start, mask - start]) if closed else start
    subset = (start[:, None] >> np.arange(kernels.length) & 1).astype(np.uint8)
    assert changed <= nearest_distances(layer, subset)


def nearest_distances(layer: LinearLayer, subset: NDArray[np.uint8]) -> int:
    """Return the total Hamming distance of a layer's kernels to the nearest of a subset."""
    weights, length = layer.weights, subset.shape[1]
    if isinstance(layer, BinaryConv) and layer.kernel != (1, 1):
        kernels = list(np.moveaxis(weights, 3, 1).reshape(-1, length))
    else:
        rows = weights.reshape(len(weights), -1)
        kernels = [row[k : k + 8] for row in rows for k in range(0, rows.shape[1], 8)]
    return sum(int((subset[:, : len(k)] != k).sum(axis=1).min()) for k in kernels)


@FEW
@given(made_of_codebooks())
def test_projection_of_what_fits_changes_nothing(case: tuple[LinearLayer, Codebook, bool]) -> None:
    layer, book, closed = case
    kernels = kernels_of(layer)
    assert kernels is not None
    if kernels.tail == kernels.length:
        _, changed = project(layer, book.tau, closed=closed)
        assert changed == 0


def total(distance: NDArray[np.int64], counts: NDArray[np.int64], chosen: NDArray[np.int64]) -> int:
    return int((distance[:, chosen].min(axis=1) * counts).sum())


def tiny_case(seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    codes = np.arange(16)
    distance = np.bitwise_count(codes[:, None] ^ codes[None, :]).astype(np.int64)
    return distance, random.integers(0, 30, 16)


def test_exchange_finds_the_optimum_of_tiny_cases() -> None:
    """All sets of 4 of 16 kernels, by brute force."""
    sets = np.array(list(combinations(range(16), 4)))
    for seed in range(40):
        distance, counts = tiny_case(seed)
        best = (distance[:, sets].min(axis=2) * counts[:, None]).sum(axis=0).min()
        start = np.argsort(-counts, kind="stable")[:4]
        found = exchanged(distance, counts, start)
        assert len(np.unique(found)) == 4
        assert total(distance, counts, found) == best


def no_exchange(
    offers: NDArray[np.int64], counts: NDArray[np.int64], start: NDArray[np.int64]
) -> tuple[int, NDArray[np.int64]]:
    """Leave the start as it is."""
    return total(offers.T, counts, start), start


def unweighted(
    offers: NDArray[np.int64], counts: NDArray[np.int64], start: NDArray[np.int64]
) -> tuple[int, NDArray[np.int64]]:
    """Take all kernels for equally frequent."""
    return EXCHANGE(offers, np.ones_like(counts), start)


EXCHANGE = codebooks._exchange


@pytest.mark.parametrize("mutant", [no_exchange, unweighted])
def test_optimum_rejects_mutants(
    monkeypatch: pytest.MonkeyPatch, mutant: Callable[..., object]
) -> None:
    monkeypatch.setattr(codebooks, "_exchange", mutant)
    with pytest.raises(AssertionError):
        test_exchange_finds_the_optimum_of_tiny_cases()


def test_no_kernel_of_its_own_for_a_vector_that_another_begins_with() -> None:
    row = [1, 1, 0, 0, 1, 0, 1, 0]
    layer = dense(np.array([[*row, *row[:3]], [*row, 0, 0, 1]], dtype=np.uint8))
    found = recognise(layer)
    assert found is not None and (found.tau, found.closed) == (1, True)
    assert np.array_equal(found.expand(layer.weights.shape), layer.weights)


def test_nothing_is_recognised_where_nothing_is_saved() -> None:
    codes = np.arange(512)
    weights = (codes[:, None] >> np.arange(9) & 1).astype(np.uint8).reshape(512, 3, 3, 1)
    assert recognise(BinaryConv("layer", ("input",), weights=weights)) is None
    assert recognise(BinaryConv("layer", ("input",), weights=weights[:257])) is None
    assert recognise(BinaryConv("layer", ("input",), weights=weights[:256]), closed=True) is None
    half = recognise(BinaryConv("layer", ("input",), weights=weights[:256]))
    assert half is not None and (half.tau, half.closed) == (8, False)


def test_kernels_that_are_too_large_have_no_codebook() -> None:
    layer = BinaryConv("big", ("input",), weights=random_bits(4, 50).reshape(4, 5, 5, 2))
    assert recognise(layer) is None
    with pytest.raises(PlanError, match="layer big: kernels of more than 10 weights have no"):
        project(layer, 4)


def test_grouped_convolutions_have_codebooks_too() -> None:
    weights = random_bits(6, 9 * 2, seed=3).reshape(6, 3, 3, 2)
    layer = BinaryConv("layer", ("input",), weights=weights, groups=3)
    found, changed = project(layer, 2)
    assert found.codebook is not None and found.codebook.indices.shape == (6, 2)
    assert 0 < changed < weights.size


def test_512x512_kernels_are_packed_in_two_seconds() -> None:
    weights = random_bits(512, 9 * 512).reshape(512, 3, 3, 512)
    layer = BinaryConv("layer", ("input",), weights=weights)
    start = time.process_time()
    project(layer, 6)
    assert time.process_time() - start < 2


def test_a_forgotten_shorter_vector_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = dense(np.array([[1, 0, 0, 0, 0, 0, 0, 0, 1, 1], [0] * 10], dtype=np.uint8))
    found = recognise(layer)
    assert found is not None and np.array_equal(found.expand((2, 10)), layer.weights)
    monkeypatch.setattr(codebooks, "_uncovered", lambda *_: np.zeros(0, np.int64))
    broken = recognise(layer)
    assert broken is not None
    assert not np.array_equal(broken.expand((2, 10)), layer.weights)
    with pytest.raises(ModelError, match="the codebook gives other weights than the layer has"):
        replace(layer, codebook=broken)
