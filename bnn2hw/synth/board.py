"""The bitstream of a network on a board."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..emit.manifest import read_manifest
from ..errors import SynthesisError, ToolError
from ..toolchain import find_nextpnr, find_yosys, run_tool
from .place import DEVICES, misfit

__all__ = ["Bitstream", "make_bitstream"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Bitstream:
    """A network on a board.

    Attributes
    ----------
    network, board
        Their names.
    used, available
        By nextpnr's cell: what all of it takes, and what there is.
    clock
        In MHz, what the network runs at.
    reached
        In MHz, what it could run at.
    file
        The bitstream.
    seconds
        Time of synthesis, and of place, route and packing.
    """

    network: str
    board: str
    used: dict[str, int]
    available: dict[str, int]
    clock: float
    reached: float
    file: str
    seconds: tuple[float, float]

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return asdict(self)


def make_bitstream(directory: Path, *, progress: Progress = lambda text: None) -> Bitstream:
    """Synthesise, place, route and pack the network of a board's directory.

    Parameters
    ----------
    directory
        The directory of the network, with the pins of its board.
    progress
        Is told what is being done.

    Raises
    ------
    BuildError
        If this is no such directory.
    ToolError
        If a tool is missing.
    SynthesisError
        If it does not fit, or a tool fails. A clock that is not reached is no error here.
    """
    manifest = read_manifest(directory, "board")
    network, board, clock = manifest["network"], manifest["board"], manifest["clock_hz"] / 1e6
    programs = find_nextpnr(manifest["family"])
    seconds = []
    for name, *options in manifest["commands"]:
        progress(f"{network} on {board}: {name}")
        start = time.perf_counter()
        try:
            if name == "yosys":
                script = (directory / options[-1]).read_text(encoding="utf-8")
                log = find_yosys().run(script, directory)
                (directory / "board.rpt").write_text(log, encoding="utf-8")
            else:
                program = programs.nextpnr if name.startswith("nextpnr") else programs.pack
                run_tool([*program, *options], directory, f"{name} for {board}")
        except ToolError as error:
            log_file = directory / ("board.rpt" if name == "yosys" else "board.tim")
            if name == "yosys":
                log_file.write_text(error.log, encoding="utf-8")
            told = log_file.read_text(encoding="utf-8") if log_file.exists() else error.log
            device = _device(manifest["family"], options)
            what, remedy = (device and misfit(told, board, device)) or (error.what, None)
            raise SynthesisError(what, file=log_file, remedy=remedy) from None
        seconds.append(time.perf_counter() - start)
    report = json.loads((directory / "board-pnr.json").read_text(encoding="utf-8"))
    # Of two domains the slow one is the network's; the other is a counter that divides the clock.
    reached = min(
        (found["achieved"] for found in report["fmax"].values() if found["constraint"] <= clock),
        default=min((found["achieved"] for found in report["fmax"].values()), default=0.0),
    )
    cells = {cell: count for cell, count in report["utilization"].items() if count["used"]}
    found = Bitstream(
        network=network,
        board=board,
        used={cell: int(count["used"]) for cell, count in cells.items()},
        available={cell: int(count["available"]) for cell, count in cells.items()},
        clock=clock,
        reached=reached,
        file=str(directory / manifest["bitstream"]),
        seconds=(seconds[0], sum(seconds[1:])),
    )
    results = directory / "results"
    results.mkdir(exist_ok=True)
    text = json.dumps({**found.to_json(), "file": manifest["bitstream"]}, indent=2) + "\n"
    (results / "board.json").write_text(text, encoding="utf-8")
    return found


def _device(family: str, options: Sequence[str]) -> str | None:
    """Return the device that nextpnr is told, such as ``--25k`` or ``--um5g-45k``."""
    for name, device in DEVICES.items():
        size = device.options[0].removeprefix("--")
        if device.family == family and any(option.endswith(size) for option in options):
            return name
    return None
