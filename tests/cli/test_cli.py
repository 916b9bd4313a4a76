"""The command line: tables, JSON, exit codes, one line an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bnn2hw.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Return a function that runs the command line in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bnn2hw", *arguments])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


COMMANDS = [
    "generate",
    "simulate",
    "synth",
    "board",
    "inspect",
    "import",
    "doctor",
    "timeline",
    "compress",
    "train",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"bnn2hw {command}" in out.split("Example", 1)[1]


def test_the_bundled_network_is_inspected(run: Run) -> None:
    code, out, _ = run("inspect")
    assert code == 0
    for word in ("conv1", "conv2", "conv3", "terms direct", "complements"):
        assert word in out
    code, out, _ = run("inspect", "--json", "-")
    layers = {layer["name"]: layer for layer in json.loads(out)["layers"]}
    conv3 = layers["conv3"]
    assert conv3["terms_complement"] <= conv3["terms_mst"] < conv3["terms_direct"]
    assert conv3["depth"] >= conv3["depth_bound"] >= 1
    assert any(layer["problem"] for layer in layers.values() if layer["kind"] == "MaxPool")
    assert all(layer["problem"] is None for layer in layers.values() if layer["weights"])


def test_generate_writes_a_build_and_says_where(run: Run, tmp_path: Path) -> None:
    code, out, err = run("generate", "--layer", "conv1", "--plan", "mst")
    assert code == 0, err
    assert "build/digits-conv1" in out
    assert (tmp_path / "build" / "digits-conv1" / "conv1" / "conv1.v").exists()
    options = ["--target", "ecp5", "--plan", "rowtree", "--clock", "80"]
    code, out, _ = run("generate", "--layer", "conv1", *options, "--json", "-", "--out", "other")
    layer = json.loads(out)["layers"][0]
    assert (layer["name"], layer["candidates"], layer["latency"] > 2) == ("conv1", [], True)


def test_generate_shows_what_auto_weighed(run: Run) -> None:
    code, out, err = run(
        "generate", "--layer", "conv1", "--target", "ice40", "--json", "found.json"
    )
    assert code == 0, err
    assert "LUTs of ice40, estimated" in out
    layer = json.loads(Path("found.json").read_text())["layers"][0]
    weighed = {one["method"] for one in layer["candidates"]}
    assert weighed == {"direct", "subbit", "classes", "rowtree", "mst"}
    most = 1.08 * min(one["luts"] for one in layer["candidates"])
    assert layer["plan"] in {one["method"] for one in layer["candidates"] if one["luts"] <= most}


def test_inspect_draws_the_kernels(run: Run, tmp_path: Path) -> None:
    code, _, err = run("inspect", "--picture", "kernels.png")
    assert code == 0, err
    assert (tmp_path / "kernels.png").read_bytes().startswith(b"\x89PNG")


def test_compress_says_what_changes(run: Run, tmp_path: Path) -> None:
    code, out, err = run("compress", "--tau", "5", "--layer", "conv3", "-o", "five.npz")
    assert code == 0, err
    assert "accuracy on the model's 360 samples: 98.6% before" in out
    code, out, _ = run("compress", "five.npz", "-o", "same.npz", "--memory", "hex")
    assert code == 0
    assert "no weight has changed" in out
    assert len((tmp_path / "hex" / "conv3-indices.hex").read_text().split()) == 5 * 32 * 32 // 32
    code, out, _ = run("compress", "five.npz", "-o", "same.npz", "--json", "-")
    layers = {layer["name"]: layer for layer in json.loads(out)["layers"]}
    assert (layers["conv3"]["tau"], layers["conv3"]["changed"]) == (5, 0)


def test_a_timeline_is_a_table_a_picture_and_json(run: Run) -> None:
    arguments = ["timeline", "resnet18", "--input", "64", "--clock", "0.5 GHz", "--mode", "closed"]
    code, out, err = run(*arguments, "--picture", "bars.png")
    assert code == 0, err
    for word in ("layer4.1.conv2", "PE = adder; closed", "33 lanes, 6 kernel units", "speed-up: "):
        assert word in out
    assert Path("bars.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = run(*arguments, "--json", "-")
    line = json.loads(out)
    assert line["binary"]["seconds"] == line["binary"]["cycles"] / 500_000_000
    assert line["speedup"] == line["binary"]["cycles"] / line["subbit"]["cycles"]
    assert len(line["subbit"]["layers"]) == 16


def test_doctor_lists_the_tools(run: Run) -> None:
    code, out, _ = run("doctor", "--json", "found.json")
    assert code == 0
    assert "verilator" in out
    found = json.loads(Path("found.json").read_text())
    assert {"amaranth", "cocotb", "yosys", "verilator"} <= {tool["name"] for tool in found}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["generate"], 2, "--layer"),
        (["generate", "--layer", "conv9"], 1, "no layer 'conv9'; it has conv1"),
        (["generate", "--layer", "pool"], 1, "layer pool: MaxPool has no weights"),
        (["generate", "--layer", "conv1", "--plan", "magic"], 2, "magic"),
        (["generate", "--layer", "conv1", "--pipeline", "0"], 2, "pipeline 0"),
        (["generate", "--layer", "conv1", "--clock", "80"], 2, "level of plan auto"),
        (["generate", "--layer", "conv1", "--plan", "rowtree", "--clock", "80"], 2, "--target"),
        (
            "generate --layer conv1 --plan rowtree --clock 80 --pipeline 2".split(),
            2,
            "both given",
        ),
        (
            "generate --layer conv1 --plan rowtree --clock 999 --target ecp5".split(),
            2,
            "999 MHz is out of reach on ecp5",
        ),
        (["generate", "--layer", "conv1", "--max-depth", "-1"], 2, "-1"),
        (["generate", "--layer", "conv1", "--max-depth", "x"], 2, "max-depth"),
        (["generate", "--layer", "conv1", "--out", "/proc/x"], 1, "cannot write here"),
        (["generate", "--layer", "conv1", "--out", "x" * 300], 1, "File name too long"),
        (["generate", "--layer", "conv1", "--out", "."], 1, "the current folder"),
        (["generate", "--layer", "conv1", "--plan", "direct", "--max-depth", "2"], 2, "depth"),
        (["generate", "--layer", "conv1", "--plan", "rowtree", "--effort", "4"], 2, "effort 4"),
        (["generate", "--layer", "conv1", "--plan", "mst", "--effort", "1"], 2, "no effort"),
        (["generate", "--layer", "conv1", "--effort", "1"], 2, "plan auto weighs no rowtree"),
        (
            [
                "generate",
                "--layer",
                "conv1",
                "--target",
                "lut6",
                "--no-complement",
                "--effort",
                "1",
            ],
            2,
            "without a target or complements",
        ),
        (["generate", "--network", "--plan", "rowtree", "--effort", "1"], 2, "to --layer"),
        (["inspect", "x" * 300 + ".npz"], 1, "File name too long"),
        (["simulate", "nowhere"], 1, "not a build directory"),
        (["simulate", "nowhere", "--stall", "1"], 2, "stall probability"),
        (["simulate", "nowhere", "--vectors", "-1"], 2, "vectors"),
        (["simulate", "nowhere", "--seed", "-1"], 2, "seed"),
        (["synth", "nowhere"], 1, "not a build directory"),
        (["synth", "nowhere", "--target", "abacus"], 2, "no target 'abacus'"),
        (["inspect", "nowhere.npz"], 1, "nowhere.npz"),
        (["inspect", "--picture", "x.magic"], 1, "x.magic: the picture cannot"),
        (["compress"], 2, "--output"),
        (["compress", "-o", "no/x.npz", "--tau", "5"], 1, "no/x.npz"),
        (["compress", "-o", "x.npz", "--tau", "9"], 2, "tau 9 is no width of an index"),
        (["compress", "-o", "x.npz", "--tau", "0"], 2, "give 1 to 8 for 3x3 kernels"),
        (["compress", "-o", "x.npz", "--layer", "pool"], 2, "layer pool: has no weights"),
        (["compress", "-o", "x.npz", "--tau", "8", "--layer", "dense"], 2, "give 1 to 7"),
        (["compress", "-o", "x.npz", "--word", "0"], 2, "words of 0 bits make no sense"),
        (["import", "nowhere.onnx", "-o", "x.npz"], 1, "nowhere.onnx"),
        (["import", "nowhere.txt", "-o", "x.npz"], 1, "nowhere.txt"),
        (["doctor", "--json", "no/such/folder.json"], 1, "cannot write JSON"),
        (["timeline", "resnet19"], 2, "no network 'resnet19' in the tables; use resnet18"),
        (["timeline", "resnet18", "--tau", "9"], 2, "tau 9 is out of range for resnet18"),
        (["timeline", "resnet50-cifar10", "--tau", "8"], 2, "give 1 to 7"),
        (["timeline", "resnet18", "--pes", "0"], 2, "0 PEs make no engine"),
        (["timeline", "resnet18", "--clock", "fast"], 2, "clock 'fast' is not a frequency"),
        (["engine", "--layer", "conv3", "--clock", "nan"], 2, "clock 'nan' is not a frequency"),
        (["timeline", "resnet18", "--clock", "0Hz"], 2, "clock '0Hz' is not a frequency"),
        (["timeline", "resnet18", "--input", "16"], 2, "resnet18 cannot read an image of 16"),
        (["timeline", "resnet18", "--mode", "magic"], 2, "no mode 'magic'"),
        (["timeline", "resnet18", "--picture", "x.magic"], 1, "x.magic: the picture cannot"),
        (["timeline", "resnet18", "--json", "no/x.json"], 1, "cannot write JSON"),
        (["juggle"], 2, "juggle"),
    ],
)
def test_errors_are_told_and_end_with_their_code(
    run: Run, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    got, _, err = run(*arguments)
    assert got == code
    assert message in err
    assert "Traceback" not in err
    if code == 1:
        assert err.strip().count("\n") == 0 or err.strip().splitlines()[-1].startswith("bnn2hw: ")
    assert not list(tmp_path.iterdir())


def test_an_interrupt_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bnn2hw.api.load_network", interrupt)
    code, _, err = run("inspect")
    assert code == 130
    assert "Traceback" not in err


def test_verbose_twice_shows_the_traceback(run: Run) -> None:
    from bnn2hw.errors import ModelError

    with pytest.raises(ModelError):
        run("-vv", "inspect", "nowhere.npz")


@pytest.mark.slow
def test_a_layer_goes_all_the_way(run: Run) -> None:
    assert run("generate", "--layer", "conv1", "--plan", "mst", "--out", "build")[0] == 0
    code, out, err = run("simulate", "build", "--vectors", "40", "--json", "simulation.json")
    assert code == 0, err
    assert "conv1" in out
    (simulation,) = json.loads(Path("simulation.json").read_text())
    assert simulation["real"] == 20
    code, out, err = run(
        "synth", "build", "--target", "lut6", "--target", "asic", "--baseline", "--json", "s.json"
    )
    assert code == 0, err
    rows = [line for line in out.splitlines() if "conv1" in line]
    assert [("direct" in row, "lut6" in row) for row in rows] == [
        (True, True), (False, True), (True, False), (False, False),
    ]  # fmt: skip
    for item in json.loads(Path("s.json").read_text()):
        cells, direct = item["result"]["cells"], item["baseline"]["cells"]
        kind = "nand2" if item["result"]["target"] == "asic" else "luts"
        assert 0 < cells[kind] < direct[kind]


@pytest.mark.zoo
def test_an_import_is_summed_up_and_written(run: Run, zoo: Path) -> None:
    code, out, err = run("import", str(zoo / "TFC_1W1A.onnx"), "-o", "tfc.npz")
    assert code == 0, err
    assert "64x784" in out
    assert run("inspect", "tfc.npz")[0] == 0
