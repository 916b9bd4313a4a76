"""The adder graph by itself: forms, intervals, widths and levels of graphs no planner makes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.plan.graph import AdderGraph, Count, Node, Output, Sum, interval_width

EXAMPLES = settings(max_examples=200, deadline=None, derandomize=True)


def count(taps: list[int], inverted: list[bool], label: str = "") -> Count:
    return Count(np.array(taps, np.int32), np.array(inverted, np.bool_), label)


def total(sources: list[int], signs: list[int], shifts: list[int], constant: int = 0) -> Sum:
    return Sum(
        np.array(sources, np.int32), np.array(signs, np.int8), np.array(shifts, np.int8), constant
    )


@st.composite
def graphs(draw: st.DrawFn) -> AdderGraph:
    """Draw a graph over few inputs whose nodes read anything before them."""
    inputs = draw(st.integers(1, 6))
    bits = draw(st.booleans())
    low, high = (0, 1) if bits else draw(st.sampled_from([(0, 3), (-2, 1), (-1, -1), (2, 4)]))
    nodes: list[Node] = []
    for value in range(inputs, inputs + draw(st.integers(0, 6))):
        if bits and draw(st.booleans()):
            taps = sorted(draw(st.sets(st.integers(0, inputs - 1))))
            nodes.append(count(taps, [draw(st.booleans()) for _ in taps]))
            continue
        sources = draw(st.lists(st.integers(0, value - 1), max_size=4))
        signs = [draw(st.sampled_from((-1, 1))) for _ in sources]
        shifts = [draw(st.integers(0, 2)) for _ in sources]
        nodes.append(total(sources, signs, shifts, draw(st.integers(-9, 9))))
    values = st.integers(0, inputs + len(nodes) - 1)
    outputs = [
        Output(channel, draw(values), draw(st.sampled_from((-1, 1))), draw(st.integers(-9, 9)))
        for channel in sorted(draw(st.sets(st.integers(0, 9), max_size=4)))
    ]
    return AdderGraph(inputs, low, high, tuple(nodes), tuple(outputs))


@EXAMPLES
@given(graphs(), st.integers(0, 1000))
def test_form_is_what_is_evaluated(graph: AdderGraph, seed: int) -> None:
    x = np.random.default_rng(seed).integers(graph.low, graph.high + 1, (9, graph.inputs))
    form, constants = graph.linear_form()
    assert form.shape == (len(graph.outputs), graph.inputs)
    assert np.array_equal(graph.evaluate(x), x @ form.T.astype(np.int64) + constants)


@EXAMPLES
@given(graphs())
def test_intervals_are_those_of_all_inputs(graph: AdderGraph) -> None:
    axes = [np.arange(graph.low, graph.high + 1)] * graph.inputs
    every = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, graph.inputs)
    numbers = range(graph.inputs + len(graph.nodes))
    outputs = tuple(Output(number, number) for number in numbers)
    values = AdderGraph(graph.inputs, graph.low, graph.high, graph.nodes, outputs).evaluate(every)
    for number in numbers:
        low, high = graph.interval(number)
        assert (values[:, number].min(), values[:, number].max()) == (low, high)
        assert graph.width(number) == interval_width(low, high)


@pytest.mark.parametrize(
    ("low", "high", "width"),
    [(0, 0, 0), (0, 1, 1), (0, 255, 8), (0, 256, 9), (-1, 0, 1), (-1, 1, 2), (-128, 127, 8),
     (-129, 0, 9), (-4, 8, 5), (-9, -9, 5)],
)  # fmt: skip
def test_width_of_an_interval(low: int, high: int, width: int) -> None:
    assert interval_width(low, high) == width
    if low < 0:
        assert -(2 ** (width - 1)) <= low and high < 2 ** (width - 1)
        assert low < -(2 ** (width - 2)) or high >= 2 ** (width - 2) or width == 1


def test_levels_count_nodes_on_the_longest_path() -> None:
    nodes = (
        count([0], [False]),
        total([3], [1], [0]),
        total([], [], [], 4),
        total([4, 0, 3], [1, 1, 1], [0, 0, 0]),
    )
    graph = AdderGraph(3, 0, 1, nodes, ())
    assert graph.levels == (1, 2, 1, 3)
    assert graph.evaluate(np.zeros((2, 3), dtype=np.int64)).shape == (2, 0)


def test_an_input_can_be_an_output() -> None:
    graph = AdderGraph(2, -4, 3, (), (Output(0, 1, -1, 5),))
    assert graph.linear_form()[0].tolist() == [[0, -1]]
    assert graph.evaluate(np.array([[2, -4]])).tolist() == [[9]]
    assert (graph.interval(1), graph.width(1)) == ((-4, 3), 3)


def test_nodes_are_equal_by_value_and_cannot_change() -> None:
    one = count([0, 2], [True, False], "one")
    assert one == count([0, 2], [True, False], "one")
    assert one != count([0, 2], [True, False], "two")
    assert one != count([0, 2], [True, True], "one")
    assert one != count([0, 1], [True, False], "one")
    two = total([0, 1], [1, -1], [0, 1], 3)
    assert two == total([0, 1], [1, -1], [0, 1], 3)
    for other in (
        total([0, 0], [1, -1], [0, 1], 3),
        total([0, 1], [1, 1], [0, 1], 3),
        total([0, 1], [1, -1], [0, 2], 3),
        total([0, 1], [1, -1], [0, 1], 2),
        one,
    ):
        assert two != other
    with pytest.raises(ValueError, match="read-only"):
        one.taps[0] = 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: count([2, 1], [False, False]),
        lambda: count([1, 1], [False, False]),
        lambda: count([1], []),
        lambda: total([0], [2], [0]),
        lambda: total([0], [1], [-1]),
        lambda: AdderGraph(2, 0, 1, (count([2], [False]),), ()),
        lambda: AdderGraph(2, 0, 3, (count([1], [False]),), ()),
        lambda: AdderGraph(2, 0, 1, (total([2], [1], [0]),), ()),
        lambda: AdderGraph(2, 0, 1, (), (Output(0, 2),)),
        lambda: AdderGraph(2, 0, 1, (), (Output(1, 0), Output(0, 0))),
    ],
)
def test_impossible_graphs_are_not_made(make: Callable[[], object]) -> None:
    with pytest.raises(AssertionError):
        make()
