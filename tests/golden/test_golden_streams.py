"""Weighted sums, quantisers and sum pools: exact to the ends of every interval, mutants rejected.

What is expected comes from slow_reference.py, in Python integers and fractions.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bnn2hw import golden
from bnn2hw.errors import ModelError
from bnn2hw.golden import images as images_module
from bnn2hw.golden import streams as streams_module
from bnn2hw.model import (
    BIPOLAR,
    Affine,
    Argmax,
    Binarize,
    BinaryConv,
    Format,
    Integer,
    Network,
    Quantize,
    SumPool,
    Tensor,
    Threshold,
)
from tests.golden.golden_strategies import FORMATS, random_images
from tests.golden.slow_reference import slow_affine, slow_run

BOUNDED = settings(max_examples=150, deadline=None, derandomize=True)


def same_as_slow(network: Network, images: Any) -> bool:
    """Return whether the golden model and the loops agree on every edge."""
    got, expected = golden.run(network, images), slow_run(network, images)
    return all(np.array_equal(got[name], expected[name]) for name in network.tensors)


@st.composite
def affine_networks(draw: st.DrawFn) -> Network:
    """Draw a weighted sum of one to three edges: the input, bits of it, and the input again."""
    form = draw(st.sampled_from(FORMATS))
    shape = draw(st.sampled_from(((5,), (2, 3, 2), (1, 1, 1))))
    sign = Binarize("sign", ("input",), Threshold.at_least(np.array([draw(st.integers(-2, 2))])))
    inputs = draw(st.lists(st.sampled_from(("input", "sign")), min_size=1, max_size=3))
    rows = draw(st.sampled_from((1, shape[-1])))
    small = draw(st.booleans())
    number = st.integers(-9, 9) if small else st.integers(-(1 << 24), 1 << 24)
    weights = np.array([[draw(number) for _ in range(rows)] for _ in inputs])
    offset = np.array([draw(number) for _ in range(draw(st.sampled_from((1, rows))))])
    low, size = draw(st.integers(-99, 99)), draw(st.integers(0, 99))
    wide = Integer(-(1 << 31), (1 << 31) - 1)
    clipped = draw(st.sampled_from((Integer(low, low + size), Integer(0, (1 << 32) - 1), wide)))
    affine = Affine("sum", tuple(inputs), weights, offset, draw(st.integers(0, 9)), clipped)
    return Network("net", Tensor(shape, form), (sign, affine))


@BOUNDED
@given(affine_networks(), st.integers(0, 999))
def test_weighted_sums_equal_fractions(network: Network, seed: int) -> None:
    assert same_as_slow(network, random_images(network.input, 2, seed))


@BOUNDED
@given(affine_networks())
def test_bounds_of_weighted_sums_are_reached_and_not_left(network: Network) -> None:
    layer = network.layers[1]
    assert isinstance(layer, Affine)
    sources = network.sources(layer)
    low, high = layer.sum_bounds(*sources)
    for channel in range(len(layer.offset)):
        terms = [
            sorted((int(w) * tensor.format.low, int(w) * tensor.format.high))
            for w, tensor in zip(layer.weights[:, channel], sources, strict=True)
        ]
        constant = int(layer.offset[channel]) + (1 << layer.shift) // 2
        assert low[channel] == sum(least for least, _ in terms) + constant
        assert high[channel] == sum(most for _, most in terms) + constant


def affine(weights: Any, offset: Any, shift: int, form: Integer, *inputs: str) -> Affine:
    return Affine("sum", inputs or ("input",), np.array(weights), np.array(offset), shift, form)


BYTE = Integer(-128, 127)


def test_halves_round_up_on_both_sides_of_zero() -> None:
    images = np.array([[-6], [-5], [-4], [-3], [-2], [-1], [0], [1], [2], [3], [5], [6]])
    network = Network("n", Tensor((1,), BYTE), (affine([[1]], [0], 2, BYTE),))
    got = golden.run(network, images)["sum"][:, 0]
    assert got.tolist() == [-1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 2]
    unshifted = Network("n", Tensor((1,), BYTE), (affine([[1]], [0], 0, BYTE),))
    assert np.array_equal(golden.run(unshifted, images)["sum"], images)


def test_a_format_from_zero_is_relu() -> None:
    network = Network("n", Tensor((3,), BYTE), (affine([[1]], [0], 0, Integer(0, 127)),))
    assert golden.run(network, np.array([[-128, 0, 127]]))["sum"].tolist() == [[0, 0, 127]]


def test_sums_of_63_bits_are_exact() -> None:
    form = Integer(-(1 << 31), (1 << 31) - 1)
    weight = (1 << 30) - 1
    layer = affine([[weight], [weight]], [(1 << 31) - 1], 31, form, "input", "input")
    network = Network("n", Tensor((5,), form), (layer,))
    images = np.array([[form.low, form.high, -1, 0, 12345]])
    assert same_as_slow(network, images)
    with pytest.raises(ModelError, match=r"layer sum: sums of up to .* do not fit 63 bits"):
        Network("n", Tensor((5,), form), (replace(layer, weights=layer.weights + 1),))


# -------------------------------------------------------------------------------- mutants


def mutant(
    *, weights: Callable[[Any], Any] = lambda w: w,
    rounded: Callable[[Any, int], Any] | None = None,
    saturate: bool = True, signs: bool = True, offset: bool = True,
) -> Callable[..., Any]:  # fmt: skip
    """Return a meaning of Affine that is the slow one but for the named fault."""

    def run(layer: Affine, sources: Sequence[Tensor], edges: Sequence[Any]) -> Any:
        total = np.zeros(edges[0].shape, np.int64) + (layer.offset if offset else 0)
        for row, source, edge in zip(weights(layer.weights), sources, edges, strict=True):
            values = edge.astype(np.int64)
            total += row * (2 * values - 1 if source.format == BIPOLAR and signs else values)
        half_up = (total + layer.half) >> layer.shift
        result = half_up if rounded is None else rounded(total, layer.shift)
        return np.clip(result, layer.format.low, layer.format.high) if saturate else result

    return run


AFFINE_MUTANTS: dict[str, Callable[..., Any]] = {
    "half to even": mutant(rounded=lambda y, s: np.rint(y / 2**s).astype(np.int64)),
    "half away from zero": mutant(
        rounded=lambda y, s: np.sign(y) * ((2 * np.abs(y) + 2**s) >> (s + 1))
    ),
    "half down": mutant(rounded=lambda y, s: (y + (1 << s >> 1) - 1) >> s),
    "rounds down": mutant(rounded=lambda y, s: y >> s),
    "rounds towards zero": mutant(rounded=lambda y, s: np.sign(y) * (np.abs(y) >> s)),
    "no saturation": mutant(saturate=False),
    "weights swapped": mutant(weights=lambda w: w[::-1]),
    "channels swapped": mutant(weights=lambda w: w[:, ::-1]),
    "bits as 0 and 1": mutant(signs=False),
    "no offset": mutant(offset=False),
}


def mixed() -> Network:
    """Return a network whose sum needs everything: weights, bits, offset, rounding, saturation."""
    sign = Binarize("sign", ("input",), Threshold.at_least(np.array([0])))
    layer = affine([[3, -2], [1, 5]], [1, -4], 2, Integer(-9, 11), "input", "sign")
    return Network("n", Tensor((2,), Integer(-16, 15)), (sign, layer))


ALL_PAIRS = np.stack([np.arange(-16, 16), np.arange(15, -17, -1)], axis=1)


def test_the_frame_of_the_mutants_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert same_as_slow(mixed(), ALL_PAIRS)
    monkeypatch.setattr(images_module, "affine", mutant())
    assert same_as_slow(mixed(), ALL_PAIRS)


@pytest.mark.parametrize("name", AFFINE_MUTANTS)
def test_broken_sums_are_rejected(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(images_module, "affine", AFFINE_MUTANTS[name])
    assert not same_as_slow(mixed(), ALL_PAIRS)


def quantize_mutant(compare: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
    def run(layer: Quantize, source: Tensor, edge: Any) -> Any:
        values = edge.astype(np.int64)
        return sum(compare(values, level, layer.direction > 0) for level in layer.levels.T)

    return run


QUANTIZE_MUTANTS: dict[str, Callable[..., Any]] = {
    "levels not reached": quantize_mutant(lambda y, t, up: np.where(up, y > t, y < t)),
    "direction ignored": quantize_mutant(lambda y, t, up: y >= t),
    "negated beyond the level": quantize_mutant(lambda y, t, up: np.where(up, y >= t, y < t)),
}


@pytest.mark.parametrize("name", [None, *QUANTIZE_MUTANTS])
def test_broken_codes_are_rejected(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    layer = Quantize("code", ("input",), np.array([1, -1]), np.array([[-3, 0, 4], [5, 1, 1]]))
    network = Network("n", Tensor((2,), Integer(-16, 15)), (layer,))
    sound = quantize_mutant(lambda y, t, up: np.where(up, y >= t, y <= t))
    monkeypatch.setattr(images_module, "quantize", QUANTIZE_MUTANTS.get(name or "", sound))
    assert same_as_slow(network, ALL_PAIRS) == (name is None)


def test_sum_pools_with_bits_as_zero_and_one_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = SumPool("pool", ("input",), (2, 3), (1, 2))
    network = Network("n", Tensor((4, 5, 2), BIPOLAR), (layer,))
    images = random_images(network.input, 3, seed=1)
    assert same_as_slow(network, images)
    integers = Tensor(network.input.shape, Integer(0, 1))
    right = images_module.sum_pool
    monkeypatch.setattr(
        images_module, "sum_pool", lambda layer, source, edge: right(layer, integers, edge)
    )
    assert not same_as_slow(network, images)


# --------------------------------------------------------------------- residual networks


@st.composite
def residual_networks(draw: st.DrawFn) -> Network:
    """Draw a residual unit: bits, a convolution, its sums and the stream added, codes, pool."""
    seed = draw(st.integers(0, 999))
    rng = np.random.default_rng(seed)
    form: Format = draw(st.sampled_from((Integer(-20, 30), Integer(0, 16), BIPOLAR)))
    channels, side = draw(st.integers(1, 3)), draw(st.integers(3, 5))
    bits = rng.integers(0, 2, (channels, 3, 3, channels), np.uint8)
    weights = rng.integers(-3, 4, (2, draw(st.sampled_from((1, channels)))))
    levels = np.sort(rng.integers(-20, 20, (1, 3)), axis=1)
    assume(form.high > 0)
    return Network(
        "unit",
        Tensor((side, side, channels), form),
        (
            Binarize("bits", ("input",), Threshold.at_least(rng.integers(-5, 5, channels))),
            BinaryConv("conv", ("bits",), bits, padding=(1, 1, 1, 1), padding_value=1),
            Affine("add", ("conv", "input"), weights, np.array([2]), 1, Integer(-30, 30)),
            Quantize("codes", ("add",), np.array([1]), levels),
            SumPool("pool", ("codes",), (side, side), (1, 1)),
            Argmax("class", ("pool",)),
        ),
    )


@settings(BOUNDED, max_examples=60)
@given(residual_networks(), st.integers(0, 99))
def test_residual_networks_equal_the_loops(network: Network, seed: int) -> None:
    assert same_as_slow(network, random_images(network.input, 2, seed))


def test_chunks_hold_every_edge_that_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream that a shortcut keeps for later counts, and so do edges that are returned."""
    size, form = 1000, Integer(-1000, 1000)
    few = (affine([[1]], [0], 0, form), replace(affine([[1]], [0], 0, form, "sum"), name="last"))
    many = tuple(
        Affine(f"a{k}", ("input",), np.array([[1]]), np.array([k]), 0, form) for k in range(20)
    )
    inputs = tuple(layer.name for layer in many)
    total = Affine("last", inputs, np.ones((20, 1), np.int64), np.array([0]), 0, form)
    chain = Network("chain", Tensor((size,), form), few)
    bundle = Network("bundle", Tensor((size,), form), (*many, total))
    bound = images_module._image_bytes
    assert (
        bound(bundle, list(bundle.layers), ["last"]) - bound(chain, list(chain.layers), ["last"])
        == 19 * 4 * size
    )
    assert bound(chain, list(chain.layers), list(chain.tensors)) > bound(
        chain, list(chain.layers), ["last"]
    )  # fmt: skip
    images = random_images(bundle.input, 7, seed=3)
    whole = golden.run(bundle, images)
    monkeypatch.setattr(images_module, "_CHUNK_BYTES", 3 * bound(bundle, [*bundle.layers], []))
    for name, edge in golden.run(bundle, images).items():
        assert np.array_equal(edge, whole[name])


def test_memory_stays_within_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    form, chunk = Integer(-1000, 1000), 1 << 22
    many = tuple(replace(affine([[1]], [k], 0, form), name=f"a{k}") for k in range(20))
    total = Affine("last", tuple(a.name for a in many), np.ones((20, 1), int), [0], 0, form)
    network = Network("bundle", Tensor((2000,), form), (*many, total))
    images = random_images(network.input, 300, seed=3).astype(np.int32)
    monkeypatch.setattr(images_module, "_CHUNK_BYTES", chunk)
    tracemalloc.start()
    try:
        result = golden.run(network, images, edges=["last"])["last"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert chunk / 2 < peak - result.nbytes < 1.1 * chunk


@BOUNDED
@given(affine_networks(), st.booleans())
def test_sums_at_both_ends_of_their_intervals(network: Network, high: bool) -> None:
    """With free inputs at the ends that weights choose, a sum is its bound, shifted and clipped."""
    layer = network.layers[1]
    assert isinstance(layer, Affine)
    sources = [Tensor(layer.weights.shape[1:], tensor.format) for tensor in network.sources(layer)]
    ends = [
        np.where((row > 0) == high, tensor.format.high, tensor.format.low)[None]
        for row, tensor in zip(layer.weights, sources, strict=True)
    ]
    edges = [
        end > 0 if tensor.format == BIPOLAR else end
        for end, tensor in zip(ends, sources, strict=True)
    ]
    bound = layer.sum_bounds(*sources)[int(high)] >> layer.shift
    expected = np.clip(bound, layer.format.low, layer.format.high)
    np.testing.assert_array_equal(streams_module.affine(layer, sources, edges)[0], expected)


def test_the_slow_sum_is_the_definition() -> None:
    """Guards the guard: (sum + offset + half) >> shift, on every small number."""
    layer = affine([[1]], [3], 3, Integer(-4, 5))
    for y in range(-70, 70):
        assert slow_affine(layer, 0, [y]) == min(max((y + 3 + 4) >> 3, -4), 5)
