"""Cuts of pipelined netlists are sound and near the least registers; parts hold every cell."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array

from bnn2hw.model import Threshold
from bnn2hw.plan import netlist_parts
from bnn2hw.plan.netlist import Netlist
from bnn2hw.plan.netlist_cut import cut_netlist, cut_registers
from bnn2hw.plan.rowtree import rowtree_netlist
from bnn2hw.plan.targets import TARGETS
from bnn2hw.plan.text import dump, load
from tests.plan.strategies import dense, random_bits, vector


@cache
def planned(target: str, rows: int = 12, columns: int = 160) -> Netlist:
    layer = dense(random_bits(rows, columns), Threshold.at_least(np.arange(rows)))
    return rowtree_netlist(layer, vector(columns), target)


def below(netlist: Netlist) -> list[list[int]]:
    """Return for each cell those that it reads."""
    return [
        sorted({netlist.writer[literal >> 1] for literal in cell.literals} - {-1})
        for cell in netlist.cells
    ]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("pipeline", [1, 2, 3, 5])
def test_cuts_are_sound_and_no_worse_than_even_ones(target: str, pipeline: int) -> None:
    netlist = planned(target)
    cut = cut_netlist(netlist, pipeline)
    assert (cut.cells, cut.outputs) == (netlist.cells, netlist.outputs)
    stage = [(level - 1) // pipeline for level in cut.levels]
    for cell in cut.cells:
        assert all(cut.levels[one >> 1] < cut.levels[cell.first] for one in cell.literals)
    assert max(stage) == (max(netlist.levels) - 1) // pipeline
    assert cut_registers(cut, pipeline) <= cut_registers(netlist, pipeline)
    assert load(dump(cut)) == cut


def test_cuts_are_within_two_percent_of_the_least_registers() -> None:
    for pipeline in (2, 3, 4):
        netlist = planned("lut6", 4, 100)
        found = cut_registers(cut_netlist(netlist, pipeline), pipeline)
        least = least_registers(netlist, pipeline)
        assert least <= found <= 1.02 * least
    assert found < cut_registers(netlist, pipeline)


def least_registers(netlist: Netlist, pipeline: int) -> int:
    """Return the least registers, by a linear programme over all stages of all cells at once.

    Its matrix is that of a flow, so its solution is whole. A path of more cells than a stage may
    have must cross a cut.
    """
    cells, bits = len(netlist.cells), len(netlist.levels)
    last = (max(netlist.levels) - 1) // pipeline
    reads = below(netlist)
    rows: list[tuple[tuple[int, int], ...]] = [
        ((one, 1), (cell, -1)) for cell, ones in enumerate(reads) for one in ones
    ]
    bounds = [0] * len(rows)
    for first, second in too_far(reads, pipeline):
        rows.append(((first, 1), (second, -1)))
        bounds.append(-1)
    ends = {one >> 1 for output in netlist.outputs for one in netlist.literals(output)}
    read = set(ends)
    for cell, entry in enumerate(netlist.cells):
        for bit in {literal >> 1 for literal in entry.literals}:
            rows.append(((cell, 1), (cells + bit, -1)))
            bounds.append(0)
            read.add(bit)
    cost = np.zeros(cells + bits)
    for bit in read:
        cost[cells + bit] += 1
        if netlist.writer[bit] >= 0:
            cost[netlist.writer[bit]] -= 1
    ranges = [(0, last)] * cells + [(last if bit in ends else 0, last) for bit in range(bits)]
    entries = [(row, at, value) for row, terms in enumerate(rows) for at, value in terms]
    row, at, value = np.array(entries).T
    matrix = coo_array((value, (row, at)), shape=(len(rows), cells + bits)).tocsr()
    found = linprog(cost, A_ub=matrix, b_ub=bounds, bounds=ranges, method="highs")
    assert found.status == 0
    return round(found.fun)


def too_far(reads: list[list[int]], most: int) -> list[tuple[int, int]]:
    """Return pairs of cells with a longest path of more than ``most`` cells between them."""
    longest: NDArray[np.int64] = np.zeros((len(reads), len(reads)), dtype=np.int64)
    for cell, ones in enumerate(reads):
        for one in ones:
            longest[:, cell] = np.maximum(
                longest[:, cell], np.where(longest[:, one] > 0, longest[:, one] + 1, 0)
            )
        longest[cell, cell] = 1
    first, second = np.nonzero(longest > most)
    return list(zip(first.tolist(), second.tolist(), strict=True))


@pytest.mark.parametrize(("most", "least_parts"), [(40, 8), (300, 2), (100_000, 1)])
def test_parts_hold_every_cell_once(
    most: int, least_parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netlist_parts, "PART_LUTS", most)
    netlist = planned("lut6")
    parts = netlist_parts.netlist_parts(netlist)
    assert sorted(cell for part in parts for cell in part) == list(range(len(netlist.cells)))
    assert len(parts) >= least_parts
    assert all(part == sorted(part) for part in parts)
    luts = [netlist.target.luts(cell.kind) for cell in netlist.cells]
    assert all(sum(luts[cell] for cell in part) <= most for part in parts)


def test_parts_are_rows_that_share_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlist_parts, "PART_LUTS", 300)
    netlist = planned("lut6")
    part = {
        cell: number
        for number, cells in enumerate(netlist_parts.netlist_parts(netlist))
        for cell in cells
    }
    crossing = {
        one for cell, ones in enumerate(below(netlist)) for one in ones if part[one] != part[cell]
    }
    assert len(crossing) < 0.3 * len(netlist.cells)
