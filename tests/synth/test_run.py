"""Synthesis of small layers: exact counts, caching, and failures in one line."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

import bnn2hw
from bnn2hw.emit.manifest import manifest_text
from bnn2hw.emit.templates import synthesis_scripts, synthesis_targets, write_texts
from bnn2hw.errors import BuildError, SynthesisError, UsageError
from bnn2hw.plan import netlist_parts
from bnn2hw.synth import synthesise
from tests.helpers import dense_network, generate

# Three registers behind one function of two inputs, one of six, and a wire.
SMALL = """
module small(input clk, input [5:0] x, output reg a, output reg b, output reg c);
  always @(posedge clk) begin a <= x[0] & x[1]; b <= ^x; c <= x[2]; end
endmodule
"""


LAYER: dict[str, object] = {
    "layer": "small", "top": "small", "input": {}, "output": {}, "pipeline": None, "plan": {},
    "verilator_flags": [], "make_flags": [],
}  # fmt: skip


def test_levels_of_tables_are_kept() -> None:
    scripts = synthesis_scripts("top", tables=True, levels=12)
    assert "+&if,-D,3612,-W,300,-v" in scripts["synth/lut6.ys"]
    assert all("-D" not in text for name, text in scripts.items() if name != "synth/lut6.ys")
    for none in (synthesis_scripts("top", tables=True), synthesis_scripts("top")):
        assert "-D" not in none["synth/lut6.ys"]


def layer_directory(folder: Path, verilog: str) -> Path:
    """Return a layer's directory as a build has it, with the scripts of all targets."""
    top = "small"
    directory = folder / top
    texts = {f"{top}.v": verilog, "manifest.json": manifest_text("layer", LAYER)}
    write_texts(directory, {**texts, **synthesis_scripts(top)})
    return directory


def test_there_is_a_script_for_every_target_and_no_path_in_it(tmp_path: Path) -> None:
    assert synthesis_targets() == sorted(
        ["ice40", "ecp5", "xilinx", "gowin", "lut6", "lut4", "asic"]
    )
    for path in (layer_directory(tmp_path, SMALL) / "synth").iterdir():
        assert str(tmp_path) not in path.read_text()
        assert " /" not in path.read_text()


@pytest.mark.parametrize(
    ("target", "most"), [("lut6", 2), ("lut4", 3), ("xilinx", 2), ("ice40", 4), ("ecp5", 4)]
)
def test_small_functions_have_their_counts(tmp_path: Path, target: str, most: int) -> None:
    directory = layer_directory(tmp_path, SMALL)
    result = synthesise(directory, target)
    assert result.cells.flip_flops == 3
    assert (2 if "6" in target or target == "xilinx" else 3) <= result.luts <= most
    assert result.carries == 0
    assert result.cells.memories == 0
    assert result.script.startswith("+&dch")
    assert result.cells.nand2 is None


def test_gates_are_counted_in_nand2(tmp_path: Path) -> None:
    result = synthesise(layer_directory(tmp_path, SMALL), "asic")
    assert result.luts == 0
    assert result.cells.flip_flops == 3
    # an AND, five XORs or XNORs, three flip-flops
    assert result.cells.nand2 is not None
    assert 1.0 + 5 * 2.5 + 3 * 6 <= result.cells.nand2 <= 1.5 + 5 * 2.5 + 3 * 6 + 1


def test_gowin_counts_the_same_registers(tmp_path: Path) -> None:
    assert synthesise(layer_directory(tmp_path, SMALL), "gowin").cells.flip_flops == 3


def test_the_same_content_is_synthesised_once(tmp_path: Path) -> None:
    directory = layer_directory(tmp_path, SMALL)
    first = synthesise(directory, "lut6")
    again = synthesise(directory, "lut6")
    assert first.seconds > 0
    assert again.seconds == 0
    assert again.cells == first.cells
    (directory / "small.v").write_text(SMALL.replace("c <= x[2]", "c <= x[2] | x[3]"))
    changed = synthesise(directory, "lut6")
    assert changed.seconds > 0
    assert changed.luts == first.luts + 1
    kept = directory / "results" / "lut6.figures.json"
    lacking = {"content": json.loads(kept.read_text())["content"], "cells": []}
    for text in ("{broken", json.dumps(lacking)):
        kept.write_text(text)
        assert synthesise(directory, "lut6").luts == changed.luts


def test_figures_land_in_the_build(tmp_path: Path) -> None:
    directory = layer_directory(tmp_path, SMALL)
    result = synthesise(directory, "lut6")
    found = json.loads((directory / "results" / "lut6.figures.json").read_text())
    assert found["cells"]["$lut"] == result.luts
    assert "seconds" not in found
    assert (
        "Yosys" in (directory / "results" / "lut6.log").read_text()
        or (directory / "results" / "lut6.log").read_text()
    )


def test_failures_are_told_in_one_line(tmp_path: Path) -> None:
    directory = layer_directory(tmp_path, "module small(input clk; endmodule")
    with pytest.raises(SynthesisError, match=r"layer small: target lut6: .*syntax error") as caught:
        synthesise(directory, "lut6")
    assert "\n" not in str(caught.value)
    assert not (directory / "results" / "lut6.figures.json").exists()
    with pytest.raises(SynthesisError, match=r"abacus.ys: layer small: No such file"):
        synthesise(directory, "abacus")
    (directory / "small.v").unlink()
    with pytest.raises(SynthesisError, match=r"small.v: layer small: No such file"):
        synthesise(directory, "lut6")
    shutil.rmtree(directory / "results")
    (directory / "small.v").write_text(SMALL)
    (directory / "results").write_text("a file")
    with pytest.raises(BuildError, match="cannot write results"):
        synthesise(directory, "lut6")


def test_a_timeout_ends_synthesis(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match=r"took longer than 0\.01 s"):
        synthesise(layer_directory(tmp_path, SMALL), "lut6", timeout=0.01)


def test_unknown_targets_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no target 'abacus'; use asic, ecp5"):
        bnn2hw.synthesise(tmp_path, ["abacus"])


@pytest.mark.slow
def test_a_popcount_ends_in_time_on_every_target_and_reuse_is_smaller(tmp_path: Path) -> None:
    # rows that differ in few weights: what reuse is for
    network = dense_network(128, 12, seed=1)
    (layer,) = network.linear_layers()
    weights = layer.weights.copy()
    weights[1:] = weights[0]
    for row in range(1, 12):
        weights[row, 5 * row : 5 * row + 8] ^= 1
    object.__setattr__(layer, "weights", weights)
    build = generate(network, tmp_path / "build", plan="mst")
    start = time.monotonic()
    results = bnn2hw.synthesise(build.directory, synthesis_targets(), baseline=True)
    assert time.monotonic() - start < 300
    for item in results:
        assert item.baseline is not None
        area, direct = (
            (r.cells.nand2 if item.result.target == "asic" else r.luts)
            for r in (item.result, item.baseline)
        )
        assert area is not None
        assert direct is not None
        assert area < 0.5 * direct, item.result.target
        assert item.result.cells.flip_flops == 13  # one a channel, and valid


def test_blocks_of_a_layer_are_synthesised_apart_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netlist_parts, "PART_LUTS", 130)
    network = dense_network(60, 12)
    directory = generate(network, tmp_path, plan="rowtree", pipeline=3).directory / "fc"
    manifest = json.loads((directory / "manifest.json").read_text())
    told: list[str] = []
    result = synthesise(directory, "lut6", progress=told.append)
    assert f"{len(manifest['blocks']) + 1} of {len(manifest['blocks']) + 1} different" in told[0]
    assert len(manifest["blocks"]) > 1
    assert abs(result.luts - manifest["plan"]["luts"]) < 0.1 * result.luts
    assert result.cells.flip_flops > 3 * 12
    assert result.levels is None
    again = synthesise(directory, "lut6", progress=lambda text: pytest.fail(text))
    assert (again.seconds, again.cells) == (0.0, result.cells)
    # an interrupted run goes on: one block is made anew, the others are kept
    kept = sorted((directory / "results" / "stages").glob("*.json"))
    kept[0].unlink()
    (directory / "results" / "lut6.figures.json").unlink()
    told.clear()
    assert synthesise(directory, "lut6", progress=told.append).cells == result.cells
    assert "1 of " in told[0]
