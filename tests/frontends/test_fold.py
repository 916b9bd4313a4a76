"""Folding is exact: thresholds against the float expression, sums against all inputs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw import golden
from bnn2hw.errors import ImportFailure
from bnn2hw.frontends import fold as folding
from bnn2hw.frontends.expression import Expression, arithmetic, batch_normalization, scale
from bnn2hw.frontends.fold import (
    ReachableSums,
    check_exact,
    fold,
    format_values,
    is_nondecreasing,
    is_order_preserving,
    reachable_sums,
)
from bnn2hw.model import (
    BIPOLAR,
    BinaryConv,
    BinaryDense,
    Bipolar,
    Integer,
    LinearLayer,
    Network,
    Tensor,
    Threshold,
)

quick = settings(max_examples=100, deadline=None, derandomize=True)
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def bits(threshold: Threshold, sums: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return what a threshold gives on sums (count, channels)."""
    up, down = threshold.direction > 0, threshold.direction < 0
    constant = np.broadcast_to(threshold.level == 1, sums.shape)
    return np.where(up, sums >= threshold.level, np.where(down, sums <= threshold.level, constant))


def ladder(size: int) -> ReachableSums:
    """Return the sums of so many bipolar inputs."""
    return ReachableSums(np.array([-size]), np.arange(0, 2 * size + 1, 2))


# ------------------------------------------------------------------------- reachable sums


@st.composite
def small_layers(draw: Any) -> tuple[LinearLayer, Tensor]:
    """Draw a layer whose inputs can all be tried."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    form: Bipolar | Integer = draw(
        st.sampled_from([BIPOLAR, Integer(-1, 1), Integer(0, 2), Integer(-3, -1), Integer(2, 2)])
    )
    most = 9 if form == BIPOLAR else 6
    if draw(st.booleans()):
        size = draw(st.integers(1, most))
        weights = rng.integers(0, 2, (draw(st.integers(1, 4)), size), np.uint8)
        return BinaryDense("fc", ("input",), weights), Tensor((size,), form)
    height, width, channels = draw(
        st.sampled_from([s for s in itertools.product((1, 2, 3), repeat=3) if np.prod(s) <= most])
    )
    groups = draw(st.sampled_from([g for g in (1, channels)]))
    kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    value = draw(st.sampled_from([-1, 0, 1]))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    if form != BIPOLAR and not form.low <= value <= form.high:
        padding = (0, 0, 0, 0)
    fits = all(
        n + padding[a] + padding[a + 2] >= k
        for a, (n, k) in enumerate(zip((height, width), kernel, strict=True))
    )
    layer = BinaryConv(
        "conv",
        ("input",),
        rng.integers(
            0, 2, (groups * 2, *(kernel if fits else (1, 1)), channels // groups), np.uint8
        ),
        padding=padding,
        padding_value=value,
        groups=groups,
    )
    return layer, Tensor((height, width, channels), form)


@quick
@given(case=small_layers())
def test_reachable_sums_hold_all_that_inputs_reach(case: tuple[LinearLayer, Tensor]) -> None:
    layer, source = case
    form = source.format
    values = [0, 1] if form == BIPOLAR else range(form.low, form.high + 1)
    images = np.array(list(itertools.product(values, repeat=source.size)))
    network = Network("one", source, (layer,))
    sums = golden.run(network, images.reshape(-1, *source.shape))[layer.name]
    reachable = reachable_sums(layer, source)
    for channel in range(layer.channels):
        reached = set(np.unique(sums[..., channel]).tolist())
        claimed = set((reachable.low[channel] + reachable.offsets).tolist())
        assert reached <= claimed
        if isinstance(layer, BinaryDense):
            assert reached == claimed


def test_sums_of_bits_have_one_parity() -> None:
    layer = BinaryDense("fc", ("input",), np.ones((1, 5), np.uint8))
    sums = reachable_sums(layer, Tensor((5,), BIPOLAR))
    assert (sums.low[0] + sums.offsets).tolist() == [-5, -3, -1, 1, 3, 5]


def test_zero_padding_adds_the_other_parity() -> None:
    layer = BinaryConv("conv", ("input",), np.ones((1, 1, 3, 1), np.uint8), padding=(0, 1, 0, 1))
    sums = reachable_sums(layer, Tensor((1, 4, 1), BIPOLAR))
    assert (sums.low[0] + sums.offsets).tolist() == [-3, -2, -1, 0, 1, 2, 3]


# ---------------------------------------------------------------------------------- fold

numbers = st.floats(-8, 8, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 3.0])


@quick
@given(
    data=st.data(),
    dtype=st.sampled_from([F32, F64]),
    size=st.integers(1, 40),
    channels=st.integers(1, 4),
)
def test_fold_equals_the_float_expression(
    data: st.DataObject, dtype: np.dtype[Any], size: int, channels: int
) -> None:
    def vector(values: st.SearchStrategy[float]) -> NDArray[Any]:
        return np.array(data.draw(st.lists(values, min_size=channels, max_size=channels)), dtype)

    gamma, beta, mean, offset = (vector(numbers) for _ in range(4))
    variance = vector(st.floats(0, 50, width=32))
    epsilon = data.draw(st.sampled_from([1e-5, 2e-5, 1.0]))
    threshold = fold(
        Expression(dtype, (batch_normalization(gamma, beta, mean, variance, epsilon),)).then(
            arithmetic("Sub", offset)
        ),
        ladder(size),
        channels,
        layer="fc",
    )
    for sum_ in range(-size, size + 1, 2):
        for c in range(channels):
            x = dtype.type(sum_)  # one number at a time, in the order of the specification
            y = (x - mean[c]) / np.sqrt(variance[c] + dtype.type(epsilon)) * gamma[c] + beta[c]
            expected = y - offset[c] >= 0
            assert bits(threshold, np.full((1, channels), sum_))[0, c] == expected


def test_fold_takes_the_sign_as_the_source_rounds() -> None:
    # 51 * 2.55 is below 130.05 exactly and equal to it in float32, and sign(0) is +1.
    def level(dtype: np.dtype[Any]) -> int:
        expression = Expression(dtype).then(
            arithmetic("Mul", np.array([np.float32(2.55)], dtype)),
            arithmetic("Sub", np.array([np.float32(130.05)], dtype)),
        )
        return int(fold(expression, ladder(99), 1, layer="fc").level[0])

    assert level(F32) == 51
    assert level(F64) == 53


def test_fold_tells_constants_and_directions() -> None:
    one = np.ones(5, np.float32)
    gamma = np.array([1, -1, 0, 0, 1], np.float32)
    beta = np.array([0, 0, 0, -1, 100], np.float32)
    step = batch_normalization(gamma, beta, 0 * one, one, 0.0)
    threshold = fold(Expression(F32, (step,)), ladder(4), 5, layer="fc")
    assert threshold == Threshold(np.array([1, -1, 0, 0, 0]), np.array([0, 0, 1, 0, 1]))


def test_fold_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    step = arithmetic("Mul", rng.normal(size=7).astype(np.float32))
    other = arithmetic("Add", rng.normal(size=7).astype(np.float32) * 9)
    expression = Expression(F32, (step, other))
    sums = ReachableSums(rng.integers(-90, -70, 7), np.arange(0, 161))
    whole = fold(expression, sums, 7, layer="fc")
    for chunk in (1, 7, 13, 50):
        monkeypatch.setattr(folding, "_CHUNK", chunk)
        assert fold(expression, sums, 7, layer="fc") == whole
    assert {-1, 1} <= set(whole.direction.tolist())


@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_a_sign_that_turns_back_is_refused(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_CHUNK", chunk)

    def square(sums: NDArray[np.int64]) -> NDArray[Any]:
        return np.concatenate([sums, sums * sums - 4.0], axis=1)

    with pytest.raises(ImportFailure, match="layer conv3: the sign of channel 1 changes 2 times"):
        fold(square, ladder(5), 2, layer="conv3")


def test_a_reciprocal_that_turns_once_is_fine() -> None:
    step = arithmetic("Div", np.array([1], np.float32), swapped=True)
    threshold = fold(Expression(F32, (step,)), ladder(5), 1, layer="fc")
    assert threshold == Threshold.at_least(np.array([1]))


def test_no_number_is_refused() -> None:
    step = arithmetic("Div", np.array([0], np.float32), swapped=True)
    with pytest.raises(ImportFailure, match=r"layer fc: .*not a number in channel 0 at sum 0"):
        fold(Expression(F32, (step,)), ladder(4), 1, layer="fc")


def test_too_many_sums_are_refused() -> None:
    sums = ReachableSums(np.array([0]), np.broadcast_to(np.int64(0), (1 << 33,)))
    with pytest.raises(ImportFailure, match="takes too long"):
        fold(Expression(F32), sums, 1, layer="fc")


def test_sums_beyond_the_float_type_are_refused() -> None:
    sums = format_values(Integer(-2048, 2049))
    check_exact(sums, F32, layer="fc")
    with pytest.raises(ImportFailure, match=r"sums reach 2049, and float16 holds .* 2048 exactly"):
        check_exact(sums, np.dtype(np.float16), layer="fc")


# --------------------------------------------------------------------------------- order


def test_order_is_preserved_by_one_rising_function_alone() -> None:
    def preserved(*steps: Any) -> bool:
        return is_order_preserving(Expression(F32, steps), ladder(9), 2)

    both = lambda a, b: np.array([a, b], np.float32)
    assert preserved()
    assert preserved(arithmetic("Mul", both(3, 3)), arithmetic("Sub", both(1, 1)))
    assert not preserved(arithmetic("Mul", both(3, 2)))
    assert not preserved(arithmetic("Add", both(0, 1)))
    assert not preserved(arithmetic("Mul", both(-1, -1)))
    assert not preserved(arithmetic("Mul", both(0, 0)))
    # Sums 1 and 3 are one number after it: their order is lost.
    assert not preserved(arithmetic("Add", both(1e9, 1e9)))


def test_order_is_tried_on_sums_of_all_channels() -> None:
    # Channel 0 reaches 0 and 1, channel 1 reaches 10 and 11; the function ties 1 and 10.
    sums = ReachableSums(np.array([0, 10]), np.arange(2))
    tie = lambda x: np.where(x == 10, 1, x).astype(np.float32)
    assert not is_order_preserving(tie, sums, 2)


def test_nondecreasing_is_told_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    dip = lambda x: np.where(x == 3, 0, x).astype(np.float32)
    flat = lambda x: np.maximum(x, 2).astype(np.float32)
    for chunk in (1, 3, 1 << 20):
        monkeypatch.setattr(folding, "_CHUNK", chunk)
        assert is_nondecreasing(flat, ladder(9), 3)
        assert not is_nondecreasing(dip, ladder(9), 3)
        assert not is_nondecreasing(lambda x: -x.astype(np.float32), ladder(9), 3)


# --------------------------------------------------------------------------- expressions


def test_expressions_read_as_they_compute() -> None:
    expression = Expression(F32).then(
        arithmetic("Mul", np.array([2], np.float32)),
        arithmetic("Sub", np.array([1], np.float32), swapped=True),
        arithmetic("Div", np.array([3, 4], np.float32)),
    )
    assert expression.text("x") == "(1 - (x * 2)) / [2 constants]"
    assert expression(np.array([[5]])).tolist() == [[-3, -2.25]]
    assert expression(np.array([[5]])).dtype == F32
    assert expression.monotone
    assert not expression.then(arithmetic("Div", np.ones(1), swapped=True)).monotone


def test_scales_round_once() -> None:
    # 3 * float32(0.1) rounded once; float32(0.1) + float32(0.1) + float32(0.1) is another float.
    factor = np.array([np.float64(np.float32(0.1))])
    (value,) = Expression(F32, (scale(factor, F32),))(np.array([[3]]))[0]
    assert value == np.float32(3 * np.float64(np.float32(0.1)))
