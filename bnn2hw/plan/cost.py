"""What a plan costs: the paper's figures, our own counts, and an estimate of area and levels.

The estimate is a model in full adders, made to rank plans of one layer. Its constants are stated
here; what synthesis gives is measured by ``synth``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from heapq import heapify, heappop, heappush

import numpy as np

from ..model.formats import Tensor
from ..model.layers import LinearLayer
from .graph import AdderGraph, Count, Sum, interval_width
from .layer_plan import LayerPlan
from .outputs import BitReadout, Readout

__all__ = ["PlanCost", "plan_cost"]

# LUT6 for each full adder of a popcount: explicit full adders gave 0.8 LUT6 a weight.
LUTS_PER_COUNT_CELL = 0.8
# LUT6 for each bit of a two-operand adder: sum bit on a carry chain.
LUTS_PER_ADDER_CELL = 1.0
# A comparison of w bits with a constant is a tree of LUT6, and each takes away five bits.
BITS_PER_COMPARISON_LUT = 5


@dataclass(frozen=True)
class PlanCost:
    """The cost of a plan.

    Attributes
    ----------
    terms_direct
        Weights of the live channels: XNOR terms with one popcount a channel.
    terms
        XNOR terms of the plan: the inputs that its nodes read.
    params
        Params of the MST paper: N for each root plus the distances; all terms without a tree.
    bit_ops
        Bit-Ops of the MST paper for one inference: output positions * params.
    adders
        Two-operand additions outside popcounts.
    full_adders
        Full and half adders of popcounts and additions.
    graph_levels
        Nodes on the longest path of the adder graph.
    tree_depth
        Depth of the spanning tree in edges; None where the plan has none.
    tree_depth_bound
        A lower bound for the depth of any minimum spanning tree; None without a tree.
    luts
        Estimated LUT6, thresholds included.
    logic_levels
        Estimated critical path in full adders, with ripple-carry additions, and the comparison.
    """

    terms_direct: int
    terms: int
    params: int
    bit_ops: int
    adders: int
    full_adders: int
    graph_levels: int
    tree_depth: int | None
    tree_depth_bound: int | None
    luts: int
    logic_levels: int

    def to_json(self) -> dict[str, object]:
        """Return the cost as JSON values."""
        return asdict(self)


def plan_cost(plan: LayerPlan, layer: LinearLayer, source: Tensor) -> PlanCost:
    """Return the cost of a layer's plan, counted on the plan itself.

    ``source`` is the layer's input; it gives the number of output positions.
    """
    graph = plan.graph
    terms = sum(_terms(node, graph.inputs) for node in graph.nodes)
    params = terms if plan.tree is None else plan.tree.total
    live = [output.channel for output in graph.outputs]
    shape = layer.output(source).shape
    positions = int(np.prod(shape[:-1], dtype=np.int64))
    counting, adding = _cells(graph)
    arrivals = _arrivals(graph)
    return PlanCost(
        terms_direct=int(np.count_nonzero(layer.matrix()[live])),
        terms=terms,
        params=params,
        bit_ops=positions * params,
        adders=sum(_additions(node) for node in graph.nodes),
        full_adders=counting + adding,
        graph_levels=max(graph.levels, default=0),
        tree_depth=None if plan.tree is None else plan.tree.depth,
        tree_depth_bound=None if plan.tree is None else plan.tree.depth_bound,
        luts=round(
            LUTS_PER_COUNT_CELL * counting
            + LUTS_PER_ADDER_CELL * adding
            + _readout_luts(graph, plan.readout)
        ),
        logic_levels=_readout_level(graph, plan.readout, arrivals),
    )


def _terms(node: Count | Sum, inputs: int) -> int:
    if isinstance(node, Count):
        return len(node.taps)
    return int(np.count_nonzero(node.sources < inputs))


def _additions(node: Count | Sum) -> int:
    if isinstance(node, Count):
        return 0
    return max(len(node.sources) - 1 + (node.constant != 0), 0)


@cache
def _popcount(bits: int) -> tuple[int, tuple[int, ...]]:
    """Return full and half adders of a popcount, and the level at which each bit is ready.

    A column takes its three earliest bits as often as it can, and at last its two: the greedy
    compressor tree. It has as many adders as ``bits`` less the ones in the binary form of
    ``bits``.
    """
    column, cells, ready = [0] * bits, 0, []
    while column:
        heapify(column)
        carries: list[int] = []
        while len(column) > 1:
            # what is not there counts as 0: a half adder
            at = max(heappop(column) for _ in range(min(3, len(column)))) + 1
            heappush(column, at)
            carries.append(at)
            cells += 1
        ready.append(column[0])
        column = carries
    return cells, tuple(ready)


def _steps(graph: AdderGraph, node: Sum) -> list[tuple[int, int, int]]:
    """Return (value, shift, width of the running sum) for the operands of a sum, in order."""
    value_bounds = [graph.interval(source) for source in node.sources.tolist()]
    low = high = 0
    steps = []
    for (least, greatest), source, sign, shift in zip(
        value_bounds,
        node.sources.tolist(),
        node.signs.tolist(),
        node.shifts.tolist(),
        strict=True,
    ):
        ends = sorted((sign * least << shift, sign * greatest << shift))
        low, high = low + ends[0], high + ends[1]
        steps.append((source, shift, interval_width(low, high)))
    return steps


def _cells(graph: AdderGraph) -> tuple[int, int]:
    """Return the full and half adders of popcounts and of additions.

    An addition takes one for each bit of its result above the shift of the added operand.
    """
    counting = adding = 0
    for value, node in graph.numbered():
        if isinstance(node, Count):
            counting += _popcount(len(node.taps))[0]
            continue
        width = graph.width(value)
        steps = _steps(graph, node)
        adding += sum(max(min(running, width) - shift, 0) for _, shift, running in steps[1:])
        adding += width if node.constant else 0
    return counting, adding


def _arrivals(graph: AdderGraph) -> list[tuple[int, ...]]:
    """Return the level at which each bit of each value is ready, in full adders."""
    ready: list[tuple[int, ...]] = [(0,) * max(graph.width(0), 1)] * graph.inputs
    for value, node in graph.numbered():
        if isinstance(node, Count):
            ready.append(_popcount(len(node.taps))[1])
            continue
        width = graph.width(value)
        terms = [_shifted(ready[source], shift) for source, shift, _ in _steps(graph, node)]
        queue = [(max(term, default=0), number, term) for number, term in enumerate(terms)]
        heapify(queue)
        # a balanced tree: the two earliest operands first
        for number in range(len(terms), 2 * len(terms) - 1):
            (_, _, first), (_, _, second) = heappop(queue), heappop(queue)
            total = _added(first, second, min(max(len(first), len(second)) + 1, width))
            heappush(queue, (max(total, default=0), number, total))
        result = queue[0][2] if queue else (0,)
        ready.append(_added(result, (0,), width) if node.constant else result)
    return ready


def _shifted(ready: tuple[int, ...], shift: int) -> tuple[int, ...]:
    """Return the levels of the bits of a shifted value, -1 for the zeros shifted in."""
    return (-1,) * shift + (ready or (-1,))


def _added(first: tuple[int, ...], second: tuple[int, ...], width: int) -> tuple[int, ...]:
    """Return the levels of the bits of a ripple-carry sum; a bit alone in its column passes."""
    carry, result = -1, []
    for bit in range(width):
        one = first[min(bit, len(first) - 1)]
        two = second[min(bit, len(second) - 1)]
        last = max(one, two, carry)
        alone = (one >= 0) + (two >= 0) + (carry >= 0) <= 1
        carry = -1 if alone else last + 1
        result.append(last if alone else carry)
    return tuple(result) or (-1,)  # a sum that is always 0 is there at once


def _read(readout: Readout) -> list[tuple[int, bool]]:
    """Return (value, whether it is compared) for every channel that reads a value."""
    compared = isinstance(readout, BitReadout)
    return [(value, compared) for value in readout.value.tolist() if value >= 0]


def _readout_luts(graph: AdderGraph, readout: Readout) -> float:
    """Return the LUTs of thresholds, or of the additions of offsets where sums come out.

    With border classes the level of a comparison is a table of the class: one LUT a bit, and one
    for two bits compared.
    """
    classes = len(readout.level if isinstance(readout, BitReadout) else readout.offset)
    luts = 0.0
    for value, compared in _read(readout):
        width = graph.width(value)
        if not compared:
            luts += width * LUTS_PER_ADDER_CELL
        elif classes > 1:
            luts += 1.5 * width
        else:
            luts += -(-max(width - 1, 1) // BITS_PER_COMPARISON_LUT)
    return luts


def _readout_level(graph: AdderGraph, readout: Readout, ready: list[tuple[int, ...]]) -> int:
    """Return the level of the last output: a comparison is a tree of LUT6, a sum one addition."""
    level = 0
    for value, compared in _read(readout):
        width = max(graph.width(value), 1)
        last = max(ready[value], default=0)
        trees = 0
        while width > 1 and compared:
            width, trees = -(-width // 6), trees + 1
        level = max(level, last + (max(trees, 1) if compared else 1))
    return level
