"""Running cocotb benches under Verilator from pytest."""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

from cocotb_tools.runner import get_runner

from bnn2hw.toolchain import verilator_environment

__all__ = ["build", "lint", "run"]

# Generated text cannot avoid these warnings.
_WAIVED = """\
`verilator_config
lint_off -rule DECLFILENAME
lint_off -rule PROCASSINIT
lint_off -rule UNUSEDSIGNAL
lint_off -rule WIDTHEXPAND
"""
# The bench sees the ports; all else is left to the optimiser, which cocotb's own flags forbid.
_PORTS = 'public_flat_rw -module "{top}" -var "*"\n'
_FLAGS = ("--no-public-flat-rw", "-Wno-fatal", "--output-split", "5000", "-CFLAGS", "-O0")


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(verilator_environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def lint(folder: Path, top: str, verilog: str) -> str:
    """Return what Verilator finds to say of a text with all its warnings on."""
    (folder / f"{top}.v").write_text(verilog, encoding="utf-8")
    (folder / f"{top}.vlt").write_text(_WAIVED, encoding="utf-8")
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "--top-module", top, f"{top}.v", f"{top}.vlt"],
        cwd=folder,
        env=verilator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


def build(folder: Path, top: str, verilog: str) -> Path:
    """Compile Verilog in a folder and return the build."""
    (folder / f"{top}.v").write_text(verilog, encoding="utf-8")
    (folder / f"{top}.vlt").write_text(_WAIVED + _PORTS.format(top=top), encoding="utf-8")
    with _environment(), redirect_stdout(StringIO()):
        get_runner("verilator").build(
            sources=[folder / f"{top}.v", folder / f"{top}.vlt"],
            hdl_toplevel=top,
            build_dir=folder / "build",
            build_args=[*_FLAGS],
            log_file=folder / "build.log",
        )
    return folder / "build"


def run(
    build_folder: Path, top: str, benches: Sequence[str], plusargs: Sequence[str] = ()
) -> dict[str, str | None]:
    """Run benches on a build; return for each test None, or the first line of what failed."""
    results = build_folder / "results.xml"
    results.unlink(missing_ok=True)
    # Failed tests raise SystemExit, and stand in the results.
    with _environment(), redirect_stdout(StringIO()), suppress(SystemExit):
        get_runner("verilator").test(
            test_module=list(benches),
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=build_folder,
            test_dir=build_folder,
            results_xml=str(results),
            plusargs=plusargs,
            log_file=build_folder / "simulation.log",
        )
    return {
        str(case.get("name")): _failure(case)
        for case in ElementTree.parse(results).getroot().iter("testcase")
    }


def _failure(case: ElementTree.Element) -> str | None:
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            message = found.get("message") or found.get("error_msg") or found.text or kind
            return message.strip().splitlines()[0]
    return None
