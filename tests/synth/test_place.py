"""Place and route of networks: bitstreams, misfits, earlier results."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.accelerator import generate_network, place
from bnn2hw.cli import main
from bnn2hw.errors import BuildError, SynthesisError, UsageError
from bnn2hw.model import BIPOLAR, Argmax, BinaryDense, Network, Tensor, Threshold
from bnn2hw.plan.devices import CAPACITIES
from bnn2hw.synth import NetworkSynthesis, SynthesisResult, place_and_route
from bnn2hw.synth.cells import count_cells
from bnn2hw.synth.network import StageSynthesis
from bnn2hw.synth.place import check_fit, misfit, needs
from tests.helpers import dense_network
from tests.helpers import generate as generate_layers


def network(hidden: int) -> Network:
    generator = np.random.default_rng(0)
    weights = generator.integers(0, 2, (hidden, 64)).astype(np.uint8)
    layers = (
        BinaryDense("fc", ("input",), weights, Threshold.at_least(np.zeros(hidden, np.int64))),
        BinaryDense("out", ("fc",), generator.integers(0, 2, (4, hidden)).astype(np.uint8)),
        Argmax("class", ("out",)),
    )
    return Network("net", Tensor((64,), BIPOLAR), layers)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the build of a small network whose pins fit the smallest device."""
    out = tmp_path_factory.mktemp("place") / "out"
    generate_network(network(16), interval=64, beat=8, pipeline=2, out=out)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("device", ["ice40-up5k", "ecp5-25k"])
def test_a_network_becomes_a_bitstream(build: Path, device: str) -> None:
    told: list[str] = []
    (found,) = place(build, [device], clock=20, progress=told.append)
    assert [text.split(": ")[1].split(" ")[0] for text in told[-2:]] == ["Yosys", "place"]
    assert found.to_json()["latency"] is None
    assert found.synthesis.stages[-1].name == "joins"
    assert (found.network, found.device) == ("net", device)
    assert (build / "net" / found.bitstream).stat().st_size > 10_000
    assert found.clock > 20
    assert found.images_per_second == pytest.approx(1e6 * found.clock / found.interval)
    assert all(0 < found.used[cell] <= found.available[cell] for cell in found.used)
    told.clear()
    (again,) = place(build, [device], clock=20, progress=told.append)
    assert not told
    assert sum(again.seconds) == 0
    assert again.used == found.used


@pytest.fixture
def placed(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """Return a copy of the build, and the clocks that a nextpnr is told that reaches 20 MHz."""
    clocks: list[str] = []

    def run_tool(command: Sequence[str], directory: Path, what: str) -> str:
        if "--freq" in command:
            clocks.append(command[command.index("--freq") + 1])
            cells = {"ICESTORM_LC": {"used": 9, "available": 5280}}
            report = {"fmax": {"clk": {"achieved": 20.0}}, "utilization": cells}
            (directory / command[command.index("--report") + 1]).write_text(json.dumps(report))
        else:
            (directory / command[-1]).write_text("bits")
        return what

    monkeypatch.setattr(sys.modules[place_and_route.__module__], "run_tool", run_tool)
    shutil.copytree(build, tmp_path / "out")
    return tmp_path / "out", clocks


def test_the_clock_is_that_of_the_goal(
    placed: tuple[Path, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build, clocks = placed
    place(build, ["ice40-up5k"])
    path = build / "net" / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest["sized"] is None
    manifest["sized"] = {"device": "ice40-up5k", "clock": 17.0, "target_fps": 1e6}
    path.write_text(json.dumps(manifest))
    (found,) = place(build, ["ice40-up5k"])
    (other,) = place(build, ["ice40-hx8k"])
    place(build, ["ice40-up5k"], clock=30)
    assert clocks == ["100.0", "17.0", "100.0", "30"]
    assert (found.target_fps, other.target_fps) == (1e6, None)

    def lines(fps: float | None) -> list[str]:
        manifest["sized"]["target_fps"] = fps
        path.write_text(json.dumps(manifest))
        command = ["bnn2hw", "synth", str(build), "--device", "ice40-up5k"]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return [line for line in capsys.readouterr().err.splitlines() if "asked for" in line]

    assert lines(None) == []
    assert lines(found.images_per_second) == []
    (line,) = lines(1e6)
    rate = f"{20e6 / found.interval:,.0f} images/s at 20.0 MHz"
    assert line == f"net on ice40-up5k: {rate}, below the 1,000,000 that were asked for"


@pytest.mark.parametrize(
    "text", ["{broken", "[]", "{}", "[" * 100_000, '{"fmax": 1, "latency": ""}']
)
def test_damaged_results_are_made_again(placed: tuple[Path, list[str]], text: str) -> None:
    build, clocks = placed
    results = build / "net" / "results"
    (first,) = place(build, ["ice40-up5k"])
    place(build, ["ice40-up5k"])
    assert len(clocks) == 1
    (results / "ice40-up5k-pnr.json").write_text(text)
    (results / "simulation.json").write_text(text)
    (found,) = place(build, ["ice40-up5k"])
    assert len(clocks) == 2
    assert (found.clock, found.used, found.latency) == (first.clock, first.used, None)
    (results / "simulation.json").write_text('{"latency": 7}')
    assert place(build, ["ice40-up5k"])[0].latency == 7


def test_a_network_without_a_clock_has_no_latency_in_time(placed: tuple[Path, list[str]]) -> None:
    (found,) = place(placed[0], ["ice40-up5k"])
    assert replace(found, latency=40).latency_microseconds == 2
    assert replace(found, latency=40, clock=0.0).to_json()["latency_microseconds"] is None


def test_a_misfit_that_nextpnr_finds_has_a_remedy() -> None:
    log = """\
Info: Device utilisation:
Info: \t            ICESTORM_LC:  6000/ 5280   113%
Info: \t           ICESTORM_RAM:     3/   30    10%
Info: \t                  SB_IO:    19/   96    19%
"""
    remedy = "generate it for the device: 'generate --network --device ice40-up5k' folds it"
    told = "it does not fit icebreaker: it takes 6,000 ICESTORM_LC of 5,280"
    found = misfit(log, "icebreaker", "ice40-up5k")
    assert found == (told, f"place it on ice40-hx8k, or {remedy}")
    large = misfit(log.replace("6000", "8000"), "ice40-up5k", "ice40-up5k")
    assert large is not None
    assert large[1] == remedy
    pins = log.replace("6000", "100").replace(" 19/", "119/")
    assert misfit(pins, "ice40-up5k", "ice40-up5k") == (
        "it does not fit ice40-up5k: it takes 119 SB_IO of 96",
        "generate it with narrower beats: --beat",
    )
    assert misfit(log.replace("6000", "5280"), "ice40-up5k", "ice40-up5k") is None


def synthesis(target: str, **types: int) -> NetworkSynthesis:
    """Return the figures of a network that is made of these cells."""
    cells = count_cells(types, 0)
    total = SynthesisResult(target, "", cells, None, 0.0, "")
    stages = (StageSynthesis("fc", "LayerCore", cells, {}, 0.0),)
    return NetworkSynthesis("net", stages, total, dict(types), {})


def test_a_misfit_says_by_how_much_and_what_would_hold_it() -> None:
    fits = synthesis("ecp5", LUT4=20_000, CCU2C=2_144, TRELLIS_FF=24_288, DP16KD=56)
    check_fit(fits, "ecp5-25k")
    assert needs(fits) == {"lookup tables": 24_288, "flip-flops": 24_288, "block RAMs": 56}
    with pytest.raises(
        SynthesisError, match=r"does not fit ecp5-25k: .* takes at least 24,289"
    ) as one:
        check_fit(synthesis("ecp5", LUT4=24_283, TRELLIS_DPR16X4=1), "ecp5-25k")
    assert "lookup tables of 24,288 (1.00 times)" in str(one.value)
    assert "stage fc (LayerCore) 24,283" in str(one.value)
    with pytest.raises(SynthesisError) as told:
        check_fit(synthesis("ecp5", LUT4=24_289, TRELLIS_FF=60_000, DP16KD=109), "ecp5-25k")
    assert str(told.value) == (
        "layer net: it does not fit ecp5-25k: it takes at least 24,289 lookup tables of 24,288 "
        "(1.00 times) and 60,000 flip-flops of 24,288 (2.47 times) and 109 block RAMs of 56 "
        "(1.95 times), of which stage fc (LayerCore) 24,289 lookup tables; place it on ecp5-85k, "
        "or generate it for the device: 'generate --network --device ecp5-25k' folds it"
    )
    large = synthesis("ice40", SB_LUT4=5_000, SB_DFFE=9_000)
    with pytest.raises(SynthesisError, match=r"9,000 logic cells of 7,680 .*; generate it for the"):
        check_fit(large, "ice40-hx8k")


def test_a_misfit_is_known_before_place_and_route(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(CAPACITIES["ice40-up5k"], cells=100)
    monkeypatch.setitem(CAPACITIES, "ice40-up5k", small)
    told: list[str] = []
    with pytest.raises(SynthesisError, match=r"cells of 100 .*place it on ice40-hx8k, or generate"):
        place(build, ["ice40-up5k"], progress=told.append)
    assert not any("place and route" in text for text in told)


def test_what_is_refused(build: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no device 'ice40'; use ecp5-25k, ecp5-45k"):
        place(build, ["ice40"])
    for clock in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=rf"clock in MHz of {clock} makes no sense; give a n"):
            place(build, ["ecp5-25k"], clock=clock)
    layers = generate_layers(dense_network(6, 2), tmp_path / "layers").directory
    with pytest.raises(BuildError, match="holds layers and no network"):
        place(layers, ["ecp5-25k"])
