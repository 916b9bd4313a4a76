"""Compiling and running a cocotb bench under Verilator, with builds cached by content."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from cocotb_tools.runner import get_runner

from ..errors import ToolError, VerificationError
from ..toolchain import find_verilator, verilator_environment

__all__ = ["build_bench", "run_bench"]


@contextmanager
def _environment(directory: Path) -> Iterator[None]:
    """Run cocotb's runner where Verilator and the bench are found.

    The runner hands this process's environment and search path to the simulation.
    """
    before = dict(os.environ)
    os.environ.update(verilator_environment())
    sys.path.insert(0, str(directory.resolve()))
    try:
        yield
    finally:
        sys.path.pop(0)
        os.environ.clear()
        os.environ.update(before)


def build_bench(
    directory: Path, top: str, manifest: dict[str, Any], waves: bool
) -> tuple[Path, bool]:
    """Return the folder of the compiled simulation, and whether it had to be made."""
    sources = [directory / f"{top}.v", directory / "verilator.vlt"]
    flags = [*manifest["verilator_flags"], *(["--trace"] if waves else [])]
    make = manifest["make_flags"]
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    digest.update(
        repr((flags, make, find_verilator()[0], importlib.metadata.version("cocotb"))).encode()
    )
    build = directory / "results" / f"sim_build-{digest.hexdigest()[:16]}"
    done = build / "done"
    if done.exists():
        return build, False
    for stale in build.parent.glob("sim_build-*"):
        shutil.rmtree(stale)
    log = build.parent / "build.log"
    try:
        with _environment(directory), redirect_stdout(StringIO()):
            os.environ["MAKEFLAGS"] = " ".join([os.environ.get("MAKEFLAGS", ""), *make])
            get_runner("verilator").build(
                sources=sources,
                hdl_toplevel=top,
                build_dir=build,
                build_args=flags,
                waves=waves,
                log_file=log,
            )
    except (RuntimeError, SystemExit):
        raise ToolError(
            f"Verilator failed: {_last_error(log)}", file=log, remedy="the file holds its whole log"
        ) from None
    done.touch()
    return build, True


def _last_error(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[0].strip()


def run_bench(
    directory: Path, build: Path, top: str, vectors: str, seed: int, stall: float, waves: bool
) -> dict[str, Any]:
    """Run the bench and return its report; raise what its first failing test says.

    Parameters
    ----------
    directory, build
        The directory of the layer or network, and its compiled simulation.
    top
        Name of its module.
    vectors
        The bench's stimulus and expected response, in ``results/``.
    seed, stall
        Of the random stalls.
    waves
        Whether to record ``results/<top>.vcd``.
    """
    results = directory / "results"
    report, xml, log = results / "report.json", results / "results.xml", results / "simulation.log"
    for stale in (report, xml):
        stale.unlink(missing_ok=True)
    environment = {
        "VECTORS": f"results/{vectors}",
        "REPORT": "results/report.json",
        "SEED": str(seed),
        "STALL": str(stall),
        "COCOTB_ANSI_OUTPUT": "0",
    }
    try:
        with _environment(directory), redirect_stdout(StringIO()):
            get_runner("verilator").test(
                test_module=f"test_{top}",
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=build,
                test_dir=results,
                results_xml=str(xml.resolve()),
                extra_env=environment,
                waves=waves,
                log_file=log,
            )
    except (RuntimeError, SystemExit):
        pass  # what failed stands in the results, which are read next
    failure = _first_failure(xml)
    if failure is not None:
        raise VerificationError(failure, file=log, remedy=f"the same seed, {seed}, shows it again")
    if waves:
        (results / "dump.vcd").rename(results / f"{top}.vcd")
    return dict(json.loads(report.read_text(encoding="utf-8")))


def _first_failure(xml: Path) -> str | None:
    """Return the message of the first failing test; of the simulation if there are no results."""
    if not xml.exists():
        return "the simulation ended without results"
    cases = list(ElementTree.parse(xml).getroot().iter("testcase"))
    for case in cases:
        for kind in ("failure", "error"):
            found = case.find(kind)
            if found is not None:
                message = found.get("message") or found.get("error_msg") or found.text or kind
                return f"test {case.get('name')}: {message.strip().splitlines()[0]}"
    return None if cases else "the simulation ran no test"
