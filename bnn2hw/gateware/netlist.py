"""A bit netlist as hardware: lookup tables, additions, and the sums that come out whole."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..plan.counters import Adder, Counter, ParityChain
from ..plan.netlist import BitOutput, Cell, Netlist, SumOutput, total_weight
from ..plan.netlist_parts import netlist_parts
from .compressor import CompressorTree
from .pipeline import Pipeline, Wires

__all__ = ["BitNetlist"]


class BitNetlist(wiring.Component):
    """The outputs of a bit netlist: comparisons as bits, and sums of heaps.

    A table is written as a constant that its inputs index, which synthesis maps to one lookup
    table each; an adder as an addition, which it maps to carries. A cell counts one level; a sum
    ends in a compressor tree and an addition. Throughput one patch a cycle. A big netlist is
    divided into submodules ``block0``, ``block1``, ... that can be synthesised apart.

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
    blocks
        Names of the submodules; none of a small netlist.

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
        self._parts = netlist_parts(netlist)
        self.blocks = [f"block{k}" for k in range(len(self._parts))]
        if len(self.blocks) < 2:
            self.blocks = []
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
        if self.blocks:
            self._add_blocks(m, wires)
        else:
            _add_cells(m, netlist, self._pipeline, wires, range(len(netlist.cells)))
        for number, output in enumerate(netlist.outputs):
            port = getattr(self, f"o{number}")
            if isinstance(output, BitOutput):
                bit = 2 * netlist.cells[output.last].first + output.inverted
                m.d.comb += port.eq(
                    _literal(netlist, self._pipeline, wires, bit, self.levels[number])
                )
            else:
                m.d.comb += port.eq(self._sum(m, wires, number, output))
        return m

    def _add_blocks(self, m: Module, wires: Wires) -> None:
        """Add a submodule for each part, which read one another's bits in the stages they need."""
        netlist = self._netlist
        part = {number: k for k, numbers in enumerate(self._parts) for number in numbers}
        reads: list[set[tuple[int, int]]] = [set() for _ in self._parts]
        writes = {
            literal >> 1 for output in netlist.outputs for literal in netlist.literals(output)
        }
        for number, cell in enumerate(netlist.cells):
            level = netlist.levels[cell.first]
            for bit in (literal >> 1 for literal in cell.literals):
                if part.get(netlist.writer[bit]) != part[number]:
                    cycles = self._pipeline.registers(netlist.levels[bit], level)
                    reads[part[number]].add((bit, cycles))
                    writes.add(bit)
        blocks = []
        for k, name in enumerate(self.blocks):
            written = [bit for bit in sorted(writes) if part.get(netlist.writer[bit]) == k]
            block = _Block(netlist, self._pipeline, self._parts[k], sorted(reads[k]), written)
            m.submodules[name] = block
            m.d.comb += block.advance.eq(self.advance)
            for at, bit in enumerate(written):
                wires.add(bit, _named(m, f"n{bit}", block.o[at]))
            blocks.append(block)
        for block in blocks:
            m.d.comb += block.i.eq(Cat(wires.at(bit, cycles) for bit, cycles in block.reads))

    def _sum(self, m: Module, wires: Wires, number: int, output: SumOutput) -> Value:
        """Return the sum of a heap, its bits entering the tree at their levels."""
        tree = self._trees[number]
        bits: dict[int, list[list[Value]]] = {}
        for column, literals in enumerate(output.heap):
            for literal in literals:
                level = self._netlist.levels[literal >> 1]
                row = bits.setdefault(level, [[] for _ in range(tree.width)])
                row[column].append(_literal(self._netlist, self._pipeline, wires, literal, level))
        return tree.build(m, bits, self._pipeline, self.advance)


class _Block(wiring.Component):
    """Some cells of a netlist.

    Parameters
    ----------
    netlist, pipeline, cells
        The netlist, its cuts, and the numbers of the cells.
    reads
        Bits from outside, and by how many registers each comes late.
    writes
        Bits that are read outside.

    Members
    -------
    i, o : the bits read and written, in that order
    advance : ``In(1)``, whether the registers go on
    """

    def __init__(
        self,
        netlist: Netlist,
        pipeline: Pipeline,
        cells: Sequence[int],
        reads: Sequence[tuple[int, int]],
        writes: Sequence[int],
    ) -> None:
        self._netlist, self._pipeline, self._cells = netlist, pipeline, cells
        self.reads, self._writes = reads, writes
        super().__init__({"i": In(len(reads)), "advance": In(1), "o": Out(len(writes))})

    def elaborate(self, platform: object) -> Module:
        """Return the cells, and the registers between them."""
        m = Module()
        wires = Wires(self.advance)
        m.submodules.delays = wires.delays
        for at, (bit, cycles) in enumerate(self.reads):
            wires.add_late(bit, cycles, self.i[at])
        _add_cells(m, self._netlist, self._pipeline, wires, self._cells)
        m.d.comb += self.o.eq(Cat(wires.at(bit, 0) for bit in self._writes))
        return m


def _add_cells(
    m: Module, netlist: Netlist, pipeline: Pipeline, wires: Wires, numbers: Sequence[int]
) -> None:
    """Add cells by number, and their bits to the wires."""
    for number in numbers:
        cell = netlist.cells[number]
        level = netlist.levels[cell.first]
        inputs = [_literal(netlist, pipeline, wires, literal, level) for literal in cell.literals]
        for k, value in enumerate(_written(m, cell, inputs)):
            wires.add(cell.first + k, _named(m, f"n{cell.first + k}", value))


def _named(m: Module, name: str, value: Value) -> Signal:
    """Return a value as a wire."""
    wire = Signal(name=name)
    m.d.comb += wire.eq(value)
    return wire


def _literal(netlist: Netlist, pipeline: Pipeline, wires: Wires, literal: int, level: int) -> Value:
    """Return a literal in the stage where something of that level is made."""
    bit = literal >> 1
    value = wires.at(bit, pipeline.registers(netlist.levels[bit], level))
    return ~value if literal & 1 else value


def _written(m: Module, cell: Cell, inputs: Sequence[Value]) -> list[Value]:
    """Return what a cell writes."""
    kind = cell.kind
    if isinstance(kind, ParityChain):
        return _parity_chain(m, cell, inputs)
    if isinstance(kind, Adder):
        return _added(m, kind, cell, inputs)
    tables = kind.tables if isinstance(kind, Counter) else (cell.table,)
    return [Const(table, 1 << len(inputs)) >> Cat(inputs) for table in tables]


def _parity_chain(m: Module, cell: Cell, inputs: Sequence[Value]) -> list[Value]:
    """Return the parity and the carries of seven bits, in tables of four inputs."""
    a, b, c, d, e, f, g = inputs
    assert isinstance(cell.kind, ParityChain)
    first = Signal(name=f"n{cell.first}_parity")
    m.d.comb += first.eq(a ^ b ^ c ^ d)
    parity = Signal(name=f"n{cell.first}_all")
    m.d.comb += parity.eq(first ^ e ^ f ^ g)
    last = first ^ e if cell.kind.drop else parity ^ f ^ g
    carries = [_majority(a, b, c), _majority(first ^ d, d, e), _majority(last, f, g)]
    return carries if cell.kind.drop else [parity, *carries]


def _majority(one: Value, two: Value, three: Value) -> Value:
    return (one & two) | (one & three) | (two & three)


def _added(m: Module, kind: Adder, cell: Cell, inputs: Sequence[Value]) -> list[Value]:
    """Return the bits of a sum. A third bit at the bottom is the carry of a column below."""
    columns: list[list[Value]] = [[] for _ in kind.reads]
    for column, value in zip(kind.columns, inputs, strict=True):
        columns[column].append(value)
    for column, row in enumerate(columns):
        if kind.constant >> column & 1:
            row.append(Const(1, 1))
        row += [Const(0, 1)] * (2 - len(row))
    carry = columns[0].pop() if len(columns[0]) > 2 else None
    rows = [Cat(row[k] for row in columns) for k in (0, 1)]
    if carry is not None:
        rows = [Cat(Const(1, 1), rows[0]), Cat(carry, rows[1])]
    total = Signal(len(rows[0]) + 1, name=f"n{cell.first}_sum")
    m.d.comb += total.eq(rows[0] + rows[1])
    return [total[place + (carry is not None)] for place in kind.places]


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
