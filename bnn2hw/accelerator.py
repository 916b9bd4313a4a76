"""Whole networks as hardware: from an image stream to a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .emit.build import check_target, write_build
from .emit.manifest import read_manifest, versions
from .emit.network import NetworkFiles
from .emit.stage import input_beats
from .emit.stages import network_problem, network_stages
from .errors import BuildError, PlanError, UsageError
from .model import Argmax, LinearLayer, Network
from .plan import plan_layer
from .plan.choices import Choice, choices_text, read_choices
from .plan.cost import plan_cost
from .plan.folding import Folding, cheapest_folding, fold_job
from .plan.jobs import Job, joined, linear_jobs, network_jobs, side_by_side, with_joined
from .plan.layer_plan import LayerPlan
from .plan.planner import check_options
from .synth import DEVICES, Placement, place_and_route
from .toolchain import find_yosys
from .verify.frames import make_frames, make_images
from .verify.network import NetworkSimulation
from .verify.network import simulate_network as _simulate
from .verify.options import check_simulation

__all__ = ["NetworkBuild", "generate_network", "network_directory", "place", "simulate_network"]

Progress = Callable[[str], None]

# Images for the harness that a network without samples gets, and frames of its cocotb bench.
_IMAGES = 16
_BENCH_FRAMES = 2


@dataclass(frozen=True)
class NetworkBuild:
    """A build directory of a whole network.

    Attributes
    ----------
    directory
        The build directory.
    network
        Name of the network.
    beats
        Beats of an image at the input.
    interval
        Cycles from image to image in steady state.
    stages
        Name, layer, component and cycles of every stage.
    """

    directory: Path
    network: str
    beats: int
    interval: int
    stages: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, object]:
        """Return the build as JSON values."""
        return {**asdict(self), "directory": str(self.directory)}


def generate_network(
    network: Network,
    *,
    plan: str = "auto",
    max_depth: int | None = None,
    complement: bool = True,
    pipeline: int | None = None,
    interval: int | None = None,
    choices: str | Path | None = None,
    scores: bool = False,
    beat: int | None = None,
    bases_parallel: int | None = None,
    out: str | Path | None = None,
    progress: Progress = lambda text: None,
) -> NetworkBuild:
    """Generate a build directory for a network whose layers follow each other.

    Parameters
    ----------
    network
        The trained network.
    plan, max_depth, complement, pipeline
        Of its layers, as for :func:`bnn2hw.generate`.
    interval
        Cycles that an image may take: layers are folded as far as that allows. Every layer is
        spatial, at a position a cycle, if None.
    choices
        A file that says how layers are computed (see :mod:`bnn2hw.plan.choices`); it goes before
        ``plan`` and ``interval``. Every build holds the one that would make it again.
    scores
        Whether the answer also holds the scores behind the class.
    beat
        Elements of a beat of the input; None for a width that suits.
    bases_parallel
        Lanes of each group of parallel bases, which compute the bases in turn; a lane a base if
        None.
    out
        The directory; ``build/NETWORK`` if None. An earlier build there is replaced.
    progress
        Is told what is being done.

    Raises
    ------
    UsageError
        If an option makes no sense.
    PlanError
        If the network has a layer that is not built, or bases that cannot take turns.
    BuildError
        If the directory cannot be written or holds something else.
    """
    if pipeline is not None and pipeline < 1:
        raise UsageError(f"pipeline {pipeline} is not a number of levels", remedy="give 1 or more")
    if interval is not None and interval < 1:
        raise UsageError(
            f"an interval of {interval} cycles makes no sense", remedy="give 1 or more"
        )
    check_options(plan, max_depth)
    problem = network_problem(network)
    if problem is not None:
        raise PlanError(problem[1], layer=problem[0])
    if scores and not isinstance(network.layers[-1], Argmax):
        raise UsageError("a network without an argmax gives what it computes: leave scores out")
    beats = input_beats(network.input, beat)
    jobs = network_jobs(network, bases_parallel)
    together = {joined(alike).name: alike for alike in side_by_side(jobs)}
    chosen: dict[str, Choice] = {}
    if choices is not None:
        every = [*jobs, *(joined(alike) for alike in together.values())]
        chosen = read_choices(Path(choices), _sizes(every))
        jobs = with_joined(jobs, [together.pop(name) for name in chosen if name in together])
        together = {
            name: alike
            for name, alike in together.items()
            if not any(job.name in chosen for job in alike)
        }
    for job in jobs:
        if job.turns > 1 and job.name in chosen and chosen[job.name].plan is not None:
            raise UsageError("layers that take turns are folded", layer=job.name, file=choices)
    directory = Path(out) if out is not None else Path("build", network.name)
    check_target(directory)
    find_yosys()
    works: dict[str, LayerPlan | Folding] = {}
    told: dict[str, Mapping[str, Any]] = {}

    def spatial_work(job: Job, layer: LinearLayer, method: str) -> None:
        progress(f"{job.name}: plan")
        source = job.inputs[0]
        found = plan_layer(layer, source, method, max_depth=max_depth, complement=complement)
        works[job.name], chosen[job.name] = found, Choice(found.method)
        cost = plan_cost(found, layer, source).to_json()
        told[job.name] = {"style": "spatial", "plan": found.method, **cost}

    for job, layer in linear_jobs(jobs):
        choice = chosen.get(job.name) or _choose(job, layer, interval, plan)
        if choice.plan is not None:
            spatial_work(job, layer, choice.plan)
            continue
        works[job.name] = folding = fold_job(job, choice.pes, choice.simd)
        chosen[job.name] = Choice(None, folding.pes, folding.simd)
        told[job.name] = {
            "style": "folded", "pes": folding.pes, "simd": folding.simd,
            "cycles": folding.cycles,
        }  # fmt: skip
    for alike in together.values():
        # One graph spans the rows of all where it is estimated to take fewer tables.
        if all(told[job.name]["style"] == "spatial" for job in alike):
            whole = joined(alike)
            for job, layer in linear_jobs([whole]):
                spatial_work(job, layer, plan)
            if told[whole.name]["luts"] < sum(told[job.name]["luts"] for job in alike):
                jobs = with_joined(jobs, [alike])
    names = [job.name for job, _ in linear_jobs(jobs)]
    chosen = {name: chosen[name] for name in names}
    told = {name: told[name] for name in names}
    stages, paces = network_stages(
        network, jobs, works, beats=beats, pipeline=pipeline, scores=scores
    )
    twice = [name for name, n in Counter(stage.name for stage in stages).items() if n > 1]
    if twice:
        raise BuildError(f"two stages would be called {twice[0]}", remedy="rename the layer")
    progress("images through the golden model")
    count = _IMAGES if network.samples is None else len(network.samples.images)
    images, _ = make_images(network, max(count, 1), seed=0)
    frames = make_frames(network, images, _BENCH_FRAMES)
    files = NetworkFiles(
        network, jobs, stages, paces, told, choices_text(chosen), beats, frames, pipeline
    )

    def write(folder: Path) -> None:
        progress(f"{network.name}: Amaranth to Verilog")
        files.write(folder)

    write_build(directory, network.name, {network.name: (files.top, write)}, versions())
    manifest = read_manifest(directory / files.top, "network")
    return NetworkBuild(
        directory, network.name, beats.frame, paces.interval, tuple(manifest["stages"])
    )


def _sizes(jobs: Sequence[Job]) -> dict[str, tuple[int, int]]:
    """Return channels and inputs of the jobs with weights."""
    return {job.name: (layer.channels, layer.patch_size()) for job, layer in linear_jobs(jobs)}


def _choose(job: Job, layer: LinearLayer, interval: int | None, plan: str) -> Choice:
    """Return the cheapest folding for an interval; a spatial layer where there is none.

    Layers that take turns are folded in any case, without an interval at once.
    """
    everything = Choice(None, layer.channels, layer.patch_size())
    slowest = everything if job.turns > 1 else Choice(plan)
    if interval is None:
        return slowest
    source = job.inputs[0]
    count = job.output.size // job.output.channels
    # Positions at which no window is due take a cycle each.
    idle = max(source.size // source.channels - count, 0)
    cycles = (interval // job.turns - idle) // count
    if cycles < 2:
        return slowest
    return Choice(None, *cheapest_folding(layer, source, cycles))


def simulate_network(
    directory: str | Path,
    *,
    images: int = 1000,
    seed: int = 0,
    stall: float = 0.3,
    bench: bool = True,
    waves: bool = False,
    progress: Progress = lambda text: None,
) -> NetworkSimulation:
    """Simulate the network of a build under Verilator against the golden model.

    Parameters and errors are those of :func:`bnn2hw.verify.network.simulate_network`.

    Raises
    ------
    UsageError
        If a number makes no sense.
    """
    check_simulation("images", images, 1, seed, stall)
    return _simulate(
        _network_of(directory), images=images, seed=seed, stall=stall, bench=bench, waves=waves,
        progress=progress,
    )  # fmt: skip


def place(
    directory: str | Path,
    devices: Sequence[str],
    *,
    clock: float = 100.0,
    progress: Progress = lambda text: None,
) -> list[Placement]:
    """Place and route the network of a build on devices, down to a bitstream.

    Parameters and errors are those of :func:`bnn2hw.synth.place_and_route`.

    Raises
    ------
    UsageError
        If there is no such device.
    """
    for device in devices:
        if device not in DEVICES:
            raise UsageError(f"there is no device {device!r}", remedy=f"use {', '.join(DEVICES)}")
    path = _network_of(directory)
    return [
        place_and_route(path, device, clock=clock, progress=progress)
        for device in dict.fromkeys(devices)
    ]


def _network_of(directory: str | Path) -> Path:
    read_manifest(Path(directory), "build")
    path = network_directory(Path(directory))
    if path is None:
        raise BuildError(
            "this build holds layers and no network",
            file=directory,
            remedy="make one with 'bnn2hw generate --network'",
        )
    return path


def network_directory(directory: Path) -> Path | None:
    """Return the network's directory of a build; None where this is no build of a network."""
    try:
        tops = read_manifest(directory, "build")["layers"]
        (path,) = (directory / str(top) for top in dict(tops).values())
        read_manifest(path, "network")
    except (BuildError, TypeError, ValueError):
        return None
    return path
