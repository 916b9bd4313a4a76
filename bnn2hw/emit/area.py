"""Estimated area of the stages of a network, by the components that they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from ..gateware.affine import equal_weights, signed_digits
from ..gateware.sums import interval_shape
from ..plan.area import FAMILIES, Area, counter_area, memory_area, multiplexer_luts
from ..plan.cost import comparison_bits, core_area
from ..plan.engine_area import EngineArea
from ..plan.folding_area import FoldingArea
from .stage import Stage
from .windows import views_of, windows_of

__all__ = ["fifo_area", "network_area", "stage_area", "stage_estimate"]

Options = Mapping[str, Any]

# A delay of so many slots is a memory.
_MEMORY_SLOTS = 16
# The guard of frames, and the verdicts.
_FRAME = Area(luts=45, flipflops=35, lone=5)
# Of the masks of a window, what the choice from two chunks takes up.
_SAVED_OF_TWO = 0.4
# Tables of a bit that a sum of several terms adds, and of a bit of its result.
_TERM_BIT = 1.7
_RESULT_BIT = {"ecp5": 1.8, "ice40": 1.0}
# The same of a sum of equal terms as a pool adds them, whose result is an addition.
_POOL_BIT = 1.4
# Tables of each row or column at which windows begin or pause, where its number has so many bits
# that comparisons have carries; else they share tables with the rest.
_CARRIED_BITS = 5
_START = {"ecp5": 3.0, "ice40": 1.7}


def stage_estimate(stage: Stage) -> dict[str, dict[str, dict[str, int]]]:
    """Return the entry ``estimate`` of a stage, by family; nothing where there is none."""
    areas = {family: stage_area(stage, family) for family in FAMILIES}
    known = {family: area.to_json(family) for family, area in areas.items() if area is not None}
    return {"estimate": known} if known else {}


def network_area(stages: Sequence[Stage], family: str) -> Area:
    """Return the estimate of a network: its stages, as far as they have one, joined.

    The tables that mask padding in a window become part of those by which a folded core, or one on
    an engine, chooses a chunk of inputs. Tables that choose from two chunks have little room, and a
    core that takes all inputs at once has none: there the masks stay.
    """
    total = _FRAME + sum((stage_area(stage, family) or Area() for stage in stages), Area())
    by_name = {stage.name: stage for stage in stages}
    for stage in stages:
        for source in (by_name[name] for name in stage.sources if name in by_name):
            steps = 1
            if stage.folding is not None:
                steps = -(-stage.folding.weights.shape[1] // stage.folding.simd)
            elif stage.engine is not None:
                steps = stage.engine.program.words
            if source.unit == "SlidingWindow":
                saved = {1: 0.0, 2: _SAVED_OF_TWO}.get(steps, 1.0)
                total -= Area(saved * _masks(source.options))
    return total


def stage_area(stage: Stage, family: str) -> Area | None:
    """Return the estimated area of a stage on a family of :data:`~bnn2hw.plan.area.FAMILIES`.

    None where the component has no estimate.
    """
    options: Options = stage.options
    if stage.folding is not None:
        area = FoldingArea(stage.folding, options["element_width"], options["pipeline"])
        return area.area(stage.folding.pes, stage.folding.simd, family)
    if stage.engine is not None:
        program = stage.engine.program
        width, _ = options["output"]
        return EngineArea(stage.engine, width).area(program.lanes, program.kernel_units, family)
    if stage.core is not None:
        return core_area(*stage.core, options["pipeline"], family)
    estimate = _AREAS.get(stage.unit)
    return None if estimate is None else estimate(options, family)


def fifo_area(options: Options, family: str) -> Area:
    """Return the area of a queue by its ``word`` in bits and its ``depth``."""
    word, depth = options["word"], options["depth"]
    if depth == 1:
        return Area(2, word + 1, word)
    if depth == 2:
        return Area(word + 6, 2 * word + 2, word)
    # What is written and read at once passes by a block RAM.
    memory = memory_area(family, word, depth - 1)
    passing = Area(word, word, word) if memory.block_rams else Area()
    bits = (depth - 1).bit_length()
    return memory + passing + Area(5 * bits + 2, word + 3 * bits, word)


def _gather(options: Options, family: str) -> Area:
    registers = options["word"] * options["count"]
    return counter_area(options["count"] + 1) + Area(6, registers, registers)


def _split(options: Options, family: str) -> Area:
    choice = Area(multiplexer_luts(options["word"], options["count"]))
    return choice + counter_area(options["count"]) + counter_area(options["frame"]) + Area(4)


def _repeat(options: Options, family: str) -> Area:
    return counter_area(options["count"]) + Area(2)


def _slice(options: Options, family: str) -> Area:
    return Area()


def _lookup(table: Sequence[int]) -> float:
    """Return the tables of a comparison with each place where a table changes."""
    changes = sum(a != b for a, b in pairwise(table))
    return changes * ((len(table) - 1).bit_length() / 3 + 0.5)


def _masks(options: Options) -> int:
    """Return the bits of windows that are masked where they are outside of the map."""
    taps = sum(
        windows.meets(0, y)
        and windows.meets(1, x)
        and not (all(windows.covers(0, y)) and all(windows.covers(1, x)))
        for windows in views_of(options)
        for y, x in product(*windows.offsets)
    )
    return int(options["word"] * taps)


def _window(options: Options, family: str) -> Area:
    views = views_of(options)
    (height, width), ahead = views[0].grid, max(windows.ahead for windows in views)
    word, total = options["word"], Area(luts=14.0)
    total += counter_area(height * width) + counter_area(ahead + 1)
    total += counter_area(height) + counter_area(width)
    runs: dict[int, int] = {}
    before = -1
    for delay in sorted({ahead - offset for windows in views for offset in windows.reads}):
        slots = delay - before
        if slots < _MEMORY_SLOTS:
            total += Area(flipflops=slots * word, lone=slots * word)
        else:
            runs[slots] = runs.get(slots, 0) + word
        before = delay
    for slots, bits in runs.items():
        total += memory_area(family, bits, slots) + counter_area(slots) + Area(4)
    tables = sum(
        _lookup(windows.covers(axis, o))
        for windows in views
        for axis in range(2)
        for o in set(windows.offsets[axis])
    )
    for border in (options.get("border"), *(view[2] for view in options.get("more", ()))):
        if border is not None:
            tables += _lookup(border[:, 0].tolist()) + _lookup(border[0].tolist()) + 4
    for axis, size in enumerate((height, width)):
        if (size - 1).bit_length() >= _CARRIED_BITS:
            begins = np.isin(np.arange(size), views[0].origins(axis))
            tables += _START[family] * int((begins[1:] != begins[:-1]).sum())
    real = ahead + 1
    return total + Area(_masks(options) + tables, real + 1, real)


def _alternate(options: Options, family: str) -> Area:
    count = options["count"]
    return Area(multiplexer_luts(options["word"] // count, count)) + counter_area(count)


def _pad(options: Options, family: str) -> Area:
    return (
        counter_area(options["size"][0] + 2)
        + counter_area(options["size"][1] + 2)
        + Area(options["word"] + 12, 1)
    )


def _pool(options: Options, words: tuple[int, int], family: str) -> Area:
    """Return the two windows of a pool, with the bits of a position in each."""
    (rows, columns), (down, along) = options["kernel"], options["stride"]
    across = {"kernel": (1, columns), "stride": (1, along)}
    across |= {name: options[name] for name in ("size", "turns") if name in options}
    outputs = windows_of(across).outputs
    then = {**across, "size": outputs, "kernel": (rows, 1), "stride": (down, 1)}
    return _window({**across, "word": words[0]}, family) + _window(
        {**then, "word": words[1]}, family
    )


def _max_pool(options: Options, family: str) -> Area:
    width, channels = options["element_width"], options["channels"]
    pairs = sum(options["kernel"]) - 2
    each = 0.9 * pairs if width == 1 else pairs * width * (1 + FAMILIES[family].comparator)
    word = width * channels
    return _pool(options, (word, word), family) + Area(channels * each)


def _sum_pool(options: Options, family: str) -> Area:
    low, high, channels = options["low"], options["high"], options["channels"]
    rows, columns = options["kernel"]
    widths = [interval_shape(n * low, n * high).width for n in (1, columns, rows * columns)]
    adder = FAMILIES[family].adder
    sums = sum(
        adder * result + (_POOL_BIT * (terms * width - result) if terms > 2 else 0.0)
        for width, terms, result in zip(widths, (columns, rows), widths[1:], strict=False)
        if terms > 1
    )
    words = channels * widths[0], channels * widths[1]
    return _pool(options, words, family) + Area(channels * sums)


def _sum(terms: Sequence[int], result: int, family: str) -> float:
    """Return the tables of a sum of terms of these widths."""
    if len(terms) < 2:
        return 0.0
    if len(terms) == 2:
        return FAMILIES[family].adder * result
    return _TERM_BIT * max(sum(terms) - result, 0) + _RESULT_BIT[family] * result


def _affine(options: Options, family: str) -> Area:
    weights = options["weights"].reshape(-1, *options["weights"].shape[-2:])
    turns, inputs, channels = weights.shape
    widths = [interval_shape(*interval).width for interval in options["intervals"]]
    output = interval_shape(int(np.min(options["low"])), int(np.max(options["high"]))).width
    offset = options["offset"].reshape(turns, channels) + ((1 << options["shift"]) >> 1)
    total, registers = 0.0, float(channels * output)
    for channel in range(channels):
        terms: list[int] = []
        low = high = 0
        rows: list[list[int]] = weights[:, :, channel].tolist()
        for members in equal_weights(rows):
            first = members[0][0]
            digits = max((signed_digits(row[first]) for row in rows), key=len)
            width = widths[first]
            if len(members) > 1:  # they are added first
                added = [widths[n] for n, _ in members]
                width = max(added) + (len(added) - 1).bit_length()
                total += _sum(added, width, family)
            terms += [width] * len(digits)
        for n in range(inputs):
            ends = [row[n] * end for row in rows for end in options["intervals"][n]]
            low, high = low + min(ends), high + max(ends)
        result = interval_shape(low, high).width
        if offset[:, channel].any():
            terms.append(2)
        total += _sum(terms, result, family)
        if options["pipeline"] is not None and len(terms) > 2:
            registers += sum(terms) / 2 + result
        if np.min(options["low"]) > low >> options["shift"] and np.min(options["low"]):
            total += output
    return Area(total + 3, registers + 2, 0)


def _quantize(options: Options, family: str) -> Area:
    width = interval_shape(options["low"], options["high"]).width
    *_, channels, count = options["levels"].shape
    bits = count.bit_length()
    turns = options["direction"].size // channels
    compared = comparison_bits(options["direction"][..., None], options["levels"], width)
    if bits > 3 or turns > 1:  # levels are chosen, and compared with one after the other
        compared = channels * bits * width
        choice = 0.7 * compared * (turns * (2 if bits > 3 else 1) - 1)
    else:
        choice = channels * multiplexer_luts(1, count)
    luts = 1.2 * compared * FAMILIES[family].comparator + choice
    return Area(luts + 3, channels * bits + 1, compared)


def _argmax(options: Options, family: str) -> Area:
    count, width = options["count"], options["element_width"]
    total, registers, row, levels = 0.0, 0, count, 0
    index = max((count - 1).bit_length(), 1)
    while row > 1:
        levels += 1
        pairs = row // 2
        total += pairs * (2.7 * width + min(levels, index))
        row -= pairs
        registers += row * (width + min(levels, index))
    if options["scores"]:
        registers += count * width * levels
    return Area(total + 3, registers + levels, count * width * levels * options["scores"])


_AREAS: Mapping[str, Callable[[Options, str], Area]] = {
    "AffineUnit": _affine,
    "Alternate": _alternate,
    "Argmax": _argmax,
    "Fifo": fifo_area,
    "Gather": _gather,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "QuantizeUnit": _quantize,
    "Repeat": _repeat,
    "Slice": _slice,
    "SlidingWindow": _window,
    "Split": _split,
    "SumPool": _sum_pool,
}
