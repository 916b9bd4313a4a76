"""Networks on boards: the simulated wrapper, bit by bit, under the class that drives a real one."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import bnn2hw
from bnn2hw import api
from bnn2hw import board as board_steps
from bnn2hw.accelerator import generate_network
from bnn2hw.balance import Goal
from bnn2hw.board import build_board, write_board
from bnn2hw.cli import main
from bnn2hw.emit.board import BOARDS, link_area
from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.errors import BuildError, SynthesisError, ToolError, UsageError
from bnn2hw.gateware.host_link import NetworkModule, UartNetwork
from bnn2hw.golden import run
from bnn2hw.host import Accelerator
from bnn2hw.host.packets import frame_packet
from bnn2hw.model import Network
from bnn2hw.synth.board import Bitstream, make_bitstream
from bnn2hw.toolchain import Yosys, find_yosys
from bnn2hw.verify.serial import SimulatedPort
from tests.helpers import dense_network
from tests.helpers import generate as generate_layers
from tests.synth.test_place import network as small_network


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the build of a small network with scores."""
    out = tmp_path_factory.mktemp("board") / "net"
    generate_network(small_network(16), interval=64, beat=8, pipeline=2, scores=True, out=out)
    return out


class FaultyLine:
    """A simulated port whose bytes, as counted, may be lost, broken or preceded by noise."""

    def __init__(self, port: SimulatedPort, faults: dict[int, str]) -> None:
        self.port, self.faults, self.count = port, faults, 0

    def send(self, data: bytes) -> None:
        for byte in data:
            fault = self.faults.get(self.count)
            self.count += 1
            bits = [0, *(byte >> k & 1 for k in range(8)), 1]
            if fault == "framing":
                self.port.send_bits([*bits[:9], 0, 1])
            elif fault == "break":
                self.port.send_bits([*([0] * 25), 1])
            elif fault == "noise":
                self.port.send(b"\x07\xc0\x55\xaa\x00\xff\xdb" + bytes([byte]))
            elif fault != "dropped":
                self.port.send_bits(bits)

    def receive(self) -> bytes:
        return self.port.receive()

    def close(self) -> None:
        self.port.close()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Network]:
    """Return the digits network on an iCE40 board."""
    folder = tmp_path_factory.mktemp("digits")
    network = bnn2hw.load_network()
    generate_network(network, interval=4096, out=folder / "digits")
    return write_board(folder / "digits", "hx8k-b-evn", baud=1_000_000), network


@pytest.mark.slow
def test_twenty_digits_through_the_simulated_board(digits: tuple[Path, Network]) -> None:
    directory, network = digits
    assert network.samples is not None
    images = network.samples.images[:20]
    classes = run(network, images)["class"].reshape(-1).tolist()
    with Accelerator(SimulatedPort(directory), directory) as accelerator:
        assert accelerator.classify(images).tolist() == classes
        assert accelerator.faults == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["dropped", "framing", "break", "noise"])
def test_a_faulty_line_spoils_no_other_digit(fault: str, digits: tuple[Path, Network]) -> None:
    directory, network = digits
    assert network.samples is not None
    images = network.samples.images[:6]
    classes = run(network, images)["class"].reshape(-1).tolist()
    # Bytes 3 and 140 are in the frames of images 0 and 1; 210 is between them and the next.
    line = FaultyLine(SimulatedPort(directory), dict.fromkeys((3, 140, 210), fault))
    with Accelerator(line, directory) as accelerator:
        assert accelerator.classify(images).tolist() == classes
        assert 2 <= len(accelerator.faults) <= 6
        faults = list(accelerator.faults)
        assert accelerator.classify(images).tolist() == classes
        assert accelerator.faults == faults


@pytest.mark.slow
def test_scores_and_frames_of_wrong_length(build: Path, tmp_path: Path) -> None:
    network = small_network(16)
    directory = write_board(build, "icebreaker", baud=3_000_000, out=tmp_path / "out")
    images = np.random.default_rng(1).integers(0, 2, (40, 64))
    edges = run(network, images)
    with closing(SimulatedPort(directory)) as port:
        accelerator = Accelerator(port, directory)
        found = accelerator.run(images)
        assert found["class"].reshape(-1).tolist() == edges["class"].reshape(-1).tolist()
        assert found["scores"][:, 0].tolist() == edges["out"].tolist()
        for size, told in ((7, "short"), (9, "long")):
            accelerator.faults.clear()
            port.send(frame_packet(99, bytes(size)))
            again = accelerator.run(images[:3])
            assert accelerator.faults == [f"an answer came to a frame that was not sent: {told}"]
            assert again["scores"].tolist() == found["scores"][:3].tolist()
        # More than the queue holds, without waiting: what is lost is told, and then all is well.
        port.send(b"".join(frame_packet(k, bytes(8)) for k in range(12)))
        assert accelerator.run(images[:3])["scores"].tolist() == found["scores"][:3].tolist()


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("link", ["uart", "stream"])
def test_every_board_is_written(board: str, link: str, build: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert write_board(build, board, link=link, divide=4, out=out) == out
    part = out / "host_net"
    manifest = json.loads((part / "manifest.json").read_text())
    names = {"board.il", "board.ys", "host_net.v", "Makefile", "manifest.json"}
    names |= {"board.pcf"} if BOARDS[board].family == "ice40" else {"board.lpf"}
    names |= {"harness.cpp", "verilator.vlt"} if link == "uart" else set()
    assert {path.name for path in part.iterdir()} == names
    pins = (part / ("board.pcf" if "board.pcf" in names else "board.lpf")).read_text()
    assert pins.count("set_io") + pins.count("LOCATE") == (3 if link == "uart" else 22) + (
        board.startswith("ecpix5")
    )
    assert (manifest["board"], manifest["link"], manifest["window"]) == (board, link, 2)
    assert (manifest["divisor"] is None) == (link == "stream")
    # The same input gives the same bytes, in the place of the earlier ones.
    texts = {path.name: path.read_bytes() for path in part.iterdir()}
    write_board(build, board, link=link, divide=4, out=out)
    assert texts == {path.name: path.read_bytes() for path in part.iterdir()}


def test_a_network_is_sized_to_a_board(tmp_path: Path) -> None:
    network = small_network(16)
    build = generate_network(network, board="icebreaker", interval=640, out=tmp_path / "out")
    assert build.sized is not None
    assert (build.sized["device"], build.sized["clock"]) == ("ice40-up5k", 12)
    alone, link = Goal("ice40-up5k"), link_area(8, 8, 4, "ice40")
    beside = Goal("ice40-up5k", reserved=link)
    assert 300 < link.cells("ice40") < alone.limits.luts - beside.limits.luts + 1 < 600
    with pytest.raises(UsageError, match="a board has its device; leave the device out"):
        generate_network(network, board="icebreaker", device="ice40-up5k", out=tmp_path / "out")
    with pytest.raises(UsageError, match="there is no board 'x'"):
        generate_network(network, board="x", out=tmp_path / "out")


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
def test_the_link_takes_what_is_kept_for_it(family: str, tmp_path: Path) -> None:
    widths = {"tdata": 8, "tvalid": 1, "tlast": 1, "tready": 1}
    ports = [("clk", "in", 1), ("rst", "in", 1)]
    ports += [(f"s_axis_{k}", "out" if k == "tready" else "in", n) for k, n in widths.items()]
    ports += [(f"m_axis_{k}", "in" if k == "tready" else "out", n) for k, n in widths.items()]
    ports.append(("m_axis_tuser", "out", 2))
    link = UartNetwork(NetworkModule("net", ports), 64, 104)
    box = ", ".join(f"{way}put [{width - 1}:0] {name}" for name, way, width in ports)
    (tmp_path / "top.v").write_text(
        f"(* blackbox *) module net({box}); endmodule\n{to_verilog(to_rtlil(link, 'top'))}"
    )
    script = f"read_verilog top.v\nsynth_{family} -abc9 -top top\ntee -o top.json stat -json\n"
    find_yosys().run(script, tmp_path)
    cells = json.loads((tmp_path / "top.json").read_text())["design"]["num_cells_by_type"]
    luts = sum(count for cell, count in cells.items() if "LUT4" in cell)
    assert link_area(8, 64, 8, family).luts == pytest.approx(luts, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("board", ["icebreaker", "ulx3s-25f"])
def test_a_board_gets_its_bitstream(board: str, build: Path, tmp_path: Path) -> None:
    told: list[str] = []
    found = build_board(build, board, out=tmp_path / "out", progress=told.append)
    assert (found.network, found.board) == ("net", board)
    assert found.reached > found.clock == {"icebreaker": 12, "ulx3s-25f": 25}[board]
    assert Path(found.file).stat().st_size > 10_000
    assert len(told) == 3
    # A build in the place of one with a bitstream takes it away.
    write_board(build, board, out=tmp_path / "out")
    assert not Path(found.file).exists()


def test_a_slow_network_runs_at_a_part_of_the_clock(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks: list[float] = []

    def bitstream(directory: Path, **options: object) -> Bitstream:
        clocks.append(json.loads((directory / "manifest.json").read_text())["clock_hz"] / 1e6)
        return Bitstream("net", "ecpix5-45f", {}, {}, clocks[-1], reached, "board.bit", (0, 0))

    monkeypatch.setattr(board_steps, "make_bitstream", bitstream)
    reached = 30.0
    found = build_board(build, "ecpix5-45f", out=tmp_path / "out")
    assert (clocks, found.clock) == ([100, 25], 25)
    monkeypatch.setattr(board_steps.math, "ceil", lambda value: 1)
    with pytest.raises(SynthesisError, match=r"the network reaches 30\.0 MHz and needs 50 MHz"):
        build_board(build, "ecpix5-45f", out=tmp_path / "out")
    reached = 0.0
    with pytest.raises(SynthesisError, match="nextpnr reports no clock"):
        build_board(build, "ecpix5-45f", out=tmp_path / "out")


def test_a_board_that_is_too_small_says_what_would_hold_it(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_tool(command: object, directory: Path, what: str) -> str:
        (directory / "board.tim").write_text("Info: TRELLIS_COMB: 50000/ 43848 114%\n")
        raise ToolError(f"{what} failed")

    out = write_board(build, "ecpix5-45f", divide=4, out=tmp_path / "out")
    synthesis = sys.modules[make_bitstream.__module__]
    monkeypatch.setattr(synthesis, "run_tool", run_tool)
    monkeypatch.setattr(Yosys, "run", lambda *arguments: "")
    with pytest.raises(
        SynthesisError,
        match="fit ecpix5-45f: it takes 50,000 TRELLIS_COMB of 43,848; place it on ecp5-85k, or "
        "generate it for the device: 'generate --network --device ecp5-45k' folds it",
    ):
        make_bitstream(out / "host_net")


def test_what_is_refused(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    for options, message in (
        ({"board": "ulx3s"}, "there is no board 'ulx3s'; use hx8k-b-evn, icebreaker, ulx3s-25f"),
        ({"link": "usb"}, "there is no link 'usb'; use uart or stream"),
        ({"divide": 3}, "a clock divided by 3 is not built; give an even number"),
        ({"baud": 5_000_000}, "a clock of 12 MHz does not make 5000000 baud; give one of 9600"),
        ({"baud": 0}, "a clock of 12 MHz does not make 0 baud"),
    ):
        given = {"board": "icebreaker", **options}
        with pytest.raises(UsageError, match=message):
            write_board(build, out=out, **given)
    layers = generate_layers(dense_network(6, 2), tmp_path / "layers").directory
    with pytest.raises(BuildError, match="this build holds no network"):
        write_board(layers, "icebreaker", out=out)
    assert not out.exists()
    stream = write_board(build, "icebreaker", link="stream", out=out)
    with pytest.raises(UsageError, match="this board has no UART"):
        SimulatedPort(stream)
    monkeypatch.setitem(sys.modules, "amaranth_boards.icebreaker", None)
    with pytest.raises(ToolError, match="amaranth-boards is not installed; run 'pip install"):
        write_board(build, "icebreaker", out=out)


def test_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given: list[object] = []

    def build_board(directory: Path, board: str, **options: object) -> Bitstream:
        given.extend([directory, board, options["link"], options["baud"], options["out"]])
        cells = {"ICESTORM_LC": 528, "SB_GB": 3}
        there = {"ICESTORM_LC": 5280, "SB_GB": 8}
        return Bitstream("net", board, cells, there, 12.0, 34.56, "out/board.bin", (1.0, 2.0))

    monkeypatch.setattr(api, "build_board", build_board)
    arguments = ["bnn2hw", "board", "net", "--board", "icebreaker", "--baud", "9600"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (None, 0)
    assert given == [Path("net"), "icebreaker", "uart", 9600, None]
    row = capsys.readouterr().out.splitlines()[3]
    parts = [part.strip() for part in row.split("\u2502")[1:-1]]
    assert parts == [
        "net", "icebreaker", "528 ICESTORM_LC (10 %)", "12", "34.6", "1 + 2", "out/board.bin",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [*arguments, "--json", "-"])
    with pytest.raises(SystemExit):
        main()
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["board"], found["clock"], found["reached"]) == ("icebreaker", 12.0, 34.56)
