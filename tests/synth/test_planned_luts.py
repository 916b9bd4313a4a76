"""LUTs that a bit netlist plans are those that Yosys counts, on each target."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.emit.templates import render
from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.gateware.netlist import BitNetlist
from bnn2hw.model import Threshold
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


def counted(netlist: Netlist, folder: Path) -> int:
    """Return the LUTs that Yosys counts."""
    target = netlist.target.name
    (folder / "results").mkdir()
    (folder / "top.v").write_text(to_verilog(to_rtlil(BitNetlist(netlist), "top")))
    values = {"top": "top", "verilog": "top.v", "target": target, "tables": True}
    find_yosys().run(render(f"synth/{target}.ys.j2", **values), folder)
    found = json.loads((folder / "results" / f"{target}.json").read_text())
    sizes = {"lut4": 4, "lut6": 6}
    return count_cells(found["design"]["num_cells_by_type"], sizes.get(target, 0)).luts


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_yosys_counts_what_is_planned(target: str, tmp_path: Path) -> None:
    netlist = planned(target)
    found = counted(netlist, tmp_path)
    assert abs(found - netlist.luts) <= _TOLERANCE * found


@pytest.mark.slow
def test_wrong_costs_are_seen(tmp_path: Path) -> None:
    netlist = planned("ice40")
    found = counted(netlist, tmp_path)
    wrong = Carries(bits=1, luts=1, ends=True, alone=True, sums=True)
    netlist.target = replace(netlist.target, carries=wrong)
    assert abs(found - netlist.luts) > _TOLERANCE * found


def test_each_target_uses_what_it_has() -> None:
    kinds = {name: {type(cell.kind) for cell in planned(name).cells} for name in TARGETS}
    assert Adder in kinds["ice40"] and Adder not in kinds["lut4"] | kinds["lut6"]
    assert ParityChain in kinds["lut4"] and ParityChain not in kinds["lut6"]
