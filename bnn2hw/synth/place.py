"""Place and route of a network: utilisation, clock and bitstream on a device."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..emit.manifest import read_manifest
from ..errors import SynthesisError, ToolError, UsageError
from ..toolchain import find_nextpnr, find_yosys, run_tool

__all__ = ["DEVICES", "Device", "Placement", "misfit", "place_and_route"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Device:
    """A device that the open tools place and route for.

    Attributes
    ----------
    family
        ``ecp5`` or ``ice40``: the synthesis target, and which nextpnr.
    options
        What nextpnr is told.
    luts, flip_flops, memories
        What there is of nextpnr's cells.
    """

    family: str
    options: tuple[str, ...]
    luts: str
    flip_flops: str
    memories: str


def _ecp5(size: str, package: str) -> Device:
    options = (f"--{size}", "--package", package)
    return Device("ecp5", options, "TRELLIS_COMB", "TRELLIS_FF", "DP16KD")


def _ice40(size: str, package: str) -> Device:
    options = (f"--{size}", "--package", package)
    return Device("ice40", options, "ICESTORM_LC", "ICESTORM_LC", "ICESTORM_RAM")


DEVICES = {
    "ecp5-25k": _ecp5("25k", "CABGA381"),
    "ecp5-45k": _ecp5("45k", "CABGA554"),
    "ecp5-85k": _ecp5("85k", "CABGA756"),
    "ice40-up5k": _ice40("up5k", "sg48"),
    "ice40-hx8k": _ice40("hx8k", "ct256"),
}


@dataclass(frozen=True)
class Placement:
    """A network on a device.

    Attributes
    ----------
    network, device
        Their names.
    used, available
        By nextpnr's cell: what the network takes, and what there is.
    clock
        Highest clock in MHz.
    interval
        Cycles from image to image.
    images_per_second
        Clock by interval.
    bitstream
        The file, relative to the network's directory.
    seconds
        Time of synthesis, and of place and route; 0 where earlier results served.
    versions
        Of Yosys and nextpnr.
    """

    network: str
    device: str
    used: dict[str, int]
    available: dict[str, int]
    clock: float
    interval: int
    images_per_second: float
    bitstream: str
    seconds: tuple[float, float]
    versions: tuple[str, str]

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return asdict(self)


def place_and_route(
    directory: Path, device: str, *, clock: float = 100.0, progress: Progress = lambda text: None
) -> Placement:
    """Synthesise, place and route the network of a directory, and pack a bitstream.

    What an earlier run on the same content made is used again, step by step. Pins are where
    nextpnr puts them: a board's wrapper constrains them.

    Parameters
    ----------
    directory
        The directory of the network.
    device
        A name of :data:`DEVICES`.
    clock
        Target in MHz; missing it is no error.
    progress
        Is told what is being done.

    Raises
    ------
    UsageError
        If there is no such device.
    ToolError
        If a tool is missing.
    SynthesisError
        If it does not fit (the message says by how much), or a tool fails.
    """
    if device not in DEVICES:
        raise UsageError(f"there is no device {device!r}", remedy=f"use {', '.join(DEVICES)}")
    manifest = read_manifest(directory, "network")
    name, top, chosen = manifest["network"], manifest["top"], DEVICES[device]
    yosys, programs = find_yosys(), find_nextpnr(chosen.family)
    script = (directory / "synth" / f"{chosen.family}.ys").read_text(encoding="utf-8")
    verilog = (directory / f"{top}.v").read_bytes()
    results = directory / "results"
    results.mkdir(exist_ok=True)
    netlist = results / f"{chosen.family}-netlist.json"
    mark = _digest(verilog, script, yosys.version)
    seconds = [0.0, 0.0]
    if not _marked(netlist, mark):
        progress(f"{name}: Yosys for {chosen.family}")
        start = time.perf_counter()
        _synthesise(directory, top, chosen.family, script, netlist)
        seconds[0] = time.perf_counter() - start
        _mark(netlist, mark)
    bitstream = results / f"{device}.bit"
    mark = _digest(mark.encode(), *chosen.options, str(clock), programs.version)
    if not _marked(bitstream, mark):
        progress(f"{name}: place and route for {device}")
        start = time.perf_counter()
        _place(results, netlist.name, device, chosen, clock)
        seconds[1] = time.perf_counter() - start
        _mark(bitstream, mark)
    report = json.loads((results / f"{device}-pnr.json").read_text(encoding="utf-8"))
    found = min((c["achieved"] for c in report["fmax"].values()), default=0.0)
    cells = {k: v for k, v in report["utilization"].items() if v["used"]}
    placement = Placement(
        network=name,
        device=device,
        used={cell: int(count["used"]) for cell, count in cells.items()},
        available={cell: int(count["available"]) for cell, count in cells.items()},
        clock=found,
        interval=manifest["interval_cycles"],
        images_per_second=1e6 * found / manifest["interval_cycles"],
        bitstream=f"results/{bitstream.name}",
        seconds=(seconds[0], seconds[1]),
        versions=(f"{yosys.version} ({yosys.kind})", programs.version),
    )
    text = json.dumps(placement.to_json(), indent=2) + "\n"
    (results / f"{device}.json").write_text(text, encoding="utf-8")
    return placement


def _synthesise(directory: Path, top: str, family: str, script: str, netlist: Path) -> None:
    """Run the target's synthesis script and keep the netlist."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "results").mkdir()
        shutil.copy(directory / f"{top}.v", work)
        try:
            log = find_yosys().run(f"{script}\nwrite_json netlist.json\n", work)
        except ToolError as error:
            raise SynthesisError(f"target {family}: {error.what}") from None
        (netlist.parent / f"{family}.log").write_text(log, encoding="utf-8")
        shutil.copy(work / "netlist.json", netlist)


def _place(results: Path, netlist: str, device: str, chosen: Device, clock: float) -> None:
    """Run nextpnr and the packer in the results folder."""
    programs = find_nextpnr(chosen.family)
    routed = f"{device}-routed.txt"
    output = {"ecp5": "--textcfg", "ice40": "--asc"}[chosen.family]
    command = [
        *programs.nextpnr, *chosen.options, "--json", netlist, output, routed,
        "--report", f"{device}-pnr.json", "--freq", str(clock), "--timing-allow-fail",
    ]  # fmt: skip
    if chosen.family == "ecp5":
        command.append("--lpf-allow-unconstrained")
    try:
        log = run_tool(command, results, f"nextpnr for {device}")
        (results / f"{device}-pnr.log").write_text(log, encoding="utf-8")
        run_tool([*programs.pack, routed, f"{device}.bit"], results, f"packing for {device}")
    except ToolError as error:
        (results / f"{device}-pnr.log").write_text(error.log, encoding="utf-8")
        raise SynthesisError(
            misfit(error.log, device) or error.what, file=results / f"{device}-pnr.log"
        ) from None


def misfit(log: str, device: str) -> str | None:
    """Return which cells a device has too few of, from nextpnr's table of utilisation."""
    lacking = []
    for line in log.splitlines():
        parts = line.replace("Info:", "").replace("/", " ").split()
        if len(parts) == 4 and parts[3].endswith("%") and parts[1].isdigit():
            used, there = int(parts[1]), int(parts[2])
            if used > there:
                lacking.append(f"{used:,} {parts[0].rstrip(':')} of {there:,}")
    return f"it does not fit {device}: it takes {' and '.join(lacking)}" if lacking else None


def _digest(first: bytes, *parts: str) -> str:
    return hashlib.sha256(b"\0".join([first, *(part.encode() for part in parts)])).hexdigest()


def _marked(path: Path, digest: str) -> bool:
    """Return whether a file was made from that content."""
    mark = path.with_name(f"{path.name}.digest.json")
    try:
        found: Any = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return path.is_file() and found == digest


def _mark(path: Path, digest: str) -> None:
    path.with_name(f"{path.name}.digest.json").write_text(json.dumps(digest), encoding="utf-8")
