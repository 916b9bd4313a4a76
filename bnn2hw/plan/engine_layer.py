"""A layer as the program of a sequential engine, and the order in which its inputs go in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError
from ..model.codebook import Codebook
from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from ..model.threshold import Threshold
from .codebooks import recognise
from .counting import VECTOR, layer_shape
from .engine import EngineParameters, EngineSchedule, schedule
from .engine_program import EngineProgram
from .kernels import has_kernels

__all__ = ["EnginePlan", "plan_engine"]


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
    """

    layer: str
    parameters: EngineParameters
    schedule: EngineSchedule
    program: EngineProgram
    order: NDArray[np.int64]
    valid: NDArray[np.bool_]


def plan_engine(
    layer: LinearLayer, source: Tensor, parameters: EngineParameters, mode: str = "subbit"
) -> EnginePlan:
    """Return the program of a layer.

    In mode ``subbit`` tau and closure are those of the layer's codebook, its own or the one that
    :func:`.recognise` finds.

    Raises
    ------
    UsageError
        If there is no such mode.
    PlanError
        If the engine has no schedule for the layer, or the layer has too many kernels.
    """
    shape = layer_shape(layer, source)
    kernels = np.zeros((0, 0), np.int64)
    if mode == "subbit":
        codebook = _ordered(layer)
        closed = codebook.closed
        parameters = replace(parameters, tau=codebook.tau, closed=closed)
        weights = codebook.indices[:, :, None] >> np.arange(codebook.tau) & 1
        kernels = codebook.subset[: parameters.entries].astype(np.int64)
    timing = schedule(parameters, shape, mode)
    order = _order(layer, timing, parameters)
    if mode == "binary":
        bits = layer.matrix() > 0
        weights = np.where(order >= 0, bits[:, np.maximum(order, 0)], False)
    return EnginePlan(
        layer.name,
        parameters,
        timing,
        _program(layer, source, parameters, timing, order, weights, kernels),
        order,
        _valid(layer, source, order),
    )


def _ordered(layer: LinearLayer) -> Codebook:
    """Return the layer's codebook; if it is closed, with complements half its size apart."""
    codebook = layer.codebook if layer.codebook is not None else recognise(layer)
    if codebook is None:
        raise PlanError(
            "the layer has no codebook, and no kernels that indices shorter than them stand for",
            layer=layer.name,
            remedy="project it with --tau, or use mode binary",
        )
    if not codebook.closed:
        return codebook
    codes = codebook.subset @ (1 << np.arange(codebook.length))
    complements = (1 << codebook.length) - 1 - codes
    rows = np.argsort(np.where(codes < complements, codes, complements + (1 << codebook.length)))
    place = np.empty_like(rows)
    place[rows] = np.arange(len(rows))
    return Codebook(codebook.subset[rows], place[codebook.indices].astype(np.int32))


def _order(
    layer: LinearLayer, timing: EngineSchedule, parameters: EngineParameters
) -> NDArray[np.int64]:
    """Return which element of the patch stands where in the words, int64 (words, unit)."""
    size = layer.patch_size()
    if timing.mode == "subbit" and has_kernels(layer):
        return np.arange(size).reshape(-1, timing.words).T
    unit = VECTOR if timing.mode == "subbit" else parameters.taps
    order = np.arange(timing.words * unit).reshape(timing.words, unit)
    return np.where(order < size, order, -1)


def _filled(values: NDArray[np.int64], axis: int, multiple: int) -> NDArray[np.int64]:
    """Return an array with zeros behind it along an axis, up to a multiple of a length."""
    padding = [(0, 0)] * values.ndim
    padding[axis] = (0, -values.shape[axis] % multiple)
    return np.pad(values, padding)


def _packed(bits: NDArray[np.int64]) -> tuple[int, ...]:
    """Return rows of bits as integers, the first bit at the LSB."""
    rows = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")
    return tuple(int.from_bytes(row.tobytes(), "little") for row in rows)


def _program(
    layer: LinearLayer,
    source: Tensor,
    parameters: EngineParameters,
    timing: EngineSchedule,
    order: NDArray[np.int64],
    weights: NDArray[np.int64],
    kernels: NDArray[np.int64],
) -> EngineProgram:
    """Return the program of a layer.

    ``weights`` are the bits of each lane and step, (outputs, words, bits); ``kernels`` those of
    the kernels that are evaluated, (entries, unit).
    """
    form = source.format
    magnitude = max(abs(form.low), abs(form.high))
    bits = isinstance(form, Bipolar)
    step = parameters.lanes * weights.shape[2]
    word_width = step if parameters.word_width is None else parameters.word_width
    program = EngineProgram(
        mode=timing.mode,
        lanes=parameters.lanes,
        kernel_units=parameters.kernel_units,
        pixels=parameters.pixels,
        outputs=layer.channels,
        words=timing.words,
        groups=timing.groups,
        fetch=timing.fetch,
        unit=order.shape[1],
        bits=bits,
        element_width=form.width,
        element_signed=form.signed,
        magnitude=magnitude,
        masked=bits and not _valid(layer, source, order).all(),
        weight_bits=weights.shape[2],
        closed=timing.mode == "subbit" and parameters.closed,
        bound=order.size * magnitude,
        thresholds=layer.threshold is not None,
        word_width=word_width,
        weights=_weight_words(weights, parameters.lanes, timing.fetch, word_width),
        subset=_packed(
            _filled(kernels, 0, parameters.kernel_units).reshape(
                -1, parameters.kernel_units * order.shape[1]
            )
        )
        if len(kernels)
        else (),
    )
    return replace(program, levels=_levels(layer.threshold, program))


def _valid(layer: LinearLayer, source: Tensor, order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which elements of the words count, bool (classes, words, unit)."""
    return (order >= 0) & layer.valid_taps(source)[:, np.maximum(order, 0)]


def _weight_words(
    weights: NDArray[np.int64], lanes: int, fetch: int, width: int
) -> tuple[int, ...]:
    """Return the words of weight memory in the order of the schedule."""
    filled = _filled(weights, 0, lanes)
    _, words, bits = filled.shape
    steps = filled.reshape(-1, lanes, words, bits).transpose(2, 0, 1, 3).reshape(-1, lanes * bits)
    padded = np.pad(steps, ((0, 0), (0, fetch * width - lanes * bits)))
    return _packed(padded.reshape(-1, width))


def _levels(threshold: Threshold | None, program: EngineProgram) -> tuple[int, ...]:
    """Return the words of level memory; what no sum reaches is the least number, inverted."""
    if threshold is None:
        return ()
    low, high = -(1 << program.sum_width - 1), (1 << program.sum_width - 1) - 1
    falling, constant = threshold.direction < 0, threshold.direction == 0
    level = np.where(falling, threshold.level + 1, threshold.level)
    never = np.where(constant, threshold.level == 0, level > high)
    level = np.where(constant | never, low, np.maximum(level, low))
    rows = np.full((program.groups * program.lanes, 2), (low, 1))
    rows[: len(level)] = np.stack([level, falling ^ never], axis=1)
    columns = np.repeat([0, 1], [program.sum_width, 1])
    shifts = np.append(np.arange(program.sum_width), 0)
    return _packed((rows[:, columns] >> shifts & 1).reshape(program.groups, -1))
