"""The pace of stream stages: cycles of a frame, and the queues that keep it up.

A stage is known by what it does with each beat of a frame: for how long it takes no further one,
and how many results the beat sends on. In steady state a frame takes as many cycles as the
slowest stage. Queues are sized by a schedule at that pace: beats come evenly, every stage starts
each as soon as it can, and the greatest number of beats that wait before a stage is the depth of
its queue. Such stages are a marked graph, in which no beat is ever later than in any
schedule that its queues allow; so hardware with these queues keeps the pace.

A sliding window also moves on between frames without a beat, so that the last results of a frame
come sooner than that, and in a burst. This changes no pace, and no queue is needed for it; a second
schedule has them so, and says how deep one must be that is to be full for none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    ahead
        Beats of the next frame by which the last results of a frame move on, or as many cycles
        without a beat before that frame begins.
    """

    hold: NDArray[np.int64]
    emits: NDArray[np.int64]
    latency: int
    late: int = 0
    step: int = 1
    ahead: int = 0

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
    bursts
        The same, or more, where sliding windows move on between frames.
    latency
        Cycles from the last beat of a frame to the last result of the frame.
    """

    interval: int
    depths: tuple[tuple[int, ...], ...]
    bursts: tuple[tuple[int, ...], ...]
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
    if any(pace.ahead for paces, _ in stages for pace in paces):
        early = _schedule(stages, beats, interval, frames, drains=True)
        assert early is not None
        both = zip(found.depths, early.depths, strict=True)
        return replace(found, bursts=tuple(tuple(map(max, *rows)) for rows in both))
    return found


def _schedule(
    stages: Sequence[tuple[Sequence[Pace], Sequence[int]]],
    beats: int,
    interval: int,
    frames: int,
    *,
    drains: bool = False,
) -> Paces | None:
    """Return the pace as so many frames show it, or None where the last two differ at a stage.

    Where stages drain between frames, these may differ.
    """
    given = np.arange(beats * frames) * interval // beats
    results: list[NDArray[np.int64]] = []
    depths = []
    for paces, sources in stages:
        arrivals = [given if source < 0 else results[source] for source in sources]
        beat = min(map(len, arrivals))
        times = np.maximum.reduce([arrival[:beat] for arrival in arrivals])
        taken = times
        for k, pace in enumerate(paces):
            move = _drained if drains and pace.ahead else _taken
            starts, sent = move(times, pace)
            frame = len(pace.hold)
            last, before = starts[-frame:], starts[-2 * frame : -frame]
            if not drains and (len(before) < frame or (last != before + interval).any()):
                return None
            taken = taken if k else starts
            times = sent
        depths.append(tuple(_waiting(arrival[:beat], taken) for arrival in arrivals))
        results.append(times if paces else times + _QUEUE)
    # The last stage ends frames with as many results as in steady state.
    frame = round(len(results[-1]) / frames)
    latency = int(results[-1][frame - 1]) - int(given[beats - 1])
    return Paces(interval, tuple(depths), tuple(depths), latency)


def _taken(times: NDArray[np.int64], pace: Pace) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return when beats are taken, each as it comes or as soon as it can, and their results."""
    starts = _starts(times, np.resize(pace.hold, len(times)))
    emits = np.resize(pace.emits, len(starts))
    emits[np.cumsum(emits) <= pace.late] = 0  # there is no frame before the first
    return starts, _results(starts, emits, pace)


def _drained(times: NDArray[np.int64], pace: Pace) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the same where the last results of a frame go on until the next frame begins.

    All places of a line move by one with each beat, and in each cycle until the next frame comes;
    what was put in moves is sent on ``ahead`` moves later.
    """
    frame = len(pace.hold)
    # What each beat of a frame does as it leaves the line: cycles, results.
    leaves = np.roll(np.stack([pace.hold, pace.emits]), -pace.ahead, axis=1)
    nothing = np.array([[1], [0]])
    line = np.repeat(nothing, pace.ahead, axis=1)
    end = int(times[0])
    taken, moved, emitted = [], [], []
    for first in range(0, len(times), frame):
        beats = times[first : first + frame]
        free = end + np.cumsum(line[0]) - line[0]
        alone = int(np.searchsorted(free, beats[0])) if first else 0
        count = alone + len(beats)
        line = np.hstack([line, np.repeat(nothing, alone, axis=1), leaves[:, : len(beats)]])
        starts = _starts(np.maximum(np.append(free[:alone], beats), end), line[0, :count])
        end = int(starts[-1] + line[0, count - 1])
        taken.append(starts[alone:])
        moved.append(starts)
        emitted.append(line[1, :count])
        line = line[:, count:]
    return np.concatenate(taken), _results(np.concatenate(moved), np.concatenate(emitted), pace)


def _results(starts: NDArray[np.int64], emits: NDArray[np.int64], pace: Pace) -> NDArray[np.int64]:
    """Return when the results of beats come that are taken then and send so many on."""
    first = np.repeat(starts + pace.latency, emits)
    behind = np.arange(len(first)) - np.repeat(np.cumsum(emits) - emits, emits)
    return np.asarray(first + behind * pace.step, dtype=np.int64)


def _waiting(arrivals: NDArray[np.int64], starts: NDArray[np.int64]) -> int:
    """Return the beats that have come and are not taken yet, at most."""
    started = np.searchsorted(starts, arrivals, side="right")
    return int(max(0, (np.arange(1, len(arrivals) + 1) - started).max()))


def _starts(times: NDArray[np.int64], hold: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return when each beat is taken: as it comes, or as soon as the one before allows."""
    before = np.cumsum(hold) - hold
    starts: NDArray[np.int64] = np.maximum.accumulate(times - before) + before
    return starts
