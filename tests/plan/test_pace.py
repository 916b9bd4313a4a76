"""The pace of graphs of stages, against a simulation cycle by cycle."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.plan.pace import Pace, Paces, pace_of_stages

Graph = Sequence[tuple[Pace, Sequence[int]]]


def pool(height: int, width: int) -> Pace:
    due = np.array([[y % 2 and x % 2 for x in range(width)] for y in range(height)])
    return Pace(np.ones(height * width, np.int64), due.reshape(-1).astype(np.int64), 1)


def window(beats: int, late: int, hold: int) -> Pace:
    """Return the pace of a window that looks ``late`` beats ahead."""
    return Pace(np.full(beats, hold), np.ones(beats, np.int64), 1, late)


def strided(beats: int, stride: int, hold: int) -> Pace:
    due = (np.arange(beats) % stride == stride - 1).astype(np.int64)
    return Pace(np.where(due, hold, 1), due, 2)


def paced(graph: Graph, beats: int) -> Paces:
    return pace_of_stages([((pace,), sources) for pace, sources in graph], beats)


class Simulation:
    """Stages cycle by cycle; a queue before each of their inputs holds so many beats, or any.

    A result goes to all that read it in one cycle, or waits until all have a place for it.
    """

    def __init__(self, graph: Graph, depths: Sequence[Sequence[int]] | None = None) -> None:
        self.graph = graph
        self.room = [
            [np.inf if depths is None else depths[k][n] + 1 for n in range(len(sources))]
            for k, (_, sources) in enumerate(graph)
        ]
        self.readers: dict[int, list[tuple[int, int]]] = {}
        for k, (_, sources) in enumerate(graph):
            for n, source in enumerate(sources):
                self.readers.setdefault(source, []).append((k, n))
        self.waiting = [[0] * len(sources) for _, sources in graph]
        self.greatest = [[0] * len(sources) for _, sources in graph]
        self.pending: list[deque[int]] = [deque() for _ in graph]
        self.busy, self.number, self.sent = [0] * len(graph), [0] * len(graph), [0] * len(graph)

    def push(self, source: int) -> bool:
        """Pass a beat to all that read it, if all have a place."""
        readers = self.readers[source]
        if any(self.waiting[k][n] >= self.room[k][n] for k, n in readers):
            return False
        for k, n in readers:
            self.waiting[k][n] += 1
        return True

    def run(self, beats: int, frames: int, interval: int | None = None) -> list[int]:
        """Return when each frame's last result comes; beats come evenly, or as they are taken."""
        given = 0
        results: list[int] = []
        per_frame = int(self.graph[-1][0].emits.sum())
        cycle = 0
        while len(results) < frames * per_frame:
            assert cycle < 200_000
            due = interval is None or given * interval // beats <= cycle
            given += int(due and self.push(-1))
            for k, (pace, sources) in enumerate(self.graph):
                pending = self.pending[k]
                if pending and pending[0] <= cycle:
                    if k + 1 == len(self.graph):
                        results.append(cycle)
                        pending.popleft()
                    elif self.push(k):
                        pending.popleft()
                blocked = pending and pending[0] <= cycle
                if all(self.waiting[k]) and self.busy[k] <= cycle and not blocked:
                    at = self.number[k] % len(pace.hold)
                    self.number[k] += 1
                    self.busy[k] = cycle + int(pace.hold[at])
                    for n in range(len(sources)):
                        self.waiting[k][n] -= 1
                    for j in range(int(pace.emits[at])):
                        self.sent[k] += 1
                        if self.sent[k] > pace.late:
                            pending.append(cycle + pace.latency + j * pace.step)
                for n, waits in enumerate(self.waiting[k]):
                    self.greatest[k][n] = max(self.greatest[k][n], waits)
            cycle += 1
        return results[per_frame - 1 :: per_frame]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[Pace, tuple[int, ...]]], int]:
    """Return stages in a row, and beside some of them a branch that is joined again."""
    beats = draw(st.sampled_from([8, 12, 16]))
    graph: list[tuple[Pace, tuple[int, ...]]] = []
    now, last = beats, -1

    def add(pace: Pace, *sources: int) -> int:
        graph.append((pace, sources))
        return len(graph) - 1

    for _ in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["even", "strided", "window", "branch", "gather"]))
        hold = draw(st.integers(1, 12)) * beats // now
        if kind == "even":
            last = add(Pace.even(now, hold=hold, latency=draw(st.integers(1, 9))), last)
        elif kind == "window":
            last = add(window(now, draw(st.integers(0, now + 1)), hold), last)
        elif kind == "branch":
            start = last
            last = add(window(now, draw(st.integers(0, now)), hold), last)
            last = add(Pace.even(now, hold=draw(st.integers(1, 4))), last)
            last = add(Pace.even(now), last, start)
        elif now % 2 == 0:
            pace = strided(now, 2 if kind == "strided" else now, hold)
            last, now = add(pace, last), int(pace.emits.sum())
    return graph or [(Pace.even(beats), (-1,))], beats


@given(graphs())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_queues_of_the_derived_depth_are_never_full(
    case: tuple[list[tuple[Pace, tuple[int, ...]]], int],
) -> None:
    """Where frames come at the interval, as many beats wait as the analysis says, and no more."""
    graph, beats = case
    found = paced(graph, beats)
    simulation = Simulation(graph)
    times = simulation.run(beats, 14, found.interval)
    assert [tuple(row) for row in simulation.greatest] == list(found.depths)
    assert set(np.diff(times[8:])) == {found.interval}


@given(graphs())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_source_that_does_not_wait_gets_the_pace(
    case: tuple[list[tuple[Pace, tuple[int, ...]]], int],
) -> None:
    graph, beats = case
    found = paced(graph, beats)
    times = Simulation(graph, found.depths).run(beats, 16)
    assert set(np.diff(times[8:])) == {found.interval}


def test_stages_that_come_to_their_pace_late() -> None:
    """Each pair of stages needs a frame more than the one before until its frames are alike."""
    ones = np.ones(8, np.int64)
    first, last = (np.where(np.arange(8) == at, 73, 1) for at in (0, 7))
    holds = [first, last] * 9
    graph = [(Pace(hold, ones, 1), (k - 1,)) for k, hold in enumerate(holds)]
    found = paced(graph, 8)
    simulation = Simulation(graph)
    times = simulation.run(8, 30, found.interval)
    assert [tuple(row) for row in simulation.greatest] == list(found.depths)
    assert set(np.diff(times[24:])) == {found.interval} == {80}


def test_a_queue_is_needed_behind_a_pool() -> None:
    graph = [(Pace.even(256, hold=4), (-1,)), (pool(8, 32), (0,)), (Pace.even(64, hold=16), (1,))]
    found = paced(graph, 256)
    assert (found.interval, found.depths) == (1024, ((0,), (0,), (8,)))
    assert set(np.diff(Simulation(graph, found.depths).run(256, 12)[6:])) == {1024}
    assert min(np.diff(Simulation(graph, [(0,)] * 3).run(256, 12)[6:])) > 1024


def test_a_short_branch_waits_for_the_long_one() -> None:
    """A residual sum: the window of the long branch looks nine positions ahead."""
    ones = np.ones(64, np.int64)
    graph = [(Pace.even(64), (-1,)), (Pace(ones, ones, 5, late=9), (0,)), (Pace.even(64), (0, 1))]
    found = paced(graph, 64)
    assert (found.interval, found.depths) == (64, ((0,), (0,), (14, 0)))
