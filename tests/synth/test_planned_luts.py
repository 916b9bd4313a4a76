"""LUTs that a bit netlist plans are those that Yosys counts, on each target."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.lib import wiring

import bnn2hw
from bnn2hw.emit.templates import synthesis_scripts, write_texts
from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.gateware.core import LayerCore
from bnn2hw.gateware.netlist import BitNetlist
from bnn2hw.model import Threshold
from bnn2hw.plan.auto import best, candidates
from bnn2hw.plan.counters import Adder, ParityChain
from bnn2hw.plan.netlist import Netlist
from bnn2hw.plan.rowtree import rowtree_netlist
from bnn2hw.plan.targets import TARGETS, Carries
from bnn2hw.synth.cells import count_cells
from bnn2hw.toolchain import find_yosys
from tests.plan.strategies import dense, random_bits, vector

_TOLERANCE = 0.03


def planned(target: str) -> Netlist:
    layer = dense(random_bits(16, 128), Threshold.at_least(np.arange(-8, 8)))
    return rowtree_netlist(layer, vector(128), target)


def counted(component: wiring.Component, target: str, folder: Path, levels: int = 0) -> int:
    """Return the LUTs or gates that Yosys counts; ``levels`` are those of a design of tables."""
    write_texts(folder, synthesis_scripts("top", tables=levels > 0, levels=levels))
    (folder / "results").mkdir()
    (folder / "top.v").write_text(to_verilog(to_rtlil(component, "top")))
    find_yosys().run((folder / "synth" / f"{target}.ys").read_text(), folder)
    found = json.loads((folder / "results" / f"{target}.json").read_text())
    sizes = {"lut4": 4, "lut6": 6}
    cells = count_cells(found["design"]["num_cells_by_type"], sizes.get(target, 0))
    return cells.luts if target != "asic" else round(cells.nand2 or 0)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_yosys_counts_what_is_planned(target: str, tmp_path: Path) -> None:
    netlist = planned(target)
    found = counted(BitNetlist(netlist), target, tmp_path, max(netlist.levels))
    assert abs(found - netlist.luts) <= _TOLERANCE * found


@pytest.mark.slow
def test_wrong_costs_are_seen(tmp_path: Path) -> None:
    netlist = planned("ice40")
    found = counted(BitNetlist(netlist), "ice40", tmp_path, max(netlist.levels))
    wrong = Carries(bits=1, luts=1, ends=True, alone=True, sums=True)
    netlist.target = replace(netlist.target, carries=wrong)
    assert abs(found - netlist.luts) > _TOLERANCE * found


@pytest.mark.slow
@pytest.mark.parametrize("target", ["lut6", "ice40"])
def test_auto_chooses_within_three_percent_of_the_best(target: str, tmp_path: Path) -> None:
    network = bnn2hw.load_network()
    layer = network.linear_layers()[0]
    source = network.source(layer)
    found = candidates(layer, source, target=target)
    chosen, most = best(found, target), 1.3 * min(one.cost.luts for one in found)
    luts = {}
    for number, one in enumerate(found):
        if one is chosen or one.cost.luts < most:
            core = LayerCore(one.plan.graph, one.plan.readout, element_width=source.format.width)
            graph = one.plan.graph
            levels = max(graph.levels) if isinstance(graph, Netlist) else 0
            luts[number] = counted(core, target, tmp_path / str(number), levels)
    assert len(luts) > 2
    assert luts[found.index(chosen)] <= 1.03 * min(luts.values())


def test_each_target_uses_what_it_has() -> None:
    kinds = {name: {type(cell.kind) for cell in planned(name).cells} for name in TARGETS}
    assert Adder in kinds["ice40"] and Adder not in kinds["lut4"] | kinds["lut6"]
    assert ParityChain in kinds["lut4"] and ParityChain not in kinds["lut6"]
    assert {cell.kind.inputs for cell in planned("asic").cells if cell.kind} <= {2, 3}
