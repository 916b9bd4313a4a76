"""The sub-bit plan: what it shares, what it costs, and the proof that rejects broken ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.errors import PlanError
from bnn2hw.model import BIPOLAR, BinaryConv, Integer, LinearLayer, Tensor
from bnn2hw.plan import candidates, plan_cost, plan_layer
from bnn2hw.plan.codebooks import project
from bnn2hw.plan.graph import AdderGraph, Count, Sum
from bnn2hw.plan.kernels import kernels_of
from bnn2hw.plan.layer_plan import LayerPlan, prove
from bnn2hw.plan.text import dump, load
from tests.plan.strategies import dense, layers, random_bits, vector

EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True)
SOURCE = Tensor((6, 6, 24), BIPOLAR)


def conv(outputs: int, inputs: int, *, tau: int | None = None, seed: int = 0) -> LinearLayer:
    """Return a random 3x3 layer, projected to 2**tau kernels where tau is given."""
    weights = random_bits(outputs, 9 * inputs, seed).reshape(outputs, 3, 3, inputs)
    layer = BinaryConv("layer", ("input",), weights=weights)
    return layer if tau is None else project(layer, tau)[0]


def graph_of(plan: LayerPlan) -> AdderGraph:
    assert isinstance(plan.graph, AdderGraph)
    return plan.graph


@EXAMPLES
@given(layers)
def test_every_kernel_is_computed_once(case: tuple[LinearLayer, Tensor]) -> None:
    layer, source = case
    graph = graph_of(plan_layer(layer, source, "subbit", complement=False))
    kernels = kernels_of(layer)
    assert kernels is not None
    # beside the bases: every kernel of every input channel but the base, at most
    shared = [node for node in graph.nodes if node.label.startswith("vector")]
    assert len(shared) <= int((kernels.distinct_each() - 1).sum())
    keys = {
        (node.taps.tobytes(), node.inverted.tobytes())
        if isinstance(node, Count)
        else (node.sources.tobytes(), node.signs.tobytes())
        for node in shared
    }
    assert len(keys) == len(shared)
    # one base a group, and one sum at most for each channel
    assert sum(node.label == "base" for node in graph.nodes) <= kernels.groups
    assert len(graph.nodes) - len(shared) <= layer.channels + kernels.groups


def test_kernels_are_shared_by_many_channels() -> None:
    layer = conv(64, 24, tau=3)
    graph = graph_of(plan_layer(layer, SOURCE, "subbit", complement=False))
    shared = [node for node in graph.nodes if node.label.startswith("vector")]
    assert all(isinstance(node, Count) and 2 <= len(node.taps) <= 9 for node in shared)
    assert len(shared) <= 24 * 7
    sums = [node for node in graph.nodes if isinstance(node, Sum)]
    assert len(sums) == 64 and all(len(node.sources) <= 25 for node in sums)
    assert load(dump(graph)) == graph


def test_the_base_is_the_best_of_the_kernels() -> None:
    """Three channels have one kernel, one has another: the row of the three is computed once."""
    kernels = np.zeros((4, 9), dtype=np.uint8)
    kernels[3, :5] = 1
    layer = BinaryConv("layer", ("input",), weights=kernels.reshape(4, 3, 3, 1))
    source = Tensor((5, 5, 1), BIPOLAR)
    graph = graph_of(plan_layer(layer, source, "subbit", complement=False))
    assert [node.label for node in graph.nodes] == ["base", "vector0_kernel1", "channel3"]
    base, difference, total = graph.nodes
    assert isinstance(base, Count) and base.inverted.all()
    assert isinstance(difference, Count) and difference.taps.tolist() == [0, 1, 2, 3, 4]
    assert isinstance(total, Sum) and total.shifts.tolist() == [0, 1]
    assert [(output.value, output.constant) for output in graph.outputs] == [
        (9, 0), (9, 0), (9, 0), (11, -5),
    ]  # fmt: skip


def test_rows_are_turned_where_that_makes_them_alike() -> None:
    """Of 20 rows that are nearly one row, half are complements."""
    rows = np.repeat(random_bits(1, 96), 20, axis=0)
    rows[np.arange(20), np.arange(20) * 4] ^= 1
    rows[::2] ^= 1
    turned = plan_layer(dense(rows), vector(96), "subbit")
    nodes = graph_of(turned).nodes
    # a base and single weights
    assert [node.label for node in nodes if isinstance(node, Count)] == ["base"]
    assert {output.sign for output in graph_of(turned).outputs} == {1, -1}
    kept = plan_layer(dense(rows), vector(96), "subbit", complement=False)
    assert len(graph_of(kept).nodes) > len(nodes)


def test_a_single_weight_needs_no_node() -> None:
    rows = np.zeros((3, 12), dtype=np.uint8)
    rows[1, 4] = rows[2, 10] = rows[2, 0] = 1
    plan = plan_layer(dense(rows), vector(12), "subbit")
    assert [node.label for node in graph_of(plan).nodes] == ["base", "channel1", "channel2"]


def test_equal_and_complementary_rows_cost_nothing() -> None:
    rows = random_bits(3, 40)
    both = np.concatenate([rows, rows, 1 - rows])
    plan = plan_layer(dense(both), vector(40), "subbit")
    few = plan_layer(dense(rows), vector(40), "subbit")
    assert graph_of(plan).nodes == graph_of(few).nodes
    assert len(graph_of(plan).outputs) == 9


@pytest.mark.parametrize("source", [SOURCE, Tensor((6, 6, 24), Integer(-8, 7))])
def test_few_kernels_cost_less(source: Tensor) -> None:
    luts = []
    for tau in (None, 6, 4, 2):
        layer = conv(96, 24, tau=tau)
        luts.append(plan_cost(plan_layer(layer, source, "subbit"), layer, source).luts)
    assert luts == sorted(luts, reverse=True)
    assert luts[-1] < 0.6 * luts[0]


def test_auto_takes_it_where_kernels_are_few() -> None:
    layer = conv(128, 24, tau=2)
    found = {one.plan.method: one.cost for one in candidates(layer, SOURCE)}
    assert found["subbit"].luts < 0.7 * found["direct"].luts
    assert plan_layer(layer, SOURCE, "auto").method == "subbit"


# Broken planners: a kernel that another one stands for, a base that a channel does not read, a
# difference that counts once, an output that forgets what differs.


def swap_kernel(graph: AdderGraph) -> AdderGraph:
    return with_last_sum(graph, lambda node: replace(node, sources=other(node.sources)))


def other(sources: np.ndarray) -> np.ndarray:
    changed = sources.copy()
    changed[-1] -= 1
    return changed


def no_base(graph: AdderGraph) -> AdderGraph:
    return with_last_sum(
        graph,
        lambda node: replace(
            node, sources=node.sources[1:], signs=node.signs[1:], shifts=node.shifts[1:]
        ),
    )


def half_difference(graph: AdderGraph) -> AdderGraph:
    return with_last_sum(graph, lambda node: replace(node, shifts=0 * node.shifts))


def no_constant(graph: AdderGraph) -> AdderGraph:
    return replace(graph, outputs=tuple(replace(one, constant=0) for one in graph.outputs))


def with_last_sum(graph: AdderGraph, change: Callable[[Sum], Sum]) -> AdderGraph:
    node = graph.nodes[-1]
    assert isinstance(node, Sum)
    return replace(graph, nodes=(*graph.nodes[:-1], change(node)))


@pytest.mark.parametrize("mutate", [swap_kernel, no_base, half_difference, no_constant])
def test_proof_rejects_mutants(mutate: Callable[[AdderGraph], AdderGraph]) -> None:
    layer = conv(8, 24, tau=3)
    graph = graph_of(plan_layer(layer, SOURCE, "subbit"))
    prove(layer, SOURCE, graph)
    with pytest.raises(PlanError, match="layer layer: the plan's linear form differs"):
        prove(layer, SOURCE, mutate(graph))


@pytest.mark.parametrize("tau", [1, 4])
def test_vectors_of_dense_layers_with_a_shorter_one(tau: int) -> None:
    layer, _ = project(dense(random_bits(40, 8 * 6 + 3)), tau)
    graph = graph_of(plan_layer(layer, vector(51), "subbit"))
    taps = [node.taps for node in graph.nodes if isinstance(node, Count) and node.label != "base"]
    assert all(len(set((one // 8).tolist())) == 1 for one in taps)
    assert any(one.min() >= 48 for one in taps)


@given(st.integers(0, 5))
@settings(max_examples=6, deadline=None, derandomize=True)
def test_terms_are_those_of_base_and_kernels(seed: int) -> None:
    layer = conv(16, 4, tau=4, seed=seed)
    source = Tensor((6, 6, 4), BIPOLAR)
    plan = plan_layer(layer, source, "subbit")
    cost = plan_cost(plan, layer, source)
    counted = sum(len(node.taps) for node in graph_of(plan).nodes if isinstance(node, Count))
    direct = sum(
        int((node.sources < 36).sum()) for node in graph_of(plan).nodes if isinstance(node, Sum)
    )
    assert cost.terms == counted + direct
    assert 36 < cost.terms < cost.terms_direct
