"""Running a layer's synthesis scripts, and reading their figures."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..emit.manifest import read_manifest
from ..errors import BuildError, SynthesisError, ToolError
from ..toolchain import find_yosys
from .cells import CellCounts, count_cells

__all__ = ["SynthesisResult", "synthesise"]

_LUT_SIZES = {"lut4": 4, "lut6": 6}


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


def synthesise(directory: Path, target: str, *, timeout: float | None = None) -> SynthesisResult:
    """Synthesise a layer or a network for a target; the figures also land in ``results/``.

    Parameters
    ----------
    directory
        The directory of the layer or network.
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
    manifest = read_manifest(directory, "layer", "network")
    layer, top = str(manifest.get("layer") or manifest["network"]), manifest["top"]
    results = directory / "results"
    yosys = find_yosys()
    version = f"{yosys.version} ({yosys.kind})"
    try:
        script = (directory / "synth" / f"{target}.ys").read_text(encoding="utf-8")
        verilog = (directory / f"{top}.v").read_bytes()
    except OSError as error:
        raise SynthesisError(
            f"{error.strerror}", file=error.filename, layer=layer, remedy="generate the build again"
        ) from None
    digest = hashlib.sha256(b"\0".join([verilog, script.encode(), version.encode()])).hexdigest()
    try:
        results.mkdir(exist_ok=True)
        kept = results / f"{target}.figures.json"
        figures, seconds = _earlier(kept, digest), 0.0
        if figures is None:
            start = time.perf_counter()
            figures = _run(directory, layer, top, target, script, timeout)
            seconds = time.perf_counter() - start
            _write(kept, {"content": digest, "yosys": version, **figures})
    except OSError as error:
        raise BuildError(
            f"cannot write results: {error.strerror}", file=results, layer=layer
        ) from None
    return SynthesisResult(
        target=target,
        script=_abc_script(script),
        cells=count_cells(figures["cells"], _LUT_SIZES.get(target, 0)),
        levels=figures["levels"],
        seconds=seconds,
        yosys=version,
    )


def _earlier(path: Path, digest: str) -> dict[str, Any] | None:
    """Return the figures of an earlier run on the same content."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("content") == digest else None


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
        path = re.search(r"length=(\d+)", (work / "results" / f"{target}.ltp").read_text())
    return {
        "cells": dict(sorted(statistics["design"]["num_cells_by_type"].items())),
        "levels": int(path.group(1)) if path else None,
    }


def _write(path: Path, value: object) -> None:
    """Write JSON in one move."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
    Path(name).replace(path)


def _abc_script(script: str) -> str:
    """Return what a synthesis script tells ABC to do."""
    for pattern in (r"scratchpad -set abc9\.script (\S+)", r"^abc (.*)$"):
        found = re.search(pattern, script, re.MULTILINE)
        if found:
            return found.group(1)
    return "stock"
