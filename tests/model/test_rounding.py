"""Which streams are exact: told without running the network, and checked by running it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.golden import run
from bnn2hw.model import (
    BIPOLAR,
    Affine,
    Binarize,
    BinaryConv,
    Format,
    Integer,
    Layer,
    MaxPool,
    Network,
    SumPool,
    Tensor,
    Threshold,
    roundings,
)

WIDE = Integer(-(1 << 20), 1 << 20)


def affine(weights: object, offset: int, shift: int, form: Integer, *inputs: str) -> Affine:
    return Affine("out", inputs or ("input",), np.array(weights), np.array([offset]), shift, form)


def rounding(layer: Affine, *before: Layer, source: Format = WIDE) -> str:
    """Return that of a layer, ``out``, behind others."""
    network = Network("net", Tensor((4, 4, 2), source), (*before, layer))
    return roundings(network)["out"]


CONV = BinaryConv("conv", ("input",), np.ones((2, 3, 3, 2), np.uint8), padding=(1, 1, 1, 1))
PADDED = replace(CONV, padding_value=1)

CASES = {
    "a copy": (affine([[1]], 0, 0, WIDE), (), "exact"),
    "a multiple": (affine([[8]], 16, 3, Integer(-(1 << 20), 1 << 21)), (), "exact"),
    "half": (affine([[1]], 0, 1, WIDE), (), "rounded"),
    "an odd constant": (affine([[8]], 4, 3, Integer(-(1 << 21), 1 << 21)), (), "rounded"),
    "relu": (affine([[1]], 0, 0, Integer(0, 1 << 20)), (), "exact"),
    "a bound below": (affine([[1]], 0, 0, Integer(1, 1 << 20)), (), "saturated"),
    "a high bound": (affine([[1]], 0, 0, Integer(-(1 << 20), 9)), (), "saturated"),
    "a rounded relu": (affine([[1]], 0, 2, Integer(0, 1 << 20)), (), "rounded"),
    "both": (affine([[1]], 0, 2, Integer(0, 7)), (), "rounded and saturated"),
    # sums of 18 bits of +1 and -1 are even, unless zeros pad some of them
    "half of an even sum": (affine([[1]], 0, 1, WIDE, "conv"), (PADDED,), "exact"),
    "half of a sum with zeros": (affine([[1]], 0, 1, WIDE, "conv"), (CONV,), "rounded"),
    "a quarter of an even sum": (affine([[1]], 0, 2, WIDE, "conv"), (PADDED,), "rounded"),
    "bits": (affine([[1]], 1, 1, WIDE, "bits"), (), "exact"),
    "bits without the one": (affine([[1]], 0, 1, WIDE, "bits"), (), "rounded"),
    "a pool of bits": (affine([[1]], 4, 1, WIDE, "pool"), (), "exact"),
    "the greatest of bits": (affine([[1]], 1, 1, WIDE, "greatest"), (), "exact"),
    "behind": (affine([[1]], 0, 0, WIDE, "half"), (), "after rounding"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_layer(name: str) -> None:
    layer, before, expected = CASES[name]
    sign = Binarize("bits", ("input",), Threshold.at_least(np.array([0])))
    known: dict[str, tuple[Layer, ...]] = {
        "bits": (sign,),
        "pool": (sign, SumPool("pool", ("bits",))),
        "greatest": (sign, MaxPool("greatest", ("bits",))),
        "half": (replace(affine([[1]], 0, 1, WIDE), name="half"),),
    }
    source: Format = BIPOLAR if before else WIDE
    before = before or known.get(layer.inputs[0], ())
    assert rounding(layer, *before, source=source) == expected


def test_residual_popcounts_are_exact() -> None:
    """The form of docs/design.md: half of an even sum, a stream and a constant."""
    stream = replace(PADDED, name="stream")
    layer = affine([[1], [2]], 18, 1, WIDE, "conv", "stream")
    assert rounding(layer, PADDED, stream, source=BIPOLAR) == "exact"


@given(
    st.lists(st.sampled_from([-6, -3, 0, 1, 2, 4, 8]), min_size=1, max_size=3),
    st.integers(-8, 8), st.integers(0, 3), st.integers(-12, 3), st.integers(3, 12),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None, derandomize=True)
def test_exact_is_what_no_input_shows_to_be_rounded(
    weights: list[int], offset: int, shift: int, low: int, high: int, bits: bool
) -> None:
    """All values of a small format, a channel for each weight."""
    inputs = np.arange(2) if bits else np.arange(-3, 4)
    form = Integer(low, high)
    layer = Affine("out", ("input",), np.array([weights]), np.array([offset]), shift, form)
    source = Tensor((len(weights),), BIPOLAR if bits else Integer(-3, 3))
    network = Network("net", source, (layer,))
    images = np.repeat(inputs[:, None], len(weights), axis=1)
    found = run(network, images)["out"].astype(np.int64)
    true = np.array(weights) * (2 * images - 1 if bits else images) + offset
    relu = (low == 0) & (true < 0) & (found == 0)
    assert (roundings(network)["out"] == "exact") == bool(((true == found << shift) | relu).all())
