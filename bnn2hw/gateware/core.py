# amaranth: UnusedElaboratable=no
"""The core of a layer: an adder graph and its readout, lowered node by node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.hdl import Const, Module, Shape, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..errors import BuildError
from ..plan.graph import AdderGraph, Count, Node, Sum
from ..plan.netlist import Netlist
from ..plan.outputs import BitReadout, Readout
from .netlist import BitNetlist, output_shape
from .pipeline import Pipeline, Wires, advance_stream
from .popcount import XnorPopcount
from .sums import ReuseAdder, SignedSum, Term, interval_shape
from .threshold import SignedOutput, Threshold, border_width

__all__ = ["LayerCore"]

# Amaranth's RTLIL back end and Yosys hold words of 2**16 bits at most, and all top-level inputs
# together, with clock, reset and handshake, must stay below that.
_WORD_BITS = (1 << 16) - 64


@dataclass(frozen=True)
class _Value:
    """A value of the graph as hardware: an element of the patch, a wire, or a constant."""

    name: str
    shape: Shape
    level: int
    component: XnorPopcount | ReuseAdder | SignedSum | None = None
    constant: int | None = None


class LayerCore(wiring.Component):
    """A layer in the spatial style: a patch in and an output word out in every cycle.

    Each node of the graph is a submodule named after its label: a :class:`.XnorPopcount`, a
    :class:`.ReuseAdder` or a :class:`.SignedSum`; a netlist is one, a :class:`.BitNetlist`.
    ``readout``, a :class:`.Threshold` or a :class:`.SignedOutput`, makes the output word and
    holds it in a register. Widths are those of the exact intervals, so nothing wraps.

    All registers advance together, whenever the output is free or taken: no path through logic
    leads from ``i`` to payload and valid of ``o``, and a waiting word does not change.

    Parameters
    ----------
    graph
        Computes the values of the channels, as an adder graph or a bit netlist.
    readout
        Makes bits or sums from them.
    element_width, element_signed
        Format of an input element.
    pipeline
        Adder levels between registers (see :mod:`.pipeline`), or None for no register but the
        output's.

    Attributes
    ----------
    latency
        Cycles from a patch to its output word, at least 1.
    level
        Adder levels from input to output.
    classes
        Border classes.
    blocks
        Names of the submodules that a big netlist is made of (see :class:`.BitNetlist`).

    Members
    -------
    i : stream of ``data`` (element 0 at the LSB) and, where there is more than one class of
        border positions, ``border``, the number of the class
    o : stream of ``unsigned(channels)``, or of ``ArrayLayout(shape, channels)`` where the layer
        gives sums; channel 0 at the LSB

    Raises
    ------
    BuildError
        If a word is wider than 65,472 bits.
    """

    def __init__(
        self,
        graph: AdderGraph | Netlist,
        readout: Readout,
        *,
        element_width: int = 1,
        element_signed: bool = False,
        pipeline: int | None = None,
    ) -> None:
        constants = readout.level if isinstance(readout, BitReadout) else readout.offset
        self.classes, channels = constants.shape
        patch_width = graph.inputs * (1 if isinstance(graph, Netlist) else element_width)
        _check_word("a patch", patch_width)
        _check_word("an output word", channels * _output_shape(readout).width)

        self._element = Shape(element_width, element_signed)
        self._pipeline = Pipeline(pipeline)
        self._netlist: BitNetlist | None = None
        self._values: list[_Value] = []
        self._elements = 0
        self._nodes: tuple[tuple[int, Node], ...] = ()
        if isinstance(graph, Netlist):
            self._lower_netlist(graph)
        else:
            self._lower_graph(graph)
        self.blocks: list[str] = [] if self._netlist is None else self._netlist.blocks
        self._read = readout.value.tolist()
        self._output = self._make_output(readout)
        levels = [self._values[number].level for number in self._read if number >= 0]
        self.level = max(levels, default=0) + self._output.level
        self.latency = self._pipeline.stage(self.level) + 1

        payload = {"data": unsigned(patch_width)}
        if self.classes > 1:
            payload["border"] = unsigned(border_width(self.classes))
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(payload))),
                "o": Out(stream.Signature(_word_shape(readout))),
            }
        )

    def _lower_netlist(self, netlist: Netlist) -> None:
        """Make the component of a netlist, and a value of each of its outputs."""
        self._netlist = BitNetlist(netlist, pipeline=self._pipeline.levels)
        for number, output in enumerate(netlist.outputs):
            level = self._netlist.levels[number]
            self._values.append(_Value(f"output{number}", output_shape(output), level))

    def _lower_graph(self, graph: AdderGraph) -> None:
        """Make a value of each input element, and of each node with its component."""
        self._elements, self._nodes = graph.inputs, tuple(graph.numbered())
        self._values += [_Value(f"element{k}", self._element, 0) for k in range(graph.inputs)]
        taken = {"readout", "delays"}
        for number, node in self._nodes:
            name = _unique_name(node.label or f"value{number}", taken)
            self._values.append(self._lower(graph, number, node, name))

    def _lower(self, graph: AdderGraph, number: int, node: Node, name: str) -> _Value:
        """Return a node as a constant, or as its component with the level of its result."""
        low, high = graph.interval(number)
        shape = Shape(graph.width(number), low < 0)
        if low == high:
            return _Value(name, shape, 0, None, low)
        if isinstance(node, Count):
            counter = XnorPopcount(
                self._elements,
                node.taps.tolist(),
                (~node.inverted).tolist(),
                pipeline=self._pipeline.levels,
            )
            return _Value(name, shape, counter.level, counter)
        if _is_reuse(node):
            parent, part = (self._values[source] for source in node.sources.tolist())
            adder = ReuseAdder(
                parent.shape, part.shape, subtract=bool(node.signs[1] < 0), shape=shape
            )
            return _Value(name, shape, 1 + max(parent.level, part.level), adder)
        total = SignedSum(
            self._terms(node),
            node.constant,
            shape=shape,
            size=self._elements * self._element.width,
            pipeline=self._pipeline.levels,
        )
        return _Value(name, shape, total.level, total)

    def _terms(self, node: Sum) -> list[Term]:
        terms = []
        columns = (node.sources.tolist(), node.signs.tolist(), node.shifts.tolist())
        for source, sign, shift in zip(*columns, strict=True):
            value = self._values[source]
            start = source * self._element.width if source < self._elements else None
            terms.append(Term(value.shape, sign, shift, value.level, start))
        return terms

    def _make_output(self, readout: Readout) -> Threshold | SignedOutput:
        if isinstance(readout, BitReadout):
            shapes = [None if number < 0 else self._values[number].shape for number in self._read]
            return Threshold(shapes, readout.direction, readout.level)
        shapes = [self._values[number].shape for number in self._read]
        return SignedOutput(shapes, readout.scale, readout.offset, shape=_output_shape(readout))

    def elaborate(self, platform: object) -> Module:
        """Return the handshake, one submodule a node, the registers between them, the readout."""
        m = Module()
        advance = advance_stream(m, self.i.valid, self.i.ready, self.o, self.latency)

        wires = Wires(advance)
        for number, node in self._nodes:
            value = self._values[number]
            if value.component is not None:
                m.submodules[value.name] = value.component
                m.d.comb += self._connect(node, value, wires)
                if not isinstance(value.component, ReuseAdder):
                    m.d.comb += value.component.advance.eq(advance)
                wire = Signal(value.shape, name=f"{value.name}_value")
                m.d.comb += wire.eq(value.component.o)
                wires.add(number, wire)
        if self._netlist is not None:
            m.submodules.netlist = self._netlist
            m.d.comb += [self._netlist.i.eq(self.i.p.data), self._netlist.advance.eq(advance)]
            for number in range(len(self._values)):
                wires.add(number, getattr(self._netlist, f"o{number}"))
        m.submodules.readout = self._output
        m.submodules.delays = wires.delays
        m.d.comb += [
            *self._connect_readout(wires),
            self._output.advance.eq(advance),
            self.o.payload.eq(self._output.o),
        ]
        return m

    def _at(self, number: int, level: int, wires: Wires) -> Value:
        """Return a value of the graph as an operator whose result has a level reads it."""
        value = self._values[number]
        if number < self._elements:
            wires.add(number, self._element_of(number))
        elif value.constant is not None:
            return Const(value.constant, value.shape)
        return wires.at(number, self._pipeline.registers(value.level, level))

    def _element_of(self, number: int) -> Value:
        """Return an element of the patch."""
        element = self.i.p.data.word_select(number, self._element.width)
        return element.as_signed() if self._element.signed else element

    def _connect(self, node: Node, value: _Value, wires: Wires) -> Iterator[object]:
        """Yield the assignments to the inputs of a node's component."""
        component = value.component
        if isinstance(component, XnorPopcount):
            yield component.i.eq(self.i.p.data)
            return
        assert isinstance(node, Sum)
        sources = node.sources.tolist()
        if isinstance(component, ReuseAdder):
            yield component.parent.eq(self._at(sources[0], value.level, wires))
            yield component.part.eq(self._at(sources[1], value.level, wires))
            return
        assert isinstance(component, SignedSum)
        if any(source < self._elements for source in sources):
            yield component.data.eq(self.i.p.data)
        for k, source in enumerate(sources):
            if source >= self._elements:
                own = self._values[source].level
                yield getattr(component, f"i{k}").eq(self._at(source, own, wires))

    def _connect_readout(self, wires: Wires) -> Iterator[object]:
        """Yield the assignments to the inputs of the readout."""
        for channel, number in enumerate(self._read):
            if number >= 0:
                port = getattr(self._output, f"i{channel}")
                yield port.eq(self._at(number, self.level, wires))
        if self.classes > 1:
            border = len(self._values)
            wires.add(border, self.i.p.border)
            yield self._output.border.eq(wires.at(border, self._pipeline.stage(self.level)))


def _is_reuse(node: Sum) -> bool:
    """Return whether a sum is ``parent + 2 * part`` or ``parent - 2 * part``."""
    return (
        len(node.sources) == 2
        and node.constant == 0
        and node.signs[0] == 1
        and node.shifts.tolist() == [0, 1]
    )


def _unique_name(label: str, taken: set[str]) -> str:
    """Return a label as an identifier that is not taken, and take it."""
    stem = re.sub(r"\W", "_", label, flags=re.ASCII)
    stem = f"value_{stem}" if stem[0].isdigit() else stem
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    taken.add(name)
    return name


def _output_shape(readout: Readout) -> Shape:
    """Return the shape of a channel's output: a bit, or a sum of one bit at least."""
    if isinstance(readout, BitReadout):
        return unsigned(1)
    return interval_shape(readout.low, readout.high)


def _word_shape(readout: Readout) -> object:
    channels = len(readout.value)
    if isinstance(readout, BitReadout):
        return unsigned(channels)
    return data.ArrayLayout(_output_shape(readout), channels)


def _check_word(what: str, bits: int) -> None:
    if bits > _WORD_BITS:
        raise BuildError(
            f"{what} has {bits:,} bits, a word of the hardware at most {_WORD_BITS:,}",
            remedy="split the layer into several by channels or inputs",
        )
