"""Folded cores against the golden model, for every folding, with random stalls."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.emit.vectors import pack_words
from bnn2hw.gateware.folded import FoldedCore
from bnn2hw.golden import layer_outputs
from bnn2hw.model import BIPOLAR, BinaryConv, Integer, Tensor, Threshold
from bnn2hw.plan.folding import Folding, plan_folding
from tests.gateware.streams import send_words


def unit(plan: Folding, form: Any, pipeline: int | None) -> FoldedCore:
    return FoldedCore(
        plan.weights,
        plan.constants,
        pes=plan.pes,
        simd=plan.simd,
        bounds=plan.bounds,
        element_width=form.width,
        element_signed=form.signed,
        pipeline=pipeline,
        sums=plan.sums,
        groups=plan.groups,
        taps=plan.taps,
    )


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 10),
    st.integers(1, 20),
    st.sampled_from([BIPOLAR, Integer(0, 5), Integer(-4, 3), Integer(0, 1), Integer(-1, 0)]),
    st.sampled_from([-1, 0, 1]),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 99),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_folded_core(
    groups: int, channels: int, depth: int, pes: int, simd: int, form: Any, padding_value: Any,
    threshold: bool, pipeline: int | None, stall: float, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    source = Tensor((3, 3, groups * depth), form)
    channels *= groups
    levels = rng.integers(-9, 10, channels)
    facing = rng.choice([-1, 0, 1], channels).astype(np.int8)
    levels[facing == 0] &= 1
    value: Any = padding_value if form is BIPOLAR else 0
    layer = BinaryConv(
        "conv", ("input",), rng.integers(0, 2, (channels, 2, 3, depth)).astype(np.uint8),
        Threshold(facing, levels) if threshold else None, padding=(1, 1, 0, 1),
        padding_value=value, groups=groups,
    )  # fmt: skip
    plan = plan_folding(layer, source, pes, simd)
    low, high = (0, 1) if form is BIPOLAR else (form.low, form.high)
    taps = layer.valid_taps(source)
    border = rng.integers(0, len(taps), 8)
    rows = rng.integers(low, high + 1, (8, layer.patch_size()))
    rows[0], rows[1] = low, high
    if form is BIPOLAR:
        rows *= taps[border]
    expected = layer_outputs(layer, source, rows, border).astype(np.int64)
    words = [
        word | int(number) << rows.shape[1] * form.width
        for word, number in zip(pack_words(rows, form.width), border, strict=True)
    ]
    width = layer.output(source).format.width
    core = unit(plan, form, pipeline)
    trace = send_words(core, words, 8, stall=stall, seed=seed)
    assert trace.words == pack_words(expected, width)
    if not stall:
        assert trace.cycles == [plan.cycles * k + core.latency for k in range(8)]
