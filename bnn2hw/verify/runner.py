"""Simulating the layers of a build directory: cocotb under Verilator."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..emit.engine_vectors import engine_vector_text
from ..emit.manifest import layer_directories, read_manifest
from ..emit.vectors import Vectors, vector_text
from ..errors import BuildError, ModelError, UsageError
from ..model import Network, load
from ..plan.engine import EngineParameters
from ..plan.engine_layer import plan_engine
from ..toolchain import find_verilator
from .bench import build_bench, run_bench
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
        build, built = build_bench(directory, top, manifest, waves)
        progress(f"{layer}: {len(vectors.kinds)} vectors")
        report = run_bench(directory, build, top, "vectors.txt", seed, stall, waves)
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
