"""Column classes: shared counts, near-identical rows, constants that run along."""

from __future__ import annotations

import numpy as np

from bnn2hw.model import Threshold
from bnn2hw.plan import plan_layer
from bnn2hw.plan.cost import plan_cost
from bnn2hw.plan.graph import Count
from tests.plan.strategies import dense, random_bits, vector


def test_every_column_is_counted_once_a_block() -> None:
    plan = plan_layer(dense(random_bits(24, 200)), vector(200), "classes")
    counts = [node for node in plan.graph.nodes if isinstance(node, Count)]
    taps = np.concatenate([node.taps for node in counts])
    assert np.bincount(taps, minlength=200).tolist() == [3] * 200


def test_signs_and_constants_need_no_hardware() -> None:
    plan = plan_layer(dense(random_bits(9, 70)), vector(70), "classes")
    for node in plan.graph.nodes:
        if not isinstance(node, Count):
            assert node.constant == 0


def test_it_beats_the_spanning_tree_on_random_rows() -> None:
    layer = dense(random_bits(32, 288), Threshold.at_least(np.zeros(32, int)))
    cost = {
        method: plan_cost(plan_layer(layer, vector(288), method), layer, vector(288))
        for method in ("direct", "mst", "classes")
    }
    assert cost["classes"].luts < 0.9 * cost["mst"].luts < 0.9 * cost["direct"].luts
    assert cost["classes"].logic_levels < cost["mst"].logic_levels


def test_rows_that_are_alike_share_nearly_all() -> None:
    weights = np.repeat(random_bits(1, 300), 8, axis=0)
    for k, row in enumerate(weights[1:]):
        row[5 * k : 5 * k + 3] ^= 1
    layer = dense(weights)
    cost = plan_cost(plan_layer(layer, vector(300), "classes"), layer, vector(300))
    assert cost.terms == 300
    assert cost.full_adders < 300 + 8 * 30
