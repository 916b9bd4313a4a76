"""Plans compute the layer: against plain products, with both ends of every interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.errors import ModelError, PlanError, UsageError
from bnn2hw.model import BIPOLAR, BinaryConv, Bipolar, Integer, LinearLayer, Tensor, Threshold
from bnn2hw.plan import plan_layer
from bnn2hw.plan.graph import AdderGraph, Count, Output, Sum
from bnn2hw.plan.layer_plan import prove
from bnn2hw.plan.outputs import BitReadout, Readout
from bnn2hw.plan.readout import live_channels
from tests.plan.strategies import dense, layers, random_bits, vector

N = TypeVar("N", Count, Sum)
EXAMPLES = settings(max_examples=300, deadline=None, derandomize=True)
OPTIONS = st.sampled_from(
    [
        ("direct", None, True),
        ("direct", None, False),
        ("mst", None, True),
        ("mst", None, False),
        ("mst", 1, True),
        ("mst", 2, False),
        ("subbit", None, True),
        ("subbit", None, False),
        ("classes", None, True),
        ("classes", None, False),
        ("auto", None, True),
        ("auto", 2, True),
    ]
)


def values_of(source: Tensor, n: int, seed: int) -> NDArray[np.int64]:
    """Return random input values (vectors, n), with the two constant vectors first."""
    low, high = source.format.low, source.format.high
    random = np.random.default_rng(seed)
    x = random.integers(low, high + 1, (12, n))
    if isinstance(source.format, Bipolar):
        x = random.choice([-1, 1], (12, n))
    x[0], x[1] = low, high
    return x


def hardware_view(source: Tensor, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return inputs as the graph reads them: bits for -1 and +1."""
    return (x + 1) // 2 if isinstance(source.format, Bipolar) else x


@EXAMPLES
@given(layers, OPTIONS, st.integers(0, 1000))
def test_plan_computes_the_sums(
    case: tuple[LinearLayer, Tensor], options: tuple[str, int | None, bool], seed: int
) -> None:
    layer, source = case
    method, max_depth, complement = options
    plan = plan_layer(layer, source, method, max_depth=max_depth, complement=complement)
    live = live_channels(layer, source)
    matrix = layer.matrix()[live].astype(np.int64)
    x = values_of(source, matrix.shape[1], seed)
    sums = x @ matrix.T
    if isinstance(source.format, Bipolar):
        sums = (sums + (matrix != 0).sum(axis=1)) // 2
    assert [output.channel for output in plan.graph.outputs] == live.tolist()
    assert np.array_equal(plan.graph.evaluate(hardware_view(source, x)), sums)
    coefficients, _ = plan.graph.linear_form()
    assert np.array_equal(coefficients, matrix)
    if plan.tree is not None:
        assert sorted(plan.tree.channels.tolist()) == live.tolist()
        if max_depth is not None:
            assert plan.tree.depth <= max_depth


@EXAMPLES
@given(layers, OPTIONS, st.integers(0, 1000))
def test_readout_gives_the_outputs_in_every_border_class(
    case: tuple[LinearLayer, Tensor], options: tuple[str, int | None, bool], seed: int
) -> None:
    layer, source = case
    plan = plan_layer(layer, source, options[0], max_depth=options[1], complement=options[2])
    matrix = layer.matrix().astype(np.int64)
    x = values_of(source, matrix.shape[1], seed)
    for border, taps in enumerate(layer.valid_taps(source)):
        padded = np.where(taps, x, -1) if isinstance(source.format, Bipolar) else x
        expected = (x * taps) @ matrix.T
        if layer.threshold is not None:
            direction, level = layer.threshold.direction, layer.threshold.level
            expected = np.where(direction > 0, expected >= level, expected <= level)
            expected = np.where(direction == 0, level, expected)
        found = read(plan.readout, plan.graph, hardware_view(source, padded), border)
        assert np.array_equal(found, expected)


def read(
    readout: Readout, graph: AdderGraph, x: NDArray[np.int64], border: int
) -> NDArray[np.int64]:
    """Return the layer's outputs (vectors, channels) from the graph's values."""
    wanted = tuple(Output(k, max(v, 0)) for k, v in enumerate(readout.value.tolist()))
    values = replace(graph, outputs=wanted).evaluate(x)
    if not isinstance(readout, BitReadout):
        result: NDArray[np.int64] = values * readout.scale + readout.offset[border]
        assert readout.low <= result.min() <= result.max() <= readout.high
        return result
    direction, level = readout.direction[border], readout.level[border]
    compared = np.where(direction > 0, values >= level, values <= level)
    bits: NDArray[np.int64] = np.where(direction == 0, level, compared).astype(np.int64)
    return bits


@EXAMPLES
@given(layers, OPTIONS)
def test_both_ends_of_every_interval_are_reached(
    case: tuple[LinearLayer, Tensor], options: tuple[str, int | None, bool]
) -> None:
    layer, source = case
    plan = plan_layer(layer, source, options[0], max_depth=options[1], complement=options[2])
    graph = plan.graph
    numbers = [number for number, _ in graph.numbered()]
    every = replace(graph, outputs=tuple(Output(k, n) for k, n in enumerate(numbers)))
    form, _ = every.linear_form()
    for sign, end in ((1, 1), (-1, 0)):
        x = np.where(sign * form > 0, graph.high, graph.low)
        reached = every.evaluate(x).diagonal()
        assert reached.tolist() == [graph.interval(number)[end] for number in numbers]


def test_equal_and_complementary_rows_cost_nothing() -> None:
    rows = random_bits(3, 40)
    weights = np.concatenate([rows, rows, 1 - rows])
    for method in ("direct", "mst"):
        plan = plan_layer(dense(weights), vector(40), method)
        few = plan_layer(dense(rows), vector(40), method)
        assert plan.graph.nodes == few.graph.nodes
        assert len(plan.graph.outputs) == 9
        apart = plan_layer(dense(weights), vector(40), method, complement=False)
        assert len(apart.graph.nodes) > len(few.graph.nodes)


def test_constant_channels_and_unused_inputs_cost_nothing() -> None:
    weights = random_bits(4, 10)
    level = np.array([11, 0, -10, 0])
    for method in ("direct", "mst"):
        plan = plan_layer(dense(weights, Threshold.at_least(level)), vector(10), method)
        assert [output.channel for output in plan.graph.outputs] == [1, 3]
        few = plan_layer(dense(weights[[1, 3]]), vector(10), method)
        assert len(plan.graph.nodes) == len(few.graph.nodes)
    nothing = plan_layer(dense(weights, Threshold.at_least(np.full(4, 99))), vector(10), "mst")
    assert nothing.graph.nodes == () == nothing.graph.outputs
    assert nothing.tree is not None and nothing.tree.depth == 0


def test_groups_have_a_tree_each() -> None:
    weights = random_bits(12, 3 * 3 * 5).reshape(12, 3, 3, 5)
    layer = BinaryConv("layer", ("input",), weights=weights, groups=4)
    plan = plan_layer(layer, Tensor((6, 6, 20), BIPOLAR), "mst")
    assert plan.tree is not None
    assert np.count_nonzero(plan.tree.parent < 0) == 4
    parents = plan.tree.parent
    linked = parents >= 0
    assert (plan.tree.channels[linked] // 3 == parents[linked] // 3).all()


def test_integers_are_reused_without_counts() -> None:
    plan = plan_layer(dense(random_bits(8, 30)), Tensor((30,), Integer(-128, 127)), "mst")
    assert not any(isinstance(node, Count) for node in plan.graph.nodes)
    assert plan.tree is not None
    read = sum(np.count_nonzero(n.sources < 30) for n in plan.graph.nodes if isinstance(n, Sum))
    assert read == plan.tree.total


def test_names_say_what_a_node_is() -> None:
    plan = plan_layer(dense(random_bits(5, 12)), vector(12), "mst")
    assert plan.tree is not None
    tree = zip(plan.tree.channels.tolist(), plan.tree.parent.tolist(), strict=True)
    expected = []
    for channel, parent in tree:
        expected += [] if parent < 0 else [f"channel{channel}_from_channel{parent}"]
        expected.append(f"channel{channel}")
    assert [node.label for node in plan.graph.nodes] == expected


def test_values_stay_as_wide_as_the_count() -> None:
    plan = plan_layer(dense(random_bits(200, 100, seed=3)), vector(100), "mst")
    assert plan.tree is not None and plan.tree.depth > 5
    widths = [plan.graph.width(number) for number, _ in plan.graph.numbered()]
    assert max(widths) <= 8  # 0 .. 100 needs seven bits


# What a broken planner would make of the graph: the proof must notice each.


def flip_inversion(graph: AdderGraph) -> AdderGraph:
    return changed(graph, Count, lambda node: replace(node, inverted=node.inverted ^ first(node)))


def drop_tap(graph: AdderGraph) -> AdderGraph:
    return changed(
        graph, Count, lambda node: replace(node, taps=node.taps[1:], inverted=node.inverted[1:])
    )


def wrong_constant(graph: AdderGraph) -> AdderGraph:
    return changed(graph, Sum, lambda node: replace(node, constant=node.constant + 1))


def wrong_shift(graph: AdderGraph) -> AdderGraph:
    return changed(graph, Sum, lambda node: replace(node, shifts=node.shifts + 1))


def wrong_sign(graph: AdderGraph) -> AdderGraph:
    return changed(graph, Sum, lambda node: replace(node, signs=-node.signs))


def wrong_output_constant(graph: AdderGraph) -> AdderGraph:
    last = graph.outputs[-1]
    return replace(graph, outputs=(*graph.outputs[:-1], replace(last, constant=last.constant - 1)))


def wrong_output_value(graph: AdderGraph) -> AdderGraph:
    one, two, *rest = graph.outputs
    return replace(graph, outputs=(replace(one, value=two.value), two, *rest))


def missing_output(graph: AdderGraph) -> AdderGraph:
    return replace(graph, outputs=graph.outputs[1:])


def first(node: Count) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = np.arange(len(node.taps)) == 0
    return chosen


def changed(graph: AdderGraph, kind: type[N], change: Callable[[N], N]) -> AdderGraph:
    """Return the graph with the last node of a kind changed."""
    last = max(at for at, node in enumerate(graph.nodes) if isinstance(node, kind))
    node = graph.nodes[last]
    assert isinstance(node, kind)
    return replace(graph, nodes=(*graph.nodes[:last], change(node), *graph.nodes[last + 1 :]))


@pytest.mark.parametrize(
    "mutate",
    [
        flip_inversion,
        drop_tap,
        wrong_constant,
        wrong_shift,
        wrong_sign,
        wrong_output_constant,
        wrong_output_value,
        missing_output,
    ],
)
def test_proof_rejects_mutants(mutate: Callable[[AdderGraph], AdderGraph]) -> None:
    layer = dense(random_bits(6, 20))
    plan = plan_layer(layer, vector(20), "mst")
    prove(layer, vector(20), plan.graph)
    with pytest.raises(PlanError, match="layer layer: the plan"):
        prove(layer, vector(20), mutate(plan.graph))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "plan 'magic' is unknown; choose one of direct, mst, subbit"),
        ({"method": "mst", "max_depth": 0}, "a tree cannot have a depth of 0"),
        ({"method": "direct", "max_depth": 3}, "a direct plan has no tree"),
    ],
)
def test_illegal_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        plan_layer(dense(random_bits(3, 5)), vector(5), **options)
    assert error.value.exit_code == 2


def test_input_of_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match="reads 5 inputs and gets 6"):
        plan_layer(dense(random_bits(3, 5)), vector(6))


def test_rows_too_long_for_exact_distances_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bnn2hw.plan.rows._EXACT_FLOAT32", 12)
    plan_layer(dense(random_bits(3, 11)), vector(11), "mst")
    with pytest.raises(PlanError, match="rows of 12 weights are longer"):
        plan_layer(dense(random_bits(3, 12)), vector(12), "mst")
