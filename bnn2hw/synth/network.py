"""Synthesis of a network: stages apart and side by side, then joined."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

from ..emit.manifest import read_manifest
from ..errors import BuildError, SynthesisError, ToolError
from ..toolchain import Yosys, find_yosys
from .cells import LUT_SIZES, CellCounts, count_cells
from .run import (
    SynthesisResult,
    abc_script,
    earlier,
    read_results,
    read_source,
    write_atomically,
)
from .split import PART, Part, split_network

__all__ = ["NetworkSynthesis", "StageSynthesis", "netlist_file", "synthesise_network"]

Progress = Callable[[str], None]

# Processes of Yosys side by side: one a core, but a big stage takes a GiB.
_MOST_PROCESSES = 8
# The comment in a script behind which it makes tables of gates.
_TABLES = re.compile(r"^# From here on the whole.*\n", re.MULTILINE)
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
    parts = split_network(text, top, described)
    results = directory / "results"
    work = _Work(yosys, version, results, target, *_part_scripts(script, top))
    start = time.perf_counter()
    try:
        work.stages.mkdir(parents=True, exist_ok=True)
        seconds = work.synthesise(parts, lambda part: _told(part, described), name, progress)
        figures, joined = work.join(parts, top, name, progress)
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


def _part_scripts(script: str, top: str) -> tuple[str, str]:
    """Return what a script does with a network, for the RTLIL of a part: to gates, and from there.

    Raises
    ------
    SynthesisError
        If the script does not read the network's Verilog, name its top and say where tables are
        made.
    """
    # What a bench wants kept of the joins is kept until here, as in the Verilog.
    read = f"read_rtlil {PART}.il\nattrmap -remove keep\n"
    source = re.compile(rf"^read_verilog {re.escape(top)}\.v\n", re.MULTILINE)
    tops = re.compile(rf"(?<=-top ){re.escape(top)}\b")
    halves = _TABLES.split(script)
    if len(halves) != 2 or not source.search(halves[0]) or not tops.search(halves[0]):
        raise SynthesisError(
            f"the script does not read {top}.v, name its top and say where tables are made",
            remedy="generate the build again",
        )
    # Cells are counted in the end; whence they come would name folders.
    plain = (re.sub(r"^tee .*\n", "", tops.sub(PART, half), flags=re.MULTILINE) for half in halves)
    gates, tables = plain
    return f"{source.sub(read, gates)}attrmap -remove src\nattrmap -modattr -remove src\n", tables


@dataclass(frozen=True)
class _Work:
    """The runs of Yosys for a target, and what is kept of them.

    Attributes
    ----------
    yosys, version
        Which one.
    results
        The folder of what was measured.
    target, gates, tables
        The target, its script for a part as far as gates, and from there to cells.
    """

    yosys: Yosys
    version: str
    results: Path
    target: str
    gates: str
    tables: str

    @property
    def stages(self) -> Path:
        """Return the folder of the netlists of parts."""
        return self.results / "stages"

    def kept(self, part: Part) -> Path:
        """Return where the gates of a part lie, by all that decides them.

        Beside them lies the file of its cells by type.
        """
        content = "\0".join([part.text, self.gates, self.tables, self.version])
        return self.stages / f"{self.target}-{hashlib.sha256(content.encode()).hexdigest()[:32]}.il"

    def cells(self, part: Part) -> dict[str, int]:
        """Return the cells of a part by type."""
        return dict(json.loads(self.kept(part).with_suffix(".json").read_text(encoding="utf-8")))

    def synthesise(
        self, parts: Sequence[Part], told: Callable[[Part], str], network: str, progress: Progress
    ) -> dict[Path, float]:
        """Synthesise what is not kept, side by side, and return the seconds of each netlist."""
        wanted = {self.kept(part): part for part in parts}
        missing = {
            path: part
            for path, part in wanted.items()
            if not path.is_file() or read_results(path.with_suffix(".json")) is None
        }
        names = {path.stem for path in wanted}
        for stale in self.stages.glob(f"{self.target}-*"):
            if stale.stem not in names:
                stale.unlink()
        if not missing:
            return {}
        what = f"{network}: Yosys for {self.target}"
        progress(f"{what}: {len(missing)} of {len(wanted)} different parts to synthesise")
        seconds: dict[Path, float] = {}
        stop = Event()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        with ThreadPoolExecutor(min(cores or 1, _MOST_PROCESSES)) as pool:
            # The longest first, so that none of them is left alone at the end.
            queue = sorted(missing, key=lambda path: -len(missing[path].text))
            jobs: dict[Future[float], Path] = {
                pool.submit(self._run, missing[path], path, stop): path for path in queue
            }
            try:
                for job in as_completed(jobs):
                    path = jobs[job]
                    seconds[path] = job.result()
                    progress(
                        f"{what}: {len(seconds)} of {len(missing)} done, {told(missing[path])} "
                        f"took {seconds[path]:.0f} s"
                    )
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return seconds

    def _run(self, part: Part, kept: Path, stop: Event) -> float:
        """Synthesise a part, keep gates and counts, and return the seconds that it took."""
        # ABC's netlist comes back under names without what tells public from private ones: of two
        # that differ in nothing else, one would be taken already. Joined, they differ in more.
        start = time.perf_counter()
        script = (
            f"{self.gates}write_rtlil -selected gates.il\nrename -hide w:*\n"
            f"{self.tables}tee -q -o figures.json stat -json\n"
        )
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            (work / f"{PART}.il").write_text(part.text, encoding="utf-8")
            try:
                self.yosys.run(script, work, stop=stop)
            except ToolError as error:
                raise SynthesisError(
                    f"target {self.target}: {error.what}", layer=part.name or part.module
                ) from None
            counts = {k: v for k, v in _counts(work).items() if k not in part.boxes}
            write_atomically(kept.with_suffix(".json"), json.dumps(counts) + "\n")
            write_atomically(kept, (work / "gates.il").read_text(encoding="utf-8"))
        return time.perf_counter() - start

    def join(
        self, parts: Sequence[Part], top: str, network: str, progress: Progress
    ) -> tuple[dict[str, Any], bool]:
        """Make cells of all gates, return them by type, and whether it had to be done."""
        script = _JOIN.format(part=PART, top=top, gates=self.gates, tables=self.tables)
        made_of = [f"{part.module} {self.kept(part).name}" for part in parts]
        digest = hashlib.sha256("\0".join([script, *made_of]).encode()).hexdigest()
        kept, netlist = (
            self.results / f"{self.target}.figures.json",
            netlist_file(self.results.parent, self.target),
        )
        figures = earlier(kept, digest, cells=dict) if netlist.is_file() else None
        if figures is not None:
            return figures, False
        kept.unlink(missing_ok=True)
        progress(f"{network}: Yosys for {self.target}: tables of the whole")
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            (work / f"{PART}.il").write_text(f"module \\{PART}\nend\n", encoding="utf-8")
            with (work / "gates.il").open("w", encoding="utf-8") as file:
                for part in parts:
                    text = self.kept(part).read_text(encoding="utf-8")
                    if part.name:
                        text = text.replace(f"\nmodule \\{PART}\n", f"\nmodule \\{part.module}\n")
                        text = text.replace("\nattribute \\top 1\n", "\n")
                    file.write(text)
            try:
                log = self.yosys.run(script, work)
            except ToolError as error:
                raise SynthesisError(f"target {self.target}: {error.what}", layer=network) from None
            (self.results / f"{self.target}.log").write_text(log, encoding="utf-8")
            figures = {"content": digest, "yosys": self.version, "cells": _counts(work)}
            write_atomically(netlist, (work / "netlist.json").read_text(encoding="utf-8"))
        write_atomically(kept, json.dumps(figures, indent=2) + "\n")
        return figures, True


def _counts(work: Path) -> dict[str, int]:
    """Return the cells by type, as Yosys counted them in a folder."""
    found = json.loads((work / "figures.json").read_text(encoding="utf-8"))
    return dict(sorted(found["design"]["num_cells_by_type"].items()))
