"""Running a layer's synthesis scripts, and reading their figures."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from ..emit.manifest import read_manifest
from ..emit.templates import synthesis_targets
from ..errors import BuildError, SynthesisError, ToolError, UsageError
from ..toolchain import find_yosys
from .cells import LUT_SIZES, CellCounts, count_cells

__all__ = [
    "SynthesisResult",
    "abc_script",
    "check_targets",
    "earlier",
    "longest_path",
    "read_results",
    "read_source",
    "synthesise",
    "write_atomically",
]


@dataclass(frozen=True)
class SynthesisResult:
    """The figures of a layer on a target.

    Attributes
    ----------
    target
        Name of the target.
    script
        The ABC script behind the figures, as the synthesis script sets it.
    cells
        Cells by kind.
    levels
        Cells on the longest path between registers; None where Yosys gives none.
    seconds
        Time that Yosys took; 0 where an earlier run of the same content served.
    yosys
        Version and kind of Yosys.
    """

    target: str
    script: str
    cells: CellCounts
    levels: int | None
    seconds: float
    yosys: str

    @property
    def luts(self) -> int:
        """Return the lookup tables of all sizes."""
        return self.cells.luts

    @property
    def carries(self) -> int:
        """Return the cells of carry chains."""
        return self.cells.carries

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return asdict(self)


def check_targets(targets: Sequence[str]) -> None:
    """Check that there are scripts for targets.

    Raises
    ------
    UsageError
        If there is none for one.
    """
    known = synthesis_targets()
    for target in targets:
        if target not in known:
            raise UsageError(f"there is no target {target!r}", remedy=f"use {', '.join(known)}")


def synthesise(directory: Path, target: str, *, timeout: float | None = None) -> SynthesisResult:
    """Synthesise a layer for a target; the figures also land in ``results/``.

    Parameters
    ----------
    directory
        The directory of the layer.
    target
        Name of a script in its ``synth/``.
    timeout
        Seconds that Yosys may take; None for as long as it needs.

    Raises
    ------
    BuildError
        If this is no layer's directory, or it cannot be written.
    SynthesisError
        If there is no such target, or Yosys fails or takes too long.
    """
    manifest = read_manifest(directory, "layer")
    layer, top = str(manifest["layer"]), manifest["top"]
    results = directory / "results"
    yosys = find_yosys()
    version = f"{yosys.version} ({yosys.kind})"
    script, verilog = read_source(directory, target, f"{top}.v", layer)
    digest = hashlib.sha256("\0".join([verilog, script, version]).encode()).hexdigest()
    try:
        results.mkdir(exist_ok=True)
        kept = results / f"{target}.figures.json"
        figures, seconds = earlier(kept, digest, cells=dict, levels=int | None), 0.0
        if figures is None:
            start = time.perf_counter()
            figures = _run(directory, layer, top, target, script, timeout)
            seconds = time.perf_counter() - start
            text = json.dumps({"content": digest, "yosys": version, **figures}, indent=2)
            write_atomically(kept, text + "\n")
    except OSError as error:
        raise BuildError(
            f"cannot write results: {error.strerror}", file=results, layer=layer
        ) from None
    return SynthesisResult(
        target=target,
        script=abc_script(script),
        cells=count_cells(figures["cells"], LUT_SIZES.get(target, 0)),
        levels=figures["levels"],
        seconds=seconds,
        yosys=version,
    )


def read_results(path: Path, **kinds: type | UnionType) -> dict[str, Any] | None:
    """Return what an earlier run left; None where it is not there, broken or not of these kinds.

    Parameters
    ----------
    path
        A JSON file.
    kinds
        The type of each value that is needed, by key.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and all(
        key in found and isinstance(found[key], kind) for key, kind in kinds.items()
    )
    return found if whole else None


def earlier(path: Path, digest: str, **kinds: type | UnionType) -> dict[str, Any] | None:
    """Return the figures of an earlier run on the same content, as :func:`read_results` does."""
    found = read_results(path, content=str, **kinds)
    return found if found is not None and found["content"] == digest else None


def _run(
    directory: Path, layer: str, top: str, target: str, script: str, timeout: float | None
) -> dict[str, Any]:
    """Run a script on a copy of the Verilog and return cells by type and levels."""
    log = directory / "results" / f"{target}.log"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "results").mkdir()
        shutil.copy(directory / f"{top}.v", work)
        try:
            log.write_text(find_yosys().run(script, work, timeout), encoding="utf-8")
        except ToolError as error:
            raise SynthesisError(f"target {target}: {error.what}", layer=layer) from None
        statistics = json.loads((work / "results" / f"{target}.json").read_text())
        levels = longest_path((work / "results" / f"{target}.ltp").read_text())
    return {
        "cells": dict(sorted(statistics["design"]["num_cells_by_type"].items())),
        "levels": levels,
    }


def read_source(directory: Path, target: str, source: str, layer: str) -> tuple[str, str]:
    """Return the script of a target, and the text that it synthesises.

    Raises
    ------
    SynthesisError
        If a file is missing.
    """
    try:
        script = (directory / "synth" / f"{target}.ys").read_text(encoding="utf-8")
        return script, (directory / source).read_text(encoding="utf-8")
    except OSError as error:
        raise SynthesisError(
            f"{error.strerror}", file=error.filename, layer=layer, remedy="generate the build again"
        ) from None


def longest_path(report: str) -> int | None:
    """Return the cells on the longest path, as Yosys's ``ltp`` reports it."""
    found = re.search(r"length=(\d+)", report)
    return int(found[1]) if found else None


def write_atomically(path: Path, text: str) -> None:
    """Write a file in one move, so that what is there is whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)


def abc_script(script: str) -> str:
    """Return what a synthesis script tells ABC to do."""
    for pattern in (r"scratchpad -set abc9\.script (\S+)", r"^abc (.*)$"):
        found = re.search(pattern, script, re.MULTILINE)
        if found:
            return found.group(1)
    return "stock"
