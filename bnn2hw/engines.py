"""Layers on sequential engines, from a network to a build directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from .emit.build import check_target, write_build
from .emit.engine import EngineFiles
from .emit.limits import check_layers, check_program
from .emit.manifest import versions
from .emit.names import top_name
from .model import Network
from .plan.engine import EngineParameters, EngineSchedule
from .plan.engine_layer import EnginePlan, plan_engine
from .toolchain import find_yosys
from .verify import engine_vectors, layer_inputs

__all__ = ["EngineBuild", "EngineLayer", "generate_engine"]

# Vectors beside the corners that a build directory holds for its own `make sim`: so many, and
# with as many corners they take about so many cycles at most.
_VECTORS = 100
_CYCLES = 100_000


@dataclass(frozen=True)
class EngineLayer:
    """A layer on its engine.

    Attributes
    ----------
    name, mode
        Name of the layer, and how the engine computes it.
    tau
        Bits of an index; None in mode ``binary``.
    schedule
        Of one image.
    memory_bits
        Bits of each memory by name.
    """

    name: str
    mode: str
    tau: int | None
    schedule: EngineSchedule
    memory_bits: dict[str, int]

    def to_json(self) -> dict[str, object]:
        """Return the layer as JSON values."""
        timing = self.schedule
        return {
            **asdict(self),
            "cycles": timing.cycles,
            "lower_bound": timing.lower_bound,
            "utilisation": timing.utilisation,
        }


@dataclass(frozen=True)
class EngineBuild:
    """A build directory of engines."""

    directory: Path
    layers: tuple[EngineLayer, ...]

    def to_json(self) -> dict[str, object]:
        """Return the build as JSON values."""
        layers = [layer.to_json() for layer in self.layers]
        return {"directory": str(self.directory), "layers": layers}


def generate_engine(
    network: Network,
    layers: Sequence[str],
    parameters: EngineParameters,
    *,
    mode: str = "subbit",
    loadable: bool = False,
    out: str | Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> EngineBuild:
    """Generate a build directory with a sequential engine for each layer.

    Parameters
    ----------
    network
        The trained network.
    layers
        Names of layers with weights.
    parameters
        Of the engines; tau and closure are those of each layer's codebook.
    mode
        ``subbit``, ``binary`` or ``delta``.
    loadable
        Whether weights are loaded through a port; they are in the memories from the start if not.
    out
        The directory; ``build/NETWORK-LAYER...-engine`` if None. An earlier build there is
        replaced.
    progress
        Is told what is being done.

    Raises
    ------
    UsageError
        If an option makes no sense.
    ModelError, PlanError
        If there is no such layer, or the engine has no schedule for it.
    BuildError
        If the directory cannot be written or holds something else.
    """
    names = check_layers(network, layers)
    plans = [
        plan_engine(layer, network.source(layer), parameters, mode)
        for layer in network.linear_layers()
        if layer.name in names
    ]
    for plan in plans:
        check_program(plan.program, plan.layer)
    folder = "-".join([network.name, *names, "engine"])
    directory = Path("build", folder) if out is None else Path(out)
    check_target(directory)
    find_yosys()
    progress("images through the golden model")
    inputs = layer_inputs(network, names)
    writers = {}
    for plan in plans:
        writers[plan.layer] = (
            top_name(plan.layer),
            partial(
                _write, network.single(plan.layer, inputs[plan.layer]), plan, loadable, progress
            ),
        )
    write_build(directory, network.name, writers, versions())
    return EngineBuild(directory, tuple(_generated(plan) for plan in plans))


def _write(
    network: Network,
    plan: EnginePlan,
    loadable: bool,
    progress: Callable[[str], None],
    directory: Path,
) -> None:
    progress(f"{plan.layer}: vectors of the golden model")
    timing = plan.schedule
    count = _CYCLES * timing.pixels // (timing.words * timing.period)
    vectors = engine_vectors(network, min(max(count // 2, 2), _VECTORS), seed=0)
    progress(f"{plan.layer}: Amaranth to Verilog")
    EngineFiles(network, plan, vectors, loadable).write(directory)


def _generated(plan: EnginePlan) -> EngineLayer:
    program = plan.program
    return EngineLayer(
        plan.layer,
        program.mode,
        None if program.mode == "binary" else program.index_bits,
        plan.schedule,
        {name: width * len(words) for name, (width, words) in program.memories.items()},
    )
