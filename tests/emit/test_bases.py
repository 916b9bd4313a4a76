"""Parallel bases as stages: in turn, side by side, of every variant, against the golden model."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bnn2hw.emit import stage as stage_module
from bnn2hw.emit.stage import Stage, input_beats
from bnn2hw.emit.stages import network_stages
from bnn2hw.emit.vectors import pack_words
from bnn2hw.emit.windows import views_of
from bnn2hw.gateware.network_core import NetworkCore
from bnn2hw.golden import run
from bnn2hw.model import (
    Affine,
    Argmax,
    BaseGroup,
    BinaryConv,
    BinaryDense,
    Integer,
    Layer,
    MaxPool,
    Network,
    SumPool,
    Tensor,
    Threshold,
)
from bnn2hw.plan import plan_layer
from bnn2hw.plan.folding import Folding, fold_job
from bnn2hw.plan.jobs import linear_jobs, network_jobs, side_by_side, with_joined
from bnn2hw.plan.layer_plan import LayerPlan
from tests.gateware.mutants import TURN_MUTANTS, load_mutant
from tests.gateware.streams import Trace, send_words
from tests.groupnets import Groupnet


def images_of(network: Network, count: int) -> NDArray[np.int64]:
    """Return random images."""
    form = network.input.format
    rng = np.random.default_rng(1)
    return rng.integers(form.low, form.high + 1, (count, *network.input.shape))


def stages_of(
    network: Network, lanes: int | None, *, spanning: bool = False, pes: int = 99, simd: int = 99
) -> tuple[list[Stage], int]:
    """Return the stages of a network and its interval; layers in turn are folded so far."""
    jobs = network_jobs(network, lanes)
    if spanning:
        jobs = with_joined(jobs, list(side_by_side(jobs)))
    works: dict[str, LayerPlan | Folding] = {}
    for job, layer in linear_jobs(jobs):
        if job.turns > 1:
            works[job.name] = fold_job(job, pes, simd)
        else:
            works[job.name] = plan_layer(layer, job.inputs[0], "mst" if spanning else "direct")
    beats = input_beats(network.input)
    stages, paces = network_stages(network, jobs, works, beats=beats, pipeline=1, scores=True)
    return stages, paces.interval


def answers(network: Network, images: NDArray[np.int64]) -> list[int]:
    """Return the words that must come out: the class and its scores."""
    found = run(network, images, edges=["class", "classes"])
    scores = pack_words(found["classes"].astype(np.int64), network.tensors["classes"].format.width)
    return [int(one[0]) | word << 2 for one, word in zip(found["class"], scores, strict=True)]


def trace_of(stages: list[Stage], network: Network, count: int, stall: float) -> Trace:
    """Send images through the stages."""
    core = NetworkCore([(one.name, one.component(), one.sources) for one in stages])
    images = images_of(network, count).reshape(-1, network.input.channels)
    words = pack_words(images, network.input.format.width)
    return send_words(core, words, count, stall=stall, patience=4000)


def check(network: Network, lanes: int | None, stall: float = 0.3, **options: int) -> list[Stage]:
    """Compare a network's stages with the golden model, and its pace with the analysed one."""
    count = 2 if stall else 6
    stages, interval = stages_of(network, lanes, **options)
    trace = trace_of(stages, network, count, stall)
    assert trace.words == answers(network, images_of(network, count))
    # The last two come sooner where nothing follows them.
    assert stall or set(np.diff(trace.cycles)[1:-2]) == {interval}
    return stages


# Components of broken gateware are made and, where one of them fails, never used.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Let such components go while their warnings are ignored."""
    yield
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lanes", "stall", "network"),
    [
        (None, 0.3, Groupnet("lbd", 3, 2, (1,), (1, 2, 1), seed=1, fraction=0)),
        (1, 0.3, Groupnet("lbd", 2, 2, (2,), bits=2, seed=1, size=(3, 4))),
        (2, 0.0, Groupnet("gbd1", 3, 1, (1, 2), bits=4, seed=11, size=(4, 3))),
        (1, 0.3, Groupnet("gbd2", 3, 1, (1, 2), seed=9, fraction=4)),
        (1, 0.0, Groupnet("gbd2", 2, 2, (2, 1), bits=4, seed=2)),
        (2, 0.3, Groupnet("gbd3", 3, 2, (2, 1), bits=2, seed=6, size=(3, 4))),
        (1, 0.0, Groupnet("groupnet", 3, 2, (2, 1), gate=0, seed=7, size=(4, 3))),
        (None, 0.3, Groupnet("groupnet", 2, 2, (2, 1), gate=128, bits=2, seed=8)),
        (2, 0.3, Groupnet("groupnet", 3, 2, (2, 1), gate=77, bits=4, seed=9, fraction=1)),
        (2, 0.0, Groupnet("groupnet", 5, 2, (2, 2), gate=256, seed=17)),
    ],
    ids=lambda value: f"{value.variant}{value.bases}" if isinstance(value, Groupnet) else None,
)
def test_random_networks(lanes: int | None, stall: float, network: Groupnet) -> None:
    built = network.build()
    assert len(set(answers(built, images_of(built, 2 if stall else 6)))) > 1
    check(built, lanes, stall, spanning=lanes is None)


@pytest.mark.slow
def test_bases_in_turn_are_the_bases_side_by_side() -> None:
    network = Groupnet(bases=2, strides=(2, 1), size=(3, 4)).build()
    parallel, in_turn = (check(network, lanes) for lanes in (None, 1))
    assert len(in_turn) < 0.8 * len(parallel)


@pytest.mark.slow
@pytest.mark.parametrize(("pes", "simd"), [(1, 99), (2, 5)])
def test_bases_in_turn_are_folded_further(pes: int, simd: int) -> None:
    check(Groupnet(strides=(2,)).build(), 1, 0.0, pes=pes, simd=simd)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "bases", "lanes", "stall"),
    [("lbd", 3, None, 0.3), ("lbd", 3, 1, 0.3), ("gbd1", 2, 1, 0.0)],
)
def test_dilations_of_parallel_bases(
    variant: str, bases: int, lanes: int | None, stall: float
) -> None:
    network = Groupnet(
        variant=variant, bases=bases, dilations=(1, 2, 2), strides=(1,), size=(5, 4)
    ).build()
    check(network, lanes, stall, spanning=variant == "lbd")


@pytest.mark.parametrize("shared", [False, True])
def test_pools_of_bases_in_turn(shared: bool) -> None:
    """Each base has pools: of an edge that it shares with the other, and of bits of its own."""
    rng = np.random.default_rng(5)
    layers: list[Layer] = []
    for k in (0, 1):
        source = "input"
        if not shared:
            weights, source = rng.integers(0, 2, (2, 3, 3, 2)).astype(np.uint8), f"conv{k}"
            threshold = Threshold.at_least(rng.integers(-3, 4, 2))
            layers.append(BinaryConv(source, ("input",), weights, threshold, padding=(1, 1, 1, 1)))
        layers.append(MaxPool(f"most{k}", (source,), (2, 1), (1, 1)))
        layers.append(SumPool(f"sum{k}", (f"most{k}",), (2, 2), (1, 2)))
    layers.append(Affine("mean", ("sum0", "sum1"), np.array([[1], [2]]), np.array([0]), 0,
                         Integer(-99, 99)))  # fmt: skip
    layers.append(BinaryDense("classes", ("mean",), rng.integers(0, 2, (3, 8)).astype(np.uint8)))
    layers.append(Argmax("class", ("classes",)))
    bases = tuple(
        tuple(layer.name for layer in layers if layer.name.endswith(str(k))) for k in (0, 1)
    )
    group = BaseGroup("group", bases, "mean")
    network = Network("n", Tensor((4, 4, 2), Integer(-4, 3)), tuple(layers), groups=(group,))
    stages = check(network, 1)
    assert [stage.unit for stage in stages if "Pool" in stage.unit] == ["MaxPool", "SumPool"]


def test_bases_that_read_one_edge_share_its_window() -> None:
    network = Groupnet(variant="lbd", strides=(1,)).build()
    stages, _ = stages_of(network, None)
    assert [stage.unit for stage in stages].count("SlidingWindow") == 3
    assert [stage.unit for stage in stages].count("LayerCore") == 10


def test_dilations_share_one_line() -> None:
    network = Groupnet(variant="lbd", dilations=(1, 2, 3), strides=(1,), size=(5, 5)).build()
    stages, _ = stages_of(network, None)
    lines = [stage for stage in stages if stage.unit == "SlidingWindow"]
    assert [len(stage.options.get("more", ())) for stage in lines] == [0, 2, 2]
    assert [stage.unit for stage in stages].count("Slice") == 6


def test_dilations_in_turn_share_one_line() -> None:
    """Of windows on one edge each is repeated; of edges in turn each has its own."""
    network = Groupnet(variant="gbd1", dilations=(1, 2, 1), strides=(1,), size=(5, 5)).build()
    stages, _ = stages_of(network, 1)
    lines = [stage for stage in stages if stage.unit == "SlidingWindow"]
    assert [len(views_of(stage.options)) for stage in lines] == [1, 3, 3]
    assert [stage.options["turns"] for stage in lines] == [1, 1, 3]
    parts = [stage for stage in stages if stage.unit == "Alternate"]
    assert [stage.sources[0].rpartition("_")[2] for stage in parts] == ["repeat", "window"]


def rejected(network: Network, broken: Network) -> bool:
    """Return whether the hardware of a broken network gives other answers."""
    stages, _ = stages_of(broken, 1)
    trace = trace_of(stages, network, 3, 0.2)
    return trace.words != answers(network, images_of(network, 3))


def with_weights(network: Network, name: str, weights: NDArray[np.int64]) -> Network:
    """Return the network with other weights of a fixed-point sum."""
    layers = [
        replace(layer, weights=weights)
        if isinstance(layer, Affine) and layer.name == name
        else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


@pytest.mark.slow
def test_a_base_left_out_is_rejected() -> None:
    network = Groupnet(strides=(2,)).build()
    mean = network.layer("block0_mean")
    assert isinstance(mean, Affine)
    weights = mean.weights.copy()
    weights[1] = 0
    assert rejected(network, with_weights(network, mean.name, weights))


@pytest.mark.slow
def test_gate_weights_swapped_are_rejected() -> None:
    network = Groupnet(bases=2, strides=(2, 1), gate=30).build()
    gate = network.layer("block1_base1_gate")
    assert isinstance(gate, Affine)
    assert rejected(network, with_weights(network, gate.name, gate.weights[::-1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["none_turns", *sorted(TURN_MUTANTS)])
def test_broken_gateware_is_rejected(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = load_mutant(name, tmp_path).__name__.rpartition(".")[0]
    for unit, made in list(stage_module.UNITS.items()):
        module = importlib.import_module(f"{package}.{made.__module__.rpartition('.')[2]}")
        monkeypatch.setitem(stage_module.UNITS, unit, getattr(module, unit_name(made)))

    def found(seed: int) -> bool:
        rates = (1, 2, 1) if seed == 3 else ()
        size = (5, 6) if rates else (3, 4)
        network = Groupnet(strides=(2,), dilations=rates, size=size, seed=seed).build()
        try:
            return rejected(network, network)
        except (AssertionError, IndexError, ValueError):
            return True

    # Of one the sums saturate at both ends, of the other the formats of bases differ in width,
    # and their dilations.
    assert any(found(seed) for seed in (1, 3)) == (name in TURN_MUTANTS)


def unit_name(made: object) -> str:
    """Return the name of a component's class."""
    return str(getattr(made, "__name__", ""))
