"""The clock of pipelined layers after place and route, beside da4ml's netlist in as many stages.

A row-class tree is cut after every L levels (bnn2hw.plan.netlist_cut), da4ml's adder graph by its
own ``to_pipeline`` into as many stages. Both get a word every cycle, from a shift register, and
give their outputs to one, so that pins do not matter; Yosys and nextpnr do the same with both.

    python bench/clock.py [CASE ...] [--levels L ...] [--device D] [--docs]

Results are kept by content in build/area: a second run goes on where one was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from area import FOLDER, da4ml_verilog, put_table, solve_da4ml
from rowtree import CASES, layer_of

from bnn2hw.emit.templates import render
from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.gateware.axi_stream import AxiStreamLayer
from bnn2hw.model import LinearLayer, Tensor
from bnn2hw.plan import plan_layer
from bnn2hw.plan.netlist import Netlist
from bnn2hw.plan.netlist_cut import cut_netlist, cut_registers
from bnn2hw.report.tables import Table, number
from bnn2hw.synth.cells import count_cells
from bnn2hw.synth.place import DEVICES
from bnn2hw.toolchain import find_nextpnr, find_yosys, run_tool

MARKER = "<!-- table: python bench/clock.py -->"
# What nextpnr aims at; it does not try beyond.
_GOAL = 300
_HARNESS = """
module harness(input clk, input d, output q);
  reg [{inputs}-1:0] x;
  reg [{outputs}-1:0] y, o;
  reg [7:0] count;
  wire [{outputs}-1:0] found;
  always @(posedge clk) begin
    x <= {{x[{inputs}-2:0], d}};
    y <= found;
    count <= count + 1;
    o <= count == 0 ? y : {{o[{outputs}-2:0], 1'b0}};
  end
  assign q = o[{outputs}-1];
  {instance}
endmodule
"""
_OURS = """wire [1023:0] wide;
  assign found = wide;
  top dut(.clk(clk), .rst(1'b0), .s_axis_tdata(x), .s_axis_tvalid(1'b1), .s_axis_tready(),
          .m_axis_tdata(wide), .m_axis_tvalid(), .m_axis_tready(1'b1));"""
_THEIRS = "top dut(.clk(clk), .model_inp(x), .model_out(found));"


def main() -> None:
    parser = argparse.ArgumentParser(description="Clocks of pipelined layers.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--levels", type=int, nargs="+", default=[3])
    parser.add_argument("--device", default="ecp5-85k", choices=DEVICES)
    parser.add_argument("--alone", action="store_true", help="without da4ml")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/area.md")
    options = parser.parse_args()
    rows = []
    for case in options.cases or ["digits conv3", "CNV conv1"]:
        for levels in options.levels:
            rows += table_rows(case, levels, options.device, options.alone)
    headers = [
        "layer", "device", "design", "stages", "LUTs + carries", "flip-flops", "of even cuts",
        "MHz",
    ]  # fmt: skip
    put_table(MARKER, Table(headers, rows, left=(0, 1, 2)).markdown(), options.docs)


def table_rows(case: str, pipeline: int, device: str, alone: bool) -> list[list[str]]:
    """Return a row for each design of a layer."""
    found = layer_of(case)
    assert found is not None, f"{case}: its network is missing, set BNN2HW_ZOO"
    family = DEVICES[device].family
    plan = plan_layer(*found, "rowtree", target=family)
    assert isinstance(plan.graph, Netlist)
    netlist = cut_netlist(plan.graph, pipeline)
    core = AxiStreamLayer(netlist, plan.readout, pipeline=pipeline)
    saved = cut_registers(netlist, pipeline) / cut_registers(plan.graph, pipeline)
    sizes = found[0].patch_size(), found[0].channels
    design = f"rowtree, {pipeline} levels a stage"
    ours = to_verilog(to_rtlil(core, "top")) + _harness(*sizes, _OURS)
    designs = [(design, f"{saved:.3f}", ours, True)]
    if not alone:
        theirs = da4ml_pipeline(case, *found, core.latency) + _harness(*sizes, _THEIRS)
        designs.append(("da4ml", "-", theirs, False))
    rows = []
    for name, share, verilog, tables in designs:
        got = placed(verilog, device, tables)
        carries = f" + {number(got['carries'])}" if got["carries"] else ""
        # Ours ends every stage in registers, theirs begins and ends the whole with some more.
        stages = len(set(re.findall(r"module top_stage(\d+)", verilog))) or core.latency
        rows.append([case, device, name, str(stages), number(got["luts"]) + carries,
                     number(got["flip_flops"]), share, f"{got['clock']:.1f}"])  # fmt: skip
        print(rows[-1], file=sys.stderr)
    return rows


def _harness(inputs: int, outputs: int, instance: str) -> str:
    return _HARNESS.format(inputs=inputs, outputs=outputs, instance=instance)


def da4ml_pipeline(case: str, layer: LinearLayer, source: Tensor, stages: int) -> str:
    """Return the Verilog of da4ml's netlist in so many stages, kept as its solver takes minutes."""
    kept = FOLDER / f"{case}-da4ml-{stages}.v".replace(" ", "_")
    if not kept.exists():
        from da4ml.trace import to_pipeline

        solved: Any = solve_da4ml(layer, source)
        # Half a stage of slack, as its levels are whole numbers.
        cutoff = max(solved.out_latency) / (stages - 0.5)
        pipeline = to_pipeline(solved, cutoff, verbose=False)
        FOLDER.mkdir(parents=True, exist_ok=True)
        kept.write_text(da4ml_verilog(pipeline))
    return kept.read_text()


def placed(verilog: str, device: str, tables: bool) -> dict[str, Any]:
    """Return cells by Yosys and the clock by nextpnr, kept by content."""
    chosen = DEVICES[device]
    family, yosys, programs = chosen.family, find_yosys(), find_nextpnr(chosen.family)
    script = render(
        f"synth/{family}.ys.j2", top="harness", verilog="top.v", target=family, tables=tables
    )
    content = "\0".join([verilog, script, yosys.version, programs.version, *chosen.options])
    kept = FOLDER / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.clock.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "results").mkdir()
        (work / "top.v").write_text(verilog)
        yosys.run(script + "\nwrite_json top.json", work)
        statistics = json.loads((work / "results" / f"{family}.json").read_text())
        output = {"ecp5": "--textcfg", "ice40": "--asc"}[family]
        command = [
            *programs.nextpnr, *chosen.options, "--json", "top.json", output, "routed.txt",
            "--report", "report.json", "--freq", str(_GOAL), "--timing-allow-fail",
        ]  # fmt: skip
        if family == "ecp5":
            command.append("--lpf-allow-unconstrained")
        run_tool(command, work, "nextpnr")
        report = json.loads((work / "report.json").read_text())
    cells = count_cells(statistics["design"]["num_cells_by_type"], 0)
    found = {
        "luts": cells.luts,
        "carries": cells.carries,
        "flip_flops": cells.flip_flops,
        "clock": min(clock["achieved"] for clock in report["fmax"].values()),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found))
    return found


if __name__ == "__main__":
    main()
