# amaranth: UnusedElaboratable=no
"""A stream component of a network, and how images are cut into beats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from amaranth.lib import wiring

from ..errors import UsageError
from ..gateware.affine import AffineUnit
from ..gateware.argmax import Argmax as ArgmaxUnit
from ..gateware.core import LayerCore
from ..gateware.engine_core import EngineCore
from ..gateware.folded import FoldedCore
from ..gateware.pool import MaxPool as MaxPoolUnit
from ..gateware.pool import SumPool as SumPoolUnit
from ..gateware.quantize import QuantizeUnit
from ..gateware.window import Pad, SlidingWindow
from ..gateware.words import Alternate, Fifo, Gather, Repeat, Slice, Split
from ..model import Tensor
from ..plan.engine_layer import EnginePlan
from ..plan.folding import Folding
from ..plan.graph import AdderGraph
from ..plan.netlist import Netlist
from ..plan.outputs import Readout
from ..plan.pace import Pace

__all__ = ["UNITS", "Beats", "Core", "Stage", "input_beats", "positions", "word_of"]

# A beat of the input holds a whole position where that is not wider, else so many bits.
_BEAT_BITS = 64

# Units whose latency depends on what they compute.
_STATED = ("AffineUnit", "FoldedCore", "LayerCore", "QuantizeUnit")

UNITS: Mapping[str, Callable[..., wiring.Component]] = {
    unit.__name__: unit
    for unit in (
        AffineUnit,
        Alternate,
        ArgmaxUnit,
        EngineCore,
        Fifo,
        FoldedCore,
        Gather,
        LayerCore,
        MaxPoolUnit,
        Pad,
        QuantizeUnit,
        Repeat,
        Slice,
        SlidingWindow,
        Split,
        SumPoolUnit,
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
    words
        Bits of each of its inputs, with border classes.
    paces
        What it does with the beats of a frame; nothing for a queue.
    sources
        Names of the stages that it reads; empty for the input of the network.
    core
        Graph and readout of a :class:`LayerCore`.
    folding
        Weights and constants of a :class:`FoldedCore`.
    engine
        Program of an :class:`EngineCore`.
    made
        The component, where its latency had to be asked for.
    """

    name: str
    layer: str
    unit: str
    options: Mapping[str, object]
    words: tuple[int, ...]
    paces: tuple[Pace, ...] = ()
    sources: tuple[str, ...] = ()
    core: Core | None = None
    folding: Folding | None = None
    engine: EnginePlan | None = None
    made: wiring.Component | None = None

    @property
    def cycles(self) -> int:
        """Return the cycles that it takes for a frame, where nothing waits."""
        return max((pace.cycles for pace in self.paces), default=0)

    def component(self) -> wiring.Component:
        """Return the component."""
        if self.made is not None:
            return self.made
        parts: tuple[object, ...] = self.core or ()
        if self.folding is not None:
            parts = self.folding.weights, self.folding.constants
        if self.engine is not None:
            parts = self.engine.program, self.engine.order, self.engine.valid
        return UNITS[self.unit](*parts, **self.options)

    def arrays(self) -> dict[str, Any]:
        """Return what its memories are made from, as it goes into a file."""
        if self.folding is not None:
            return {"weights": self.folding.weights, "constants": self.folding.constants}
        if self.engine is not None:
            engine = self.engine
            return {"order": engine.order, "valid": engine.valid, **engine.program.arrays()}
        return {}

    def timed(self) -> Stage:
        """Return the stage with the latency that its component states, where that varies."""
        if self.unit not in _STATED:
            return self
        made = self.component()
        paces = *self.paces[:-1], replace(self.paces[-1], latency=made.latency)
        return replace(self, paces=paces, made=made)


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


def word_of(tensor: Tensor) -> int:
    """Return the bits of a position of an edge."""
    return tensor.channels * tensor.format.width


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
    if not 1 <= elements <= source.size or (elements > channels and elements % channels):
        raise UsageError(
            f"beats of {elements} elements do not hold whole positions of {channels}",
            remedy=f"give at most {channels}, or a multiple of it up to {source.size}",
        )
    gather, split = -(-channels // elements), max(elements // channels, 1)
    return Beats(elements, width, gather, split, -(-positions(source) // split) * gather)
