"""LUTs of hard-wired layers by plan and target, beside da4ml, from one set of Yosys scripts.

da4ml (PyPI, LGPL: called, nothing of it is in bnn2hw) turns a constant matrix into an adder graph
with spanning trees and common subexpressions: ``pip install 'bnn2hw[area]'``. Its netlist goes
through the same scripts as ours, once with structural choices and once without, and the smaller
result counts. Every design gives thresholded bits without registers inside.

    python bench/area.py [CASE ...] [--docs]     --docs puts the table into docs/area.md

Figures are kept by content in build/area: a second run goes on where one was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, into_page
from rowtree import CASES, layer_of

from bnn2hw.emit.templates import render
from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.gateware.core import LayerCore
from bnn2hw.model import LinearLayer, Tensor
from bnn2hw.plan import plan_layer
from bnn2hw.plan.netlist import Netlist
from bnn2hw.plan.readout import single_thresholds
from bnn2hw.report.tables import Table, number, ratio
from bnn2hw.synth.cells import count_cells
from bnn2hw.toolchain import find_yosys

LAYERS = ("random 64x256", "random 64x576", "CNV conv1", "TFC fc0", "LFC fc1, 128 rows")
TARGETS = ("xilinx", "ice40", "ecp5")
PLANS = ("direct", "mst", "classes", "rowtree")
FOLDER = ROOT / "build" / "area"
# Seconds that a solver, and one run of Yosys, may take.
_SOLVER, _YOSYS = 900, 3600
_VECTORS = 200
MARKER = "<!-- table: python bench/area.py -->"


def main() -> None:
    parser = argparse.ArgumentParser(description="LUTs of plans beside da4ml.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--make", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        print(json.dumps(make(*options.make)))
        return
    rows = []
    for case in options.cases or LAYERS:
        for target in options.target or TARGETS:
            rows += list(table_rows(case, target))
            print(rows[-1], file=sys.stderr)
    headers = [
        "layer", "target", "design", "LUTs + carries", "of da4ml", "of direct", "cells deep",
        "plan s", "peak MiB",
    ]  # fmt: skip
    put_table(MARKER, Table(headers, rows, left=(0, 1, 2)).markdown(), options.docs)


def put_table(marker: str, text: str, docs: bool) -> None:
    """Print a table, and put it into docs/area.md where that is asked for."""
    print(text)
    if docs:
        into_page(ROOT / "docs" / "area.md", marker, text)


def table_rows(case: str, target: str) -> Iterator[list[str]]:
    """Yield a row for each design of a layer on a target."""
    found = {}
    for design in (*PLANS, "da4ml"):
        made = design_of(case, design, target)
        if made is not None:
            found[design] = made, figures(made, target)
    peer, direct = found.get("da4ml"), found["direct"]
    for design, (made, got) in found.items():
        carries = f" + {number(got['carries'])}" if got["carries"] else ""
        beside = "-" if peer is None else ratio(got["luts"], peer[1]["luts"])
        yield [
            case, target, design, number(got["luts"]) + carries, beside,
            ratio(got["luts"], direct[1]["luts"]), str(got["levels"]),
            f"{made['seconds']:.1f}", f"{made['peak']:.0f}",
        ]  # fmt: skip
    if peer is None:
        yield [case, target, "da4ml", "-", "-", "-", "-", f"over {_SOLVER}", "-"]


def design_of(case: str, design: str, target: str) -> dict[str, Any] | None:
    """Return Verilog, seconds and peak memory of a design; None where its solver does not end.

    What da4ml found is kept, as its solver takes minutes.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = FOLDER / f"{case}-{design}.json".replace(" ", "_")
    if design == "da4ml" and kept.exists():
        return _loaded(kept.read_text())
    command = [sys.executable, __file__, "--make", case, design, target]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, timeout=_SOLVER
        )
        text = done.stdout.splitlines()[-1]
    except subprocess.TimeoutExpired:
        text = "null"
    if design == "da4ml":
        kept.write_text(text)
    return _loaded(text)


def _loaded(text: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads(text)
    return found


def make(case: str, design: str, target: str) -> dict[str, Any]:
    """Plan a layer and return its Verilog; runs in a process of its own."""
    found = layer_of(case)
    assert found is not None, f"{case}: its network is missing, set BNN2HW_ZOO"
    start = time.perf_counter()
    if design == "da4ml":
        solved = solve_da4ml(*found)
        seconds = time.perf_counter() - start
        verilog, tables = da4ml_verilog(solved), False
    else:
        device = target if design == "rowtree" and target != "xilinx" else "lut6"
        plan = plan_layer(*found, design, target=device)
        seconds = time.perf_counter() - start
        tables = isinstance(plan.graph, Netlist)
        verilog = to_verilog(to_rtlil(LayerCore(plan.graph, plan.readout), "top"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"verilog": verilog, "tables": tables, "seconds": seconds, "peak": peak}


def solve_da4ml(layer: LinearLayer, source: Tensor) -> object:
    """Return da4ml's solution of a layer with bits in and thresholded bits out.

    On bits x in {0, 1} a row's signed sum is ``2 W x - sum(W)``.
    """
    if find_spec("da4ml") is None:
        sys.exit("da4ml is missing: pip install 'bnn2hw[area]'")
    from da4ml.trace import FixedVariableArrayInput, comb_trace

    thresholds = single_thresholds(layer, source)
    assert thresholds is not None
    direction, level = thresholds
    weights = layer.matrix().astype(np.int64).T * direction
    least = (level * direction + weights.sum(axis=0) + 1) // 2
    least = np.where(direction == 0, np.where(level > 0, 0, 1), least)  # constant channels
    inputs = FixedVariableArrayInput(layer.patch_size())
    solved = comb_trace(inputs, inputs.quantize(0, 1, 0) @ weights >= least)
    bits = np.random.default_rng(0).integers(0, 2, (_VECTORS, len(weights)))
    sums = (2 * bits - 1) @ layer.matrix().astype(np.int64).T
    expected = np.where(direction == 0, level > 0, sums * direction >= level * direction)
    assert (solved.predict(bits.astype(float)) == expected).all()
    return solved


def da4ml_verilog(solved: object) -> str:
    """Return the Verilog that da4ml writes, with the modules it needs."""
    from da4ml.codegen import RTLModel

    with tempfile.TemporaryDirectory() as folder:
        RTLModel(solved, "top", folder, flavor="verilog").write()
        sources = Path(folder, "src")
        top = "\n".join(file.read_text() for file in sorted(sources.glob("top*.v")))
        modules = sorted((sources / "static").glob("*.v"))
        return "\n".join([*(file.read_text() for file in modules if file.stem in top), top])


def figures(made: dict[str, Any], target: str) -> dict[str, int]:
    """Return LUTs, carries and levels by Yosys; of two scripts the smaller result for a peer."""
    scripts = [made["tables"]]
    if "shift_adder" in made["verilog"]:
        scripts = [False, True]
    found = [synthesis(made["verilog"], target, tables) for tables in scripts]
    return min(found, key=lambda one: one["luts"])


def synthesis(verilog: str, target: str, tables: bool) -> dict[str, int]:
    """Return the figures of a run of Yosys, kept by content."""
    script = render(
        f"synth/{target}.ys.j2", top="top", verilog="top.v", target=target, tables=tables
    )
    yosys = find_yosys()
    digest = hashlib.sha256("\0".join([verilog, script, yosys.version]).encode()).hexdigest()
    kept = FOLDER / f"{digest[:32]}.figures.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            (work / "results").mkdir()
            (work / "top.v").write_text(verilog)
            yosys.run(script, work, _YOSYS)
            statistics = json.loads((work / "results" / f"{target}.json").read_text())
            path = (work / "results" / f"{target}.ltp").read_text()
        cells = count_cells(statistics["design"]["num_cells_by_type"], 0)
        levels = int(path.rpartition("length=")[2].split(")")[0])
        kept.write_text(
            json.dumps({"luts": cells.luts, "carries": cells.carries, "levels": levels})
        )
    figures: dict[str, int] = json.loads(kept.read_text())
    return figures


if __name__ == "__main__":
    main()
