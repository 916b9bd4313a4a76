"""The area model: memories as Yosys maps them, foldings and spatial cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.model import BIPOLAR, BinaryDense, Network, Tensor
from bnn2hw.plan.area import FAMILIES, Area, memory_area, multiplexer_luts, rom_area
from bnn2hw.plan.cost import comparison_bits, core_area
from bnn2hw.plan.folding import plan_folding
from bnn2hw.plan.folding_area import FoldingArea
from bnn2hw.plan.planner import plan_layer
from tests.helpers import dense_network

# What Yosys 0.70 made of memories of (bits, words): block RAMs, 0 for logic, and the tables that
# choose among words side by side.
READ_ONLY = {
    "ecp5": {
        (32, 288): (1, 0), (144, 64): (4, 0), (9, 36): (0, 0), (8, 512): (1, 0), (36, 700): (2, 0),
        (83, 3584): (17, 415), (5, 26624): (8, 50), (9, 29184): (15, 108), (72, 4000): (16, 72),
    },
    "ice40": {
        (32, 288): (4, 0), (144, 64): (0, 0), (48, 384): (6, 0), (36, 700): (7, 72),
        (83, 3584): (73, 415), (5, 26624): (33, 51), (9, 29184): (66, 225), (9, 2100): (6, 27),
    },
}  # fmt: skip
# Block RAMs and LUT RAMs of queues.
WRITTEN = {
    "ecp5": {(32, 3): (0, 8), (512, 8): (0, 128), (32, 10): (0, 8)},
    "ice40": {(32, 3): (0, 0), (192, 4): (0, 0), (512, 8): (32, 0), (32, 5): (2, 0)},
}


@pytest.mark.parametrize(
    ("family", "shape"), [(name, shape) for name, shapes in READ_ONLY.items() for shape in shapes]
)
def test_memories_that_are_read(family: str, shape: tuple[int, int]) -> None:
    area, (block_rams, luts) = rom_area(family, *shape), READ_ONLY[family][shape]
    assert area.block_rams == block_rams
    if block_rams:
        assert area.luts == pytest.approx(luts, rel=0.2)
    else:
        assert area.luts >= shape[0] / 2


@pytest.mark.parametrize(
    ("family", "shape"), [(name, shape) for name, shapes in WRITTEN.items() for shape in shapes]
)
def test_memories_that_are_written(family: str, shape: tuple[int, int]) -> None:
    area = memory_area(family, *shape)
    assert (area.block_rams, area.lut_rams) == WRITTEN[family][shape]
    bits, words = shape
    in_logic = area.block_rams == area.lut_rams == 0
    assert (area.flipflops >= bits * words) == in_logic


def test_bits_that_never_change_are_no_memory() -> None:
    assert rom_area("ecp5", 64, 100, varying=0) == Area()
    assert rom_area("ice40", 8, 288, varying=7).block_rams == 1


def test_areas_add_up() -> None:
    one, two = Area(1, 2, 3, 4, 5), Area(10, 20, 30, 40, 50)
    assert one + two == Area(11, 22, 33, 44, 55)
    assert one + two - two == one
    assert one.cells("ice40") == 4
    assert one.cells("ecp5") == 31
    assert one.to_json("ecp5") == {
        "luts": 1, "flipflops": 2, "block_rams": 4, "lut_rams": 5, "cells": 31,
    }  # fmt: skip


@pytest.mark.parametrize("family", sorted(FAMILIES))
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 8))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_more_elements_take_more(family: str, inputs: int, channels: int, pes: int) -> None:
    network = dense_network(inputs, channels)
    (layer,) = network.linear_layers()
    areas = FoldingArea(plan_folding(layer, network.input, 1, 1), 1)
    small = areas.area(min(pes, channels), inputs, family)
    large = areas.area(channels, inputs, family)
    assert small.luts > 0
    assert small.flipflops > channels
    slack = 0.1 * large.luts + 60  # a schedule and its memories, which all elements do without
    assert small.luts <= large.luts + slack


def test_sums_of_wide_elements_take_more() -> None:
    network = dense_network(64, 8)
    (layer,) = network.linear_layers()
    folding = plan_folding(layer, network.input, 1, 1)
    for family in FAMILIES:
        luts = [FoldingArea(folding, width).area(2, 16, family).luts for width in (1, 2, 4, 8)]
        assert luts == sorted(luts)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_plan_that_shares_takes_less(family: str) -> None:
    generator = np.random.default_rng(3)
    row = generator.integers(0, 2, 128)
    weights = np.array([row ^ (generator.random(128) < 0.05) for _ in range(16)]).astype(np.uint8)
    layer = BinaryDense("fc", ("input",), weights, None)
    network = Network("net", Tensor((128,), BIPOLAR), (layer,))
    found = {}
    for method in ("direct", "mst"):
        plan = plan_layer(layer, network.input, method)
        found[method] = core_area(plan.graph, plan.readout, None, family)
        cut = core_area(plan.graph, plan.readout, 2, family)
        assert cut.luts == found[method].luts
        assert cut.flipflops > found[method].flipflops
    assert found["mst"].luts < 0.5 * found["direct"].luts


def test_zeros_that_end_a_level_are_not_compared() -> None:
    up, down = np.array([1], np.int8), np.array([-1], np.int8)
    assert comparison_bits(up, np.array([0]), 8) == 0  # the sign alone
    assert comparison_bits(up, np.array([64]), 8) == 2
    assert comparison_bits(up, np.array([65]), 8) == 8
    assert comparison_bits(down, np.array([63]), 8) == 2


def test_a_choice_of_one_is_free() -> None:
    assert multiplexer_luts(9, 1) == 0
    assert multiplexer_luts(9, 2) == 9
