"""Synthesis of a layer: its Verilog as a whole, or the blocks of a big netlist side by side."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..emit.manifest import read_manifest
from ..errors import BuildError, SynthesisError, ToolError
from ..toolchain import find_yosys
from .cells import LUT_SIZES, count_cells
from .parts import PartWork, Progress, part_scripts
from .run import (
    SynthesisResult,
    abc_script,
    earlier,
    longest_path,
    read_source,
    write_atomically,
)
from .split import split_design

__all__ = ["synthesise"]

# Where the blocks of a netlist are instances, from the top of a layer on.
_BLOCKS = ("core", "netlist")


def synthesise(
    directory: Path,
    target: str,
    *,
    timeout: float | None = None,
    progress: Progress = lambda text: None,
) -> SynthesisResult:
    """Synthesise a layer for a target; the figures also land in ``results/``.

    A layer whose manifest names blocks is synthesised block by block, side by side, and its cells
    are those of all blocks and of what joins them. Those are kept in ``results/stages`` by
    content, so that a second run goes on where one was stopped.

    Parameters
    ----------
    directory
        The directory of the layer.
    target
        Name of a script in its ``synth/``.
    timeout
        Seconds that a run of Yosys may take; None for as long as it needs.
    progress
        Is told what is being done.

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
    blocks = manifest.get("blocks", [])
    script, text = read_source(directory, target, f"{top}.{'il' if blocks else 'v'}", layer)
    digest = hashlib.sha256("\0".join([text, script, version]).encode()).hexdigest()
    try:
        results.mkdir(exist_ok=True)
        kept = results / f"{target}.figures.json"
        figures, seconds = earlier(kept, digest, cells=dict, levels=int | None), 0.0
        if figures is None:
            start = time.perf_counter()
            if blocks:
                gates, tables = part_scripts(script, top)
                work = PartWork(yosys, version, results, target, gates, tables, timeout)
                figures = _run_blocks(work, text, manifest, progress)
            else:
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


def _run_blocks(
    work: PartWork, text: str, manifest: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Synthesise the blocks of a layer, and return the cells of all by type."""
    parts = split_design(text, manifest["top"], manifest["blocks"], _BLOCKS)
    work.stages.mkdir(parents=True, exist_ok=True)
    work.synthesise(parts, lambda part: part.name or "what joins them", manifest["layer"], progress)
    cells = Counter[str]()
    for part in parts:
        cells.update(work.cells(part))
    return {"cells": dict(sorted(cells.items())), "levels": None}
