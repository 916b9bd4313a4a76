"""Parts of a design that Yosys works on apart and side by side, kept by content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from ..errors import SynthesisError, ToolError
from ..toolchain import Yosys
from .run import read_results, write_atomically
from .split import PART, Part

__all__ = ["PartWork", "Progress", "count_types", "part_scripts"]

Progress = Callable[[str], None]

# Processes of Yosys side by side: one a core, but a big stage takes a GiB.
_MOST_PROCESSES = 8
# The comment in a script behind which it makes tables of gates.
_TABLES = re.compile(r"^# From here on the whole.*\n", re.MULTILINE)


def part_scripts(script: str, top: str) -> tuple[str, str]:
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
class PartWork:
    """The runs of Yosys for a target, and what is kept of them.

    Attributes
    ----------
    yosys, version
        Which one.
    results
        The folder of what was measured.
    target, gates, tables
        The target, its script for a part as far as gates, and from there to cells.
    timeout
        Seconds that a run may take; None for as long as it needs.
    """

    yosys: Yosys
    version: str
    results: Path
    target: str
    gates: str
    tables: str
    timeout: float | None = None

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
                self.yosys.run(script, work, self.timeout, stop)
            except ToolError as error:
                raise SynthesisError(
                    f"target {self.target}: {error.what}", layer=part.name or part.module
                ) from None
            counts = {k: v for k, v in count_types(work).items() if k not in part.boxes}
            write_atomically(kept.with_suffix(".json"), json.dumps(counts) + "\n")
            write_atomically(kept, (work / "gates.il").read_text(encoding="utf-8"))
        return time.perf_counter() - start


def count_types(work: Path) -> dict[str, int]:
    """Return the cells by type, as Yosys counted them in a folder."""
    found = json.loads((work / "figures.json").read_text(encoding="utf-8"))
    return dict(sorted(found["design"]["num_cells_by_type"].items()))
