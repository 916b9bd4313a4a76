"""From the layers of a network to the stream components of its hardware."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from amaranth.lib import wiring

from ..errors import PlanError, UsageError
from ..gateware.argmax import Argmax as ArgmaxUnit
from ..gateware.core import LayerCore
from ..gateware.pool import MaxPool as MaxPoolUnit
from ..gateware.window import Pad, SlidingWindow, window_outputs
from ..gateware.words import Fifo, Gather, Split
from ..model import (
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Bipolar,
    Format,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Tensor,
)
from ..plan.graph import AdderGraph
from ..plan.layer_plan import LayerPlan
from ..plan.outputs import BitReadout, Readout
from .names import top_name

__all__ = ["Beats", "Stage", "input_beats", "network_problem", "network_stages"]

# A beat of the input holds a whole position where that is not wider, else so many bits.
_BEAT_BITS = 64

UNITS: Mapping[str, Callable[..., wiring.Component]] = {
    unit.__name__: unit
    for unit in (ArgmaxUnit, Fifo, Gather, LayerCore, MaxPoolUnit, Pad, SlidingWindow, Split)
}


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
        Its parameters; a :class:`LayerCore` takes graph and readout of ``core`` before them.
    cycles
        Cycles that it takes for a frame, where nothing waits.
    core
        Graph and readout of a layer core.
    """

    name: str
    layer: str
    unit: str
    options: Mapping[str, object]
    cycles: int
    core: tuple[AdderGraph, Readout] | None = None

    def component(self) -> wiring.Component:
        """Return the component, new."""
        return UNITS[self.unit](*(self.core or ()), **self.options)


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
    plans: Mapping[str, LayerPlan],
    *,
    beats: Beats,
    pipeline: int | None,
    scores: bool,
) -> list[Stage]:
    """Return the stages of a network whose layers follow each other.

    Parameters
    ----------
    network
        The network; :func:`network_problem` finds none.
    plans
        Of its layers with weights.
    beats
        Of the input.
    pipeline
        Adder levels between registers, or None.
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
            case BinaryConv():
                found += _window_stages(layer, source)
                found += _core_stages(layer, source, network, _core(plans[layer.name]), pipeline)
            case BinaryDense():
                found += _flat_stages(layer, source)
                found += _core_stages(layer, source, network, _core(plans[layer.name]), pipeline)
            case MaxPool():
                found.append(_pool_stage(layer, source))
            case Binarize():
                found += _core_stages(layer, source, network, binarize_core(layer, source), None)
            case Argmax():
                found += _flat_stages(layer, source)
                found.append(_argmax_stage(layer, source, scores))
            case _:
                raise PlanError(f"{type(layer).__name__} has no stages", layer=layer.name)
    return found


def _core(plan: LayerPlan) -> tuple[AdderGraph, Readout]:
    assert isinstance(plan.graph, AdderGraph)
    return plan.graph, plan.readout


def _input_stages(source: Tensor, beats: Beats) -> Iterator[Stage]:
    """Yield what makes positions of beats."""
    word = source.channels * beats.width
    if beats.split > 1:
        count = positions(source)
        options = {"word": word, "count": beats.split, "frame": count}
        yield Stage("input_split", "input", "Split", options, count)
    elif beats.gather > 1:
        options = {"word": beats.elements * beats.width, "count": beats.gather, "bits": word}
        yield Stage("input_gather", "input", "Gather", options, beats.frame)


def _window_stages(layer: BinaryConv, source: Tensor) -> Iterator[Stage]:
    """Yield the sliding window of a convolution, and padding that it cannot mask."""
    if layer.kernel == (1, 1) == layer.stride and not any(layer.padding):
        return
    size, padding = (source.shape[0], source.shape[1]), layer.padding
    word = source.channels * source.format.width
    filler = _filler(layer, source)
    outputs = window_outputs(size, layer.kernel, layer.stride, layer.dilation, padding)
    steps = zip(outputs, layer.stride, size, strict=True)
    if any((n - 1) * s >= m for n, s, m in steps):
        options = {"size": size, "word": word, "padding": padding, "filler": filler}
        size = size[0] + padding[0] + padding[2], size[1] + padding[1] + padding[3]
        padding = (0, 0, 0, 0)
        yield Stage(f"{top_name(layer.name)}_pad", layer.name, "Pad", options, size[0] * size[1])
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
    name = f"{top_name(layer.name)}_window"
    yield Stage(name, layer.name, "SlidingWindow", options, size[0] * size[1])


def _filler(layer: BinaryConv, source: Tensor) -> int:
    """Return the word of a padded position; zeros among bits are 0 bits of a border class."""
    form, value = source.format, layer.padding_value
    element = int(value > 0) if isinstance(form, Bipolar) else value & (1 << form.width) - 1
    return sum(element << k * form.width for k in range(source.channels))


def _flat_stages(layer: Layer, source: Tensor) -> Iterator[Stage]:
    """Yield what collects a map into one word."""
    count = positions(source)
    if count > 1:
        options = {"word": source.channels * source.format.width, "count": count}
        yield Stage(f"{top_name(layer.name)}_gather", layer.name, "Gather", options, count)


def _core_stages(
    layer: Layer,
    source: Tensor,
    network: Network,
    core: tuple[AdderGraph, Readout],
    pipeline: int | None,
) -> Iterator[Stage]:
    """Yield a layer core, and two registers that cut the path of ready through all layers."""
    output = network.tensors[layer.name]
    options = {**_element(source.format), "pipeline": pipeline}
    cycles = positions(output)
    yield Stage(f"{top_name(layer.name)}_core", layer.name, "LayerCore", options, cycles, core)
    word = output.channels * output.format.width
    yield Stage(top_name(layer.name), layer.name, "Fifo", {"word": word, "depth": 2}, cycles)


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
    return Stage(top_name(layer.name), layer.name, "MaxPool", options, positions(source))


def _argmax_stage(layer: Argmax, source: Tensor, scores: bool) -> Stage:
    options = {
        "count": source.size,
        **_element(source.format),
        "last": layer.ties == "last",
        "scores": scores,
    }
    return Stage(top_name(layer.name), layer.name, "Argmax", options, 1)


def binarize_core(layer: Binarize, source: Tensor) -> tuple[AdderGraph, BitReadout]:
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
