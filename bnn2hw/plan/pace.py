"""The pace of stream stages: cycles of a frame, and the queues that keep it up.

A stage is known by what it does with each beat of a frame: for how long it takes no further one,
and how many results the beat sends on. In steady state a frame takes as many cycles as the
slowest stage. Queues are sized by a schedule at that pace: beats come evenly, every stage starts
each as soon as it can, and the greatest number of beats that wait before a stage is the depth of
its queue. Such stages are a marked graph, in which no beat is ever later than in any
schedule that its queues allow; so hardware with these queues keeps the pace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pace", "Paces", "pace_of_stages"]

# Frames of the schedule, or twice as many, until at every stage the last is as the one before.
_FRAMES = 6
# Cycles that a queue takes, at most.
_QUEUE = 2


@dataclass(frozen=True, eq=False)
class Pace:
    """What a stage does with the beats of a frame, in steady state.

    Attributes
    ----------
    hold
        int64 (beats,): cycles from a beat until it can take the next.
    emits
        int64 (beats,): results that a beat sends on.
    latency
        Cycles from a beat to its first result.
    late
        Of the first results of a frame, those that belong to the frame before.
    step
        Cycles from a result of a beat to the next.
    """

    hold: NDArray[np.int64]
    emits: NDArray[np.int64]
    latency: int
    late: int = 0
    step: int = 1

    @property
    def cycles(self) -> int:
        """Return the cycles of a frame."""
        return int(self.hold.sum())

    @classmethod
    def even(cls, beats: int, *, hold: int = 1, latency: int = 1) -> Pace:
        """Return the pace of a stage that answers every beat with one."""
        return cls(np.full(beats, hold), np.ones(beats, np.int64), latency)


@dataclass(frozen=True)
class Paces:
    """The pace of a network of stages.

    Attributes
    ----------
    interval
        Cycles of a frame in steady state.
    depths
        For each stage and each of its inputs, the beats that wait there at most.
    latency
        Cycles from the last beat of a frame to the last result of the frame.
    """

    interval: int
    depths: tuple[tuple[int, ...], ...]
    latency: int


def pace_of_stages(stages: Sequence[tuple[Sequence[Pace], Sequence[int]]], beats: int) -> Paces:
    """Return the pace of stages, each made of one or more paces in a row.

    Parameters
    ----------
    stages
        In order: the paces of a stage, and the numbers of the stages that it reads, -1 for the
        input of the network. One that reads several takes a beat of each at once. A stage without
        paces is a queue, which passes on what it reads two cycles later.
    beats
        Of a frame at the input.
    """
    interval = max([beats, *(pace.cycles for paces, _ in stages for pace in paces)])
    frames = _FRAMES
    while (found := _schedule(stages, beats, interval, frames)) is None:
        frames *= 2
    return found


def _schedule(
    stages: Sequence[tuple[Sequence[Pace], Sequence[int]]], beats: int, interval: int, frames: int
) -> Paces | None:
    """Return the pace as so many frames show it, or None where the last two differ at a stage."""
    given = np.arange(beats * frames) * interval // beats
    results: list[NDArray[np.int64]] = []
    depths = []
    for paces, sources in stages:
        arrivals = [given if source < 0 else results[source] for source in sources]
        beat = min(map(len, arrivals))
        times = np.maximum.reduce([arrival[:beat] for arrival in arrivals])
        starts = _starts(times, paces[0]) if paces else times
        depths.append(tuple(_waiting(arrival[:beat], starts) for arrival in arrivals))
        for pace in paces:
            times = _starts(times, pace)
            frame = len(pace.hold)
            last, before = times[-frame:], times[-2 * frame : -frame]
            if len(before) < frame or (last != before + interval).any():
                return None
            times = _results(times, pace)
        results.append(times if paces else times + _QUEUE)
    # The last stage ends frames with as many results as in steady state.
    frame = round(len(results[-1]) / frames)
    return Paces(interval, tuple(depths), int(results[-1][frame - 1]) - int(given[beats - 1]))


def _results(starts: NDArray[np.int64], pace: Pace) -> NDArray[np.int64]:
    """Return when the results of beats come that are taken then."""
    emits = np.resize(pace.emits, len(starts))
    emits[np.cumsum(emits) <= pace.late] = 0  # there is no frame before the first
    first = np.repeat(starts + pace.latency, emits)
    behind = np.arange(len(first)) - np.repeat(np.cumsum(emits) - emits, emits)
    return np.asarray(first + behind * pace.step, dtype=np.int64)


def _waiting(arrivals: NDArray[np.int64], starts: NDArray[np.int64]) -> int:
    """Return the beats that have come and are not taken yet, at most."""
    started = np.searchsorted(starts, arrivals, side="right")
    return int(max(0, (np.arange(1, len(arrivals) + 1) - started).max()))


def _starts(times: NDArray[np.int64], pace: Pace) -> NDArray[np.int64]:
    """Return when each beat is taken: as it comes, or as soon as the one before allows."""
    hold = np.resize(pace.hold, len(times))
    before = np.cumsum(hold) - hold
    starts: NDArray[np.int64] = np.maximum.accumulate(times - before) + before
    return starts
