"""From the layers of a network to the stream components of its hardware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError
from ..gateware.window import Windows
from ..model import (
    Affine,
    Argmax,
    Binarize,
    BinaryConv,
    Bipolar,
    Format,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Quantize,
    SumPool,
    Tensor,
)
from ..plan.folding import Folding
from ..plan.graph import AdderGraph
from ..plan.layer_plan import LayerPlan
from ..plan.outputs import BitReadout
from ..plan.pace import Pace, Paces, pace_of_stages
from .names import top_name
from .stage import Beats, Core, Stage, positions
from .streams import affine_options, bit_levels, quantize_options, sum_pool_options

__all__ = ["network_problem", "network_stages"]

# Units that can hold a word for a folded core while they work on the next one, or whose pace
# says for how long they cannot.
_HOLDS = ("FoldedCore", "Fifo", "Gather", "SlidingWindow")


def network_problem(network: Network) -> tuple[str, str] | None:
    """Return a layer and why a network with it is not built, or None."""
    read = {name for layer in network.layers for name in layer.inputs}
    for layer in network.layers:
        if layer.name not in read and layer is not network.layers[-1]:
            return layer.name, "nothing reads it"
        if layer is network.layers[-1] and layer.name in read:
            return layer.name, "the answer of a network is an edge that nothing reads"
    return None


def network_stages(
    network: Network,
    works: Mapping[str, LayerPlan | Folding],
    *,
    beats: Beats,
    pipeline: int | None,
    scores: bool,
) -> tuple[list[Stage], Paces]:
    """Return the stages of a network whose layers follow each other, and their pace.

    Parameters
    ----------
    network
        The network; :func:`network_problem` finds none.
    works
        How its layers with weights are computed.
    beats
        Of the input.
    pipeline
        Adder levels between registers of spatial cores, or None.
    scores
        Whether the last layer, an argmax, also gives what it reads.

    Raises
    ------
    PlanError
        If a layer has no stages.
    """
    found: list[Stage] = []
    ends = {"input": ""}
    for stage in _input_stages(network.input, beats):
        found.append(replace(stage, sources=(ends["input"],)))
        ends["input"] = stage.name
    for layer in network.layers:
        sources = tuple(ends[name] for name in layer.inputs)
        for stage in _layer_stages(layer, network, works, pipeline, scores):
            found.append(replace(stage.timed(), sources=sources))
            sources = (stage.name,)
        (ends[layer.name],) = sources
    return _with_queues(found, beats)


def _layer_stages(
    layer: Layer,
    network: Network,
    works: Mapping[str, LayerPlan | Folding],
    pipeline: int | None,
    scores: bool,
) -> Iterator[Stage]:
    """Yield the stages of a layer, each of which reads the one before."""
    source = network.source(layer)
    match layer:
        case LinearLayer():
            work = works[layer.name]
            hold = work.cycles if isinstance(work, Folding) else 1
            if isinstance(layer, BinaryConv):
                yield from _window_stages(layer, source, hold)
            else:
                yield from _flat_stages(layer, source, hold)
            if isinstance(work, Folding):
                yield _folded_stage(layer, source, network, work, pipeline)
            else:
                core = work.graph, work.readout
                yield from _core_stages(layer, source, network, core, pipeline)
        case MaxPool() | SumPool():
            yield _pool_stage(layer, source)
        case Binarize():
            yield from _core_stages(layer, source, network, binarize_core(layer, source), None)
        case Affine() | Quantize():
            yield _element_stage(layer, network, pipeline)
        case Argmax():
            yield from _flat_stages(layer, source, 1)
            yield _argmax_stage(layer, source, scores)
        case _:
            raise PlanError(f"{type(layer).__name__} has no stages", layer=layer.name)


def _with_queues(stages: list[Stage], beats: Beats) -> tuple[list[Stage], Paces]:
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
        for stage, waiting in zip(found, paces.depths, strict=True):
            if stage.paces:
                for k, depth in enumerate(waiting):
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
                depth += 2  # it takes and gives a cycle late
            elif stage.unit == "FoldedCore" and units.get(source) not in _HOLDS:
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


def _ones(count: int) -> NDArray[np.int64]:
    return np.ones(count, dtype=np.int64)


def _last(count: int) -> NDArray[np.int64]:
    """Return 1 for the last of some beats alone."""
    found = np.zeros(count, dtype=np.int64)
    found[-1] = 1
    return found


def _input_stages(source: Tensor, beats: Beats) -> Iterator[Stage]:
    """Yield what makes positions of beats."""
    word, count = source.channels * beats.width, positions(source)
    if beats.split > 1:
        options = {"word": word, "count": beats.split, "frame": count}
        results = np.full(beats.frame, beats.split)
        results[-1] = count - beats.split * (beats.frame - 1)
        pace = Pace(results, results, 0)
        yield Stage("input_split", "input", "Split", options, (word * beats.split,), (pace,))
    elif beats.gather > 1:
        beat = beats.elements * beats.width
        options = {"word": beat, "count": beats.gather, "bits": word}
        pace = Pace(_ones(beats.frame), np.tile(_last(beats.gather), count), 1)
        yield Stage("input_gather", "input", "Gather", options, (beat,), (pace,))
        # A register, so that the next position comes while a core holds this one.
        yield Stage("input", "input", "Fifo", {"word": word, "depth": 1}, (word,))


def _window_stages(layer: BinaryConv, source: Tensor, hold: int) -> Iterator[Stage]:
    """Yield the sliding window of a convolution, and padding that it cannot mask.

    A window stays for as many cycles as its core holds it.
    """
    if layer.kernel == (1, 1) == layer.stride and not any(layer.padding):
        return
    name, word = top_name(layer.name), source.channels * source.format.width
    size, padding = (source.shape[0], source.shape[1]), layer.padding
    filler = _filler(layer, source)
    windows = Windows(size, layer.kernel, layer.stride, layer.dilation, padding)
    if not windows.masked:
        options = {"size": size, "word": word, "padding": padding, "filler": filler}
        yield Stage(f"{name}_pad", layer.name, "Pad", options, (word,), (_pad_pace(size, padding),))
        size = size[0] + padding[0] + padding[2], size[1] + padding[1] + padding[3]
        padding = (0, 0, 0, 0)
        windows = Windows(size, layer.kernel, layer.stride, layer.dilation)
    borders = layer.border_classes(source)
    options = {
        "size": size,
        "word": word,
        "kernel": layer.kernel,
        "stride": layer.stride,
        "dilation": layer.dilation,
        "padding": padding,
        "filler": filler,
        "border": borders if borders.any() else None,
    }
    pace = _window_pace(windows, hold)
    yield Stage(f"{name}_window", layer.name, "SlidingWindow", options, (word,), (pace,))


def _window_pace(windows: Windows, hold: int) -> Pace:
    due = windows.due()
    late = int(due[: windows.ahead % len(due)].sum()) + windows.ahead // len(due) * int(due.sum())
    return Pace(np.where(due, hold, 1), due.astype(np.int64), 1, late)


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


def _flat_stages(layer: Layer, source: Tensor, hold: int) -> Iterator[Stage]:
    """Yield what collects a map into one word, which stays for as long as its core holds it."""
    count, word = positions(source), source.channels * source.format.width
    if count > 1:
        pace = Pace(_ones(count) + (hold - 1) * _last(count), _last(count), 1)
        options = {"word": word, "count": count}
        name = f"{top_name(layer.name)}_gather"
        yield Stage(name, layer.name, "Gather", options, (word,), (pace,))


def _core_stages(
    layer: Layer, source: Tensor, network: Network, core: Core, pipeline: int | None
) -> Iterator[Stage]:
    """Yield a layer core, and two registers that cut the path of ready through all layers."""
    output, name = network.tensors[layer.name], top_name(layer.name)
    options = {**_element(source.format), "pipeline": pipeline}
    pace = Pace.even(positions(output))
    inputs = layer.patch_size() if isinstance(layer, LinearLayer) else source.channels
    word = inputs * source.format.width
    yield Stage(f"{name}_core", layer.name, "LayerCore", options, (word,), (pace,), core=core)
    word = output.channels * output.format.width
    yield Stage(name, layer.name, "Fifo", {"word": word, "depth": 2}, (word,))


def _folded_stage(
    layer: LinearLayer, source: Tensor, network: Network, work: Folding, pipeline: int | None
) -> Stage:
    """Return a folded core, whose output register is a queue of one word."""
    options = {
        "pes": work.pes,
        "simd": work.simd,
        "bounds": work.bounds,
        **_element(source.format),
        "pipeline": pipeline,
        "sums": work.sums,
        "groups": work.groups,
        "taps": work.taps,
    }
    count = positions(network.tensors[layer.name])
    pace = Pace.even(count, hold=work.cycles)
    word = layer.patch_size() * source.format.width
    name = top_name(layer.name)
    return Stage(name, layer.name, "FoldedCore", options, (word,), (pace,), folding=work)


def _element(form: Format) -> dict[str, object]:
    return {"element_width": form.width, "element_signed": form.signed}


def _pool_stage(layer: MaxPool | SumPool, source: Tensor) -> Stage:
    if isinstance(layer, SumPool):
        options = sum_pool_options(layer, source)
    else:
        options = {
            "size": source.shape[:2],
            "channels": source.channels,
            "kernel": layer.kernel,
            "stride": layer.stride,
            **_element(source.format),
        }
    rows = Windows((source.shape[0], source.shape[1]), (1, layer.kernel[1]), (1, layer.stride[1]))
    columns = Windows(rows.outputs, (layer.kernel[0], 1), (layer.stride[0], 1))
    paces = _window_pace(rows, 1), _window_pace(columns, 1)
    word = source.channels * source.format.width
    unit = type(layer).__name__
    return Stage(top_name(layer.name), layer.name, unit, options, (word,), paces)


def _element_stage(layer: Affine | Quantize, network: Network, pipeline: int | None) -> Stage:
    """Return the stage of a layer that works on each element on its own."""
    sources = [network.tensors[name] for name in layer.inputs]
    if isinstance(layer, Affine):
        unit, options = "AffineUnit", affine_options([layer], sources, pipeline)
    else:
        unit, options = "QuantizeUnit", quantize_options([layer], sources[0], pipeline)
    pace = Pace.even(positions(sources[0]))
    words = tuple(source.channels * source.format.width for source in sources)
    return Stage(top_name(layer.name), layer.name, unit, options, words, (pace,))


def _argmax_stage(layer: Argmax, source: Tensor, scores: bool) -> Stage:
    options = {
        "count": source.size,
        **_element(source.format),
        "last": layer.ties == "last",
        "scores": scores,
    }
    pace = Pace.even(1, latency=max((source.size - 1).bit_length(), 1))
    word = source.size * source.format.width
    return Stage(top_name(layer.name), layer.name, "Argmax", options, (word,), (pace,))


def binarize_core(layer: Binarize, source: Tensor) -> Core:
    """Return a threshold of its own as the readout of a graph without nodes."""
    channels, bits = source.channels, isinstance(source.format, Bipolar)
    low, high = (0, 1) if bits else (source.format.low, source.format.high)
    facing = np.broadcast_to(layer.threshold.direction, channels).astype(np.int64)
    level = np.broadcast_to(layer.threshold.level, channels)
    bound = bit_levels(facing, level) if bits else level
    always = np.where(facing > 0, bound <= low, bound >= high)
    never = np.where(facing > 0, bound > high, bound < low)
    constant = (facing == 0) | always | never
    value = np.where(constant, -1, np.arange(channels)).astype(np.int32)
    fixed = np.where(facing == 0, level, always)
    readout = BitReadout(
        value,
        np.where(constant, 0, facing).astype(np.int8)[None],
        np.where(constant, fixed, bound).astype(np.int64)[None],
    )
    return AdderGraph(channels, low, high, (), ()), readout
