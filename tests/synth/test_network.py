"""Networks stage by stage: what is joined computes the same, and nothing is done twice."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyosys
import pytest
from numpy.typing import NDArray

from bnn2hw.accelerator import generate_network, synthesise_network
from bnn2hw.cli import main
from bnn2hw.emit.manifest import read_manifest
from bnn2hw.errors import BuildError, SynthesisError, UsageError
from bnn2hw.model import BIPOLAR, Argmax, BinaryDense, Network, Tensor, Threshold, load
from bnn2hw.synth.network import netlist_file
from bnn2hw.synth.split import PART, split_design
from bnn2hw.toolchain import Yosys, find_yosys
from bnn2hw.verify import layer_inputs
from bnn2hw.verify.network import build_harness

NETWORKS = Path(__file__).parents[2] / "examples" / "networks"
GENERATOR = np.random.default_rng(3)
SQUARE, HEAD = (GENERATOR.integers(0, 2, (n, 16)).astype(np.uint8) for n in (16, 4))


def network(last: NDArray[np.uint8] = HEAD) -> Network:
    """Return a network whose first two layers are equal."""
    zero = Threshold.at_least(np.zeros(16, np.int64))
    layers = (
        BinaryDense("one", ("input",), SQUARE, zero),
        BinaryDense("two", ("one",), SQUARE, zero),
        BinaryDense("out", ("two",), last),
        Argmax("class", ("out",)),
    )
    return Network("net", Tensor((16,), BIPOLAR), layers)


def generate(out: Path, source: Network | None = None) -> Path:
    """Return the network's directory of a folded build."""
    generate_network(source or network(), interval=64, beat=8, pipeline=2, scores=True, out=out)
    return out / "net"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that every script that Yosys runs is added to."""
    found: list[str] = []
    run = Yosys.run

    def counted(self: Yosys, script: str, *arguments: object, **options: object) -> str:
        found.append(script)
        return run(self, script, *arguments, **options)

    monkeypatch.setattr(Yosys, "run", counted)
    return found


def harness(directory: Path, top: str) -> int:
    """Return the exit code of the harness of a build, whose Verilog may be another."""
    shutil.rmtree(directory / "results", ignore_errors=True)
    (directory / "results").mkdir()
    (directory / "verilator.vlt").write_text("`verilator_config\n")
    program = build_harness(directory, top, read_manifest(directory, "network"))
    files = [str(directory / "volume" / name) for name in ("frames.bin", "expected.bin")]
    command = [str(program), *files, "16", "0.2", "0"]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.slow
def test_the_cells_of_a_device_give_the_answers_of_the_golden_model(tmp_path: Path) -> None:
    directory = generate(tmp_path / "out")
    synthesise_network(tmp_path / "out", ["ice40"])
    netlist = json.loads(netlist_file(directory, "ice40").read_text())
    netlist["modules"] = {"net": netlist["modules"]["net"]}
    (tmp_path / "netlist.json").write_text(json.dumps(netlist))
    script = "read_json netlist.json\ndelete t:$scopeinfo\nwrite_verilog -noattr net.v"
    find_yosys().run(script, tmp_path)
    cells = Path(pyosys.__path__[0], "share", "ice40", "cells_sim.v").read_text()
    verilog = (tmp_path / "net.v").read_text()
    (directory / "net.v").write_text(verilog + cells)
    assert harness(directory, "net") == 0
    # A table of the last stage that answers the opposite is found.
    table = re.compile(r"LUT_INIT\(16'h(\w{4})\)(?=\s*\) \\core\.layer_class)")
    turned, count = table.subn(
        lambda match: f"LUT_INIT(16'h{0xFFFF ^ int(match[1], 16):04x})", verilog, count=1
    )
    assert count == 1
    (directory / "net.v").write_text(turned + cells)
    assert harness(directory, "net") != 0


def test_what_was_synthesised_serves_again(tmp_path: Path, scripts: list[str]) -> None:
    out = tmp_path / "out"
    directory = generate(out)
    del scripts[:]
    (first,) = synthesise_network(out, ["lut6"])
    names = [stage.name for stage in first.stages]
    assert names[-1] == "joins"
    # Equal layers are one run; one more is for the joins, and one for the whole.
    assert len(scripts) == len(names) - 1 + 1
    equal = [stage.cells for stage in first.stages if stage.name in ("one", "two")]
    assert equal[0] == equal[1]
    alone = sum(stage.cells.luts for stage in first.stages)
    assert 0.8 * alone < first.total.luts <= alone
    del scripts[:]
    told: list[str] = []
    (again,) = synthesise_network(out, ["lut6"], progress=told.append)
    assert (scripts, told) == ([], [])
    assert again.total.seconds == 0
    assert again.total.cells == first.total.cells
    # Another last layer: that stage, and the whole. The build keeps the others.
    generate(out, network(1 - HEAD))
    assert len(list((directory / "results" / "stages").glob("*.il"))) == len(names) - 1
    assert not netlist_file(directory, "lut6").exists()
    del scripts[:]
    (changed,) = synthesise_network(out, ["lut6"])
    assert len(scripts) == 2
    assert [stage.name for stage in changed.stages if stage.seconds] == ["out"]
    # Another script: everything.
    script = directory / "synth" / "lut6.ys"
    script.write_text(script.read_text().replace("-W,300", "-W,250"))
    del scripts[:]
    synthesise_network(out, ["lut6"])
    assert len(scripts) == len(names)


def test_damaged_results_are_made_again(tmp_path: Path, scripts: list[str]) -> None:
    directory = generate(tmp_path / "out")
    (first,) = synthesise_network(tmp_path / "out", ["lut6"])
    figures = directory / "results" / "lut6.figures.json"
    content = json.loads(figures.read_text())["content"]
    for text in ("{broken", "[]", "{}", json.dumps({"content": content})):
        figures.write_text(text)
        del scripts[:]
        (again,) = synthesise_network(tmp_path / "out", ["lut6"])
        assert (len(scripts), again.total.cells) == (1, first.total.cells)
    stage = min((directory / "results" / "stages").glob("*.json"))
    stage.write_text("{broken")
    del scripts[:]
    (again,) = synthesise_network(tmp_path / "out", ["lut6"])
    assert len(scripts) == 1
    assert [item.cells for item in again.stages] == [item.cells for item in first.stages]


def test_parts_depend_on_nothing_around_them(tmp_path: Path) -> None:
    texts = {}
    for name, source in (("a", network()), ("b", network(1 - HEAD))):
        directory = generate(tmp_path / name, source)
        manifest = read_manifest(directory, "network")
        stages = [stage["name"] for stage in manifest["stages"]]
        parts = split_design((directory / "net.il").read_text(), "net", stages)
        assert [part.name for part in parts[:-1]] == stages
        assert all(part.text.startswith(f"module \\{PART}\n") for part in parts)
        texts[name] = {part.name: part.text for part in parts}
    assert [k for k in texts["a"] if texts["a"][k] != texts["b"][k]] == ["out"]
    assert texts["a"]["one"] == texts["a"]["two"]
    with pytest.raises(SynthesisError, match="holds no module net with these parts; generate"):
        split_design((tmp_path / "a" / "net" / "net.il").read_text(), "net", [*stages, "more"])


def test_public_and_private_names_of_one_sound_do_not_meet(tmp_path: Path) -> None:
    """Yosys gave up on the integers of this layer: ABC's netlist came back with a name twice."""
    whole = load(NETWORKS / "quantised.npz")
    single = whole.single("block1_conv2", layer_inputs(whole, ["block1_conv2"])["block1_conv2"])
    generate_network(single, interval=2000, out=tmp_path / "build")
    assert synthesise_network(tmp_path / "build", ["ice40"])[0].total.luts > 0


def test_failures_name_the_stage(tmp_path: Path) -> None:
    directory = generate(tmp_path / "out")
    script = directory / "synth" / "lut6.ys"
    good = script.read_text()
    script.write_text(good + "no_such_pass\n")
    with pytest.raises(SynthesisError, match=r"layer [\w-]+: target lut6: .*no_such_pass") as told:
        synthesise_network(tmp_path / "out", ["lut6"])
    assert "\n" not in str(told.value)
    assert not list((directory / "results" / "stages").iterdir())
    script.write_text(good.replace("read_verilog net.v", "read_verilog other.v"))
    with pytest.raises(SynthesisError, match=r"does not read net\.v, name its top"):
        synthesise_network(tmp_path / "out", ["lut6"])
    script.unlink()
    with pytest.raises(SynthesisError, match=r"lut6.ys: layer net: No such file"):
        synthesise_network(tmp_path / "out", ["lut6"])
    with pytest.raises(UsageError, match="there is no target 'abacus'"):
        synthesise_network(tmp_path / "out", ["abacus"])
    with pytest.raises(BuildError, match="not a build directory"):
        synthesise_network(tmp_path, ["lut6"])


def test_estimates_of_the_manifest_stand_beside(tmp_path: Path) -> None:
    directory = generate(tmp_path / "out")
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    for stage in manifest["stages"]:
        stage.pop("estimate", None)
    manifest["stages"][1]["estimate"] = {"ice40": {"luts": 7, "flipflops": 5}}
    path.write_text(json.dumps(manifest))
    (found,) = synthesise_network(tmp_path / "out", ["ice40"])
    told = {stage.name: stage.estimate for stage in found.stages}
    assert told.pop(manifest["stages"][1]["name"]) == {"luts": 7, "flipflops": 5}
    assert set(map(str, told.values())) == {"{}"}


def test_the_command_prints_the_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(tmp_path / "out")

    def call(*arguments: str) -> object:
        monkeypatch.setattr(sys, "argv", ["bnn2hw", "synth", str(tmp_path / "out"), *arguments])
        try:
            main()
        except SystemExit as stop:
            return stop.code
        return 0

    assert call("--target", "lut6") == 0
    told = capsys.readouterr()
    assert "net for lut6, stage by stage:" in told.out
    assert all(name in told.out for name in ("FoldedCore", "all alone", "joined"))
    assert "different parts to synthesise" in told.err
    assert call("--target", "lut6", "--json", "-") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in found["stages"]][-1] == "joins"
    assert found["total"]["cells"]["luts"] > 0
    assert call("--device", "ecp5-25k", "--target", "lut6") == 2
    assert "a device names its target; leave --target" in capsys.readouterr().err
    for options, message in (
        (["--clock", "20"], "--clock belongs to --device; give a device"),
        (["--target", "lut6", "--baseline"], "--baseline belongs to layers, and this is a network"),
    ):
        assert call(*options) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
