"""Row-class trees after synthesis: the cells of each family answer as the layer does; mutants not.

The models of Yosys stand for the cells. All becomes a graph of ANDs, which is evaluated for all
patches at once, a bit of a number each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bnn2hw.emit.templates import render
from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.errors import PlanError
from bnn2hw.gateware.netlist import BitNetlist
from bnn2hw.model import LinearLayer, Threshold
from bnn2hw.plan.bit_form import prove_netlist
from bnn2hw.plan.counters import Counter
from bnn2hw.plan.netlist import BitOutput, Netlist
from bnn2hw.plan.rowtree import rowtree_netlist
from bnn2hw.toolchain import find_yosys
from tests.plan.strategies import dense, random_bits, vector

INPUTS, ROWS = 48, 8
TARGETS = {"ice40": "ice40", "ecp5": "ecp5", "xilinx": "lut6", "asic": "asic"}
_MODELS = """
delete t:$scopeinfo
select top
write_verilog -noattr -selected cells.v
design -reset
read_verilog cells.v
read_verilog -defer -DNO_INCLUDES +/{family}/cells_sim.v
hierarchy -check -top top
"""
_ANDS = """
proc
flatten
opt -fast
techmap
aigmap
opt_clean
write_aiger -ascii -symbols top.aag
"""


@cache
def layer() -> LinearLayer:
    levels = Threshold(np.array([1, -1] * (ROWS // 2), np.int8), np.arange(-6, 2 * ROWS - 6, 2))
    return dense(random_bits(ROWS, INPUTS, 3), levels)


@cache
def patches() -> NDArray[np.uint8]:
    """Return patches at both ends and near each threshold, uint8 (count, inputs)."""
    chance, threshold = np.random.default_rng(0), layer().threshold
    assert threshold is not None
    rows = [np.zeros(INPUTS), np.ones(INPUTS)]
    for row, level in zip(layer().matrix() > 0, threshold.level.tolist(), strict=True):
        for step in (-2, 0, 2) * 3:
            agree = chance.permutation(INPUTS)[: (INPUTS + level + step) // 2]
            bits = ~row
            bits[agree] = row[agree]
            rows.append(bits)
    return np.array(rows, dtype=np.uint8)


def expected() -> NDArray[np.bool_]:
    """Return the bits of the layer for the patches, bool (count, rows)."""
    threshold = layer().threshold
    assert threshold is not None
    sums = (2 * patches().astype(np.int64) - 1) @ layer().matrix().T.astype(np.int64)
    bits: NDArray[np.bool_] = threshold.direction * sums >= threshold.direction * threshold.level
    return bits


def answers(graph: str) -> NDArray[np.bool_]:
    """Return the outputs of a graph of ANDs in AIGER's text form, bool (count, rows)."""
    lines = graph.splitlines()
    inputs, latches, outputs, ands = (int(word) for word in lines[0].split()[2:])
    assert latches == 0
    names = dict(line.split(" ", 1) for line in lines[1 + inputs + outputs + ands :] if " " in line)
    everything = (1 << len(patches())) - 1
    values = {0: 0, 1: everything}
    for k in range(inputs):
        _, _, bit = names[f"i{k}"].rstrip("]").partition("[")
        column = patches()[:, int(bit)] if bit else np.ones(len(patches()), np.uint8)
        values[int(lines[1 + k])] = int("".join(map(str, column)), 2)

    def value(literal: int) -> int:
        return values[literal & ~1] ^ (everything if literal & 1 else 0)

    for line in lines[1 + inputs + outputs : 1 + inputs + outputs + ands]:
        left, one, other = (int(word) for word in line.split())
        values[left] = value(one) & value(other)
    found = np.zeros(expected().shape, dtype=np.bool_)
    for k in range(outputs):
        word = f"{value(int(lines[1 + inputs + k])):0{len(found)}b}"
        found[:, int(names[f"o{k}"].removeprefix("o"))] = [digit == "1" for digit in word]
    return found


def built(netlist: Netlist, folder: Path, family: str | None = None) -> NDArray[np.bool_]:
    """Return the answers of a netlist's Verilog, after synthesis for a family if one is given."""
    (folder / "results").mkdir(exist_ok=True)
    (folder / "top.v").write_text(to_verilog(to_rtlil(BitNetlist(netlist), "top")))
    script = "read_verilog top.v\nhierarchy -top top\n"
    if family is not None:
        values = {"top": "top", "verilog": "top.v", "target": family, "tables": True}
        script = render(f"synth/{family}.ys.j2", **values)
        if family != "asic":  # whose gates Yosys knows
            script += _MODELS.format(family=family)
    find_yosys().run(script + _ANDS, folder)
    return answers((folder / "top.aag").read_text())


def planned(target: str = "lut6") -> Netlist:
    netlist = rowtree_netlist(layer(), vector(INPUTS), target)
    prove_netlist(layer(), vector(INPUTS), netlist)
    return netlist


@pytest.mark.parametrize("family", TARGETS)
def test_the_cells_of_a_family_answer_as_the_layer_does(family: str, tmp_path: Path) -> None:
    found = built(planned(TARGETS[family]), tmp_path, family)
    assert np.array_equal(found, expected())


def table_off_by_one(netlist: Netlist) -> None:
    kind = Counter((6,))
    first, *others = kind.tables
    vars(kind)["tables"] = (first ^ 1 << 21, *others)
    netlist.cells = [
        replace(cell, kind=kind) if cell.kind == kind else cell for cell in netlist.cells
    ]


def dropped_bit_that_mattered(netlist: Netlist) -> None:
    """Let the bit of weight 1 that a comparison needs be another one."""
    output = netlist.outputs[0]
    assert isinstance(output, BitOutput)
    number = next(numbers[-1] for numbers in output.steps if numbers)
    cell = netlist.cells[number]
    kind = cell.kind
    assert isinstance(kind, Counter) and kind.drop
    changed = Counter(kind.reads, kind.constant ^ 1, kind.drop)
    if changed.outputs == kind.outputs:
        netlist.cells[number] = replace(cell, kind=changed)
    else:
        netlist.cells[number] = replace(cell, literals=(cell.literals[0] ^ 1, *cell.literals[1:]))


def a_column_too_many(netlist: Netlist) -> None:
    """Let a class hold a column that is not of it: two inputs change places in one counter."""
    number = next(k for k, cell in enumerate(netlist.cells) if cell.literals[-1] >> 1 < INPUTS)
    cell = netlist.cells[number]
    bit = next(k for k in range(INPUTS) if k not in {one >> 1 for one in cell.literals})
    netlist.cells[number] = replace(cell, literals=(*cell.literals[:-1], 2 * bit))


MUTANTS: dict[str, Callable[[Netlist], None]] = {
    mutate.__name__: mutate
    for mutate in (table_off_by_one, dropped_bit_that_mattered, a_column_too_many)
}


def test_what_is_emitted_answers_as_the_layer_does(tmp_path: Path) -> None:
    assert np.array_equal(built(planned(), tmp_path), expected())


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_rejected_by_the_proof_and_by_simulation(name: str, tmp_path: Path) -> None:
    netlist = planned()
    MUTANTS[name](netlist)
    with pytest.raises(PlanError, match="the plan is not that of the weights"):
        prove_netlist(layer(), vector(INPUTS), netlist)
    assert not np.array_equal(built(netlist, tmp_path), expected())
