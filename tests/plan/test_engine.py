"""Schedules of the sequential engine against a walk cycle by cycle; orders of mode delta."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.errors import PlanError, UsageError
from bnn2hw.plan.counting import LayerShape
from bnn2hw.plan.engine import EngineParameters, EngineSchedule, cycles, schedule
from bnn2hw.plan.engine_delta import delta_order

EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True)


def walked(timing: EngineSchedule, batches: int, interval: int) -> int:
    """Return the cycles of a schedule, counted one by one on two banks and one set of lanes."""
    banks, filling, reading = [False, False], 0, 0
    word_left = pixel = word = (
        0  # cycles left of the word that is evaluated, its pixel; item's word
    )
    next_word = cycle = 0  # when the source gives the next word
    step = pixel_step = readout = 0
    ready = 0  # when the weights of the next step are there
    items = 0
    while True:
        done = not word_left
        if word_left and not banks[filling]:
            word_left -= 1
            done = not word_left
            if done:
                pixel += 1
                if pixel == timing.pixels:
                    pixel, banks[filling], filled = 0, True, cycle
                    filling ^= 1
        if done and cycle >= next_word:
            word_left, next_word = batches, cycle + interval
        used = banks[reading] and not (filling ^ 1 == reading and filled == cycle)
        steps = timing.steps[word] if timing.steps else timing.groups
        if used and (pixel_step or readout or cycle >= ready):
            if not pixel_step and not readout:
                ready = cycle + timing.fetch
            pixel_step += 1
            if readout:
                readout -= 1
                pixel_step = 0
            elif pixel_step == timing.pixels:
                pixel_step, step = 0, step + 1
                if step == steps and timing.steps and word == timing.words - 1:
                    readout = timing.groups * timing.pixels
            if step == steps and not readout:
                banks[reading], step = False, 0
                reading, word, items = reading ^ 1, (word + 1) % timing.words, items + 1
                if items == timing.items:
                    return cycle + 3  # this cycle counts, and two follow
        cycle += 1


@st.composite
def cases(draw: st.DrawFn) -> tuple[EngineSchedule, int, int]:
    parameters = EngineParameters(
        lanes=draw(st.integers(1, 6)),
        kernel_units=draw(st.integers(1, 8)),
        tau=draw(st.integers(1, 4)),
        pixels=draw(st.integers(1, 4)),
        taps=draw(st.integers(1, 9)),
        word_width=draw(st.none() | st.integers(2, 12)),
    )
    mode = draw(st.sampled_from(["subbit", "binary", "delta"]))
    shape = LayerShape("layer", (3, 3), draw(st.integers(1, 6)), draw(st.integers(1, 16)))
    groups = -(-shape.outputs // parameters.lanes)
    steps = [groups, *draw(st.lists(st.integers(1, groups), min_size=5, max_size=5))]
    interval = draw(st.integers(1, 20))
    timing = schedule(
        parameters,
        shape,
        mode,
        positions=draw(st.integers(1, 6)),
        interval=interval,
        steps=steps[: shape.inputs] if mode == "delta" else (),
    )
    return timing, 1 if mode == "binary" else parameters.batches, interval


@EXAMPLES
@given(cases())
def test_a_walk_takes_as_many_cycles(case: tuple[EngineSchedule, int, int]) -> None:
    timing, batches, interval = case
    assert timing.cycles == walked(timing, batches, interval)


@EXAMPLES
@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 8), st.integers(1, 6))
def test_the_changes_of_an_order_give_the_indices(
    seed: int, outputs: int, words: int, lanes: int
) -> None:
    indices = np.random.default_rng(seed).integers(0, 3, (outputs, words)).astype(np.int32)
    order = delta_order(indices, lanes)
    assert sorted(set(order.channels.ravel().tolist())) == list(range(outputs))
    places = order.channels.shape[1]
    assert order.steps[0] == places
    rebuilt = np.full((lanes, places, words), -1)
    step = 0
    for word in range(words):
        for _ in range(order.steps[word]):
            for lane in range(lanes):
                rebuilt[lane, order.places[step, lane] :, word] = order.indices[step, lane]
            step += 1
            assert order.ends[step - 1] == (step == order.steps[: word + 1].sum())
    assert np.array_equal(rebuilt, indices[order.channels])
    # the walk of one lane changes at least as often as the tree
    whole = delta_order(indices, 1)
    later = indices[whole.channels[0]]
    walk = words + int((later[1:] != later[:-1]).sum())
    assert order.tree <= walk


def test_alike_channels_are_one_behind_the_other() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 8, (2, 30))
    order = delta_order(kinds[rng.permutation(np.arange(10) % 2)].astype(np.int32), 2)
    # each lane has one kind: one step a word but the first, which has one a channel
    assert order.steps.tolist() == [5] + [1] * 29


def test_what_has_no_schedule() -> None:
    shape = LayerShape("layer", (3, 3), 4, 4)
    with pytest.raises(UsageError, match="mode delta needs the steps of 4 input words, not of 0"):
        schedule(EngineParameters(), shape, "delta")
    with pytest.raises(UsageError, match="mode 'x' is unknown; choose one of subbit, binary"):
        schedule(EngineParameters(), shape, "x")
    with pytest.raises(PlanError, match="layer layer: indices of 9 bits stand for kernels of 8"):
        schedule(EngineParameters(tau=9), LayerShape("layer", (1, 1), 4, 4))
    with pytest.raises(PlanError, match="layer layer: the engine has no schedule for 2 groups"):
        schedule(EngineParameters(), LayerShape("layer", (3, 3), 4, 4, groups=2))


def test_figures_of_a_schedule() -> None:
    shape = LayerShape("layer", (3, 3), 16, 40, (4, 5))
    timing = schedule(EngineParameters(lanes=16, kernel_units=8, tau=4, word_width=20), shape)
    assert (timing.words, timing.groups, timing.fetch) == (16, 3, 4)
    assert timing.lower_bound == 20 * 16 * 40 // 16
    assert timing.cycles == 2 + (20 * 16 - 1) * 12 + 2 * 4 + 1 + 3
    assert cycles(EngineParameters(lanes=40, kernel_units=16, tau=4), shape) == 320 + 1 + 3
