"""Where the registers of a pipelined netlist go: the cuts that the fewest bits cross.

A netlist of D levels that is cut after every L of them has ``ceil(D / L)`` stages. Cells off the
longest paths may lie in an earlier or a later stage than the count of levels says, and the
longest path leaves room too where L does not divide D. A register is needed for each bit and cut
between its writer and its last reader, so that the cuts may be improved one at a time: of the
cells in the two stages beside a cut, some must come before it and some behind it, or a stage
would be deeper than L; the rest is a minimum cut of a network in which a bit is an edge of
capacity 1 from its writer to all of its readers. From even cuts on, each is improved in turn
until none gets better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from ..errors import UsageError
from .netlist import Netlist, SumOutput

__all__ = ["DELAYS", "clock_levels", "cut_netlist", "cut_registers"]

DELAYS = {"ecp5": (2.5, 2.3), "ice40": (2.5, 2.3)}
"""Nanoseconds of a register with its wires, and of a level, by target.

Of row-class trees after nextpnr (``bench/clock.py``, docs/area.md), rounded up: on ECP5 in its
speed grade 6, on the iCE40 HX.
"""

# No set of bits is as many: the capacity of an edge that must not be cut.
_NEVER = 1 << 24
# Rounds over all cuts; each gains less than the one before.
_ROUNDS = 4


def clock_levels(target: str | None, clock: float) -> int:
    """Return the levels of a stage for a clock in MHz on a target.

    Raises
    ------
    UsageError
        If the delays of the target are not known, or one level is too slow.
    """
    if target not in DELAYS:
        raise UsageError(
            f"the delays of {target or 'no target'} are not known",
            remedy=f"give --target {' or '.join(sorted(DELAYS))}, or --pipeline for the clock",
        )
    register, level = DELAYS[target]
    if not 0 < clock <= 1e3 / (register + level):
        raise UsageError(
            f"a clock of {clock:g} MHz is out of reach on {target}",
            remedy=f"give up to {1e3 / (register + level):.0f}",
        )
    return int((1e3 / clock - register) / level)


def cut_netlist(netlist: Netlist, pipeline: int) -> Netlist:
    """Return a netlist whose levels, cut after every ``pipeline`` of them, need fewer registers.

    It has no more stages than before, and at most so many cells on any path through one. One
    with sums that come out whole stays as it is, as their additions count levels of their own.
    """
    sums = any(isinstance(output, SumOutput) for output in netlist.outputs)
    if sums or max(netlist.levels) <= pipeline:
        return netlist
    cut = _Cut(netlist, pipeline)
    cut.improve()
    levels = cut.levels()
    found = Netlist(netlist.inputs, netlist.target, outputs=netlist.outputs)
    for cell in netlist.cells:
        found.add(cell.kind, cell.literals, cell.table, levels[cell.first])
    return found


def cut_registers(netlist: Netlist, pipeline: int) -> int:
    """Return the one-bit registers at the cuts: to all readers, and with outputs to the end."""
    stage = np.maximum((np.array(netlist.levels) - 1) // pipeline, 0)
    last = stage.copy()
    for cell in netlist.cells:
        bits = [literal >> 1 for literal in cell.literals]
        last[bits] = np.maximum(last[bits], stage[cell.first])
    ends = [one >> 1 for output in netlist.outputs for one in netlist.literals(output)]
    last[ends] = stage.max()
    return int((last - stage).sum())


class _Cut:
    """The stage of every cell."""

    def __init__(self, netlist: Netlist, pipeline: int) -> None:
        self._netlist, self._most = netlist, pipeline
        self._writer = np.array(netlist.writer)
        firsts = [cell.first for cell in netlist.cells]
        self._stage = (np.array(netlist.levels)[firsts] - 1) // pipeline
        pairs = {
            (literal >> 1, number)
            for number, cell in enumerate(netlist.cells)
            for literal in cell.literals
        }
        self._bits, self._readers = np.array(sorted(pairs)).T
        self._ends = np.zeros(len(netlist.levels), dtype=np.bool_)
        for output in netlist.outputs:
            self._ends[[one >> 1 for one in netlist.literals(output)]] = True
        self._below = [
            sorted({netlist.writer[literal >> 1] for literal in cell.literals} - {-1})
            for cell in netlist.cells
        ]

    def improve(self) -> None:
        """Improve each cut in turn, until none gets better."""
        cuts = range(1, int(self._stage.max()) + 1)
        for _ in range(_ROUNDS):
            before = self._stage.copy()
            for cut in cuts:
                self._improve(cut)
            if np.array_equal(before, self._stage):
                break

    def levels(self) -> list[int]:
        """Return the level of each bit."""
        depth = self._depths(range(len(self._stage)), self._stage)
        level = self._stage * self._most + depth
        levels: list[int] = np.where(self._writer < 0, 0, level[self._writer]).tolist()
        return levels

    def _depths(self, cells: Sequence[int], group: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cells on the longest path to each, among those of its group."""
        depth = np.zeros(len(self._stage), dtype=np.int64).tolist()
        groups = group.tolist()
        for number in cells:
            own = groups[number]
            depth[number] = 1 + max(
                (depth[below] for below in self._below[number] if groups[below] == own), default=0
            )
        return np.array(depth)

    def _heights(self, cells: Sequence[int], inside: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the cells on the longest path from each, among some."""
        height = inside.astype(np.int64).tolist()
        for number in reversed(cells):
            for below in self._below[number]:
                if height[below] and height[below] <= height[number]:
                    height[below] = height[number] + 1
        return np.array(height)

    def _improve(self, cut: int) -> None:
        """Choose anew which cells of the stages beside a cut come before it."""
        inside = (self._stage == cut - 1) | (self._stage == cut)
        cells = np.flatnonzero(inside).tolist()
        behind = self._depths(cells, inside.astype(np.int64)) > self._most
        before = self._heights(cells, inside) > self._most
        first = self._first_side(cut, inside, behind & inside, before & inside)
        self._stage[inside] = np.where(first, cut - 1, cut)[inside]

    def _first_side(
        self,
        cut: int,
        inside: NDArray[np.bool_],
        behind: NDArray[np.bool_],
        before: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Return the cells before a minimum cut."""
        cells = len(inside)
        source, sink = cells, cells + 1
        place = np.where(inside, np.arange(cells), np.where(self._stage < cut, source, sink))
        place = np.where(behind, sink, np.where(before, source, place))
        writers = np.where(self._writer < 0, source, place[self._writer])
        nodes = cells + 2 + np.arange(len(writers))
        bits, readers = self._bits, place[self._readers]
        ends = np.flatnonzero(self._ends)
        edges = [
            (writers, nodes, 1),
            (nodes[bits], readers, _NEVER),
            (readers, writers[bits], _NEVER),
            (nodes[ends], np.full(len(ends), sink), _NEVER),
        ]
        rows = np.concatenate([one for one, _, _ in edges])
        columns = np.concatenate([two for _, two, _ in edges])
        weight = np.concatenate([np.full(len(one), size) for one, _, size in edges])
        kept = (rows != columns) & (rows != sink) & (columns != source)
        size = cells + 2 + len(writers)
        graph = csr_array((weight[kept].astype(np.int32), (rows[kept], columns[kept])), (size,) * 2)
        graph.sum_duplicates()
        graph.data = np.minimum(graph.data, _NEVER)
        flow = maximum_flow(graph, source, sink).flow
        left = graph - flow
        left.data = np.where(left.data > 0, left.data, 0)
        left.eliminate_zeros()
        reached = np.zeros(size, dtype=np.bool_)
        reached[breadth_first_order(left, source, return_predecessors=False)] = True
        return reached[:cells] | before
