"""Layer cores against their graphs: random ones in Amaranth's simulator, bit for bit."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal, UnusedElaboratable
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.errors import BuildError
from bnn2hw.gateware.core import LayerCore
from bnn2hw.plan.graph import AdderGraph, Count, Sum
from bnn2hw.plan.outputs import BitReadout, Readout, SumReadout
from tests.gateware.designs import Design, random_design, random_sums, vectors
from tests.gateware.simulate import check_design, check_stalls, run_stream

PIPELINES = st.sampled_from([None, 1, 2, 3, 5])
INTERVALS = st.sampled_from([(0, 1), (0, 1), (0, 5), (-8, 7), (-3, 0), (2, 5)])


@st.composite
def designs(draw: st.DrawFn) -> Design:
    return random_design(
        draw(st.integers(0, 2**32 - 1)),
        inputs=draw(st.integers(1, 20)),
        nodes=draw(st.integers(0, 10)),
        sums=draw(st.booleans()),
        classes=draw(st.sampled_from([1, 1, 2, 3, 5])),
        interval=draw(INTERVALS),
        pipeline=draw(PIPELINES),
    )


@given(designs(), st.integers(0, 1000))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_core_computes_its_graph_at_full_throughput(design: Design, seed: int) -> None:
    check_design(design, seed=seed)


@given(designs(), st.integers(0, 1000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_random_stalls_change_nothing(design: Design, seed: int) -> None:
    check_stalls(design, seed=seed)


@given(st.integers(0, 2**32 - 1), PIPELINES)
@settings(max_examples=6, deadline=None, derandomize=True)
def test_wide_counts(seed: int, pipeline: int | None) -> None:
    check_design(random_design(seed, inputs=70, nodes=4, pipeline=pipeline))


def counter(size: int, pipeline: int | None = None, level: int = 1) -> Design:
    """Return a design of one count of all inputs, compared with a level."""
    count = Count(np.arange(size), np.zeros(size, bool), "channel0")
    graph = AdderGraph(size, 0, 1, (count,), ())
    readout = BitReadout(np.array([size], np.int32), np.array([[1]], np.int8), np.array([[level]]))
    return Design(graph, readout, pipeline=pipeline)


@pytest.mark.parametrize("pipeline", [None, 1, 2, 3, 100])
def test_latency_follows_from_the_levels(pipeline: int | None) -> None:
    core = counter(64, pipeline).core()
    stages = 1 if pipeline is None else -(-core.level // pipeline)
    assert core.latency == stages
    check_design(counter(64, pipeline), core=core)


def test_without_a_pipeline_the_only_register_is_the_output() -> None:
    core = counter(300).core()
    assert core.level == 8
    assert core.latency == 1
    check_design(counter(300), core=core)


def test_a_layer_of_constants_has_latency_one() -> None:
    graph = AdderGraph(3, 0, 1, (), ())
    readout = BitReadout(np.array([-1, -1]), np.zeros((1, 2), np.int8), np.array([[1, 0]]))
    design = Design(graph, readout, pipeline=1)
    core = design.core()
    assert (core.level, core.latency) == (0, 1)
    check_design(design, core=core)


def test_reset_drops_what_is_under_way() -> None:
    core = counter(9, 1).core()
    reset = Signal()
    seen = []

    async def testbench(ctx: Any) -> None:
        ctx.set(core.o.ready, 1)
        ctx.set(core.i.valid, 1)
        await ctx.tick().repeat(core.latency + 2)
        assert ctx.get(core.o.valid)
        ctx.set(core.i.valid, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        for _ in range(core.latency + 3):
            seen.append(ctx.get(core.o.valid))
            await ctx.tick()

    simulator = Simulator(ResetInserter(reset)(core))
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert seen
    assert not any(seen)


def test_a_full_pipeline_waits_and_goes_on() -> None:
    """With the output blocked the core takes as many words as it has stages, and keeps them."""
    design = counter(9, 1, level=3)
    core = design.core()
    taken = []

    async def testbench(ctx: Any) -> None:
        ctx.set(core.o.ready, 0)
        ctx.set(core.i.valid, 1)
        for _ in range(core.latency + 5):
            taken.append(ctx.get(core.i.ready))
            await ctx.tick()

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert taken == [1] * core.latency + [0] * 5


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_class_beyond_the_last_reads_as_the_last(seed: int) -> None:
    design = random_design(seed, inputs=6, nodes=4, classes=3)
    x, _ = vectors(design, 10, seed)
    core = design.core()
    outputs, _ = run_stream(core, design.words(x), [3] * len(x))
    assert outputs == design.expected(x, np.full(len(x), 2))


def submodules(core: LayerCore) -> list[str]:
    fragment = Fragment.get(core, None)
    return [name for _, name, _ in fragment.subfragments]


def test_submodules_bear_the_labels_of_the_nodes() -> None:
    taps, plain = np.arange(4), np.zeros(4, bool)
    nodes = (
        Count(taps, plain, "channel17"),
        Count(taps[:2], plain[:2], "channel3_from_channel17"),
        Sum(np.array([4, 5]), np.array([1, 1]), np.array([0, 1]), 0, "channel3"),
        Count(taps[1:], plain[1:], "channel3"),
        Count(taps[2:], plain[2:], "3 x/é"),
        Count(taps[::2], plain[::2]),
        Count(taps[1::2], plain[1::2], "readout"),
    )
    graph = AdderGraph(4, 0, 1, nodes, ())
    readout = BitReadout(np.array([6]), np.array([[1]], np.int8), np.array([[3]]))
    assert submodules(LayerCore(graph, readout)) == [
        "channel17",
        "channel3_from_channel17",
        "channel3",
        "channel3_2",
        "value_3_x__",
        "value9",
        "readout_2",
        "readout",
        "delays",
    ]


def test_a_constant_value_needs_no_hardware() -> None:
    graph = AdderGraph(
        2, 0, 1, (Sum(np.array([0, 0]), np.array([1, -1]), np.array([0, 0]), 5),), ()
    )
    readout = random_sums(np.random.default_rng(0), graph, 1)
    assert submodules(LayerCore(graph, readout)) == ["readout", "delays"]
    check_design(Design(graph, readout))


def refusal(graph: AdderGraph, readout: Readout) -> str:
    """Return the message of the error that a core raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        with pytest.raises(BuildError) as caught:
            LayerCore(graph, readout)
        message = str(caught.value)
        del caught
        gc.collect()
    return message


@pytest.mark.parametrize("bits", [65_473, 100_000])
def test_a_patch_that_is_too_wide_is_refused(bits: int) -> None:
    readout = BitReadout(np.array([0]), np.array([[1]], np.int8), np.array([[1]]))
    assert refusal(AdderGraph(bits, 0, 1, (), ()), readout) == (
        f"a patch has {bits:,} bits, a word of the hardware at most 65,472; "
        "split the layer into several by channels or inputs"
    )


def test_an_output_word_that_is_too_wide_is_refused() -> None:
    values, scale = np.zeros(6000, np.int32), np.ones(6000, np.int8)
    readout = SumReadout(values, scale, np.zeros((1, 6000), np.int64), 0, 8191)
    message = refusal(AdderGraph(1, 0, 1, (), ()), readout)
    assert message.startswith("an output word has 78,000 bits, a word of the hardware at most")
