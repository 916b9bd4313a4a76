"""What plan auto chooses for a target, beside the best of all plans as Yosys maps them.

    python bench/auto.py [NETWORK/LAYER ...] [--target T ...] [--docs]

A network is digits, one of examples/networks, or of the zoo. Figures are kept by content in
build/area: a second run goes on where one was stopped.
"""

from __future__ import annotations

import argparse
import sys

from area import put_table, synthesis
from common import ROOT, network

from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.gateware.core import LayerCore
from bnn2hw.model import load
from bnn2hw.plan.auto import Candidate, best, candidates
from bnn2hw.plan.netlist import Netlist
from bnn2hw.report.tables import Table, number

LAYERS = ("digits/conv1", "digits/conv3", "mst/conv1", "mst/conv2", "mst/conv3")
TARGETS = ("lut6", "ice40", "ecp5")
MARKER = "<!-- table: python bench/auto.py -->"


def main() -> None:
    parser = argparse.ArgumentParser(description="The choice of auto beside the best plan.")
    parser.add_argument("layers", nargs="*", metavar="NETWORK/LAYER", default=LAYERS)
    parser.add_argument("--target", action="append", choices=("lut6", "lut4", "ice40", "ecp5"))
    parser.add_argument("--docs", action="store_true", help="put the table into docs/area.md")
    options = parser.parse_args()
    rows = []
    for name in options.layers:
        for target in options.target or TARGETS:
            rows.append(row(name, target))
            print(rows[-1], file=sys.stderr)
    headers = [
        "layer", "target", "auto chooses", "LUTs, estimated", "by Yosys", "best by Yosys", "LUTs",
        "of the best",
    ]  # fmt: skip
    put_table(MARKER, Table(headers, rows, left=(0, 1, 2)).markdown(), options.docs)


def row(name: str, target: str) -> list[str]:
    """Return the choice for a layer beside the best plan.

    Of spanning trees the deepest and the choice are measured, and no plan that is estimated to take
    half as much again as the least.
    """
    of, _, wanted = name.partition("/")
    file = ROOT / "examples" / "networks" / f"{of}.npz"
    model = load(file) if file.exists() else network(of)
    assert model is not None, f"{of} is missing: set BNN2HW_ZOO"
    layer = next(one for one in model.linear_layers() if one.name == wanted)
    source = model.source(layer)
    found = candidates(layer, source, target=target)
    chosen = best(found, target)
    luts = {}
    most = 1.5 * min(one.cost.luts for one in found)
    for one in found:
        tree = one.plan.method == "mst"
        if one is chosen or (one.cost.luts < most and not (tree and one.max_depth)):
            core = LayerCore(
                one.plan.graph,
                one.plan.readout,
                element_width=source.format.width,
                element_signed=source.format.signed,
            )
            verilog = to_verilog(to_rtlil(core, "top"))
            tables = isinstance(one.plan.graph, Netlist)
            luts[_named(one)] = synthesis(verilog, target, tables)["luts"]
    least = min(luts, key=lambda one: luts[one])
    got = luts[_named(chosen)]
    return [
        name, target, _named(chosen), number(chosen.cost.luts), number(got), least,
        number(luts[least]), f"{got / luts[least]:.3f}",
    ]  # fmt: skip


def _named(one: Candidate) -> str:
    return one.plan.method + ("" if one.max_depth is None else f", depth {one.max_depth}")


if __name__ == "__main__":
    main()
