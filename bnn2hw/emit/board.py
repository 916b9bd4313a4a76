"""The files of a network on a board: its wrapper, pins and clock, and a harness that simulates it.

Boards are those of the package ``amaranth-boards``, an extra.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ToolError, UsageError
from ..gateware.board_top import BoardTop
from ..gateware.host_link import WINDOW, NetworkModule, PinNetwork, UartNetwork
from ..plan.area import Area
from ..plan.devices import CAPACITIES
from .area import fifo_area
from .manifest import manifest_text, versions
from .templates import render, write_texts
from .verilog import to_rtlil, to_verilog

__all__ = ["BOARDS", "Board", "BoardFiles", "link_area", "load_platform"]

# A UART link of one byte each way without its queue of beats: as Yosys made it for digits.
_LINK = Area(luts=270, flipflops=165, lone=75)

_PMODS = tuple(f"pmod_{k}:{pin}" for k in range(3) for pin in (1, 2, 3, 4, 7, 8, 9, 10))
_GPIO = tuple(f"gpio_0:{k}{sign}" for k in range(12) for sign in "+-")
_HEADER = tuple(f"j_2:{pin}" for first in (9, 17, 25, 33) for pin in range(first, first + 6))
_ICE40 = {"IO_STANDARD": "SB_LVCMOS"}
_ECP5 = {"IO_TYPE": "LVCMOS33"}

# A line is slow, so a harness that compiles fast serves better than one that runs fast.
_HARNESS_FLAGS = ("-CFLAGS", "-O0", "--output-split", "20000", "--output-split-cfuncs", "2000")

_SYNTHESIS = {"ice40": "-abc9", "ecp5": "-abc9 -nowidelut"}
_BITSTREAMS = {"ice40": "board.bin", "ecp5": "board.bit"}


@dataclass(frozen=True)
class Board:
    """A board as ``amaranth-boards`` knows it.

    Attributes
    ----------
    module, platform
        Module of the package, and class in it.
    device
        A name of :data:`~bnn2hw.plan.devices.CAPACITIES`.
    pins
        Of its connectors, those that carry a plain stream, in its order.
    attributes
        Of these pins.
    """

    module: str
    platform: str
    device: str
    pins: tuple[str, ...]
    attributes: Mapping[str, str]

    @property
    def family(self) -> str:
        """Return ``ice40`` or ``ecp5``."""
        return CAPACITIES[self.device].family


BOARDS = {
    "hx8k-b-evn": Board("ice40_hx8k_b_evn", "ICE40HX8KBEVNPlatform", "ice40-hx8k", _HEADER, _ICE40),
    "icebreaker": Board("icebreaker", "ICEBreakerPlatform", "ice40-up5k", _PMODS, _ICE40),
    "ulx3s-25f": Board("ulx3s", "ULX3S_25F_Platform", "ecp5-25k", _GPIO, _ECP5),
    "ulx3s-45f": Board("ulx3s", "ULX3S_45F_Platform", "ecp5-45k", _GPIO, _ECP5),
    "ulx3s-85f": Board("ulx3s", "ULX3S_85F_Platform", "ecp5-85k", _GPIO, _ECP5),
    "ecpix5-45f": Board("ecpix5", "ECPIX545Platform", "ecp5-45k", _PMODS, _ECP5),
    "ecpix5-85f": Board("ecpix5", "ECPIX585Platform", "ecp5-85k", _PMODS, _ECP5),
}


def load_platform(board: str) -> Any:
    """Return a new platform of Amaranth for a board.

    Raises
    ------
    UsageError
        If there is no such board.
    ToolError
        If amaranth-boards is not installed.
    """
    if board not in BOARDS:
        raise UsageError(f"there is no board {board!r}", remedy=f"use {', '.join(BOARDS)}")
    chosen = BOARDS[board]
    try:
        module = importlib.import_module(f"amaranth_boards.{chosen.module}")
    except ImportError:
        raise ToolError(
            "amaranth-boards is not installed", remedy="run 'pip install bnn2hw[board]'"
        ) from None
    return getattr(module, chosen.platform)()


def link_area(beat: int, beats: int, answer: int, family: str) -> Area:
    """Return the estimated area of the link between a network and a UART.

    Parameters
    ----------
    beat, beats
        Bits of a beat of the input, and beats of an image.
    answer
        Bits of a beat of the answer.
    family
        A name of :data:`~bnn2hw.plan.area.FAMILIES`.
    """
    queue = fifo_area({"word": beat + 1, "depth": WINDOW * beats + 1}, family)
    return _LINK + queue + Area(beat / 2 + answer, beat, beat)


@dataclass(frozen=True)
class BoardFiles:
    """Everything that the directory of a network on a board is written from.

    Attributes
    ----------
    manifest
        Of the network.
    verilog
        Its Verilog.
    board
        A name of :data:`BOARDS`.
    link
        ``uart`` or ``stream``.
    baud
        Bits a second that a UART aims at.
    divide
        Cycles of the board's clock in one of the network's: 1 or an even number.
    """

    manifest: Mapping[str, Any]
    verilog: str
    board: str
    link: str
    baud: int
    divide: int

    @property
    def top(self) -> str:
        """Return the name of the module: the network with its link."""
        return f"host_{self.manifest['top']}"

    @property
    def clock(self) -> float:
        """Return the network's clock in Hz."""
        return float(load_platform(self.board).default_clk_frequency) / self.divide

    @property
    def divisor(self) -> int:
        """Return the cycles of a bit."""
        return round(self.clock / self.baud)

    def check(self) -> None:
        """Check that the clock makes the rate.

        Raises
        ------
        UsageError
            If it does not to 2 %, which is what two sides may be apart.
        """
        if self.link == "uart" and not _near(self.clock, self.baud):
            rates = [rate for rate in _RATES if _near(self.clock, rate)]
            raise UsageError(
                f"a clock of {self.clock / 1e6:g} MHz does not make {self.baud} baud",
                remedy=f"give one of {', '.join(map(str, rates))}",
            )

    def write(self, directory: Path) -> None:
        """Write all files into an empty directory."""
        box = NetworkModule(
            self.manifest["top"],
            [(port["name"], port["direction"], port["width"]) for port in self.manifest["ports"]],
        )
        beats = self.manifest["input"]["beats"]["frame"]
        uart = self.link == "uart"
        link = UartNetwork(box, beats, self.divisor) if uart else PinNetwork(box, beats)
        verilog = f"{to_verilog(to_rtlil(link, self.top))}\n{self.verilog}"
        files, commands = self._platform_files(verilog)
        if uart:
            files["harness.cpp"] = render(
                "board/harness.cpp.j2", top=self.top, divisor=self.divisor
            )
            files["verilator.vlt"] = render("board/verilator.vlt.j2")
        files["Makefile"] = render("board/Makefile.j2", top=self.top, commands=commands)
        files["manifest.json"] = manifest_text("board", self._manifest(commands))
        write_texts(directory, files)

    def _platform_files(self, verilog: str) -> tuple[dict[str, str], list[list[str]]]:
        """Return what the platform makes of the design: files, and commands that build it."""
        platform = load_platform(self.board)
        file = f"{self.top}.v"
        platform.add_file(file, verilog)
        chosen = BOARDS[self.board]
        design = BoardTop(
            self.top, uart=self.link == "uart", divide=self.divide, pins=chosen.pins,
            attributes=chosen.attributes,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            plan = platform.prepare(
                design, "board", emit_src=False, synth_opts=_SYNTHESIS[chosen.family],
                script_after_read=render("synth/_short_abc9.ys.j2", tables=False),
                nextpnr_opts="--report board-pnr.json --timing-allow-fail --seed 1",
            )  # fmt: skip
        commands = json.loads(plan.files["build_board.json"])["commands"]
        unused = ("build_board.sh", "build_board.bat", "build_board.json", "board.debug.v")
        return {name: text for name, text in plan.files.items() if name not in unused}, commands

    def _manifest(self, commands: list[list[str]]) -> dict[str, object]:
        given = self.manifest
        family = BOARDS[self.board].family
        return {
            "network": given["network"],
            "top": self.top,
            "board": self.board,
            "family": family,
            "link": self.link,
            "baud": self.baud if self.link == "uart" else None,
            "divisor": self.divisor if self.link == "uart" else None,
            "clock_hz": self.clock,
            "divide": self.divide,
            "window": WINDOW,
            "input": given["input"],
            "output": given["output"],
            "interval_cycles": given["interval_cycles"],
            "harness_flags": _HARNESS_FLAGS,
            "commands": commands,
            "bitstream": _BITSTREAMS[family],
            "versions": versions(),
        }


# Rates that serial ports know.
_RATES = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 1000000, 2000000, 3000000)


def _near(clock: float, rate: int) -> bool:
    """Return whether a receiver samples this rate in time: 4 cycles a bit or more, 2 % off."""
    divisor = round(clock / rate) if rate > 0 else 0
    return divisor >= 4 and abs(clock / divisor / rate - 1) <= 0.02
