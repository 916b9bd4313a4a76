"""What a plan costs: the paper's figures, our own counts, and an estimate of area and levels.

The estimate is a model in full adders, made to rank plans of one layer. Its constants are stated
here; what synthesis gives is measured by ``synth``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cache, lru_cache
from heapq import heapify, heappop, heappush
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..model.formats import Tensor
from ..model.layers import LinearLayer
from .area import Area
from .graph import AdderGraph, Count, Sum, interval_width
from .layer_plan import LayerPlan
from .netlist import Netlist, SumOutput, total_weight
from .outputs import BitReadout, Readout

__all__ = ["PlanCost", "comparison_bits", "core_area", "plan_cost"]


class _Rates(NamedTuple):
    """Tables for each full adder of every kind, and for each bit of a comparison.

    Counts of the same inputs, as in direct plans and of the kernels of one channel, share tables;
    those along a tree read inputs of their own.
    """

    counts: float
    shared: float
    sums: float
    additions: float
    comparison: float


# Least-squares fits to what Yosys maps of plans direct, mst, bounded mst, subbit and classes, for
# layers of digits and examples/networks/mst.npz, CNV conv1, TFC fc0 and random 64x256: within 6 %,
# and of layers of 9 integers within 15 %. Gates of an ASIC, of fewer layers: within 11 %, and of
# direct plans 19 %.
_RATES = {
    "lut6": _Rates(1.11, 0.75, 1.54, 1.05, 0.23),
    "lut4": _Rates(2.15, 1.17, 2.02, 1.66, 0.22),
    "ice40": _Rates(2.14, 1.13, 1.84, 1.3, 0.4),
    "ecp5": _Rates(2.15, 1.14, 1.85, 1.61, 1.31),
    "asic": _Rates(8.3, 3.8, 6.75, 5.4, 2.2),
}
# Cells on the longest path of an adder graph for each level of full adders, measured on the same;
# those of an ASIC are full adders.
_CELLS_DEEP = {"lut6": 0.55, "lut4": 0.85, "ice40": 1.1, "ecp5": 1.05, "asic": 1.0}
# Registers for each full adder of every kind, by the adder levels between them.
_REGISTERS = _Rates(1.3, 0.55, 2.5, 1.0, 0.0)
# Tables of four inputs for one of six, where a netlist is made of those.
_SMALL_TABLES = 2.0
# What registers between the cells of a netlist keep Yosys from joining, and how many there are for
# each table, by the levels between them. Measured on digits.
_CUT_TABLES = 1.07
_CUT_REGISTERS = 1.35


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
        Estimated lookup tables of the target (NAND2 equivalents of asic), thresholds included.
    logic_levels
        Estimated critical path with ripple-carry additions and compressor trees, and the
        comparison: in cells where a target is given, else in full adders.
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


def plan_cost(
    plan: LayerPlan, layer: LinearLayer, source: Tensor, target: str | None = None
) -> PlanCost:
    """Return the cost of a layer's plan, counted on the plan itself.

    ``source`` is the layer's input; it gives the number of output positions. ``target`` is one of
    :data:`.targets.TARGETS`, lut6 if None; a netlist has its own.
    """
    graph = plan.graph
    positions = int(np.prod(layer.output(source).shape[:-1], dtype=np.int64))
    live = [output.channel for output in graph.outputs]
    terms_direct = int(np.count_nonzero(layer.matrix()[live]))
    if isinstance(graph, Netlist):
        return _netlist_cost(graph, plan.readout, terms_direct, positions)
    terms = sum(_terms(node, graph.inputs) for node in graph.nodes)
    params = terms if plan.tree is None else plan.tree.total
    cells = _cells(graph)
    levels = _readout_level(graph, plan.readout, _arrivals(graph))
    return PlanCost(
        terms_direct=terms_direct,
        terms=terms,
        params=params,
        bit_ops=positions * params,
        adders=sum(_additions(node) for node in graph.nodes),
        full_adders=cells.total,
        graph_levels=max(graph.levels, default=0),
        tree_depth=None if plan.tree is None else plan.tree.depth,
        tree_depth_bound=None if plan.tree is None else plan.tree.depth_bound,
        luts=round(_graph_tables(graph, cells, plan.readout, _RATES[target or "lut6"])),
        logic_levels=levels if target is None else round(levels * _CELLS_DEEP[target]),
    )


def _netlist_cost(
    netlist: Netlist, readout: Readout, terms_direct: int, positions: int
) -> PlanCost:
    """Return the cost of a netlist: its tables as they are, and an estimate of its sums."""
    terms = sum(
        literal >> 1 < netlist.inputs for cell in netlist.cells for literal in cell.literals
    )
    luts, adders = float(netlist.luts), 0
    rates = _RATES[netlist.target.name]
    # Sums of heaps come where a constant is added, or a level is that of the border class.
    bit = 1 + rates.comparison if isinstance(readout, BitReadout) else rates.additions
    for output in netlist.outputs:
        if isinstance(output, SumOutput):
            width = total_weight(output.heap).bit_length()
            heap = tuple((0,) * len(column) for column in output.heap)
            luts += rates.counts * _compressed(heap, width)[0] + bit * width
            adders += 1
    return PlanCost(
        terms_direct=terms_direct,
        terms=terms,
        params=terms,
        bit_ops=positions * terms,
        adders=adders,
        full_adders=0,
        graph_levels=max(netlist.levels),
        tree_depth=None,
        tree_depth_bound=None,
        luts=round(luts),
        logic_levels=max(netlist.levels),
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

    It has as many adders as ``bits`` less the ones in the binary form of ``bits``.
    """
    return _compressed(((0,) * bits,), bits.bit_length())


@lru_cache(maxsize=256)
def _compressed(columns: tuple[tuple[int, ...], ...], width: int) -> tuple[int, tuple[int, ...]]:
    """Return full and half adders of a bit heap, and the level at which each bit is ready.

    ``columns`` are the levels at which the bits of each weight come. A column takes its three
    earliest bits as often as it can, and at last its two: the greedy compressor tree. What lies
    above the width drops out.
    """
    cells, ready, carries = 0, [], list[int]()
    for k in range(width):
        column = [*carries, *(columns[k] if k < len(columns) else ())]
        heapify(column)
        carries = []
        while len(column) > 1:
            # what is not there counts as 0: a half adder
            at = max(heappop(column) for _ in range(min(3, len(column)))) + 1
            heappush(column, at)
            carries.append(at)
            cells += 1
        ready.append(column[0] if column else -1)
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


@dataclass(frozen=True)
class _Cells:
    """Full and half adders: of popcounts, of sums, each with the same inputs, of additions."""

    counts: int = 0
    shared_counts: int = 0
    sums: int = 0
    shared_sums: int = 0
    additions: int = 0

    @property
    def total(self) -> int:
        return sum(astuple(self))


def _cells(graph: AdderGraph) -> _Cells:
    """Return the full and half adders of a graph.

    An addition of two operands takes one for each bit of its result above the shift of the added
    operand; more operands go into one compressor tree.
    """
    readers = Counter(node.taps.tobytes() for node in graph.nodes if isinstance(node, Count))
    same = Counter(node.sources.tobytes() for node in graph.nodes if isinstance(node, Sum))
    counts = shared = sums = shared_sums = additions = 0
    for value, node in graph.numbered():
        if isinstance(node, Count):
            cells = _popcount(len(node.taps))[0]
            if readers[node.taps.tobytes()] > 1:
                shared += cells
            else:
                counts += cells
            continue
        width = graph.width(value)
        if len(node.sources) > 2:
            operands = [(graph.width(source), shift) for source, shift in _operands(node)]
            terms = [_shifted((0,) * size, shift) for size, shift in operands]
            adders = _compressed(_columns(terms), width)[0]
            if same[node.sources.tobytes()] > 1:
                shared_sums += adders
            else:
                sums += adders
            continue
        steps = _steps(graph, node)
        additions += sum(max(min(running, width) - shift, 0) for _, shift, running in steps[1:])
        additions += width if node.constant else 0
    return _Cells(counts, shared, sums, shared_sums, additions)


def _operands(node: Sum) -> Iterator[tuple[int, int]]:
    """Return (value, shift) of the operands of a sum."""
    return zip(node.sources.tolist(), node.shifts.tolist(), strict=True)


def _columns(terms: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Return the levels of the bits of each weight, those of zeros left out."""
    columns = zip_longest(*terms, fillvalue=-1)
    return tuple(tuple(sorted(level for level in column if level >= 0)) for column in columns)


def _arrivals(graph: AdderGraph) -> list[tuple[int, ...]]:
    """Return the level at which each bit of each value is ready, in full adders."""
    ready: list[tuple[int, ...]] = [(0,) * max(graph.width(0), 1)] * graph.inputs
    for value, node in graph.numbered():
        if isinstance(node, Count):
            ready.append(_popcount(len(node.taps))[1])
            continue
        width = graph.width(value)
        terms = [_shifted(ready[source], shift) for source, shift in _operands(node)]
        if len(terms) > 2:
            result = _compressed(_columns(terms), width)[1]
        else:
            first, second = (*terms, (0,), (0,))[:2]
            result = _added(first, second, width) if len(terms) == 2 else first
        small = node.constant and len(terms) <= 2  # else it lies among the bits of the tree
        ready.append(_added(result, (0,), width) if small else result)
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


def core_area(
    graph: AdderGraph | Netlist, readout: Readout, pipeline: int | None, family: str
) -> Area:
    """Return the estimated area of a spatial core with its output register."""
    if isinstance(graph, Netlist):
        luts = float(_netlist_cost(graph, readout, 0, 1).luts)
        luts *= _SMALL_TABLES if graph.target.lut_inputs > 4 else 1.0
        luts *= 1.0 if pipeline is None else _CUT_TABLES
        registers = _CUT_REGISTERS * luts
    else:
        cells = _cells(graph)
        luts = _graph_tables(graph, cells, readout, _RATES[family])
        registers = _weighted(cells, _REGISTERS)
    registers = 0.0 if pipeline is None else registers / pipeline
    outputs = len(readout.value)
    if not isinstance(readout, BitReadout):
        outputs *= max(interval_width(readout.low, readout.high), 1)
    return Area(luts + 3, registers + outputs, registers / 2)


def _graph_tables(graph: AdderGraph, cells: _Cells, readout: Readout, rates: _Rates) -> float:
    """Return the tables of an adder graph with its readout."""
    return _weighted(cells, rates) + _readout_tables(graph, readout, rates)


def _weighted(cells: _Cells, rates: _Rates) -> float:
    return (
        rates.counts * cells.counts
        + rates.shared * (cells.shared_counts + cells.shared_sums)
        + rates.sums * cells.sums
        + rates.additions * cells.additions
    )


def comparison_bits(direction: NDArray[np.int8], level: NDArray[np.int64], width: int) -> int:
    """Return the bits of comparisons of numbers of a width: zeros that end a level take none."""
    bound = np.where(direction < 0, level + 1, level)
    zeros = np.log2((bound & -bound).clip(1)).astype(np.int64)
    return int(np.where(bound == 0, 0, (width - zeros).clip(0)).sum())


def _readout_tables(graph: AdderGraph, readout: Readout, rates: _Rates) -> float:
    """Return the tables of thresholds, or of the additions of offsets where sums come out.

    With border classes the level of a comparison is a table of the class, one a bit.
    """
    luts = 0.0
    for channel, value in enumerate(readout.value.tolist()):
        if value < 0:
            continue
        width = graph.width(value)
        if not isinstance(readout, BitReadout):
            luts += width * rates.additions
        elif len(readout.level) > 1:
            luts += width * (1 + rates.comparison)
        else:
            level, direction = readout.level[:, channel], readout.direction[:, channel]
            luts += 1 + rates.comparison * comparison_bits(direction, level, width)
    return luts
