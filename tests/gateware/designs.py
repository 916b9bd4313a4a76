"""Random adder graphs and readouts, the vectors that try them, and what they must give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bnn2hw.gateware.core import LayerCore
from bnn2hw.plan.graph import AdderGraph, Count, Node, Output, Sum, interval_width
from bnn2hw.plan.outputs import BitReadout, Readout, SumReadout

Array = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Design:
    """What a layer core is made of, and how to try it."""

    graph: AdderGraph
    readout: Readout
    element_width: int = 1
    element_signed: bool = False
    pipeline: int | None = None

    @property
    def classes(self) -> int:
        readout = self.readout
        return len(readout.level if isinstance(readout, BitReadout) else readout.offset)

    @property
    def output_width(self) -> int:
        if isinstance(self.readout, BitReadout):
            return 1
        return max(interval_width(self.readout.low, self.readout.high), 1)

    def core(self) -> LayerCore:
        return LayerCore(
            self.graph,
            self.readout,
            element_width=self.element_width,
            element_signed=self.element_signed,
            pipeline=self.pipeline,
        )

    def words(self, x: Array) -> list[int]:
        """Return input vectors as words."""
        return [packed(row, self.element_width) for row in x.tolist()]

    def expected(self, x: Array, border: Array) -> list[int]:
        """Return the words that must come out."""
        outputs = channels(self.graph, self.readout, x, border)
        return [packed(row, self.output_width) for row in outputs.tolist()]


def packed(elements: Iterable[int], width: int) -> int:
    """Return elements as one word, the first at the LSB."""
    mask = (1 << width) - 1
    return sum((element & mask) << (k * width) for k, element in enumerate(elements))


def random_design(
    seed: int,
    *,
    inputs: int,
    nodes: int,
    sums: bool = False,
    classes: int = 1,
    interval: tuple[int, int] = (0, 1),
    pipeline: int | None = None,
) -> Design:
    """Return a random graph with a readout of every value, inputs included."""
    rng = np.random.default_rng(seed)
    low, high = interval
    graph = random_graph(rng, inputs, nodes, low, high)
    readout = (random_sums if sums else random_bits)(rng, graph, classes)
    width = max(interval_width(low, high), 1)
    return Design(graph, readout, width, low < 0, pipeline)


def random_graph(
    rng: np.random.Generator, inputs: int, nodes: int, low: int, high: int
) -> AdderGraph:
    """Return a graph of random counts (of bits), reuses, and sums of one to five values."""
    made: list[Node] = []
    for k in range(nodes):
        kind = rng.choice(["count", "reuse", "sum"])
        if kind == "count" and (low, high) == (0, 1):
            taps = np.flatnonzero(rng.random(inputs) < rng.choice([0.1, 0.5, 1.0]))
            made.append(Count(taps, rng.integers(0, 2, len(taps)) == 1, f"count{k}"))
        elif kind == "reuse":
            pair, signs = rng.integers(0, inputs + k, 2), np.array([1, rng.choice([-1, 1])])
            made.append(Sum(pair, signs, np.array([0, 1]), 0, f"reuse{k}"))
        else:
            terms = int(rng.integers(1, 6))
            sources, signs = rng.integers(0, inputs + k, terms), rng.choice([-1, 1], terms)
            made.append(Sum(sources, signs, rng.integers(0, 3, terms), int(rng.integers(-9, 10))))
    return AdderGraph(inputs, low, high, tuple(made), ())


def random_bits(rng: np.random.Generator, graph: AdderGraph, classes: int) -> BitReadout:
    """Return a comparison for every value that can come out both ways."""
    count = graph.inputs + len(graph.nodes)
    direction = np.where(rng.random((classes, count)) < 0.2, 0, rng.choice([-1, 1], count))
    level = rng.integers(0, 2, (classes, count))
    for k in range(count):
        low, high = graph.interval(k)
        direction[:, k] *= low < high
        reached = rng.integers(low, max(high, low + 1), classes) + (direction[:, k] > 0)
        level[:, k] = np.where(direction[:, k] == 0, level[:, k], reached)
    value = np.where((direction == 0).all(axis=0), -1, np.arange(count))
    return BitReadout(value.astype(np.int32), direction.astype(np.int8), level)


def random_sums(rng: np.random.Generator, graph: AdderGraph, classes: int) -> SumReadout:
    """Return a scaled sum for every value."""
    count = graph.inputs + len(graph.nodes)
    scale = rng.choice([-2, -1, 1, 2], count)
    offset = rng.integers(-20, 20, (classes, count)) * (rng.random(count) < 0.7)
    ends = np.array([graph.interval(k) for k in range(count)]) * scale[:, None]
    low, high = (ends.min(axis=1) + offset).min(), (ends.max(axis=1) + offset).max()
    value = np.arange(count, dtype=np.int32)
    return SumReadout(value, scale.astype(np.int8), offset, int(low), int(high))


def _with_all_values(graph: AdderGraph) -> AdderGraph:
    count = graph.inputs + len(graph.nodes)
    return replace(graph, outputs=tuple(Output(k, k) for k in range(count)))


def channels(graph: AdderGraph, readout: Readout, x: Array, border: Array) -> Array:
    """Return what each channel must give, int64 (vectors, channels)."""
    values = _with_all_values(graph).evaluate(x)[:, np.maximum(readout.value, 0)]
    if isinstance(readout, SumReadout):
        return values * readout.scale + readout.offset[border]
    direction, level = readout.direction[border], readout.level[border]
    compared = np.where(direction > 0, values >= level, values <= level)
    return np.where(direction == 0, level, compared).astype(np.int64)


def end_vectors(graph: AdderGraph) -> Array:
    """Return the inputs at which each node of the graph is least and greatest."""
    form = _with_all_values(graph).linear_form()[0][graph.inputs :]
    best = np.where(form > 0, graph.high, graph.low)
    worst = np.where(form > 0, graph.low, graph.high)
    return np.unique(np.concatenate([best, worst]).astype(np.int64), axis=0)


def level_vectors(graph: AdderGraph, readout: Readout, rng: np.random.Generator) -> Array:
    """Return inputs just before and behind every level that a channel is compared with."""
    if isinstance(readout, SumReadout):
        return np.zeros((0, graph.inputs), np.int64)
    whole = _with_all_values(graph)
    form, constant = whole.linear_form()
    rows = []
    for number, direction, levels in zip(
        readout.value, readout.direction.T, readout.level.T, strict=True
    ):
        if number < 0:
            continue
        worst = np.where(form[number] > 0, graph.low, graph.high)
        best = np.where(form[number] > 0, graph.high, graph.low)
        order = rng.permutation(graph.inputs)
        turned = np.argsort(order)[None, :] < np.arange(graph.inputs + 1)[:, None]
        path = np.where(turned, best, worst)
        values = path @ form[number] + constant[number]
        for level in levels[direction != 0]:
            first = int(np.searchsorted(values, level))
            rows += [path[max(first - 1, 0)], path[min(first + 1, graph.inputs)], path[first]]
    return np.array(rows, dtype=np.int64).reshape(-1, graph.inputs)


def vectors(design: Design, count: int, seed: int) -> tuple[Array, Array]:
    """Return inputs (corners, then random ones) and their border classes."""
    rng = np.random.default_rng(seed)
    graph = design.graph
    x = np.concatenate(
        [
            np.full((1, graph.inputs), graph.low),
            np.full((1, graph.inputs), graph.high),
            end_vectors(graph),
            level_vectors(graph, design.readout, rng),
            rng.integers(graph.low, graph.high + 1, (count, graph.inputs)),
        ]
    )
    return x, rng.integers(0, design.classes, len(x))
