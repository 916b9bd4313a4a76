"""The pace of a chain of stream stages: cycles of a frame, and the queues that keep it up.

A stage is known by what it does with each beat of a frame: for how long it takes no further one,
and how many results the beat sends on. In steady state a frame takes as many cycles as the
slowest stage. Queues are sized by a schedule at that pace: beats come evenly, every stage starts
each as soon as it can, and the greatest number of beats that wait before a stage is the depth of
its queue. A chain of such stages is a marked graph, in which no beat is ever later than in any
schedule that its queues allow; so hardware with these queues keeps the pace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pace", "Paces", "pace_of_chain"]

# Frames of the schedule: the last of them counts.
_FRAMES = 6


@dataclass(frozen=True, eq=False)
class Pace:
    """What a stage does with the beats of a frame, in steady state.

    Attributes
    ----------
    hold
        int64 (beats,): cycles from a beat until it can take the next.
    emits
        int64 (beats,): results that a beat sends on, one a cycle.
    latency
        Cycles from a beat to its first result.
    """

    hold: NDArray[np.int64]
    emits: NDArray[np.int64]
    latency: int

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
    """The pace of a chain.

    Attributes
    ----------
    interval
        Cycles of a frame in steady state.
    depths
        For each stage, the beats that wait before it at most.
    latency
        Cycles from the last beat of a frame to the last result of the frame.
    """

    interval: int
    depths: tuple[int, ...]
    latency: int


def pace_of_chain(stages: Sequence[Sequence[Pace]], beats: int) -> Paces:
    """Return the pace of stages, each made of one or more paces in a row.

    Parameters
    ----------
    stages
        A queue may stand before each stage, and none within it.
    beats
        Of a frame at the input.
    """
    interval = max([beats, *(pace.cycles for stage in stages for pace in stage)])
    times = np.arange(beats * _FRAMES) * interval // beats
    last = int(times[beats - 1])
    depths = []
    for stage in stages:
        starts = _starts(times, stage[0])
        started = np.searchsorted(starts, times, side="right")
        depths.append(int(max(0, (np.arange(1, len(times) + 1) - started).max())))
        for pace in stage:
            starts = _starts(times, pace)
            emits = np.tile(pace.emits, _FRAMES)
            first = np.repeat(starts + pace.latency, emits)
            behind = np.arange(len(first)) - np.repeat(np.cumsum(emits) - emits, emits)
            times = first + behind
    return Paces(interval, tuple(depths), int(times[len(times) // _FRAMES - 1]) - last)


def _starts(times: NDArray[np.int64], pace: Pace) -> NDArray[np.int64]:
    """Return when each beat is taken: as it comes, or as soon as the one before allows."""
    hold = np.tile(pace.hold, _FRAMES)
    before = np.cumsum(hold) - hold
    starts: NDArray[np.int64] = np.maximum.accumulate(times - before) + before
    return starts
