"""Simulating a build directory: cocotb under Verilator, with builds cached by content."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from cocotb_tools.runner import get_runner

from ..emit.engine_vectors import engine_vector_text
from ..emit.manifest import layer_directories, read_manifest
from ..emit.vectors import Vectors, vector_text
from ..errors import BuildError, ModelError, ToolError, UsageError, VerificationError
from ..model import Network, load
from ..plan.engine import EngineParameters
from ..plan.engine_layer import plan_engine
from ..toolchain import find_verilator, verilator_environment
from .vectors import engine_vectors, make_vectors

__all__ = ["SimulationResult", "simulate"]

Progress = Callable[[str], None]

# Elements of all vectors beside the corners: half a GiB of them.
_ELEMENTS = 1 << 26


@dataclass(frozen=True)
class SimulationResult:
    """What a simulation of a layer compared and how long it took; there were no differences.

    Attributes
    ----------
    layer
        Name of the layer.
    corner, real, random
        Vectors of each kind; each went in once without and once with stalls.
    outputs
        Output elements compared, of all runs.
    cycles, stalled_cycles
        Clock cycles of the run without stalls and of the one with them (None where stall is 0).
    patches_per_second
        Patches through the simulation in a second, without stalls and without the build.
    built
        Whether Verilator ran; False where an earlier build of the same content served.
    waves
        The waveform file, or None.
    """

    layer: str
    corner: int
    real: int
    random: int
    outputs: int
    cycles: int
    stalled_cycles: int | None
    patches_per_second: float
    built: bool
    waves: str | None

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return asdict(self)


def simulate(
    directory: Path,
    *,
    vectors: int = 1000,
    seed: int = 0,
    stall: float = 0.3,
    waves: bool = False,
    progress: Progress = lambda text: None,
) -> list[SimulationResult]:
    """Simulate every layer of a build and compare every output with the golden model.

    Parameters
    ----------
    directory
        The build directory.
    vectors
        Vectors beside the corners: half of them real patches where the build has any.
    seed
        Of vectors and stalls.
    stall
        Probability that a side waits in a cycle, of the run with stalls.
    waves
        Whether to record ``results/<layer>.vcd``.
    progress
        Is told what is being done.

    Raises
    ------
    BuildError
        If this is not a build directory.
    ToolError
        If Verilator is missing or fails.
    VerificationError
        If an output differs: names layer, channel, patch, expected, got and the seed.
    """
    find_verilator()
    return [
        _simulate_layer(path, vectors, seed, stall, waves, progress)
        for path in layer_directories(directory).values()
    ]


def _simulate_layer(
    directory: Path, count: int, seed: int, stall: float, waves: bool, progress: Progress
) -> SimulationResult:
    manifest = read_manifest(directory, "layer")
    layer, top = manifest["layer"], manifest["top"]
    results = directory / "results"
    for needed in (f"{top}.v", f"test_{top}.py", "verilator.vlt"):
        if not (directory / needed).is_file():
            raise BuildError(
                f"{needed} is missing", file=directory, remedy="generate the build again"
            )
    try:
        network = load(directory / "layer.npz")
        most = _ELEMENTS // manifest["input"]["elements"]
        if count > most:
            raise UsageError(
                f"{count:,} vectors of this layer take too much memory",
                layer=layer,
                remedy=f"give at most {most:,}",
            )
        results.mkdir(exist_ok=True)
        (results / "simulation.json").unlink(missing_ok=True)
        progress(f"{layer}: expected outputs of the golden model")
        vectors, text = _vectors(network, manifest, count, seed)
        (results / "vectors.txt").write_text(text, encoding="utf-8")
        progress(f"{layer}: Verilator build")
        build, built = _build(directory, top, manifest, waves)
        progress(f"{layer}: {len(vectors.kinds)} vectors")
        report = _run(directory, build, layer, top, seed, stall, waves)
    except ModelError as error:
        raise BuildError(str(error), layer=layer, remedy="generate the build again") from None
    except OSError as error:
        raise BuildError(
            f"cannot write results: {error.strerror}", file=results, layer=layer
        ) from None
    result = _result(layer, top, vectors, report, built, waves)
    (results / "simulation.json").write_text(
        json.dumps({"seed": seed, "stall": stall, **result.to_json()}, indent=2) + "\n",
        encoding="utf-8",
    )
    return result


def _vectors(
    network: Network, manifest: dict[str, Any], count: int, seed: int
) -> tuple[Vectors, str]:
    """Return the vectors of a layer and the text of their file."""
    if manifest.get("style") != "sequential":
        vectors = make_vectors(network, count, seed)
        widths = (manifest[side]["element_width"] for side in ("input", "output"))
        return vectors, vector_text(vectors, *widths)
    (layer,) = network.linear_layers()
    parameters = EngineParameters(**manifest["plan"]["parameters"])
    plan = plan_engine(layer, network.input, parameters, manifest["plan"]["method"])
    vectors = engine_vectors(network, max(count, 1), seed)
    return vectors, engine_vector_text(plan, vectors)


def _result(
    layer: str, top: str, vectors: Vectors, report: dict[str, dict[str, float]], built: bool,
    waves: bool,
) -> SimulationResult:  # fmt: skip
    plain = report["full_throughput"]
    stalled = report.get("random_stalls")
    channels = vectors.expected.shape[1]
    return SimulationResult(
        layer=layer,
        corner=vectors.kinds.count("corner"),
        real=vectors.kinds.count("real"),
        random=vectors.kinds.count("random"),
        outputs=sum(int(run["patches"]) for run in report.values()) * channels,
        cycles=int(plain["cycles"]),
        stalled_cycles=None if stalled is None else int(stalled["cycles"]),
        patches_per_second=plain["patches"] / plain["seconds"],
        built=built,
        waves=f"results/{top}.vcd" if waves else None,
    )


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


def _build(directory: Path, top: str, manifest: dict[str, Any], waves: bool) -> tuple[Path, bool]:
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


def _run(
    directory: Path, build: Path, layer: str, top: str, seed: int, stall: float, waves: bool
) -> dict[str, dict[str, float]]:
    """Run the bench and return its report; raise what its first failing test says."""
    results = directory / "results"
    report, xml, log = results / "report.json", results / "results.xml", results / "simulation.log"
    for stale in (report, xml):
        stale.unlink(missing_ok=True)
    environment = {
        "VECTORS": "results/vectors.txt",
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
