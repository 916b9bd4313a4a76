"""Stream components alone, against numpy and the golden model, with random stalls."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.emit.streams import sum_pool_options
from bnn2hw.emit.vectors import pack_words
from bnn2hw.gateware.argmax import Argmax
from bnn2hw.gateware.frame import FrameGuard
from bnn2hw.gateware.network_core import AxiStreamNetwork
from bnn2hw.gateware.pool import MaxPool, SumPool
from bnn2hw.gateware.words import Fifo, Gather, Split
from bnn2hw.golden import run
from bnn2hw.model import BIPOLAR, Integer, Network, Tensor
from bnn2hw.model import Argmax as ArgmaxLayer
from bnn2hw.model import MaxPool as MaxPoolLayer
from bnn2hw.model import SumPool as SumPoolLayer
from tests.gateware.streams import send_words

stalls = st.sampled_from([0.0, 0.3, 0.6])
formats = st.sampled_from([BIPOLAR, Integer(0, 9), Integer(-5, 2), Integer(-1, 0)])


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 2), stalls)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_gather(word: int, count: int, dropped: int, stall: float) -> None:
    assume(dropped < word * count)
    rng = random.Random(0)
    words = [rng.getrandbits(word) for _ in range(6 * count)]
    bits = word * count - dropped
    expected = [
        sum(w << k * word for k, w in enumerate(words[at : at + count])) & (1 << bits) - 1
        for at in range(0, len(words), count)
    ]
    trace = send_words(Gather(word, count, bits=bits), words, 6, stall=stall)
    assert trace.words == expected
    assert stall or np.diff(trace.cycles).tolist() == [count] * 5


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 12), stalls)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_split(word: int, count: int, frame: int, stall: float) -> None:
    rng = random.Random(0)
    per_frame = -(-frame // count)
    words = [rng.getrandbits(word * count) for _ in range(3 * per_frame)]
    expected = [
        words[image * per_frame + k // count] >> k % count * word & (1 << word) - 1
        for image in range(3)
        for k in range(frame)
    ]
    trace = send_words(Split(word, count, frame), words, len(expected), stall=stall)
    assert trace.words == expected
    assert stall or set(np.diff(trace.cycles)) <= {1}


@given(st.integers(1, 9), stalls)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_fifo(depth: int, stall: float) -> None:
    rng = random.Random(0)
    words = [rng.getrandbits(7) for _ in range(40)]
    trace = send_words(Fifo(7, depth), words, 40, stall=stall)
    assert trace.words == words
    assert stall or np.diff(trace.cycles).tolist() == [1] * 39


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 16])
def test_a_fifo_holds_its_depth(depth: int) -> None:
    queue = Fifo(4, depth)
    taken = []

    async def testbench(ctx: Any) -> None:
        ctx.set(queue.i.valid, 1)
        for _ in range(depth + 5):
            taken.append(ctx.get(queue.i.ready))
            await ctx.tick()

    simulator = Simulator(queue)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert taken == [1] * depth + [0] * 5


def in_turn(maps: NDArray[np.int64], turns: int) -> NDArray[np.int64]:
    """Return the positions of maps, of which so many take turns, position by position."""
    frames = maps.reshape(-1, turns, maps[0].size // maps.shape[-1], maps.shape[-1])
    return frames.swapaxes(1, 2).reshape(-1, maps.shape[-1])


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 3),
    st.integers(1, 3),
    formats,
    stalls,
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_pool(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], channels: int,
    turns: int, form: Any, stall: float,
) -> None:  # fmt: skip
    assume(kernel[0] <= size[0] and kernel[1] <= size[1])
    layer = MaxPoolLayer("pool", ("input",), kernel, stride)
    network = Network("n", Tensor((*size, channels), form), (layer,))
    low = 0 if form is BIPOLAR else form.low
    images = np.random.default_rng(0).integers(low, form.high + 1, (3 * turns, *size, channels))
    expected = in_turn(run(network, images)["pool"].astype(np.int64), turns)
    pool = MaxPool(
        size, channels, kernel, stride=stride, element_width=form.width,
        element_signed=form.signed, turns=turns,
    )  # fmt: skip
    words = pack_words(in_turn(images, turns), form.width)
    trace = send_words(pool, words, len(expected), stall=stall)
    assert trace.words == pack_words(expected, form.width)
    assert stall or trace.cycles[-1] <= len(words) + 2


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 2),
    st.integers(1, 2),
    formats,
    stalls,
)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_sum_pool(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], channels: int,
    turns: int, form: Any, stall: float,
) -> None:  # fmt: skip
    assume(kernel[0] <= size[0] and kernel[1] <= size[1])
    layer = SumPoolLayer("pool", ("input",), kernel, stride)
    network = Network("n", Tensor((*size, channels), form), (layer,))
    low = 0 if form is BIPOLAR else form.low
    images = np.random.default_rng(0).integers(low, form.high + 1, (3 * turns, *size, channels))
    images[0], images[1] = low, form.high
    expected = in_turn(run(network, images)["pool"].astype(np.int64), turns)
    pool = SumPool(**sum_pool_options(layer, network.input), turns=turns)
    words = pack_words(in_turn(images, turns), form.width)
    trace = send_words(pool, words, len(expected), stall=stall)
    assert trace.words == pack_words(expected, network.tensors["pool"].format.width)
    assert stall or trace.cycles[-1] <= len(words) + 2


@given(st.integers(1, 12), formats, st.sampled_from(["first", "last"]), st.booleans(), stalls)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_argmax(count: int, form: Any, ties: Any, scores: bool, stall: float) -> None:
    layer = ArgmaxLayer("class", ("input",), ties)
    network = Network("n", Tensor((count,), form), (layer,))
    low = 0 if form is BIPOLAR else form.low
    rows = np.random.default_rng(count).integers(low, form.high + 1, (30, count))
    rows[0], rows[1:3] = form.high, low
    index = run(network, rows)["class"][:, 0].tolist()
    component = Argmax(
        count, element_width=form.width, element_signed=form.signed, last=ties == "last",
        scores=scores,
    )  # fmt: skip
    words = pack_words(rows, form.width)
    trace = send_words(component, words, 30, stall=stall)
    behind = words if scores else [0] * 30
    assert trace.words == [
        i | word << component.index_width for i, word in zip(index, behind, strict=True)
    ]
    assert stall or trace.cycles == list(range(component.latency, component.latency + 30))


@given(st.integers(1, 5), st.lists(st.integers(1, 9), min_size=1, max_size=8), stalls)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_frames_of_any_length_keep_in_step(beats: int, lengths: list[int], stall: float) -> None:
    guard = FrameGuard(8, beats)
    frames = [[16 * n + k + 1 for k in range(length)] for n, length in enumerate(lengths)]
    words = [
        value | (k == len(frame) - 1) << 8 for frame in frames for k, value in enumerate(frame)
    ]
    verdicts: list[int] = []
    patient = random.Random(stall)

    async def judge(ctx: Any) -> None:
        waits = False
        while True:
            # As a queue, it takes nothing back: once ready, it is so until a verdict comes.
            waits = waits or patient.random() >= stall
            ctx.set(guard.verdict.ready, waits)
            _, _, valid, ready, verdict = await ctx.tick().sample(
                guard.verdict.valid, guard.verdict.ready, guard.verdict.payload
            )
            if valid and ready:
                verdicts.append(verdict)
                waits = False

    trace = send_words(guard, words, beats * len(frames), stall=stall, background=judge)
    assert trace.words == [w for f in frames for w in (f + [0] * beats)[:beats]]
    assert verdicts == [(length < beats) | (length > beats) << 1 for length in lengths]


def test_an_answer_that_begins_before_its_frame_ends() -> None:
    """What the frame was like is known at its end: the network has to take all of it till then."""
    network = AxiStreamNetwork([("stage", Fifo(8, 2), ("",))], beats=12, answers=12)
    taken: list[int] = []

    async def send(ctx: Any) -> None:
        ctx.set(network.s_axis_tvalid, 1)
        for number in range(36):
            ctx.set(network.s_axis_tdata, number)
            ctx.set(network.s_axis_tlast, number % 12 == 11)
            await ctx.tick().until(network.s_axis_tready)
        ctx.set(network.s_axis_tvalid, 0)

    async def take(ctx: Any) -> None:
        ctx.set(network.m_axis_tready, 1)
        async for _, _, valid, word in ctx.tick().sample(
            network.m_axis_tvalid, network.m_axis_tdata
        ):
            taken.extend([word] * valid)

    simulator = Simulator(network)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_process(take)
    simulator.run_until(60e-6)
    assert taken == list(range(36))
