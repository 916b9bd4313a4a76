"""The balance of a network: least area, fastest that fits, and what is said where nothing does."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.accelerator import generate_network, synthesise_network
from bnn2hw.api import load_network
from bnn2hw.assignment import Plans
from bnn2hw.balance import PLANS, SLOW_PLANS, Balance, Goal, Problem, balance
from bnn2hw.emit.stage import input_beats
from bnn2hw.emit.stages import network_stages
from bnn2hw.errors import PlanError, UsageError
from bnn2hw.model import BIPOLAR, Argmax, BinaryConv, BinaryDense, Layer, MaxPool, Network, Tensor
from bnn2hw.plan import devices
from bnn2hw.plan.choices import Choice, choices_text
from bnn2hw.plan.jobs import linear_jobs, network_jobs
from bnn2hw.plan.options import LayerOptions, Option
from bnn2hw.synth import DEVICES
from tests.helpers import dense_network
from tests.test_accelerator import bits, residual_network, thresholds, tiny_network


def problem(network: Network, methods: Sequence[str] = ("direct", "mst")) -> Problem:
    jobs = network_jobs(network)
    stages = partial(
        network_stages, network, jobs, beats=input_beats(network.input), pipeline=2, scores=False
    )
    return Problem(jobs, methods, (), 2, Plans(None, True, lambda text: None), {}, stages)


def test_row_class_trees_are_planned_of_spatial_layers_alone() -> None:
    network = dense_network(40, 12)
    network = dataclasses.replace(network, layers=(*network.layers, _second(network, 12)))
    work = problem(network)
    told: list[str] = []
    plans = Plans(None, True, told.append)
    refined = dataclasses.replace(work, slow=SLOW_PLANS, plan=plans)
    # The first layer must be fast, the second may take its time.
    goal = Goal(cycles=1)
    found = balance(refined, goal)
    assert found.choices["fc"].plan == "rowtree"
    assert cells(found, goal) < cells(balance(work, goal), goal)
    told.clear()
    slow = balance(refined, Goal(cycles=4000))
    assert {choice.style for choice in slow.choices.values()} == {"folded"}
    assert told == []


def test_an_interval_that_nothing_reaches_gives_the_fastest() -> None:
    work = problem(tiny_network())
    fastest = balance(work, Goal(cycles=1))
    assert fastest.interval == balance(work, Goal("ecp5-85k")).interval
    with pytest.raises(PlanError, match=r"cycles at least, and 1 are asked for; give --interval"):
        balance(work, Goal("ecp5-85k", cycles=1))


def test_layers_that_are_chosen_stay() -> None:
    work = problem(tiny_network())
    free = balance(work, Goal(cycles=2000))
    chosen = {"conv1": Choice(pes=1, simd=1), "fc": Choice("mst")}
    found = balance(dataclasses.replace(work, chosen=chosen), Goal(cycles=2000))
    assert found.choices == {**free.choices, **chosen}
    # A layer that is chosen too slow gives the pace of what is found.
    assert found.interval >= 48 * 6 * 18 > free.interval


def cells(found: Balance, goal: Goal) -> float:
    return found.area.cells(goal.family)


def options_of(network: Network, family: str) -> list[list[Option]]:
    """Return every option of every layer."""
    plans = Plans(None, True, lambda text: None)
    found = []
    for job, layer in linear_jobs(network_jobs(network)):
        layers = LayerOptions(job, layer, family, ("direct", "mst"), (), 2, plans)
        found.append([*layers._sequential, *layers._spatial])
    return found


@pytest.mark.parametrize("device", ["ecp5-25k", "ice40-hx8k"])
@pytest.mark.parametrize("cycles", [2, 30, 400])
def test_no_combination_is_smaller(device: str, cycles: int) -> None:
    network = dense_network(12, 6)
    network = dataclasses.replace(network, layers=(*network.layers, _second(network)))
    goal = Goal(device, clock=1.0, fps=1e6 / cycles)
    found = balance(problem(network), goal)
    family = goal.family
    areas = [
        sum(option.cells for option in combination)
        for combination in product(*options_of(network, family))
        if all(option.cycles <= cycles for option in combination)
    ]
    chosen = [
        next(o for o in options if o.choice == choice)
        for options, choice in zip(options_of(network, family), found.choices.values(), strict=True)
    ]
    assert sum(option.cells for option in chosen) == min(areas)
    assert found.interval <= cycles


def _second(network: Network, inputs: int = 6) -> Layer:
    layer = dense_network(inputs, 5, name="out", seed=1).layers[0]
    return dataclasses.replace(layer, inputs=(network.layers[0].name,))


def test_block_rams_are_shared_by_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    free = balance(problem(load_network()), Goal("ecp5-25k", fps=2000))
    assert free.area.block_rams >= 2
    less = dataclasses.replace(devices.CAPACITIES["ecp5-25k"], block_rams=2)
    monkeypatch.setitem(devices.CAPACITIES, "ecp5-25k", less)
    found = balance(problem(load_network()), Goal("ecp5-25k", fps=2000))
    assert found.area.block_rams <= less.usable[2] == 1
    assert found.area.luts >= free.area.luts


def test_a_search_that_forgets_block_rams_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    least = "bnn2hw.balance._undominated"
    monkeypatch.setattr(least, lambda found: [min(found, key=lambda one: one.cells)])
    with pytest.raises(PlanError):
        test_block_rams_are_shared_by_all_layers(monkeypatch)


def test_a_search_that_takes_the_first_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayerOptions, "_front", lambda layer, cycles: layer._spatial)
    with pytest.raises(AssertionError):
        test_no_combination_is_smaller("ecp5-25k", 400)


@pytest.mark.parametrize("network", [tiny_network(), residual_network()], ids=lambda n: n.name)
def test_more_images_never_take_less(network: Network) -> None:
    sizes = []
    work = problem(network)
    for fps in (1_000, 20_000, 100_000, 300_000, 800_000):
        goal = Goal("ecp5-85k", fps=fps)
        found = balance(work, goal)
        assert found.interval <= (goal.interval or 0)
        assert goal.holds(found.area)
        sizes.append(cells(found, goal))
    # Queues are no part of what is minimised.
    assert all(b >= 0.97 * a for a, b in pairwise(sizes))


@given(st.integers(1800, 9000))
@settings(max_examples=8, deadline=None, derandomize=True)
def test_the_fastest_that_fits_keeps_to_the_bound(most: int) -> None:
    network = tiny_network()
    goal = Goal("ecp5-25k", max_luts=most)
    found = balance(problem(network), goal)
    assert cells(found, goal) <= most
    more = balance(problem(network), Goal("ecp5-25k", max_luts=2 * most))
    assert more.interval <= found.interval
    # The target that was reached takes no more.
    again = Goal("ecp5-25k", fps=goal.hertz / found.interval, max_luts=most)
    assert balance(problem(network), again).interval <= found.interval


def test_a_bound_that_a_target_keeps_is_as_fast() -> None:
    """Queues depend on the pace: those of the fastest say nothing of a slower choice."""
    work = problem(load_network(), PLANS)
    for fps in (2500, 10_000):
        slow = balance(work, Goal("ecp5-25k", fps=fps))
        most = math.ceil(cells(slow, Goal("ecp5-25k")))
        assert balance(work, Goal("ecp5-25k", fps=fps, max_luts=most)).interval == slow.interval
        assert balance(work, Goal("ecp5-25k", max_luts=most)).interval <= slow.interval


def test_what_cannot_be_reached_says_what_can() -> None:
    work = problem(load_network(), PLANS)
    with pytest.raises(PlanError, match=r"takes 64 cycles at least, .* leave 5; give --target"):
        balance(work, Goal("ecp5-25k", fps=10_000_000))
    with pytest.raises(PlanError, match=r"cells of 20,644.*give --target-fps \d+ or --device"):
        balance(problem(load_network(), ("direct",)), Goal("ecp5-25k", fps=781_250))
    with pytest.raises(PlanError, match=r"logic cells of 900 .*ecp5-25k; give --max-luts \d+$"):
        balance(work, Goal("ecp5-25k", max_luts=900))


def test_a_remedy_helps() -> None:
    work = problem(load_network(), ("direct",))
    with pytest.raises(PlanError) as caught:
        balance(work, Goal("ecp5-25k", fps=781_250))
    remedy = str(caught.value.remedy).split()
    fps, device = remedy[2], remedy[-1]
    assert balance(work, Goal("ecp5-25k", fps=float(fps))).interval > 64
    assert balance(work, Goal(device, fps=781_250)).interval == 64
    with pytest.raises(PlanError):
        balance(work, Goal("ecp5-25k", fps=1.1 * float(fps)))


def test_every_device_that_is_placed_has_a_capacity() -> None:
    assert list(devices.CAPACITIES) == list(DEVICES)
    for name, capacity in devices.CAPACITIES.items():
        assert capacity.family == DEVICES[name].family
        cells, flipflops, block_rams = capacity.usable
        assert cells < capacity.cells
        assert flipflops < capacity.flipflops
        assert block_rams < capacity.block_rams


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "ecp5-12k"}, "there is no device 'ecp5-12k'; use ecp5-25k, "),
        ({"device": "ecp5-25k", "fps": 0.0}, "a target of 0.0 makes no sense"),
        ({"device": "ecp5-25k", "fps": float("nan")}, "a target of nan makes no sense"),
        ({"device": "ecp5-25k", "fps": -1.0}, "a target of -1.0 makes no sense"),
        ({"device": "ecp5-25k", "clock": float("inf")}, "a clock in MHz of inf makes no sense"),
        ({"device": "ecp5-25k", "max_luts": 0}, "0 LUTs hold nothing"),
    ],
)
def test_goals_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Goal(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_fps": 10.0}, "belong to a device"),
        ({"max_luts": 10}, "belong to a device"),
        ({"interval": 64, "clock": 10.0}, "belong to a device"),
        ({"interval": 0}, "an interval of 0 cycles makes no sense"),
        ({"device": "ecp5-25k", "interval": 64, "target_fps": 10.0}, "is a target already"),
        ({"device": "ecp5-25k", "target": "ecp5"}, "target of plans is told by the device"),
    ],
)
def test_options_that_do_not_go_together(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        generate_network(tiny_network(), out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files of a build."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_choices_go_round(tmp_path: Path) -> None:
    network, out = tiny_network(), tmp_path / "out"
    build = generate_network(network, device="ecp5-25k", target_fps=100_000, out=out)
    assert build.sized is not None
    assert build.sized["images_per_second"] >= 100_000
    assert build.interval == build.sized["interval"]
    written = out / "tiny" / "choices.toml"
    assert all(set(stage["estimate"]) == {"ecp5", "ice40"} for stage in build.stages)
    # The file alone gives every file again, but for what the network was sized to.
    again = generate_network(network, choices=written, out=tmp_path / "again")
    assert again.interval == build.interval
    first, second = files(out), files(tmp_path / "again")
    told = [json.loads(found.pop("tiny/manifest.json")) for found in (first, second)]
    assert first == second
    assert told[0] == {**told[1], "sized": build.sized}
    # With its target it gives all.
    generate_network(
        network, device="ecp5-25k", target_fps=100_000, choices=written,
        out=tmp_path / "again",
    )  # fmt: skip
    assert files(out) == files(tmp_path / "again")


def mixed_network() -> Network:
    """Return a network whose stages are large enough to be estimated, and no larger."""
    layers = (
        BinaryConv(
            "conv", ("input",), bits(16, 3, 3, 16), thresholds(16), padding=(1, 1, 1, 1),
            padding_value=0,
        ),
        MaxPool("pool", ("conv",)),
        BinaryDense("fc", ("pool",), bits(16, 3 * 3 * 16), thresholds(16)),
        BinaryDense("sums", ("fc",), bits(10, 16), None),
        Argmax("class", ("sums",)),
    )  # fmt: skip
    return Network("mixed", Tensor((6, 6, 16), BIPOLAR), layers)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_estimates_are_near_what_yosys_counts(family: str, tmp_path: Path) -> None:
    chosen = {
        "conv": Choice(pes=4, simd=72),
        "fc": Choice("rowtree", target=family),
        "sums": Choice("classes"),
    }
    (tmp_path / "choices.toml").write_text(choices_text(chosen, pipeline=3))
    out = tmp_path / "out"
    generate_network(mixed_network(), choices=tmp_path / "choices.toml", out=out)
    (result,) = synthesise_network(out, [family])
    estimate, measured = result.estimate, result.total.cells
    assert estimate["luts"] == pytest.approx(measured.luts, rel=0.1)
    assert estimate["flipflops"] == pytest.approx(measured.flip_flops, rel=0.15)
    assert estimate["block_rams"] == measured.block_rams
    large = [stage for stage in result.stages if stage.cells.luts >= 300]
    assert {stage.unit for stage in large} >= {"FoldedCore", "LayerCore"}
    for stage in large:
        assert stage.estimate["luts"] == pytest.approx(stage.cells.luts, rel=0.15), stage.name


def test_a_pool_of_many_rows_is_estimated(tmp_path: Path) -> None:
    """Where windows begin is compared with carries."""
    network = Network("pool", Tensor((24, 24, 32), BIPOLAR), (MaxPool("pool", ("input",)),))
    out = tmp_path / "out"
    generate_network(network, out=out)
    (found,) = synthesise_network(out, ["ecp5"])
    (stage,) = [one for one in found.to_json()["stages"] if one["name"] == "pool"]
    assert stage["estimate"]["luts"] == pytest.approx(stage["cells"]["luts"], rel=0.15)
