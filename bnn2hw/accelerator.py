"""Whole networks as hardware: from an image stream to a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .assignment import Plans, assign, chosen_in_file
from .balance import PLANS, SLOW_PLANS, Goal, Problem, balance
from .emit.board import BOARDS, link_area, load_platform
from .emit.build import check_target, write_build
from .emit.manifest import read_manifest, versions
from .emit.network import NetworkFiles
from .emit.stage import Beats, input_beats, word_of
from .emit.stages import network_problem, network_stages
from .errors import BuildError, PlanError, UsageError
from .model import Argmax, Network
from .plan.area import Area
from .plan.choices import Choice, choices_text
from .plan.jobs import Job, network_jobs
from .plan.planner import check_options
from .synth import NetworkSynthesis, Placement, check_targets, place_and_route
from .synth import synthesise_network as _synthesise
from .toolchain import find_yosys
from .verify.frames import make_frames, make_images
from .verify.network import NetworkSimulation
from .verify.network import simulate_network as _simulate
from .verify.options import check_simulation

__all__ = [
    "NetworkBuild",
    "generate_network",
    "network_directory",
    "place",
    "simulate_network",
    "synthesise_network",
]

Progress = Callable[[str], None]

# Images for the harness that a network without samples gets, and frames of its cocotb bench.
_IMAGES = 16
_BENCH_FRAMES = 2

# Adder levels between registers of a network that is sized to a device.
_PIPELINE = 3


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
    asked
        Cycles that were asked for; None where none were.
    stages
        Name, layer, component, cycles and estimated area of every stage.
    sized
        Device, clock in MHz, images a second there, what it is estimated to take, and
        ``target_fps`` if there is one; None where the network was not sized to a device.
    """

    directory: Path
    network: str
    beats: int
    interval: int
    asked: int | None
    stages: tuple[dict[str, Any], ...]
    sized: dict[str, Any] | None = None

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
    target: str | None = None,
    interval: int | None = None,
    choices: str | Path | None = None,
    scores: bool = False,
    beat: int | None = None,
    bases_parallel: int | None = None,
    device: str | None = None,
    board: str | None = None,
    target_fps: float | None = None,
    max_luts: int | None = None,
    clock: float | None = None,
    out: str | Path | None = None,
    progress: Progress = lambda text: None,
) -> NetworkBuild:
    """Generate a build directory for a network whose layers follow each other.

    Parameters
    ----------
    network
        The trained network.
    plan, max_depth, complement, pipeline, target
        Of its layers, as for :func:`bnn2hw.generate`; the target is the device's if there is one.
    interval
        Cycles that an image may take: style, plan and folding of each layer are those of the least
        area, or the fastest where nothing is fast enough. Every layer is spatial, at a position a
        cycle, if None and without a device.
    choices
        A file that says how layers are computed (see :mod:`bnn2hw.plan.choices`); it goes before
        all else. Every build holds the one that would make it again.
    scores
        Whether the answer also holds the scores behind the class.
    beat
        Elements of a beat of the input; None for a width that suits.
    bases_parallel
        Lanes of each group of parallel bases, which compute the bases in turn; a lane a base if
        None.
    device
        Choose style, plan and folding of each layer for this device, with a pipeline of 3 where
        none is given: the fastest network that fits, unless there is a target or an interval.
    board
        The same for a board of :data:`bnn2hw.emit.board.BOARDS` at its clock, with room for the
        link that :func:`bnn2hw.board.build_board` puts beside the network.
    target_fps
        Images a second that the least area is sought for.
    max_luts
        Logic cells of the device that may be used.
    clock
        MHz that images a second are counted at; the device's own if None. A board has its own.
    out
        The directory; ``build/NETWORK`` if None. An earlier build there is replaced.
    progress
        Is told what is being done.

    Raises
    ------
    UsageError
        If an option makes no sense.
    PlanError
        If the network has a layer that is not built, bases that cannot take turns, or nothing
        that reaches the target fits the device.
    BuildError
        If the directory cannot be written or holds something else.
    """
    _check(network, plan, max_depth, pipeline, target, scores)
    beats = input_beats(network.input, beat)
    reserved = Area()
    if board is not None:
        if device is not None:
            raise UsageError("a board has its device", remedy="leave the device out")
        if clock is not None:
            raise UsageError("a board has its clock", remedy="leave the clock out")
        platform = load_platform(board)  # checks the name
        device = BOARDS[board].device
        clock = platform.default_clk_frequency / 1e6
        reserved = _link_area(network, beats, scores, BOARDS[board].family)
    goal = _goal(device, target_fps, max_luts, clock, interval, reserved, board is not None)
    if goal is not None and target is not None:
        remedy = "leave it out" if device is not None else "give a device instead"
        raise UsageError("a target of plans is told by the device", remedy=remedy)
    jobs: Sequence[Job] = network_jobs(network, bases_parallel)
    chosen: Mapping[str, Choice] = {}
    kept, sized = None, None
    if choices is not None:
        jobs, chosen, kept = chosen_in_file(Path(choices), jobs)
    pipeline = pipeline or kept or (None if device is None else _PIPELINE)
    directory = Path(out) if out is not None else Path("build", network.name)
    check_target(directory)
    find_yosys()
    plans = Plans(max_depth, complement, progress)
    stages_of = partial(network_stages, network, beats=beats, pipeline=pipeline, scores=scores)
    if goal is not None:
        progress(f"{network.name}: style and folding of each layer")
        several = plan == "auto" and max_depth is None
        problem = Problem(
            jobs, PLANS if several else (plan,), SLOW_PLANS if several and complement else (),
            pipeline, plans, chosen, partial(stages_of, jobs),
        )  # fmt: skip
        found = balance(problem, goal)
        chosen = found.choices
        if device is not None:
            sized = {**found.to_json(goal), "target_fps": target_fps}
    work = assign(jobs, chosen, plans, Choice(plan, target=target))
    stages, paces = stages_of(work.jobs, work.works)
    twice = [name for name, n in Counter(stage.name for stage in stages).items() if n > 1]
    if twice:
        raise BuildError(f"two stages would be called {twice[0]}", remedy="rename the layer")
    progress("images through the golden model")
    count = _IMAGES if network.samples is None else len(network.samples.images)
    images, _ = make_images(network, max(count, 1), seed=0)
    frames = make_frames(network, images, _BENCH_FRAMES)
    files = NetworkFiles(
        network, work.jobs, stages, paces, work.told, choices_text(work.choices, pipeline),
        beats, frames, pipeline, sized,
    )  # fmt: skip

    def write(folder: Path) -> None:
        progress(f"{network.name}: Amaranth to Verilog")
        files.write(folder)

    write_build(directory, network.name, {network.name: (files.top, write)}, versions())
    manifest = read_manifest(directory / files.top, "network")
    asked = None if goal is None else goal.interval
    told = tuple(manifest["stages"])
    return NetworkBuild(directory, network.name, beats.frame, paces.interval, asked, told, sized)


def _goal(
    device: str | None,
    target_fps: float | None,
    max_luts: int | None,
    clock: float | None,
    interval: int | None,
    reserved: Area,
    on_board: bool,
) -> Goal | None:
    """Return what is to be reached, if anything."""
    if device is None and any(option is not None for option in (target_fps, max_luts, clock)):
        raise UsageError("a target, a bound of LUTs and a clock belong to a device")
    if device is None and interval is None:
        return None
    return Goal(device, clock, target_fps, max_luts, interval, reserved, on_board)


def _link_area(network: Network, beats: Beats, scores: bool, family: str) -> Area:
    """Return the estimated area of the link of a network to a UART."""
    last = network.layers[-1]
    answer = word_of(network.tensors[last.name])
    if scores:
        answer += word_of(network.source(last))
    return link_area(beats.elements * beats.width, beats.frame, answer, family)


def _check(
    network: Network,
    plan: str,
    max_depth: int | None,
    pipeline: int | None,
    target: str | None,
    scores: bool,
) -> None:
    """Check options of a network that make no sense, and that it can be built."""
    if pipeline is not None and pipeline < 1:
        raise UsageError(f"pipeline {pipeline} is not a number of levels", remedy="give 1 or more")
    check_options(plan, max_depth, target=target)
    problem = network_problem(network)
    if problem is not None:
        raise PlanError(problem[1], layer=problem[0])
    if scores and not isinstance(network.layers[-1], Argmax):
        raise UsageError("a network without an argmax gives what it computes: leave scores out")


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
    clock: float | None = None,
    progress: Progress = lambda text: None,
) -> list[Placement]:
    """Place and route the network of a build on devices, down to a bitstream.

    Parameters and errors are those of :func:`bnn2hw.synth.place_and_route`.

    Raises
    ------
    UsageError
        If there is no such device, or the clock makes no sense.
    """
    for device in devices:
        Goal(device, clock)  # checks both
    path = _network_of(directory)
    return [
        place_and_route(path, device, clock=clock, progress=progress)
        for device in dict.fromkeys(devices)
    ]


def synthesise_network(
    directory: str | Path,
    targets: Sequence[str] = ("ecp5",),
    *,
    progress: Progress = lambda text: None,
) -> list[NetworkSynthesis]:
    """Synthesise the network of a build for targets, stage by stage.

    Parameters and errors are those of :func:`bnn2hw.synth.synthesise_network`.

    Raises
    ------
    UsageError
        If there is no such target.
    """
    check_targets(targets)
    path = _network_of(directory)
    return [_synthesise(path, target, progress=progress) for target in dict.fromkeys(targets)]


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
