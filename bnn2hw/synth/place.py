"""Place and route of a network: utilisation, clock and bitstream on a device."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..emit.manifest import read_manifest
from ..errors import SynthesisError, ToolError, UsageError
from ..plan.area import FAMILIES
from ..plan.devices import CAPACITIES
from ..toolchain import find_nextpnr, run_tool
from .network import NetworkSynthesis, netlist_file, synthesise_network
from .run import read_results, write_atomically

__all__ = ["DEVICES", "Device", "Placement", "check_fit", "misfit", "needs", "place_and_route"]

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
    """

    family: str
    options: tuple[str, ...]


# MHz to aim at with a network that was not sized to the device.
_CLOCK = 100.0


DEVICES = {
    "ecp5-25k": Device("ecp5", ("--25k", "--package", "CABGA381")),
    "ecp5-45k": Device("ecp5", ("--45k", "--package", "CABGA554")),
    "ecp5-85k": Device("ecp5", ("--85k", "--package", "CABGA756")),
    "ice40-up5k": Device("ice40", ("--up5k", "--package", "sg48")),
    "ice40-hx8k": Device("ice40", ("--hx8k", "--package", "ct256")),
}


# What nextpnr's cells are of a device.
_RESOURCES = {
    "TRELLIS_COMB": "lookup tables",
    "TRELLIS_FF": "flip-flops",
    "DP16KD": "block RAMs",
    "ICESTORM_LC": "logic cells",
    "ICESTORM_RAM": "block RAMs",
}


@dataclass(frozen=True)
class Placement:
    """A network on a device.

    Attributes
    ----------
    network, device
        Their names.
    synthesis
        What was placed, stage by stage.
    used, available
        By nextpnr's cell: what the network takes, and what there is.
    clock
        Highest clock in MHz.
    interval
        Cycles from image to image.
    images_per_second
        Clock by interval.
    target_fps
        Images a second that the network was sized for on this device; None where none was asked.
    latency
        Cycles from the first beat of an image to its answer, as the simulation of the build
        measured it; None where it was not simulated.
    bitstream
        The file, relative to the network's directory.
    seconds
        Time of synthesis, and of place and route; 0 where earlier results served.
    versions
        Of Yosys and nextpnr.
    """

    network: str
    device: str
    synthesis: NetworkSynthesis
    used: dict[str, int]
    available: dict[str, int]
    clock: float
    interval: int
    images_per_second: float
    target_fps: float | None
    latency: int | None
    bitstream: str
    seconds: tuple[float, float]
    versions: tuple[str, str]

    @property
    def latency_microseconds(self) -> float | None:
        """Return the latency at the highest clock; None where either is not known."""
        return self.latency / self.clock if self.latency is not None and self.clock else None

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return {**asdict(self), "latency_microseconds": self.latency_microseconds}


def place_and_route(
    directory: Path,
    device: str,
    *,
    clock: float | None = None,
    progress: Progress = lambda text: None,
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
        Target in MHz; missing it is no error. What the network was sized for if None, and 100
        where it was not sized to this device.
    progress
        Is told what is being done.

    Raises
    ------
    UsageError
        If there is no such device.
    ToolError
        If a tool is missing.
    SynthesisError
        If it does not fit (the message says by how much and what would hold it), or a tool fails.
    """
    if device not in DEVICES:
        raise UsageError(f"there is no device {device!r}", remedy=f"use {', '.join(DEVICES)}")
    manifest = read_manifest(directory, "network")
    name, chosen = manifest["network"], DEVICES[device]
    sized = manifest.get("sized") or {}
    goal = sized if sized.get("device") == device else {}
    clock = clock or float(goal.get("clock", _CLOCK))
    programs = find_nextpnr(chosen.family)
    results = directory / "results"
    synthesis = synthesise_network(directory, chosen.family, progress=progress)
    check_fit(synthesis, device)
    netlist = netlist_file(directory, chosen.family)
    bitstream = results / f"{device}.bit"
    mark = _digest(netlist.read_bytes(), *chosen.options, str(clock), programs.version)
    kept, seconds = results / f"{device}-pnr.json", 0.0
    report = read_results(kept, fmax=dict, utilization=dict) if _marked(bitstream, mark) else None
    if report is None:
        progress(f"{name}: place and route for {device}")
        start = time.perf_counter()
        _place(results, netlist.name, device, chosen, clock)
        seconds = time.perf_counter() - start
        _mark(bitstream, mark)
        report = json.loads(kept.read_text(encoding="utf-8"))
    found = min((c["achieved"] for c in report["fmax"].values()), default=0.0)
    cells = {k: v for k, v in report["utilization"].items() if v["used"]}
    placement = Placement(
        network=name,
        device=device,
        synthesis=synthesis,
        used={cell: int(count["used"]) for cell, count in cells.items()},
        available={cell: int(count["available"]) for cell, count in cells.items()},
        clock=found,
        interval=manifest["interval_cycles"],
        images_per_second=1e6 * found / manifest["interval_cycles"],
        target_fps=goal.get("target_fps"),
        latency=_measured_latency(results),
        bitstream=f"results/{bitstream.name}",
        seconds=(synthesis.total.seconds, seconds),
        versions=(synthesis.total.yosys, programs.version),
    )
    text = json.dumps(placement.to_json(), indent=2) + "\n"
    write_atomically(results / f"{device}.json", text)
    return placement


def _measured_latency(results: Path) -> int | None:
    """Return the latency that an earlier simulation measured."""
    found = read_results(results / "simulation.json", latency=int)
    return None if found is None else int(found["latency"])


def needs(synthesis: NetworkSynthesis) -> dict[str, int]:
    """Return by resource what a synthesised network takes of a device at least.

    nextpnr adds cells at the ends of carry chains, and on iCE40 for flip-flops that share no
    cell with a table.
    """
    cells, family = synthesis.total.cells, synthesis.total.target
    luts = cells.luts
    if family == "ice40":
        return {"logic cells": max(luts, cells.flip_flops), "block RAMs": cells.block_rams}
    luts += FAMILIES[family].lut_ram_cells * (cells.memories - cells.block_rams)
    return {
        "lookup tables": luts,
        "flip-flops": cells.flip_flops,
        "block RAMs": cells.block_rams,
    }


def check_fit(synthesis: NetworkSynthesis, device: str) -> None:
    """Check that a synthesised network is not too large for a device.

    Raises
    ------
    SynthesisError
        If it is: says by how much, and which device is large enough.
    """
    wanted = needs(synthesis)
    lacking = [
        f"{count:,} {what} of {there:,} ({count / there:.2f} times)"
        for what, count in wanted.items()
        if count > (there := _capacity(device)[what])
    ]
    if not lacking:
        return
    most = max(synthesis.stages, key=lambda stage: stage.cells.luts)
    raise SynthesisError(
        f"it does not fit {device}: it takes at least {' and '.join(lacking)}, of which stage "
        f"{most.name} ({most.unit}) {most.cells.luts:,} lookup tables",
        layer=synthesis.network,
        remedy=_remedy(wanted, device),
    )


def _remedy(wanted: Mapping[str, int], device: str) -> str:
    """Return what to do about a network that takes more than there is of a device."""
    larger = [
        name
        for name in DEVICES
        if DEVICES[name].family == DEVICES[device].family
        and all(count <= _capacity(name)[what] for what, count in wanted.items())
    ]
    place = f"place it on {larger[0]}, or generate" if larger else "generate"
    return f"{place} it for the device: 'generate --network --device {device}' folds it"


def _capacity(device: str) -> dict[str, int]:
    """Return by resource what there is of a device."""
    there = CAPACITIES[device]
    return {
        "logic cells": there.cells,
        "lookup tables": there.cells,
        "flip-flops": there.flipflops,
        "block RAMs": there.block_rams,
    }


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
        what, remedy = misfit(error.log, device, device) or (error.what, None)
        raise SynthesisError(what, file=results / f"{device}-pnr.log", remedy=remedy) from None


def misfit(log: str, name: str, device: str) -> tuple[str, str] | None:
    """Return which cells there are too few of, and what to do; None where all are enough.

    Parameters
    ----------
    log
        What nextpnr said, with its table of utilisation.
    name, device
        What it was placed on, such as a board, and its device in :data:`DEVICES`.
    """
    lacking, wanted = {}, {}
    for line in log.splitlines():
        parts = line.replace("Info:", "").replace("/", " ").split()
        if len(parts) == 4 and parts[3].endswith("%") and parts[1].isdigit():
            cell, used, there = parts[0].rstrip(":"), int(parts[1]), int(parts[2])
            if cell in _RESOURCES:
                wanted[_RESOURCES[cell]] = used
            if used > there:
                lacking[cell] = f"{used:,} {cell} of {there:,}"
    if not lacking:
        return None
    what = f"it does not fit {name}: it takes {' and '.join(lacking.values())}"
    if lacking.keys() & _RESOURCES.keys():
        return what, _remedy(wanted, device)
    return what, "generate it with narrower beats: --beat"


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
