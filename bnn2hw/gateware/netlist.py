"""A bit netlist as hardware: one lookup table a bit, and the sums that come out whole."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..plan.netlist import BitOutput, Netlist, SumOutput, total_weight
from .compressor import CompressorTree
from .pipeline import Pipeline, Wires

__all__ = ["BitNetlist"]


class BitNetlist(wiring.Component):
    """The outputs of a bit netlist: comparisons as bits, and sums of heaps.

    A table is written as a constant that its inputs index, which synthesis maps to one lookup
    table each. A table counts one level; a sum ends in a compressor tree and an addition.
    Throughput one patch a cycle.

    Parameters
    ----------
    netlist
        What is computed.
    pipeline
        Levels between registers, or None.

    Attributes
    ----------
    levels
        Level of each output.

    Members
    -------
    i : ``In(netlist.inputs)``, the bits of the patch
    advance : ``In(1)``, whether the registers go on; 1 where it is not connected
    o0, o1, ... : ``Out``, a bit or a sum for each output of the netlist, each in the stage of its
        level
    """

    def __init__(self, netlist: Netlist, *, pipeline: int | None = None) -> None:
        self._netlist = netlist
        self._pipeline = Pipeline(pipeline)
        self._trees = {
            number: _tree(netlist, output)
            for number, output in enumerate(netlist.outputs)
            if isinstance(output, SumOutput)
        }
        self.levels = [
            netlist.levels[netlist.cells[output.last].first]
            if isinstance(output, BitOutput)
            else self._trees[number].level
            for number, output in enumerate(netlist.outputs)
        ]
        outputs = {f"o{k}": Out(output_shape(output)) for k, output in enumerate(netlist.outputs)}
        super().__init__({"i": In(netlist.inputs), "advance": In(1, init=1), **outputs})

    def elaborate(self, platform: object) -> Module:
        """Return the tables, the registers between stages, and the sums."""
        m = Module()
        netlist = self._netlist
        wires = Wires(self.advance)
        m.submodules.delays = wires.delays
        for bit in range(netlist.inputs):
            wires.add(bit, self.i[bit])
        for cell in netlist.cells:
            level = netlist.levels[cell.first]
            inputs = Cat(self._literal(wires, literal, level) for literal in cell.literals)
            for k, table in enumerate(cell.tables):
                wire = Signal(name=f"n{cell.first + k}")
                m.d.comb += wire.eq(Const(table, 1 << len(cell.literals)) >> inputs)
                wires.add(cell.first + k, wire)
        for number, output in enumerate(netlist.outputs):
            port = getattr(self, f"o{number}")
            if isinstance(output, BitOutput):
                bit = 2 * netlist.cells[output.last].first + output.inverted
                m.d.comb += port.eq(self._literal(wires, bit, self.levels[number]))
            else:
                m.d.comb += port.eq(self._sum(m, wires, number, output))
        return m

    def _literal(self, wires: Wires, literal: int, level: int) -> Value:
        """Return a literal in the stage where something of that level is made."""
        bit = literal >> 1
        value = wires.at(bit, self._pipeline.registers(self._netlist.levels[bit], level))
        return ~value if literal & 1 else value

    def _sum(self, m: Module, wires: Wires, number: int, output: SumOutput) -> Value:
        """Return the sum of a heap, its bits entering the tree at their levels."""
        tree = self._trees[number]
        bits: dict[int, list[list[Value]]] = {}
        for column, literals in enumerate(output.heap):
            for literal in literals:
                level = self._netlist.levels[literal >> 1]
                row = bits.setdefault(level, [[] for _ in range(tree.width)])
                row[column].append(self._literal(wires, literal, level))
        return tree.build(m, bits, self._pipeline, self.advance)


def output_shape(output: BitOutput | SumOutput) -> Shape:
    """Return the shape of an output: a bit, or an unsigned sum."""
    if isinstance(output, BitOutput):
        return unsigned(1)
    return unsigned(total_weight(output.heap).bit_length())


def _tree(netlist: Netlist, output: SumOutput) -> CompressorTree:
    """Return the compressor tree of a sum."""
    width = output_shape(output).width
    heights: dict[int, list[int]] = {}
    for column, literals in enumerate(output.heap):
        for literal in literals:
            row = heights.setdefault(netlist.levels[literal >> 1], [0] * width)
            row[column] += 1
    return CompressorTree(heights, width)
