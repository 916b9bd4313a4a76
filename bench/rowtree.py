"""Row-class trees: planned LUTs, depth, CPU seconds of plan and proof, memory, beside MST's.

Each layer is planned in a process of its own, for lookup tables of six inputs; the planned LUTs
are those of the netlist before synthesis. With --rows a table follows of how many rows use the
LUTs of some layers; with --yosys one of some layers on each target, planned and as Yosys maps them.

    python bench/rowtree.py [--rows] [--yosys] [--write]    --write puts tables into docs/rowtree.md
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from common import ROOT, apart, into_page, network

from bnn2hw import load_network
from bnn2hw.emit.templates import render
from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.gateware.netlist import BitNetlist
from bnn2hw.model import BIPOLAR, BinaryDense, LinearLayer, Tensor, Threshold
from bnn2hw.plan import plan_layer
from bnn2hw.plan.bit_form import prove_netlist
from bnn2hw.plan.cost import plan_cost
from bnn2hw.plan.rowtree import rowtree_netlist
from bnn2hw.plan.targets import TARGETS
from bnn2hw.report.tables import Table, number, ratio
from bnn2hw.synth.cells import count_cells
from bnn2hw.toolchain import find_yosys

# Name: network, layer, and how many of its rows.
LAYERS: dict[str, tuple[str, str, int | None]] = {
    "digits conv3": ("digits", "conv3", None),
    "CNV conv1": ("cnv_w1a1_cifar10", "conv1", None),
    "TFC fc0": ("tfc_w1a1_mnist", "fc0", None),
    "LFC fc1, 128 rows": ("lfc_w1a1_mnist", "fc1", 128),
    "LFC fc1": ("lfc_w1a1_mnist", "fc1", None),
    "mst.npz conv1": ("mst", "conv1", None),
    "mst.npz conv2": ("mst", "conv2", None),
    "mst.npz conv3": ("mst", "conv3", None),
}
# Name: rows, columns and seed of random weights. Constants of the planner were chosen on those of
# seed 0, not on the others.
RANDOM = {
    "random 64x256": (64, 256, 0),
    "random 64x576": (64, 576, 0),
    "random 64x256, seed 1": (64, 256, 1),
    "random 64x576, seed 1": (64, 576, 1),
}
CASES = (*LAYERS, *RANDOM)
MST = ROOT / "examples" / "networks" / "mst.npz"
MARKER = "<!-- table: python bench/rowtree.py -->"
MEASURED = ("digits conv3", "random 64x256", "CNV conv1")
MEASURED_MARKER = "<!-- table: python bench/rowtree.py --yosys -->"


SHARED = ("random 64x256", "random 64x576")
SHARED_MARKER = "<!-- table: python bench/rowtree.py --rows -->"


def layer_of(case: str) -> tuple[LinearLayer, Tensor] | None:
    """Return a layer with thresholds and its input; None where its network is missing."""
    if case in RANDOM:
        channels, inputs, seed = RANDOM[case]
        chance = np.random.default_rng(seed)
        weights = chance.integers(0, 2, (channels, inputs)).astype(np.uint8)
        levels = Threshold.at_least(chance.integers(-10, 11, channels))
        return BinaryDense("fc", ("input",), weights, levels), Tensor((inputs,), BIPOLAR)
    name, layer, rows = LAYERS[case]
    model = load_network(MST) if name == "mst" else network(name)
    if model is None:
        return None
    found = next(one for one in model.linear_layers() if one.name == layer)
    source = model.source(found)
    if rows is not None:
        threshold = found.threshold
        assert threshold is not None and isinstance(found, BinaryDense)
        kept = Threshold(threshold.direction[:rows], threshold.level[:rows])
        found = replace(found, weights=found.weights[:rows], threshold=kept)
    return found, source


def measure(case: str) -> None:
    """Print the figures of one layer as JSON."""
    found = layer_of(case)
    if found is None:
        print("null")
        return
    layer, source = found
    start = time.process_time()
    netlist = rowtree_netlist(layer, source)
    planned = time.process_time()
    prove_netlist(layer, source, netlist)
    proved = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    mst = plan_cost(plan_layer(layer, source, "mst"), layer, source)
    figures = [netlist.luts, max(netlist.levels), planned - start, proved - planned, peak, mst.luts]
    print(json.dumps([len(layer.weights), layer.patch_size(), *figures]))


def measure_target(case: str, target: str) -> None:
    """Print what Yosys makes of a layer on a target, as JSON."""
    found = layer_of(case)
    if found is None:
        print("null")
        return
    netlist = rowtree_netlist(*found, target)
    values = {"top": "top", "verilog": "top.v", "target": target, "tables": True}
    values["levels"] = max(netlist.levels)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "results").mkdir()
        (folder / "top.v").write_text(to_verilog(to_rtlil(BitNetlist(netlist), "top")))
        find_yosys().run(render(f"synth/{target}.ys.j2", **values), folder)
        statistics = json.loads((folder / "results" / f"{target}.json").read_text())
    cells = count_cells(
        statistics["design"]["num_cells_by_type"], {"lut4": 4, "lut6": 6}.get(target, 0)
    )
    area = round(cells.nand2 or 0) if target == "asic" else cells.luts
    print(json.dumps([netlist.luts, area, cells.carries]))


def shared() -> str:
    """Return the table of LUTs by the outputs that use them, and of the bits they take away."""
    rows = []
    for case in SHARED:
        found = layer_of(case)
        assert found is not None
        netlist = rowtree_netlist(*found)
        users = [set[int]() for _ in netlist.levels]
        for output in netlist.outputs:
            for literal in netlist.literals(output):
                users[literal >> 1].add(output.channel)
        luts, taken = Counter[int](), Counter[int]()
        for cell in reversed(netlist.cells):
            own = set().union(*users[cell.first : cell.first + cell.outputs])
            for literal in cell.literals:
                users[literal >> 1] |= own
            luts[len(own)] += cell.outputs
            taken[len(own)] += len(cell.literals) - cell.outputs
        rows += [
            [case, str(count), number(taken[count]), number(luts[count]),
             f"{luts[count] / taken[count]:.2f}"]
            for count in sorted(luts, reverse=True)
        ]  # fmt: skip
    return Table(["layer", "rows", "bits taken away", "LUTs", "a bit"], rows).markdown()


def measured() -> str:
    """Return the table of layers on targets."""
    rows = []
    for case, target in product(MEASURED, TARGETS):
        figures = apart(__file__, case, target)
        if figures is not None:
            luts, found, carries = figures
            rows.append([case, target, number(luts), number(found), number(carries),
                         f"{found / luts - 1:+.1%}"])  # fmt: skip
    headers = ["layer", "target", "planned", "LUTs by Yosys", "carries", "difference"]
    return Table(headers, rows, left=(0, 1)).markdown()


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[2] in TARGETS:
        measure_target(sys.argv[1], sys.argv[2])
        return
    if len(sys.argv) > 1 and sys.argv[1] in CASES:
        measure(sys.argv[1])
        return
    rows = []
    for case in CASES:
        figures = apart(__file__, case)
        if figures is None:
            print(f"{case}: its network is missing, set BNN2HW_ZOO", file=sys.stderr)
            continue
        outputs, inputs, luts, depth, plan, proof, peak, mst = figures
        rows.append(
            [case, f"{outputs}x{inputs}", number(luts), f"{luts / outputs:.0f}", str(depth),
             ratio(luts, mst), f"{plan:.1f}", f"{proof:.1f}", f"{peak:.0f}"]
        )  # fmt: skip
    headers = [
        "layer", "weights", "LUT6", "a row", "levels", "of mst, estimated", "plan CPU s",
        "proof CPU s", "peak MiB",
    ]  # fmt: skip
    show(MARKER, Table(headers, rows, left=(0, 1)).markdown())
    if "--rows" in sys.argv:
        show(SHARED_MARKER, shared())
    if "--yosys" in sys.argv:
        show(MEASURED_MARKER, measured())


def show(marker: str, text: str) -> None:
    """Print a table, and put it into the page after its marker where that is asked for."""
    print(text)
    if "--write" in sys.argv:
        into_page(ROOT / "docs" / "rowtree.md", marker, text)


if __name__ == "__main__":
    main()
