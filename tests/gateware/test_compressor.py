"""Compressor trees: their plans, and the popcounts made of them."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from amaranth.hdl import Fragment
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.gateware.compressor import CompressorTree
from bnn2hw.gateware.pipeline import Pipeline
from bnn2hw.gateware.popcount import Popcount, XnorPopcount
from tests.gateware.simulate import run_component

PIPELINES = st.sampled_from([None, 1, 2, 3])


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 12, 27, 64, 144, 576, 784, 1024, 4608])
def test_depth_is_logarithmic(size: int) -> None:
    tree = CompressorTree({0: [size]}, size.bit_length())
    assert tree.level <= 1 + 1.3 * math.log2(size)


def test_levels_of_common_sizes() -> None:
    levels = [CompressorTree({0: [n]}, n.bit_length()).level for n in (1, 2, 3, 6, 144, 576)]
    assert levels == [0, 1, 1, 1, 7, 8]


def test_half_adders_keep_carries_from_running_up() -> None:
    heights = {0: [3, *[2] * 15]}
    levels = [CompressorTree(heights, 17, shallow=shallow).level for shallow in (False, True)]
    assert levels == [16, 2]


@pytest.mark.parametrize("size", range(10))
@pytest.mark.parametrize("pipeline", [None, 1])
def test_popcount_of_every_word(size: int, pipeline: int | None) -> None:
    component = Popcount(size, pipeline=pipeline)
    words = range(1 << size)
    outputs = run_component(component, [{"i": word} for word in words], component.latency)
    assert outputs == [word.bit_count() for word in words]


@given(st.integers(10, 300), PIPELINES, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_popcount_of_random_words(size: int, pipeline: int | None, rng: random.Random) -> None:
    component = Popcount(size, pipeline=pipeline)
    words = [0, (1 << size) - 1] + [rng.getrandbits(size) for _ in range(10)]
    words += [(1 << rng.randrange(size + 1)) - 1 for _ in range(5)]
    inputs = [{"i": word} for word in words]
    stall = 1 if component.latency else None
    outputs = run_component(component, inputs, component.latency, seed=stall)
    assert outputs == [word.bit_count() for word in words]


@given(st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_xnor_popcount(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    taps = data.draw(st.lists(st.integers(0, size - 1), min_size=1, unique=True).map(sorted))
    weights = data.draw(st.lists(st.integers(0, 1), min_size=len(taps), max_size=len(taps)))
    component = XnorPopcount(size, taps, weights, pipeline=data.draw(PIPELINES))
    rng = np.random.default_rng(len(taps))
    bits = rng.integers(0, 2, (12, size))
    bits[0, taps] = weights
    bits[1, taps] = 1 - np.array(weights)
    words = [sum(int(bit) << k for k, bit in enumerate(row)) for row in bits]
    outputs = run_component(component, [{"i": word} for word in words], component.latency)
    assert outputs == (bits[:, taps] == weights).sum(axis=1).tolist()
    assert outputs[:2] == [len(taps), 0]


def test_xnor_popcount_says_level_and_latency_of_its_popcount() -> None:
    for size, pipeline in ((1, None), (20, 2), (200, 3)):
        inner = Popcount(size, pipeline=pipeline)
        outer = XnorPopcount(size, range(size), [1] * size, pipeline=pipeline)
        assert (outer.level, outer.latency) == (inner.level, inner.latency)
        Fragment.get(inner, None)
        Fragment.get(outer, None)


@pytest.mark.parametrize("levels", [1, 2, 3, 7])
def test_stages_begin_after_every_so_many_levels(levels: int) -> None:
    pipeline = Pipeline(levels)
    stages = [pipeline.stage(level) for level in range(30)]
    assert stages[: levels + 1] == [0] * (levels + 1)
    assert all(after - before in (0, 1) for before, after in pairwise(stages))
    assert [stages.count(stage) for stage in range(1, 4)] == [levels] * 3
    assert pipeline.registers(1, levels + 1) == 1


def test_no_pipeline_has_one_stage() -> None:
    assert {Pipeline().stage(level) for level in range(100)} == {0}
