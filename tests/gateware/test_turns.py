"""Constants that take turns: sums and quantisers of several layers against the golden model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.emit.streams import affine_options, quantize_options
from bnn2hw.emit.vectors import pack_words
from bnn2hw.errors import PlanError
from bnn2hw.gateware.affine import AffineUnit
from bnn2hw.gateware.network_core import NetworkCore
from bnn2hw.gateware.quantize import QuantizeUnit
from bnn2hw.gateware.words import Alternate, Fifo, Repeat, Slice
from bnn2hw.golden import run
from bnn2hw.golden.streams import affine
from bnn2hw.model import BIPOLAR, Affine, Binarize, Integer, Network, Quantize, Tensor, Threshold
from tests.gateware.streams import send_streams, send_words


@given(
    st.integers(2, 4), st.integers(1, 3), st.sampled_from([None, 1]),
    st.sampled_from([0.0, 0.4]), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=15, deadline=None, derandomize=True)
def test_sums(turns: int, channels: int, pipeline: int | None, stall: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sources = [Tensor((channels,), Integer(-9, 14)), Tensor((channels,), BIPOLAR)]
    layers = [
        Affine(
            f"base{turn}", ("a", "b"), rng.integers(-40, 90, (2, channels)),
            rng.integers(-90, 90, channels), int(rng.integers(0, 5)),
            Integer(-int(rng.integers(1, 99)), int(rng.integers(1, 99))),
        )
        for turn in range(turns)
    ]  # fmt: skip
    unit = AffineUnit(**affine_options(layers, sources, pipeline))
    count = 3 * turns
    numbers = rng.integers(-9, 15, (count, channels))
    bits = rng.integers(0, 2, (count, channels))
    numbers[:turns] = 14
    rows = [
        affine(layers[k % turns], sources, [numbers[k : k + 1], bits[k : k + 1]])
        for k in range(count)
    ]
    low = min(layer.format.low for layer in layers)
    high = max(layer.format.high for layer in layers)
    expected = pack_words(np.concatenate(rows).astype(np.int64), Integer(low, high).width)
    streams = {
        "i0": pack_words(numbers, sources[0].format.width),
        "i1": pack_words(bits, 1),
    }
    assert send_streams(unit, streams, count, stall=stall, seed=seed).words == expected


@given(
    st.integers(2, 4), st.integers(1, 3), st.sampled_from([0, 1, 3, 15]),
    st.sampled_from([None, 1]), st.sampled_from([0.0, 0.4]), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=20, deadline=None, derandomize=True)
def test_levels(
    turns: int, channels: int, levels: int, pipeline: int | None, stall: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    source = Tensor((channels,), Integer(-12, 9))
    layers: list[Quantize | Binarize] = []
    for turn in range(turns):
        facing = rng.choice([-1, 1], channels).astype(np.int8)
        rows = np.sort(rng.integers(-15, 13, (channels, max(levels, 1))), axis=1)
        rows = np.where(facing[:, None] > 0, rows, rows[:, ::-1])
        if levels:
            layers.append(Quantize(f"base{turn}", ("input",), facing, rows))
        else:
            facing[rng.integers(0, 2, channels) > 0] = 0
            level = np.where(facing == 0, rows[:, 0] & 1, rows[:, 0])
            layers.append(Binarize(f"base{turn}", ("input",), Threshold(facing, level)))
    unit = QuantizeUnit(**quantize_options(layers, source, pipeline))
    values = rng.integers(-12, 10, (4 * turns, channels))
    found = [
        run(Network("n", source, (layers[k % turns],)), values[k : k + 1])[f"base{k % turns}"]
        for k in range(len(values))
    ]
    width = layers[0].output(source).format.width
    expected = pack_words(np.concatenate(found).astype(np.int64), width)
    words = pack_words(values, source.format.width)
    assert send_words(unit, words, len(words), stall=stall, seed=seed).words == expected


def test_weights_that_grow_too_wide_are_refused() -> None:
    source = Tensor((1,), Integer(0, 1))
    wide, shifted = (
        Affine(name, ("a",), np.array([[weight]]), np.array([0]), shift, Integer(0, 1))
        for name, weight, shift in (("wide", 1 << 40, 0), ("shifted", 1, 40))
    )
    with pytest.raises(PlanError, match="wide: weights do not fit 62 bits"):
        affine_options([wide, shifted], [source], None)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_words_repeated_and_cut(stall: float) -> None:
    assert send_words(Repeat(4, 3), [5, 9], 6, stall=stall).words == [5, 5, 5, 9, 9, 9]
    assert send_words(Alternate(12, 3), [0x321] * 5, 5, stall=stall).words == [1, 2, 3, 1, 2]
    cut = NetworkCore([("cut", Slice(16, 4, 2, 5, 3), ("",)), ("held", Fifo(6), ("cut",))])
    words = [(word >> 4 & 7) | (word >> 9 & 7) << 3 for word in (0x7BDF, 0xFFFF, 0x1230)]
    assert send_words(cut, [0x7BDF, 0xFFFF, 0x1230], 3, stall=stall).words == words
