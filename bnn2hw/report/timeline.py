"""The timeline of a network: its layers as a table and as bars, and what assumptions buy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from ..plan.timeline import Assumption, Timeline
from .figure import new_figure, save_figure
from .tables import Table, number

__all__ = ["assumption_table", "draw_timeline", "timeline_table"]

_NAMES = {"subbit": "sub-bit", "closed": "closed subset", "fastest": "fastest modes"}
_COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860")


def timeline_table(timeline: Timeline) -> Table:
    """Return the layers with the cycles of both engines, stage sums, and the sum of all."""
    rows = []
    pairs = list(zip(timeline.binary.layers, timeline.subbit.layers, strict=True))
    for one, sub in pairs:
        outputs, positions = sub.schedule.outputs, sub.schedule.positions
        rows.append(
            [
                one.name,
                number(outputs),
                number(positions),
                number(one.schedule.cycles),
                number(sub.schedule.cycles),
                sub.schedule.mode,
                f"{sub.schedule.utilisation:.0%}",
                _faster(one.schedule.cycles, sub.schedule.cycles),
            ]
        )
    for stage, (one_cycles, sub_cycles) in _stages(timeline).items():
        rows.append(_total(f"stage {stage}", one_cycles, sub_cycles))
    rows.append(_total("all", timeline.binary.cycles, timeline.subbit.cycles))
    headers = [
        "layer", "channels", "positions", "1-bit cycles", "sub-bit cycles", "mode", "lanes busy",
        "speed-up",
    ]  # fmt: skip
    return Table(headers, rows, left=(0, 5))


def assumption_table(assumptions: Sequence[Assumption]) -> Table:
    """Return what each assumption buys."""
    rows = [
        [item.name, number(item.binary), number(item.subbit), f"{item.speedup:.2f}"]
        for item in assumptions
    ]
    return Table(["assumption", "1-bit cycles", "sub-bit cycles", "speed-up"], rows)


def _faster(one: int, sub: int) -> str:
    return f"{one / sub:.2f}"


def _total(name: str, one: int, sub: int) -> list[str]:
    return [name, "", "", number(one), number(sub), "", "", _faster(one, sub)]


def _stages(timeline: Timeline) -> dict[int, tuple[int, int]]:
    """Return the cycles of both engines for each stage."""
    stages: dict[int, tuple[int, int]] = {}
    for one, sub in zip(timeline.binary.layers, timeline.subbit.layers, strict=True):
        before = stages.get(one.stage, (0, 0))
        stages[one.stage] = (before[0] + one.schedule.cycles, before[1] + sub.schedule.cycles)
    return stages


def draw_timeline(timelines: Sequence[Timeline], path: str | Path) -> None:
    """Write a picture of bars over time, a bar a layer and a colour a stage.

    The uppermost row is the 1-bit engine, then comes the sub-bit engine of each timeline; all are
    of one network. The ending of the path chooses the format.

    Raises
    ------
    ToolError
        If matplotlib is not installed.
    BuildError
        If the picture cannot be written.
    """
    first = timelines[0]
    runs = [
        ("1 bit", first.binary),
        *((_NAMES[line.mode], line.subbit) for line in timelines),
    ]
    figure = new_figure()
    figure.set_size_inches(10, 1.1 + 0.75 * len(runs))
    axes = figure.subplots()
    for row, (_, run) in enumerate(runs):
        lengths = [1e3 * layer.schedule.cycles / run.parameters.clock for layer in run.layers]
        starts = accumulate(lengths[:-1], initial=0.0)
        colours = [_COLOURS[layer.stage % len(_COLOURS)] for layer in run.layers]
        axes.barh(
            [row] * len(lengths), lengths, left=list(starts), height=0.7, color=colours,
            edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        end = f" {1e3 * run.seconds:.4g} ms, {first.binary.seconds / run.seconds:.2f}x"
        axes.annotate(end, (1e3 * run.seconds, row), va="center")
    for stage in _stages(first):
        axes.bar(0, 0, color=_COLOURS[stage % len(_COLOURS)], label=f"stage {stage}")
    axes.set_yticks(range(len(runs)), [name for name, _ in runs])
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.set_xlim(0, 1e3 * first.binary.seconds * 1.15)
    axes.set_xlabel("milliseconds")
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    axes.set_title(
        f"{first.network.name}, {first.network.input}x{first.network.input}, {first.pes} PEs at "
        f"{first.binary.parameters.clock / 1e6:,.6g} MHz, tau {first.tau}",
        fontsize=10,
    )
    save_figure(figure, path)
