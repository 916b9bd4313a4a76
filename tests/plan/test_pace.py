"""The pace of chains, against a simulation with queues of the derived depth."""

from __future__ import annotations

from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.plan.pace import Pace, Paces, pace_of_stages


def pool(height: int, width: int) -> Pace:
    due = np.array([[y % 2 and x % 2 for x in range(width)] for y in range(height)])
    return Pace(np.ones(height * width, np.int64), due.reshape(-1).astype(np.int64), 1)


def chained(stages: list[Pace], beats: int) -> Paces:
    return pace_of_stages([((stage,), (k - 1,)) for k, stage in enumerate(stages)], beats)


def simulated(stages: list[Pace], beats: int, depths: list[int], frames: int) -> list[int]:
    """Return when each frame's last result comes, where input is always there."""
    queues: list[deque[int]] = [deque() for _ in stages]
    waits, number = [0] * len(stages), [0] * len(stages)
    pending: list[deque[int]] = [deque() for _ in stages]
    sent, results, cycle = 0, [], 0
    per_frame = int(stages[-1].emits.sum())
    while len(results) < frames * per_frame and cycle < 100_000:
        for k in reversed(range(len(stages))):
            pace = stages[k]
            # Results go on one a cycle, where there is room; else the stage waits.
            if pending[k] and pending[k][0] <= cycle:
                room = k + 1 == len(stages) or len(queues[k + 1]) <= depths[k + 1]
                if room:
                    pending[k].popleft()
                    if k + 1 == len(stages):
                        results.append(cycle)
                    else:
                        queues[k + 1].append(cycle)
            late = pending[k] and pending[k][0] < cycle
            if queues[k] and waits[k] <= cycle and not late:
                queues[k].popleft()
                at = number[k] % len(pace.hold)
                waits[k] = cycle + int(pace.hold[at])
                pending[k].extend(cycle + pace.latency + j for j in range(int(pace.emits[at])))
                number[k] += 1
        if sent < frames * beats and len(queues[0]) <= depths[0]:
            queues[0].append(cycle)
            sent += 1
        cycle += 1
    return results[per_frame - 1 :: per_frame]


@given(
    st.sampled_from([(4, 4), (6, 8), (2, 6)]), st.integers(1, 6), st.integers(1, 24),
    st.integers(1, 20),
)  # fmt: skip
@settings(max_examples=40, deadline=None, derandomize=True)
def test_queues_of_the_derived_depth_keep_the_pace(
    size: tuple[int, int], first: int, second: int, third: int
) -> None:
    height, width = size
    beats, pooled = height * width, height * width // 4
    stages = [
        Pace.even(beats, hold=first),
        pool(height, width),
        Pace.even(pooled, hold=second),
        Pace.even(pooled, hold=third),
    ]
    found = chained(stages, beats)
    assert found.interval == max(beats * first, pooled * second, pooled * third)
    times = simulated(stages, beats, [depth + 1 for (depth,) in found.depths], 12)
    assert set(np.diff(times[6:])) == {found.interval}


def test_a_queue_is_needed_behind_a_pool() -> None:
    stages = [Pace.even(256, hold=4), pool(8, 32), Pace.even(64, hold=16)]
    found = chained(stages, 256)
    assert (found.interval, found.depths) == (1024, ((0,), (0,), (8,)))
    assert set(np.diff(simulated(stages, 256, [0, 0, 8], 12)[6:])) == {1024}
    assert min(np.diff(simulated(stages, 256, [0, 0, 0], 12)[6:])) > 1024


def test_a_short_branch_waits_for_the_long_one() -> None:
    """A residual sum: the window of the long branch looks nine positions ahead."""
    ones = np.ones(64, np.int64)
    window, join = Pace(ones, ones, 5, late=9), Pace.even(64)
    found = pace_of_stages([((Pace.even(64),), (-1,)), ((window,), (0,)), ((join,), (0, 1))], 64)
    assert found.interval == 64
    assert found.depths == ((0,), (0,), (14, 0))
