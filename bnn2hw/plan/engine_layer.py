"""A layer as the program of a sequential engine, and the order in which its inputs go in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError
from ..model.codebook import Codebook
from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from ..model.threshold import Threshold
from .codebooks import LONGEST, recognise
from .counting import VECTOR, layer_shape
from .engine import EngineParameters, EngineSchedule, check_mode, schedule
from .engine_delta import delta_order
from .engine_program import EngineProgram
from .kernels import has_kernels, kernels_of

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


def plan_engine(
    layer: LinearLayer, source: Tensor, parameters: EngineParameters, mode: str = "subbit"
) -> EnginePlan:
    """Return the program of a layer.

    In modes ``subbit`` and ``delta`` tau and closure are those of the layer's codebook, its own
    or the one that :func:`.recognise` finds.

    Raises
    ------
    UsageError
        If there is no such mode.
    PlanError
        If the engine has no schedule for the layer, or the layer has too many kernels.
    """
    shape = layer_shape(layer, source)
    kernels = np.zeros((0, 0), np.int64)
    delta = None
    if mode != "binary":
        check_mode(mode)
        codebook = _ordered(layer)
        parameters = replace(parameters, tau=codebook.tau, closed=codebook.closed)
        kernels = codebook.subset[: parameters.entries].astype(np.int64)
        if mode == "delta":
            delta = delta_order(codebook.indices, parameters.lanes)
    timing = schedule(
        parameters, shape, mode, steps=() if delta is None else tuple(delta.steps.tolist())
    )
    order = _order(layer, timing, parameters)
    if delta is not None:
        channels = delta.channels.T
        codes = delta.indices | delta.places << parameters.tau
        steps = _bits(codes, parameters.weight_bits(mode, timing.groups))
        steps = np.concatenate([steps.reshape(len(steps), -1), delta.ends[:, None]], axis=1)
    else:
        channels = np.arange(timing.groups * parameters.lanes).reshape(timing.groups, -1)
        channels = np.where(channels < layer.channels, channels, -1)
        if mode == "subbit":
            weights = _bits(codebook.indices, codebook.tau)
        else:
            matrix = layer.matrix() > 0
            weights = np.where(order >= 0, matrix[:, np.maximum(order, 0)], False)
        steps = weights[channels].transpose(2, 0, 1, 3) * (channels >= 0)[:, :, None]
        steps = steps.reshape(timing.words * timing.groups, -1)
    valid = (order >= 0) & layer.valid_taps(source)[:, np.maximum(order, 0)]
    program = _program(layer, source, parameters, timing, valid, steps, kernels)
    levels = _levels(layer.threshold, channels, program.sum_width)
    program = replace(program, levels=levels)
    return EnginePlan(layer.name, parameters, timing, program, order, valid, channels)


def _ordered(layer: LinearLayer) -> Codebook:
    """Return the layer's codebook; if it is closed, with complements half its size apart."""
    codebook = layer.codebook if layer.codebook is not None else recognise(layer)
    if codebook is None:
        kernels = kernels_of(layer)
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
    if timing.mode != "binary" and has_kernels(layer):
        return np.arange(size).reshape(-1, timing.words).T
    unit = parameters.taps if timing.mode == "binary" else VECTOR
    order = np.arange(timing.words * unit).reshape(timing.words, unit)
    return np.where(order < size, order, -1)


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
    kernels: NDArray[np.int64],
) -> EngineProgram:
    """Return the program of a layer, without levels.

    ``steps`` are the bits of each step of all lanes; ``kernels`` those of the kernels that are
    evaluated, (entries, unit).
    """
    form = source.format
    magnitude = max(abs(form.low), abs(form.high))
    bits = isinstance(form, Bipolar)
    _, words, unit = valid.shape
    units = parameters.kernel_units
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
        subset=_packed(_filled(kernels, 0, units).reshape(-1, units * unit), units * unit)
        if len(kernels)
        else (),
    )


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
