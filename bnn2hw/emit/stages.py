"""From the layers of a network to the stream components of its hardware."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from ..errors import PlanError, UsageError
from ..gateware.argmax import Argmax as ArgmaxUnit
from ..gateware.core import LayerCore
from ..gateware.folded import FoldedCore
from ..gateware.pool import MaxPool as MaxPoolUnit
from ..gateware.window import Pad, SlidingWindow, Windows
from ..gateware.words import Fifo, Gather, Split
from ..model import (
    Argmax,
    Binarize,
    BinaryConv,
    Bipolar,
    Format,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Tensor,
)
from ..plan.folding import Folding
from ..plan.graph import AdderGraph
from ..plan.layer_plan import LayerPlan
from ..plan.netlist import Netlist
from ..plan.outputs import BitReadout, Readout
from ..plan.pace import Pace, Paces, pace_of_chain
from .names import top_name

__all__ = ["Beats", "Stage", "input_beats", "network_problem", "network_stages"]

# A beat of the input holds a whole position where that is not wider, else so many bits.
_BEAT_BITS = 64

# Units that can hold a word for a folded core while they work on the next one, or whose pace
# says for how long they cannot.
_HOLDS = ("FoldedCore", "Fifo", "Gather", "SlidingWindow")

UNITS: Mapping[str, Callable[..., wiring.Component]] = {
    unit.__name__: unit
    for unit in (
        ArgmaxUnit,
        Fifo,
        FoldedCore,
        Gather,
        LayerCore,
        MaxPoolUnit,
        Pad,
        SlidingWindow,
        Split,
    )
}


Core = tuple[AdderGraph | Netlist, Readout]


@dataclass(frozen=True, eq=False)
class Stage:
    """A stream component of a network.

    Attributes
    ----------
    name
        Name of the submodule; a layer's own name where its edge of the network comes out.
    layer
        Name of the layer that it is part of; ``input`` for what makes positions of beats.
    unit
        Name of the component.
    options
        Its parameters, by keyword.
    word
        Bits of its input, without border classes.
    paces
        What it does with the beats of a frame; nothing for a queue.
    core
        Graph and readout of a :class:`LayerCore`.
    folding
        Weights and constants of a :class:`FoldedCore`.
    """

    name: str
    layer: str
    unit: str
    options: Mapping[str, object]
    word: int
    paces: tuple[Pace, ...] = ()
    core: Core | None = None
    folding: Folding | None = None

    @property
    def cycles(self) -> int:
        """Return the cycles that it takes for a frame, where nothing waits."""
        return max((pace.cycles for pace in self.paces), default=0)

    def component(self) -> wiring.Component:
        """Return the component, new."""
        parts: tuple[object, ...] = self.core or ()
        if self.folding is not None:
            parts = self.folding.weights, self.folding.constants
        return UNITS[self.unit](*parts, **self.options)


@dataclass(frozen=True)
class Beats:
    """How an image is cut into beats of the input stream.

    Attributes
    ----------
    elements
        Elements of a beat, the first at the LSB.
    width
        Bits of an element.
    gather
        Beats of a position; the last of them may be filled up.
    split
        Positions of a beat; the last beat of an image may be filled up.
    frame
        Beats of an image.
    """

    elements: int
    width: int
    gather: int
    split: int
    frame: int


def positions(tensor: Tensor) -> int:
    """Return the beats in which an edge travels: one a position, all channels side by side."""
    return tensor.size // tensor.channels


def input_beats(source: Tensor, elements: int | None = None) -> Beats:
    """Return how images are cut into beats of so many elements; None for a width that suits.

    Raises
    ------
    UsageError
        If beats neither make up a position nor hold whole ones.
    """
    channels, width = source.channels, source.format.width
    if elements is None:
        elements = channels if channels * width <= _BEAT_BITS else _BEAT_BITS // width
    if elements < 1 or (elements > channels and elements % channels):
        raise UsageError(
            f"beats of {elements} elements do not hold whole positions of {channels}",
            remedy=f"give 1 to {channels}, or a multiple of {channels}",
        )
    gather, split = -(-channels // elements), max(elements // channels, 1)
    return Beats(elements, width, gather, split, -(-positions(source) // split) * gather)


def network_problem(network: Network) -> tuple[str, str] | None:
    """Return a layer and why a network with it is not built, or None."""
    before = "input"
    for layer in network.layers:
        if not isinstance(layer, LinearLayer | MaxPool | Binarize | Argmax):
            return layer.name, f"{type(layer).__name__} has no hardware in a network yet"
        if layer.inputs != (before,):
            return layer.name, "it does not read the layer before it: branches are not built yet"
        before = layer.name
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
    found = list(_input_stages(network.input, beats))
    for layer in network.layers:
        source = network.source(layer)
        match layer:
            case LinearLayer():
                work = works[layer.name]
                hold = work.cycles if isinstance(work, Folding) else 1
                if isinstance(layer, BinaryConv):
                    found += _window_stages(layer, source, hold)
                else:
                    found += _flat_stages(layer, source, hold)
                if isinstance(work, Folding):
                    found.append(_folded_stage(layer, source, network, work))
                else:
                    core = work.graph, work.readout
                    found += _core_stages(layer, source, network, core, pipeline)
            case MaxPool():
                found.append(_pool_stage(layer, source))
            case Binarize():
                found += _core_stages(layer, source, network, binarize_core(layer, source), None)
            case Argmax():
                found += _flat_stages(layer, source, 1)
                found.append(_argmax_stage(layer, source, scores))
            case _:
                raise PlanError(f"{type(layer).__name__} has no stages", layer=layer.name)
    return _with_queues(found, beats)


def _with_queues(stages: list[Stage], beats: Beats) -> tuple[list[Stage], Paces]:
    """Return the stages with queues of the depth that keeps up their pace."""
    working = [stage for stage in stages if stage.paces]
    paces = pace_of_chain([stage.paces for stage in working], beats.frame)
    depths = {stage.name: depth for stage, depth in zip(working, paces.depths, strict=True)}
    found: list[Stage] = []
    for stage in stages:
        depth = depths.get(stage.name, 0)
        if depth:
            depth += 2  # a queue takes and gives a cycle late
        elif stage.unit == "FoldedCore" and not (found and found[-1].unit in _HOLDS):
            depth = 1
        if depth:
            options = {"word": stage.word, "depth": depth}
            if found and found[-1].unit == "Fifo":
                found[-1] = replace(found[-1], options=options)
            else:
                found.append(Stage(f"{stage.name}_queue", stage.layer, "Fifo", options, stage.word))
        found.append(stage)
    return found, paces


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
        yield Stage("input_split", "input", "Split", options, word * beats.split, (pace,))
    elif beats.gather > 1:
        beat = beats.elements * beats.width
        options = {"word": beat, "count": beats.gather, "bits": word}
        pace = Pace(_ones(beats.frame), np.tile(_last(beats.gather), count), 1)
        yield Stage("input_gather", "input", "Gather", options, beat, (pace,))
        # A register, so that the next position comes while a core holds this one.
        yield Stage("input", "input", "Fifo", {"word": word, "depth": 1}, word)


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
        yield Stage(f"{name}_pad", layer.name, "Pad", options, word, (_pad_pace(size, padding),))
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
    yield Stage(f"{name}_window", layer.name, "SlidingWindow", options, word, (pace,))


def _window_pace(windows: Windows, hold: int) -> Pace:
    due = windows.due()
    return Pace(np.where(due, hold, 1), due.astype(np.int64), 1)


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
        yield Stage(name, layer.name, "Gather", options, word, (pace,))


def _core_stages(
    layer: Layer, source: Tensor, network: Network, core: Core, pipeline: int | None
) -> Iterator[Stage]:
    """Yield a layer core, and two registers that cut the path of ready through all layers."""
    output, name = network.tensors[layer.name], top_name(layer.name)
    options = {**_element(source.format), "pipeline": pipeline}
    pace = Pace.even(positions(output))
    inputs = layer.patch_size() if isinstance(layer, LinearLayer) else source.channels
    word = inputs * source.format.width
    yield Stage(f"{name}_core", layer.name, "LayerCore", options, word, (pace,), core)
    word = output.channels * output.format.width
    yield Stage(name, layer.name, "Fifo", {"word": word, "depth": 2}, word)


def _folded_stage(layer: LinearLayer, source: Tensor, network: Network, work: Folding) -> Stage:
    """Return a folded core, whose output register is a queue of one word."""
    options = {
        "pes": work.pes,
        "simd": work.simd,
        "bounds": work.bounds,
        **_element(source.format),
        "sums": work.sums,
    }
    count = positions(network.tensors[layer.name])
    pace = Pace.even(count, hold=work.cycles, latency=work.cycles + 3)
    word = layer.patch_size() * source.format.width
    name = top_name(layer.name)
    return Stage(name, layer.name, "FoldedCore", options, word, (pace,), folding=work)


def _element(form: Format) -> dict[str, object]:
    return {"element_width": form.width, "element_signed": form.signed}


def _pool_stage(layer: MaxPool, source: Tensor) -> Stage:
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
    return Stage(top_name(layer.name), layer.name, "MaxPool", options, word, paces)


def _argmax_stage(layer: Argmax, source: Tensor, scores: bool) -> Stage:
    options = {
        "count": source.size,
        **_element(source.format),
        "last": layer.ties == "last",
        "scores": scores,
    }
    pace = Pace.even(1, latency=max((source.size - 1).bit_length(), 1))
    word = source.size * source.format.width
    return Stage(top_name(layer.name), layer.name, "Argmax", options, word, (pace,))


def binarize_core(layer: Binarize, source: Tensor) -> Core:
    """Return a threshold of its own as the readout of a graph without nodes."""
    channels, bits = source.channels, isinstance(source.format, Bipolar)
    low, high = (0, 1) if bits else (source.format.low, source.format.high)
    facing = np.broadcast_to(layer.threshold.direction, channels).astype(np.int64)
    level = np.broadcast_to(layer.threshold.level, channels)
    # A bit b stands for 2 b - 1: direction * (2 b - 1) >= direction * level.
    bound = facing * -(-facing * (level + 1) // 2) if bits else level
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
