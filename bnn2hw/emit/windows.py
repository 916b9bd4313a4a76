"""Sliding windows of a network as stages: their geometry, pace, and what they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..gateware.threshold import border_width
from ..gateware.window import View, Windows
from ..model import BinaryConv, Bipolar, LinearLayer, Tensor
from ..plan.jobs import Job
from ..plan.pace import Pace
from .names import top_name
from .stage import Stage, word_of

__all__ = [
    "on_one_line",
    "patch_word",
    "repeat_stage",
    "views_of",
    "window_pace",
    "window_stages",
    "windows_of",
]

_SAME = ("size", "word", "kernel", "stride", "filler", "turns")


def windows_of(options: Mapping[str, Any]) -> Windows:
    """Return the geometry of a sliding window with these options."""
    names = ("size", "kernel", "stride", "dilation", "padding", "turns")
    return Windows(**{name: options[name] for name in names if name in options})


def views_of(options: Mapping[str, Any]) -> list[Windows]:
    """Return the geometry of all windows on one line."""
    return [
        windows_of(options),
        *(
            windows_of({**options, "dilation": rates, "padding": around})
            for rates, around, _ in options.get("more", ())
        ),
    ]


def on_one_line(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages with one line of positions for windows that differ in dilation alone.

    Slices of what the line gives take the names of the windows.
    """
    alike: dict[object, list[Stage]] = {}
    for stage in stages:
        if stage.unit == "SlidingWindow" and not stage.options["more"]:
            same = tuple(stage.options[name] for name in _SAME)
            outputs = int(stage.paces[0].emits.sum())
            alike.setdefault((stage.sources, outputs, same), []).append(stage)
    lines = {row[0].name: _line_stages(row) for row in alike.values() if len(row) > 1}
    gone = {one.name for row in alike.values() if len(row) > 1 for one in row}
    found: list[Stage] = []
    for stage in stages:
        if stage.name in gone:
            found += lines.get(stage.name, [])
        else:
            found.append(stage)
    return found


def _line_stages(members: Sequence[Stage]) -> list[Stage]:
    """Return the stage of windows on one line, and each of them as a slice."""
    first, count = members[0], int(members[0].paces[0].emits.sum())
    options = {
        **first.options,
        "more": tuple(
            (one.options["dilation"], one.options["padding"], one.options["border"])
            for one in members[1:]
        ),
    }
    geometries = views_of(options)
    # Windows are complete with the last of them, and stay for the slowest reader.
    last = max(geometries, key=lambda windows: windows.ahead)
    pace = window_pace(last, max(int(one.paces[0].hold.max()) for one in members))
    line = replace(first, name=f"{first.name}_line", options=options, paces=(pace,))
    found, start = [line], 0
    bits = []
    for one in members:
        height, width = geometries[0].kernel
        border: Any = one.options["border"]
        classes = 1 if border is None else int(border.max()) + 1
        bits.append(one.words[0] * height * width + border_width(classes))
    for one, width in zip(members, bits, strict=True):
        cut = {"word": sum(bits), "start": start, "count": 1, "width": width, "kept": width}
        found.append(
            Stage(
                one.name, one.layer, "Slice", cut, (sum(bits),),
                (Pace.even(count, latency=0),), (line.name,),
            )
        )  # fmt: skip
        start += width
    return found


def window_stages(job: Job, hold: int) -> Iterator[Stage]:
    """Yield what makes the patches of a convolution, a turn after the other.

    That is the sliding window, with the padding before it that it cannot mask; then, where all
    turns read one edge, what repeats its words. Where turns differ in dilation or padding, the
    line has a window for each, of which every turn takes its own. A patch stays for as many
    cycles as its core holds it.
    """
    layers = [layer for layer in job.layers if isinstance(layer, BinaryConv)]
    layer, source, count = layers[0], job.inputs[0], job.output.size // job.output.channels
    # Of the turns, those that come with the words of the edge, and those that read the same word.
    inner = job.turns if len(job.sources[0]) > 1 else 1
    every = job.turns // inner
    views = [(one.dilation, one.padding, _classes(one, source)) for one in layers]
    alike = len({view[:2] for view in views}) == 1
    word = patch_word(job, layer) * (1 if alike else job.turns)
    if layer.kernel != (1, 1) or layer.stride != (1, 1) or any(layer.padding):
        yield from _line(job, layer, views[:1] if alike else views, hold * every, inner)
    if every > 1:
        yield repeat_stage(job, 0, hold, word, count)
    if not alike:
        name, options = f"{top_name(job.name)}_turn", {"word": word, "count": job.turns}
        pace = Pace.even(count * job.turns, hold=hold, latency=0)
        yield Stage(name, job.name, "Alternate", options, (word,), (pace,))


def _line(
    job: Job, layer: BinaryConv, views: Sequence[View], hold: int, turns: int
) -> Iterator[Stage]:
    """Yield the sliding window of maps in turn, of several views, and padding before it."""
    source, (dilation, padding, border) = job.inputs[0], views[0]
    name, word, filler = top_name(job.name), word_of(source), _filler(layer, source)
    size = source.shape[0], source.shape[1]
    geometries = [
        Windows(size, layer.kernel, layer.stride, rates, around, turns)
        for rates, around, _ in views
    ]
    if not geometries[0].masked:
        # Positions of all turns lie side by side.
        wide = size[0], size[1] * turns
        around = padding[0], padding[1] * turns, padding[2], padding[3] * turns
        pad = {"size": wide, "word": word, "padding": around, "filler": filler}
        yield Stage(f"{name}_pad", job.name, "Pad", pad, (word,), (_pad_pace(wide, around),))
        size = size[0] + padding[0] + padding[2], size[1] + padding[1] + padding[3]
        padding = (0, 0, 0, 0)
        geometries = [Windows(size, layer.kernel, layer.stride, dilation, turns=turns)]
    options = {
        "size": size,
        "word": word,
        "kernel": layer.kernel,
        "stride": layer.stride,
        "dilation": dilation,
        "padding": padding,
        "filler": filler,
        "border": border,
        "turns": turns,
        "more": tuple(views[1:]),
    }
    pace = window_pace(max(geometries, key=lambda windows: windows.ahead), hold)
    yield Stage(f"{name}_window", job.name, "SlidingWindow", options, (word,), (pace,))


def _classes(layer: BinaryConv, source: Tensor) -> NDArray[np.int64] | None:
    """Return the border class of every output position, None where there is one alone."""
    borders = layer.border_classes(source)
    return borders if borders.any() else None


def repeat_stage(job: Job, number: int, hold: int, word: int, count: int) -> Stage:
    """Return what gives an input of a job once a turn; each stays for as long as it is held."""
    pace = Pace(np.full(count, hold * job.turns), np.full(count, job.turns), 0, step=hold)
    name, options = f"{top_name(job.name)}_repeat{number or ''}", {"word": word, "count": job.turns}
    return Stage(name, job.name, "Repeat", options, (word,), (pace,))


def patch_word(job: Job, layer: LinearLayer) -> int:
    """Return the bits of a patch, and of its border class where there are several."""
    classes = len(layer.valid_taps(job.inputs[0]))
    border = border_width(classes) if classes > 1 else 0
    return layer.patch_size() * job.inputs[0].format.width + border


def window_pace(windows: Windows, hold: int) -> Pace:
    """Return the pace of windows, each held for so many cycles."""
    due = windows.due()
    late = int(due[: windows.ahead % len(due)].sum()) + windows.ahead // len(due) * int(due.sum())
    ahead = windows.ahead if late else 0
    return Pace(np.where(due, hold, 1), due.astype(np.int64), 1, late, ahead=ahead)


def _pad_pace(size: tuple[int, int], padding: tuple[int, int, int, int]) -> Pace:
    """Return the pace of a pad: padded positions go with the position before them."""
    top, left, bottom, right = padding
    inside = np.zeros((size[0] + top + bottom, size[1] + left + right), np.bool_)
    inside[top : top + size[0], left : left + size[1]] = True
    at = np.flatnonzero(inside.reshape(-1))
    results = np.diff(np.append(at, inside.size))
    results[0] += at[0]
    return Pace(results, results, 0)


def _filler(layer: BinaryConv, source: Tensor) -> int:
    """Return the word of a padded position; zeros among bits are 0 bits of a border class."""
    form, value = source.format, layer.padding_value
    element = int(value > 0) if isinstance(form, Bipolar) else value & (1 << form.width) - 1
    return sum(element << k * form.width for k in range(source.channels))
