"""Synthesis of a network: stages apart and side by side, then joined."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..emit.manifest import read_manifest
from ..errors import BuildError, SynthesisError, ToolError
from ..toolchain import find_yosys
from .cells import LUT_SIZES, CellCounts, count_cells
from .parts import PartWork, Progress, count_types, part_scripts
from .run import SynthesisResult, abc_script, earlier, read_source, write_atomically
from .split import PART, Part, split_design

__all__ = ["NetworkSynthesis", "StageSynthesis", "netlist_file", "synthesise_network"]

# An empty part brings the libraries of cells along; what joins the stages takes its place.
_JOIN = """\
{gates}
read_rtlil -overwrite gates.il
flatten
opt -fast
{tables}
rename {part} {top}
tee -q -o figures.json stat -json
write_json netlist.json
"""


@dataclass(frozen=True)
class StageSynthesis:
    """The figures of a stage.

    Attributes
    ----------
    name, unit
        Of the stage, and what it is; both ``joins`` for what stands between the stages.
    cells
        Cells by kind.
    estimate
        What the manifest of the build estimates, by name: ``luts``, ``flipflops``,
        ``block_rams``; empty where it does not.
    seconds
        Time that Yosys took; 0 where an earlier run of the same content served.
    """

    name: str
    unit: str
    cells: CellCounts
    estimate: Mapping[str, int]
    seconds: float


@dataclass(frozen=True)
class NetworkSynthesis:
    """The figures of a network on a target.

    Attributes
    ----------
    network
        Its name.
    stages
        Each stage, and last what joins them.
    total
        Of the whole, without levels. It holds fewer cells than the stages together: what two of
        them do in a row may be one table, and what nothing reads goes.
    types
        Its cells by type.
    estimate
        What the manifest of the build estimates for the whole, as for a stage.
    """

    network: str
    stages: tuple[StageSynthesis, ...]
    total: SynthesisResult
    types: dict[str, int]
    estimate: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return asdict(self)


def netlist_file(directory: Path, target: str) -> Path:
    """Return where the joined netlist of a network's directory lies."""
    return directory / "results" / f"{target}-netlist.json"


def synthesise_network(
    directory: Path, target: str, *, progress: Progress = lambda text: None
) -> NetworkSynthesis:
    """Synthesise each stage of a network by the target's script, and all of it from their gates.

    A stage is counted as it is alone. Its gates, before they are made tables, are joined with
    those of the others: making tables of the whole saves those at the seams. Equal stages are
    synthesised once. Gates are kept in ``results/stages`` by content (RTLIL, script, version of
    Yosys) and serve again, also after the build was generated anew with other stages.

    Parameters
    ----------
    directory
        The directory of the network.
    target
        Name of a script in its ``synth/``.
    progress
        Is told what is being done.

    Raises
    ------
    BuildError
        If this is no network's directory, or it cannot be written.
    SynthesisError
        If there is no such target, or Yosys fails.
    """
    manifest = read_manifest(directory, "network")
    name, top = manifest["network"], manifest["top"]
    yosys = find_yosys()
    version = f"{yosys.version} ({yosys.kind})"
    script, text = read_source(directory, target, f"{top}.il", name)
    described = {stage["name"]: stage for stage in manifest["stages"]}
    parts = split_design(text, top, described)
    results = directory / "results"
    work = PartWork(yosys, version, results, target, *part_scripts(script, top))
    start = time.perf_counter()
    try:
        work.stages.mkdir(parents=True, exist_ok=True)
        seconds = work.synthesise(parts, lambda part: _told(part, described), name, progress)
        figures, joined = _join(work, parts, top, name, progress)
    except OSError as error:
        raise BuildError(
            f"cannot write results: {error.strerror}", file=results, layer=name
        ) from None
    size = LUT_SIZES.get(target, 0)
    stages = (
        StageSynthesis(
            part.name or "joins",
            described[part.name]["unit"] if part.name else "joins",
            count_cells(work.cells(part), size),
            described[part.name].get("estimate", {}).get(target, {}) if part.name else {},
            seconds.get(work.kept(part), 0.0),
        )
        for part in parts
    )
    total = SynthesisResult(
        target=target,
        script=abc_script(script),
        cells=count_cells(figures["cells"], size),
        levels=None,
        seconds=time.perf_counter() - start if seconds or joined else 0.0,
        yosys=version,
    )
    estimate = manifest.get("estimate", {}).get(target, {})
    return NetworkSynthesis(name, tuple(stages), total, figures["cells"], estimate)


def _told(part: Part, described: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a part is, for the eye."""
    if not part.name:
        return "joins of the stages"
    return f"{part.name} ({described[part.name]['unit']})"


def _join(
    work: PartWork, parts: Sequence[Part], top: str, network: str, progress: Progress
) -> tuple[dict[str, Any], bool]:
    """Make cells of all gates, return them by type, and whether it had to be done."""
    script = _JOIN.format(part=PART, top=top, gates=work.gates, tables=work.tables)
    made_of = [f"{part.module} {work.kept(part).name}" for part in parts]
    digest = hashlib.sha256("\0".join([script, *made_of]).encode()).hexdigest()
    kept, netlist = (
        work.results / f"{work.target}.figures.json",
        netlist_file(work.results.parent, work.target),
    )
    figures = earlier(kept, digest, cells=dict) if netlist.is_file() else None
    if figures is not None:
        return figures, False
    kept.unlink(missing_ok=True)
    progress(f"{network}: Yosys for {work.target}: tables of the whole")
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        (room / f"{PART}.il").write_text(f"module \\{PART}\nend\n", encoding="utf-8")
        with (room / "gates.il").open("w", encoding="utf-8") as file:
            for part in parts:
                text = work.kept(part).read_text(encoding="utf-8")
                if part.name:
                    text = text.replace(f"\nmodule \\{PART}\n", f"\nmodule \\{part.module}\n")
                    text = text.replace("\nattribute \\top 1\n", "\n")
                file.write(text)
        try:
            log = work.yosys.run(script, room)
        except ToolError as error:
            raise SynthesisError(f"target {work.target}: {error.what}", layer=network) from None
        (work.results / f"{work.target}.log").write_text(log, encoding="utf-8")
        figures = {"content": digest, "yosys": work.version, "cells": count_types(room)}
        write_atomically(netlist, (room / "netlist.json").read_text(encoding="utf-8"))
    write_atomically(kept, json.dumps(figures, indent=2) + "\n")
    return figures, True
