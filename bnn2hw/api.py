"""The steps a user takes, one function each; the command line only calls these.

>>> import bnn2hw
>>> network = bnn2hw.load_network()
>>> build = bnn2hw.generate(network, ["conv3"], plan="mst", out="build/example")
>>> bnn2hw.simulate(build.directory)[0].outputs  # doctest: +SKIP
>>> bnn2hw.synthesise(build.directory, ["lut6"], baseline=True)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import compression, inspection
from .accelerator import (
    NetworkBuild,
    generate_network,
    network_directory,
    place,
    simulate_network,
    synthesise_network,
)
from .board import build_board
from .compression import Compression
from .emit.manifest import layer_directories, read_manifest
from .engines import EngineBuild, generate_engine
from .errors import BuildError
from .frontends import import_network
from .inspection import LayerReport
from .layers import Build, GeneratedLayer, generate
from .model import Network, load, save
from .model.file import check_writable
from .networks import bundled_path
from .plan.architectures import architecture
from .plan.timeline import Timeline
from .plan.timeline import timeline as _timeline
from .synth import SynthesisResult, check_targets
from .synth import synthesise as _synthesise
from .training import CHECKPOINT, TrainingResult, train
from .verify import SimulationResult
from .verify import simulate as _simulate
from .verify.options import check_simulation

__all__ = [
    "CHECKPOINT",
    "Build",
    "EngineBuild",
    "GeneratedLayer",
    "LayerSynthesis",
    "NetworkBuild",
    "TrainingResult",
    "build_board",
    "compress",
    "generate",
    "generate_engine",
    "generate_network",
    "import_model",
    "inspect",
    "load_network",
    "network_directory",
    "place",
    "simulate",
    "simulate_network",
    "synthesise",
    "synthesise_network",
    "timeline",
    "train",
]

Progress = Callable[[str], None]


def _quiet(text: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class LayerSynthesis:
    """The figures of a layer on a target, beside those of its direct plan where asked for."""

    layer: str
    plan: str
    result: SynthesisResult
    baseline: SynthesisResult | None

    def to_json(self) -> dict[str, object]:
        """Return the figures as JSON values."""
        return {
            "layer": self.layer,
            "plan": self.plan,
            "result": self.result.to_json(),
            "baseline": None if self.baseline is None else self.baseline.to_json(),
        }


def load_network(model: str | Path | None = None) -> Network:
    """Return the network of a model file; the bundled one if none is given.

    Raises
    ------
    ModelError
        If the file is not a model.
    """
    return load(bundled_path() if model is None else Path(model))


def import_model(
    source: str | Path,
    output: str | Path | None = None,
    *,
    description: str | Path | None = None,
    name: str | None = None,
) -> Network:
    """Import a network from QONNX, ONNX or arrays, and write it as a model file if asked to.

    Raises
    ------
    ImportFailure
        If the source cannot be turned into a model.
    ModelError
        If the model file cannot be written.
    """
    network = import_network(
        Path(source), None if description is None else Path(description), name=name
    )
    if output is not None:
        save(network, Path(output))
    return network


def inspect(network: Network, *, progress: Progress = _quiet) -> list[LayerReport]:
    """Return a report of every layer: what it holds, what reuse saves, whether it compiles."""
    return inspection.inspect(network, progress)


def compress(
    network: Network,
    tau: int | None = None,
    *,
    layers: Sequence[str] = (),
    closed: bool = False,
    word_width: int = 32,
    output: str | Path | None = None,
    memory: str | Path | None = None,
    progress: Progress = _quiet,
) -> Compression:
    """Give layers codebooks; with ``tau`` by changing weights, and measure what that does.

    Parameters and errors are those of :func:`bnn2hw.compression.compress`. ``output`` is the
    model file to write, ``memory`` a directory for the memories of each layer as text for
    ``$readmemh``; None writes neither.

    Raises
    ------
    ModelError, BuildError
        If a file cannot be written, told before the work as far as it shows then.
    """
    if output is not None:
        check_writable(Path(output))
    if memory is not None:
        _check_directory(Path(memory))
    result = compression.compress(
        network, tau, layers=layers, closed=closed, word_width=word_width, progress=progress
    )
    if output is not None:
        save(result.network, Path(output))
    if memory is not None:
        _write_memories(result, Path(memory))
    return result


def _check_directory(directory: Path) -> None:
    """Check, by an attempt, that files can be written to a directory, there already or not."""
    there = next(path for path in (directory, *directory.resolve().parents) if path.exists())
    with _memories_told(directory):
        TemporaryDirectory(prefix=".bnn2hw-", dir=there).cleanup()


def _write_memories(result: Compression, directory: Path) -> None:
    """Write the memories of all layers, each file whole or not at all."""
    with _memories_told(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".bnn2hw-", dir=directory) as work:
            for layer in result.layers:
                texts = {} if layer.memory is None else layer.memory.texts()
                for what, text in texts.items():
                    Path(work, f"{layer.name}-{what}.hex").write_text(text, encoding="ascii")
            for file in sorted(Path(work).iterdir()):
                file.replace(directory / file.name)


@contextmanager
def _memories_told(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BuildError(f"cannot write memories: {error.strerror}", file=directory) from None


def simulate(
    directory: str | Path,
    *,
    vectors: int = 1000,
    seed: int = 0,
    stall: float = 0.3,
    waves: bool = False,
    progress: Progress = _quiet,
) -> list[SimulationResult]:
    """Simulate every layer of a build under Verilator against the golden model.

    Parameters and errors are those of :func:`bnn2hw.verify.simulate`.

    Raises
    ------
    UsageError
        If a number makes no sense.
    """
    check_simulation("vectors", vectors, 0, seed, stall)
    return _simulate(
        Path(directory), vectors=vectors, seed=seed, stall=stall, waves=waves, progress=progress
    )


def synthesise(
    directory: str | Path,
    targets: Sequence[str] = ("lut6",),
    *,
    baseline: bool = False,
    progress: Progress = _quiet,
) -> list[LayerSynthesis]:
    """Synthesise a build with Yosys, every layer or the network; figures land in ``results/``.

    Parameters
    ----------
    directory
        The build directory.
    targets
        Of ice40, ecp5, xilinx, gowin, lut6, lut4, asic.
    baseline
        Whether to generate the layer's direct plan too (in ``results/direct``) and put its
        figures beside; not for a network.
    progress
        Is told what is being done.

    Raises
    ------
    UsageError
        If a target is not known.
    BuildError, ToolError, SynthesisError
        If this is no build, Yosys is missing, or synthesis fails.
    """
    check_targets(targets)
    kinds = ("layer",) if baseline else ("layer", "network")
    found = []
    for name, path in layer_directories(Path(directory), *kinds).items():
        plan = _method(manifest := read_manifest(path, *kinds))
        if manifest["kind"] == "network":
            networks = synthesise_network(directory, targets, progress=progress)
            return [LayerSynthesis(name, plan, item.total, None) for item in networks]
        direct = _direct(path, progress) if baseline else None
        for target in dict.fromkeys(targets):
            progress(f"{name}: Yosys for {target}")
            result = _synthesise(path, target, progress=progress)
            if direct is not None:
                progress(f"{name}: Yosys for {target}, direct plan")
            other = None if direct is None else _synthesise(direct, target)
            found.append(LayerSynthesis(name, plan, result, other))
    return found


def _method(manifest: Mapping[str, Any]) -> str:
    """Return the plan of a layer, or all plans of a network."""
    if manifest["kind"] == "layer":
        return str(manifest["plan"]["method"])
    chosen = manifest["choices"].values()
    return ", ".join(dict.fromkeys(item.get("plan", item["style"]) for item in chosen))


def _direct(path: Path, progress: Progress) -> Path:
    """Generate the direct plan of a layer's directory beside its results."""
    manifest = read_manifest(path, "layer")
    progress(f"{manifest['layer']}: direct plan")
    network = load(path / "layer.npz")
    build = generate(
        network,
        [manifest["layer"]],
        plan="direct",
        pipeline=manifest["pipeline"],
        out=path / "results" / "direct",
    )
    return build.directory / str(manifest["top"])


def timeline(
    network: str,
    *,
    tau: int = 5,
    pes: int = 64,
    clock: int = 10**9,
    input_size: int | None = None,
    mode: str = "subbit",
) -> Timeline:
    """Run a network of the published tables on the engine's cycle model, 1-bit and sub-bit.

    Parameters
    ----------
    network
        Such as ``resnet18``; see :data:`bnn2hw.plan.architectures.ARCHITECTURES`.
    tau, pes, clock, mode
        As for :func:`bnn2hw.plan.timeline.timeline`, the clock in Hz.
    input_size
        Of the square image; that of the network's usual data if None.

    Raises
    ------
    UsageError
        If there is no such network or mode, or a number is out of range.
    """
    shapes = architecture(network, input_size)
    return _timeline(shapes, tau=tau, pes=pes, clock=clock, mode=mode)
