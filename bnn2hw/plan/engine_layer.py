"""A layer as the program of a sequential engine, and the order in which its inputs go in."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError
from ..model.codebook import Codebook
from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from ..model.threshold import Threshold
from .codebooks import LONGEST, ordered, recognise
from .counting import VECTOR, layer_shape
from .engine import LONGEST_INDEX, EngineParameters, EngineSchedule, check_mode, schedule
from .engine_delta import DeltaOrder, delta_order
from .engine_program import EngineProgram
from .jobs import Job
from .kernels import has_kernels, kernels_of

__all__ = ["EnginePlan", "engine_job", "plan_engine"]


@dataclass(frozen=True, eq=False)
class EnginePlan:
    """How a sequential engine computes a layer.

    Attributes
    ----------
    layer
        Name of the layer.
    parameters, schedule
        Of the engine, with the tau of the layer's codebook; the schedule is that of one image.
    program
        What its hardware is made from.
    order
        int64 (words, unit): which element of the flattened patch stands where in the input words,
        -1 for none.
    valid
        bool (classes, words, unit): which elements count, by class of border positions.
    channels
        int64 (groups, lanes): the channel of each lane; -1 for none, which gives 0. In mode
        ``delta`` lanes beyond the channels repeat the last one.
    """

    layer: str
    parameters: EngineParameters
    schedule: EngineSchedule
    program: EngineProgram
    order: NDArray[np.int64]
    valid: NDArray[np.bool_]
    channels: NDArray[np.int64]

    @property
    def cycles(self) -> int:
        """Return the cycles of an output position in steady state, where all words take as many."""
        return self.schedule.words * self.schedule.period

    @property
    def latency(self) -> int:
        """Return the cycles from a position alone to its last output word, which is taken then."""
        return replace(self.schedule, positions=1).cycles


def plan_engine(
    layer: LinearLayer, source: Tensor, parameters: EngineParameters, mode: str = "subbit"
) -> EnginePlan:
    """Return the program of a layer.

    Mode ``auto`` is the fastest one that takes the layer: of those within 1 % of the fewest
    cycles the one with the least memory. In modes ``subbit`` and ``delta`` tau and closure are
    those of the layer's codebook, its own or the one that :func:`.recognise` finds.

    Raises
    ------
    UsageError
        If there is no such mode.
    PlanError
        If the engine has no schedule for the layer, or the layer has too many kernels.
    """
    if mode == "auto":
        return _fastest(layer, source, parameters)
    shape = layer_shape(layer, source)
    check_mode(mode)
    book = None if mode == "binary" else _ordered(layer)
    if book is not None:
        parameters = replace(parameters, tau=book.tau, closed=book.closed)
    delta = None
    if book is not None and mode == "delta":
        delta = delta_order(book.indices, parameters.lanes)
    timing = schedule(
        parameters, shape, mode, steps=() if delta is None else tuple(delta.steps.tolist())
    )
    order = _order(layer, timing, parameters)
    if delta is None:
        channels = np.arange(timing.groups * parameters.lanes).reshape(timing.groups, -1)
        channels = np.where(channels < layer.channels, channels, -1)
        steps = _steps(_weights(layer, order, book), channels)
    else:
        channels = delta.channels.T
        steps = _changes(delta, parameters, timing)
    valid = (order >= 0) & layer.valid_taps(source)[:, np.maximum(order, 0)]
    program = _program(layer, source, parameters, timing, valid, steps, book)
    levels = _levels(layer.threshold, channels, program.sum_width)
    program = replace(program, levels=levels)
    return EnginePlan(layer.name, parameters, timing, program, order, valid, channels)


def engine_job(job: Job, lanes: int, kernel_units: int) -> EnginePlan:
    """Return the program of a job of one layer; numbers beyond what there is mean all of it.

    Raises
    ------
    PlanError
        If the engine has no schedule or no codebook for the layer.
    """
    layer = job.layers[0]
    assert isinstance(layer, LinearLayer)
    parameters = EngineParameters(min(lanes, layer.channels), min(kernel_units, 1 << LONGEST_INDEX))
    try:
        return plan_engine(layer, job.inputs[0], parameters)
    except PlanError as error:
        raise PlanError(error.what, layer=error.layer, remedy='take style = "folded"') from None


def _fastest(layer: LinearLayer, source: Tensor, parameters: EngineParameters) -> EnginePlan:
    """Return the plan of mode ``auto``; every layer that has a plan has one in mode ``binary``."""
    plans = [plan_engine(layer, source, parameters, "binary")]
    for mode in ("subbit", "delta"):
        with suppress(PlanError):
            plans.append(plan_engine(layer, source, parameters, mode))
    fewest = min(plan.schedule.cycles for plan in plans)
    near = [plan for plan in plans if 100 * plan.schedule.cycles <= 101 * fewest]
    return min(near, key=lambda plan: plan.program.memory_bits)


def _ordered(layer: LinearLayer) -> Codebook:
    """Return the layer's codebook; if it is closed, with complements half its size apart.

    A codebook of other vectors than the engine's words, or with indices that it has no width for,
    gives way to one of the weights themselves.
    """
    codebook, kernels = layer.codebook, kernels_of(layer)
    fits = codebook is not None and kernels is not None and codebook.length == kernels.length
    if codebook is None or not fits or not 1 <= codebook.tau <= LONGEST_INDEX:
        codebook = recognise(layer)
    if codebook is None:
        if kernels is None or kernels.length > LONGEST:
            raise PlanError(
                f"kernels of {prod(layer.weights.shape[1:-1])} weights have no codebook here",
                layer=layer.name,
                remedy="use mode binary",
            )
        raise PlanError(
            f"the layer has too many kernels for indices of less than {kernels.length} bits",
            layer=layer.name,
            remedy="project it with 'bnn2hw compress --tau', or use mode binary",
        )
    return ordered(codebook)


def _order(
    layer: LinearLayer, timing: EngineSchedule, parameters: EngineParameters
) -> NDArray[np.int64]:
    """Return which element of the patch stands where in the words, int64 (words, unit)."""
    size = layer.patch_size()
    if timing.mode != "binary" and has_kernels(layer):
        return np.arange(size).reshape(-1, timing.words).T
    unit = parameters.taps if timing.mode == "binary" else VECTOR
    order = np.arange(timing.words * unit).reshape(timing.words, unit)
    return np.where(order < size, order, -1)


def _weights(
    layer: LinearLayer, order: NDArray[np.int64], book: Codebook | None
) -> NDArray[np.int64]:
    """Return the bits of each channel and word, (outputs, words, bits): an index, or weights."""
    if book is not None:
        return _bits(book.indices, book.tau)
    matrix = layer.matrix() > 0
    return np.where(order >= 0, matrix[:, np.maximum(order, 0)], False).astype(np.int64)


def _steps(weights: NDArray[np.int64], channels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bits of each step, (words * groups, lanes * bits); 0 where there is no channel."""
    steps = weights[channels].transpose(2, 0, 1, 3) * (channels >= 0)[:, :, None]
    return steps.reshape(steps.shape[0] * steps.shape[1], -1)


def _changes(
    delta: DeltaOrder, parameters: EngineParameters, timing: EngineSchedule
) -> NDArray[np.int64]:
    """Return the bits of each step of mode ``delta``: indices and places, and the end of a word."""
    codes = delta.indices | delta.places << parameters.tau
    steps = _bits(codes, parameters.weight_bits("delta", timing.groups))
    return np.concatenate([steps.reshape(len(steps), -1), delta.ends[:, None]], axis=1)


def _filled(values: NDArray[np.int64], axis: int, multiple: int) -> NDArray[np.int64]:
    """Return an array with zeros behind it along an axis, up to a multiple of a length."""
    padding = [(0, 0)] * values.ndim
    padding[axis] = (0, -values.shape[axis] % multiple)
    return np.pad(values, padding)


def _bits(values: NDArray[np.signedinteger], width: int) -> NDArray[np.int64]:
    """Return the bits of integers along a new last axis, the least significant first."""
    return values[..., None].astype(np.int64) >> np.arange(width) & 1


def _packed(bits: NDArray[np.int64], width: int) -> tuple[int, ...]:
    """Return rows of bits, filled with zeros, as words of ``width`` bits, the first at the LSB."""
    rows = np.packbits(
        _filled(bits, 1, width).reshape(-1, width).astype(np.uint8), axis=1, bitorder="little"
    )
    return tuple(int.from_bytes(row.tobytes(), "little") for row in rows)


def _program(
    layer: LinearLayer,
    source: Tensor,
    parameters: EngineParameters,
    timing: EngineSchedule,
    valid: NDArray[np.bool_],
    steps: NDArray[np.int64],
    book: Codebook | None,
) -> EngineProgram:
    """Return the program of a layer, without levels; ``steps`` are the bits of each step."""
    form = source.format
    magnitude = max(abs(form.low), abs(form.high))
    bits = isinstance(form, Bipolar)
    _, words, unit = valid.shape
    units = min(parameters.kernel_units, 1 if book is None else parameters.entries)
    width = steps.shape[1] if parameters.word_width is None else parameters.word_width
    return EngineProgram(
        mode=timing.mode,
        lanes=parameters.lanes,
        kernel_units=units,
        pixels=parameters.pixels,
        outputs=layer.channels,
        words=words,
        groups=timing.groups,
        fetch=timing.fetch,
        unit=unit,
        bits=bits,
        element_width=form.width,
        element_signed=form.signed,
        magnitude=magnitude,
        masked=bits and not valid.all(),
        weight_bits=parameters.weight_bits(timing.mode, timing.groups),
        closed=timing.mode != "binary" and parameters.closed,
        bound=words * unit * magnitude,
        thresholds=layer.threshold is not None,
        word_width=width,
        weights=_packed(steps, width),
        subset=() if book is None else _kernels(book, parameters.entries, units),
    )


def _kernels(book: Codebook, entries: int, units: int) -> tuple[int, ...]:
    """Return the words of the subset: the kernels that are evaluated in each cycle."""
    kernels = _filled(book.subset[:entries].astype(np.int64), 0, units)
    return _packed(kernels.reshape(-1, units * book.length), units * book.length)


def _levels(
    threshold: Threshold | None, channels: NDArray[np.int64], width: int
) -> tuple[int, ...]:
    """Return the words of level memory; what no sum reaches is the least number, inverted."""
    if threshold is None:
        return ()
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    falling, constant = threshold.direction < 0, threshold.direction == 0
    level = np.where(falling, threshold.level + 1, threshold.level)
    never = np.where(constant, threshold.level == 0, level > high)
    level = np.where(constant | never, low, np.maximum(level, low))
    used = channels >= 0
    levels = _bits(np.where(used, level[channels], low), width)
    inverted = np.where(used, (falling ^ never)[channels], 1)
    rows = np.concatenate([levels, inverted[:, :, None]], axis=2)
    return _packed(rows.reshape(len(channels), -1), rows.shape[1] * rows.shape[2])
