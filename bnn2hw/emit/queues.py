"""Queues between the stages of a network, as deep as its pace asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from ..plan.pace import Paces, pace_of_stages
from .stage import Beats, Stage

__all__ = ["with_queues"]

# Units that read a word for several cycles.
_READ = ("EngineCore", "FoldedCore", "Repeat")
# Units that can hold a word for those while they work on the next one, or whose pace says for how
# long they cannot.
_HOLDS = ("Alternate", "FoldedCore", "Fifo", "Gather", "Repeat", "Slice", "SlidingWindow")


def with_queues(stages: list[Stage], beats: Beats) -> tuple[list[Stage], Paces]:
    """Return the stages with queues of the depth that keeps up their pace.

    A queue takes cycles itself, so they are sized anew until nothing changes.
    """
    depths: dict[tuple[str, int], int] = {}
    while True:
        found = _queued(stages, depths)
        numbers = {"": -1, **{stage.name: k for k, stage in enumerate(found)}}
        paces = pace_of_stages(
            [(stage.paces, [numbers[name] for name in stage.sources]) for stage in found],
            beats.frame,
        )
        needed = dict(depths)
        queues = {stage.name for stage in found if stage.unit == "Fifo"}
        for stage, waiting, bursts in zip(found, paces.depths, paces.bursts, strict=True):
            if stage.paces:
                for k, (depth, burst) in enumerate(zip(waiting, bursts, strict=True)):
                    # Bursts alone need no queue, but one that is there is to be full for none.
                    if depth or stage.sources[k] in queues:
                        depth = max(depth, burst)
                    needed[stage.name, k] = max(depth, depths.get((stage.name, k), 0))
        if needed == depths:
            return found, paces
        depths = needed


def _queued(stages: list[Stage], depths: Mapping[tuple[str, int], int]) -> list[Stage]:
    """Return the stages with queues of these depths before their inputs."""
    readers = Counter(name for stage in stages for name in stage.sources)
    units = {stage.name: stage.unit for stage in stages}
    found: list[Stage] = []
    for stage in stages:
        sources = list(stage.sources)
        for k, source in enumerate(sources):
            depth = depths.get((stage.name, k), 0)
            if depth:
                # It gives a cycle late, and takes none while it is full, nor in the cycle after.
                depth += 3
            elif stage.unit in _READ and units.get(source) not in _HOLDS:
                depth = 1
            if not depth:
                continue
            options = {"word": stage.words[k], "depth": depth}
            if units.get(source) == "Fifo" and readers[source] == 1:
                at = next(n for n, other in enumerate(found) if other.name == source)
                found[at] = replace(found[at], options=options)
            else:
                sources[k] = f"{stage.name}_queue{k or ''}"
                found.append(
                    Stage(
                        sources[k],
                        stage.layer,
                        "Fifo",
                        options,
                        (stage.words[k],),
                        sources=(source,),
                    )
                )
        found.append(replace(stage, sources=tuple(sources)))
    return found
