"""Synthesis of a network: stages apart and side by side, then joined."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections import Counter
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
from .run import SynthesisResult, abc_script, read_source, write_atomically
from .split import PART, Part, split_network

__all__ = ["NetworkSynthesis", "StageSynthesis", "netlist_file", "synthesise_network"]

Progress = Callable[[str], None]

# Processes of Yosys side by side: one a core, but a big stage takes a GiB.
_MOST_PROCESSES = 8
_CELL = re.compile(r"^  cell \\?(\S+) ", re.MULTILINE)
# The libraries of cells and the stages' black boxes come with the joins; stages take their place.
_JOIN = """\
read_rtlil joins.il
read_rtlil -overwrite stages.il
hierarchy -check -top {part}
flatten
opt_clean
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
        Of the joined netlist, without levels. It may hold fewer cells than the stages: what
        nothing reads goes with the joining.
    types
        Its cells by type.
    """

    network: str
    stages: tuple[StageSynthesis, ...]
    total: SynthesisResult
    types: dict[str, int]

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return asdict(self)


def netlist_file(directory: Path, target: str) -> Path:
    """Return where the joined netlist of a network's directory lies."""
    return directory / "results" / f"{target}-netlist.json"


def synthesise_network(
    directory: Path, target: str, *, progress: Progress = lambda text: None
) -> NetworkSynthesis:
    """Synthesise each stage of a network by the target's script, and join the netlists.

    Nothing is optimised across stages, so each computes what its RTLIL says. Equal stages are
    synthesised once. Netlists are kept in ``results/stages`` by content (RTLIL, script, version
    of Yosys) and serve again, also after the build was generated anew with other stages.

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
    work = _Work(yosys, version, results, target, _part_script(script, top))
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
    return NetworkSynthesis(name, tuple(stages), total, figures["cells"])


def _told(part: Part, described: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a part is, for the eye."""
    if not part.name:
        return "joins of the stages"
    return f"{part.name} ({described[part.name]['unit']})"


def _part_script(script: str, top: str) -> str:
    """Return what a script does with the Verilog of a network, for the RTLIL of a part.

    Raises
    ------
    SynthesisError
        If the script does not read that Verilog, or not name that top.
    """
    read, reads = re.subn(
        rf"^read_verilog {re.escape(top)}\.v$",
        # What a bench wants kept of the joins is kept until here, as in the Verilog.
        f"read_rtlil {PART}.il\nattrmap -remove keep",
        script,
        flags=re.MULTILINE,
    )
    named, names = re.subn(rf"(?<=-top ){re.escape(top)}\b", PART, read)
    if not reads or not names:
        raise SynthesisError(
            f"the script does not read {top}.v or not name its top", remedy="generate it again"
        )
    # Counts are taken from the joined netlist; whence a cell comes would name folders.
    work = re.sub(r"^tee .*\n", "", named, flags=re.MULTILINE)
    return f"{work}attrmap -remove src\nattrmap -modattr -remove src\n"


@dataclass(frozen=True)
class _Work:
    """The runs of Yosys for a target, and what is kept of them.

    Attributes
    ----------
    yosys, version
        Which one.
    results
        The folder of what was measured.
    target, script
        The target, and its script for a part.
    """

    yosys: Yosys
    version: str
    results: Path
    target: str
    script: str

    @property
    def stages(self) -> Path:
        """Return the folder of the netlists of parts."""
        return self.results / "stages"

    def kept(self, part: Part) -> Path:
        """Return where the netlist of a part lies, by all that decides it."""
        content = "\0".join([part.text, self.script, self.version, "" if part.name else "joins"])
        return self.stages / f"{self.target}-{hashlib.sha256(content.encode()).hexdigest()[:32]}.il"

    def cells(self, part: Part) -> Counter[str]:
        """Return the cells of a part's netlist by type."""
        found = re.search(
            rf"^module \\{PART}$.*?^end$",
            self.kept(part).read_text(encoding="utf-8"),
            re.MULTILINE | re.DOTALL,
        )
        assert found is not None, "a netlist without its module"
        return Counter(_CELL.findall(found[0]))

    def synthesise(
        self, parts: Sequence[Part], told: Callable[[Part], str], network: str, progress: Progress
    ) -> dict[Path, float]:
        """Synthesise what is not kept, side by side, and return the seconds of each netlist."""
        wanted = {self.kept(part): part for part in parts}
        missing = {path: part for path, part in wanted.items() if not path.is_file()}
        for stale in set(self.stages.glob(f"{self.target}-*.il")) - set(wanted):
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
        """Synthesise a part, keep its netlist, and return the seconds that it took."""
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            (work / f"{PART}.il").write_text(part.text, encoding="utf-8")
            write = "write_rtlil -selected" if part.name else "write_rtlil"
            try:
                self.yosys.run(f"{self.script}\n{write} out.il\n", work, stop=stop)
            except ToolError as error:
                raise SynthesisError(
                    f"target {self.target}: {error.what}", layer=part.name or part.module
                ) from None
            write_atomically(kept, (work / "out.il").read_text(encoding="utf-8"))
        return time.perf_counter() - start

    def join(
        self, parts: Sequence[Part], top: str, network: str, progress: Progress
    ) -> tuple[dict[str, Any], bool]:
        """Join the netlists and return cells by type, and whether it had to be done."""
        script = _JOIN.format(part=PART, top=top)
        made_of = [f"{part.module} {self.kept(part).name}" for part in parts]
        digest = hashlib.sha256("\0".join([script, *made_of]).encode()).hexdigest()
        kept, netlist = (
            self.results / f"{self.target}.figures.json",
            netlist_file(self.results.parent, self.target),
        )
        if netlist.is_file() and kept.is_file():
            figures = json.loads(kept.read_text(encoding="utf-8"))
            if figures["content"] == digest:
                return figures, False
        kept.unlink(missing_ok=True)
        progress(f"{network}: Yosys for {self.target}: stages joined")
        *stages, joins = parts
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            shutil.copy(self.kept(joins), work / "joins.il")
            with (work / "stages.il").open("w", encoding="utf-8") as file:
                for part in stages:
                    text = self.kept(part).read_text(encoding="utf-8")
                    file.write(text.replace(f"\nmodule \\{PART}\n", f"\nmodule \\{part.module}\n"))
            try:
                log = self.yosys.run(script, work)
            except ToolError as error:
                raise SynthesisError(f"target {self.target}: {error.what}", layer=network) from None
            (self.results / f"{self.target}.log").write_text(log, encoding="utf-8")
            statistics = json.loads((work / "figures.json").read_text(encoding="utf-8"))
            figures = {
                "content": digest,
                "yosys": self.version,
                "cells": dict(sorted(statistics["design"]["num_cells_by_type"].items())),
            }
            write_atomically(netlist, (work / "netlist.json").read_text(encoding="utf-8"))
        write_atomically(kept, json.dumps(figures, indent=2) + "\n")
        return figures, True
