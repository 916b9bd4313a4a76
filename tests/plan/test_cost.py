"""The cost of plans, and the choice by it."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.model import (
    BIPOLAR,
    BinaryConv,
    BinaryDense,
    Bipolar,
    Integer,
    LinearLayer,
    Tensor,
    Threshold,
)
from bnn2hw.plan import candidates, plan_cost, plan_layer
from bnn2hw.plan.auto import DEPTHS, best
from bnn2hw.plan.cost import _added, _popcount
from bnn2hw.plan.targets import TARGETS
from tests.plan.strategies import dense, layers, random_bits, vector

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)


@EXAMPLES
@given(layers, st.sampled_from((None, 1, 2)), st.booleans())
def test_cost_agrees_with_the_tree(
    case: tuple[LinearLayer, Tensor], max_depth: int | None, complement: bool
) -> None:
    layer, source = case
    plan = plan_layer(layer, source, "mst", max_depth=max_depth, complement=complement)
    cost = plan_cost(plan, layer, source)
    assert plan.tree is not None
    assert cost.terms == cost.params == plan.tree.total
    edges = (plan.tree.parent >= 0) & (plan.tree.distance > 0)
    if isinstance(source.format, Bipolar):
        assert cost.adders == np.count_nonzero(edges)
        # reuse of all, and then the count of the root or of the last edge
        assert cost.graph_levels == plan.tree.depth + (len(plan.tree.channels) > 0)
    assert cost.terms <= cost.terms_direct
    assert cost.logic_levels >= cost.graph_levels - 1


@EXAMPLES
@given(layers)
def test_cost_of_the_direct_plan(case: tuple[LinearLayer, Tensor]) -> None:
    layer, source = case
    cost = plan_cost(plan_layer(layer, source, "direct"), layer, source)
    assert cost.params == cost.terms <= cost.terms_direct
    assert cost.tree_depth is None is cost.tree_depth_bound
    assert cost.graph_levels <= 1
    if isinstance(source.format, Bipolar):
        assert cost.adders == 0


def test_published_figures_count_every_output_position() -> None:
    # Params = N for the root + sum of distances, Bit-Ops = Hout * Wout * Params
    weights = random_bits(6, 3 * 3 * 4).reshape(6, 3, 3, 4)
    layer = BinaryConv("layer", ("input",), weights=weights, padding=(1, 1, 1, 1))
    source = Tensor((10, 7, 4), BIPOLAR)
    plan = plan_layer(layer, source, "mst", complement=False)
    cost = plan_cost(plan, layer, source)
    assert plan.tree is not None
    assert cost.params == 36 + plan.tree.weight
    assert cost.bit_ops == 70 * cost.params
    assert plan_cost(plan, layer, Tensor((20, 7, 4), BIPOLAR)).bit_ops == 140 * cost.params


@pytest.mark.parametrize(
    ("bits", "cells", "ready"),
    [
        (0, 0, ()),
        (1, 0, (0,)),
        (2, 1, (1, 1)),
        (3, 1, (1, 1)),
        (7, 4, (2, 3, 3)),
    ],
)
def test_popcount_tree(bits: int, cells: int, ready: tuple[int, ...]) -> None:
    assert _popcount(bits) == (cells, ready)


def test_popcount_adders_are_bits_less_the_ones_of_their_number() -> None:
    for bits in range(300):
        cells, ready = _popcount(bits)
        assert cells == bits - bits.bit_count()
        assert len(ready) == bits.bit_length()
    assert max(_popcount(576)[1]) < 2 * np.log(576) / np.log(1.5)


def test_ripple_sum() -> None:
    assert _added((2, 3), (-1, 1), 3) == (2, 4, 5)
    assert _added((0, 0, 0), (0, 0, 0), 4) == (1, 2, 3, 4)


def test_more_costs_more() -> None:
    few, many = dense(random_bits(8, 40)), dense(random_bits(9, 40))
    for method in ("direct", "mst"):
        one, two = (
            plan_cost(plan_layer(layer, vector(40), method), layer, vector(40))
            for layer in (few, many)
        )
        assert one.luts < two.luts and one.full_adders < two.full_adders


def test_thresholds_cost_less_than_sums_and_borders_more() -> None:
    weights = random_bits(4, 3 * 3 * 2).reshape(4, 3, 3, 2)
    source = Tensor((5, 5, 2), BIPOLAR)
    luts = {}
    for name, padding, bits in (("sums", 0, False), ("bits", 0, True), ("borders", 1, True)):
        layer = BinaryConv(
            "layer",
            ("input",),
            weights=weights,
            padding=(padding,) * 4,
            threshold=Threshold.at_least(np.zeros(4, dtype=np.int64)) if bits else None,
        )
        luts[name] = plan_cost(plan_layer(layer, source, "direct"), layer, source).luts
    assert luts["bits"] < luts["sums"] and luts["bits"] < luts["borders"]


def test_json_has_every_figure() -> None:
    layer = dense(random_bits(5, 12))
    cost = plan_cost(plan_layer(layer, vector(12), "mst"), layer, vector(12))
    assert cost.to_json()["terms_direct"] == 60
    assert cost.to_json() == {field.name: getattr(cost, field.name) for field in fields(cost)}


@pytest.mark.parametrize("source", [vector(64), Tensor((64,), Integer(0, 15))])
@pytest.mark.parametrize("max_depth", [None, 3])
def test_auto_has_the_least_area_delay(source: Tensor, max_depth: int | None) -> None:
    layer = dense(random_bits(32, 64, seed=4))
    found = candidates(layer, source, max_depth=max_depth)
    depths = [one.cost.tree_depth for one in found]
    assert [one.plan.method for one in found[:3]] == ["direct", "subbit", "classes"]
    deepest = depths[-1]
    assert deepest is not None
    assert depths[3:-1] == [depth for depth in DEPTHS if depth < deepest]
    best = min(found, key=lambda one: one.area_delay)
    plan = plan_layer(layer, source, "auto", max_depth=max_depth)
    assert plan.graph == best.plan.graph
    assert plan.method == best.plan.method


def with_few_differences() -> LinearLayer:
    """Return a layer whose rows differ from their neighbours in three columns."""
    rows = np.repeat(random_bits(1, 80), 6, axis=0)
    for k, row in enumerate(rows):
        row[: 3 * k] ^= 1
    return dense(rows, Threshold.at_least(np.zeros(6, dtype=np.int64)))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_auto_for_a_target_takes_least_tables_and_then_levels(target: str) -> None:
    for layer in (dense(random_bits(5, 40), Threshold.at_least(np.arange(5))),
                  with_few_differences()):  # fmt: skip
        source = vector(layer.patch_size())
        found = candidates(layer, source, target=target)
        assert "rowtree" in {one.plan.method for one in found}
        assert all(one.cost == plan_cost(one.plan, layer, source, target) for one in found)
        chosen = best(found, target)
        least = min(one.cost.luts for one in found)
        assert chosen.cost.luts == least
        for one in found:
            if one.cost.logic_levels < chosen.cost.logic_levels:
                assert one.cost.luts > least


def test_auto_weighs_no_row_class_tree_without_a_target_or_complements() -> None:
    layer = dense(random_bits(6, 40), Threshold.at_least(np.arange(6)))
    source = vector(40)
    for found in (
        candidates(layer, source), candidates(layer, source, complement=False, target="lut6")
    ):  # fmt: skip
        assert "rowtree" not in {one.plan.method for one in found}


def test_auto_takes_the_direct_plan_where_nothing_is_shared() -> None:
    layer = dense(random_bits(1, 16))
    assert plan_layer(layer, vector(16)).method == "direct"


def test_inputs_that_are_always_the_same_cost_nothing_to_wait_for() -> None:
    for value in (0, 3, -2):
        weights = np.array([[1, 0, 1], [0, 0, 1]], dtype=np.uint8)
        layer = BinaryDense("fc", ("input",), weights)
        source = Tensor((3,), Integer(value, value))
        for method in ("direct", "mst", "auto"):
            cost = plan_cost(plan_layer(layer, source, method), layer, source)
            assert cost.logic_levels >= 0
