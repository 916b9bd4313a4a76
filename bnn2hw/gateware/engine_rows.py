"""The subset of the sequential engine on a word of inputs, by row sums that all kernels share.

The elements of a word come in rows of three, those of a 3x3 kernel. A row has eight sums, one for
each choice of signs, and a kernel is one sum of each row: with t the total of a row and c that of
the elements that the kernel takes as they are, its share of the row is ``2 c - t``. All rows but
the last give c; the last one gives ``2 c - t`` less the totals of the others. So a kernel of three
rows takes two additions, whatever its signs; :func:`.table_adders` counts those of the row sums.
"""

from __future__ import annotations

from functools import reduce
from operator import add

from amaranth.hdl import Const, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..plan.engine_program import ROW, EngineProgram, row_sizes
from ..plan.graph import interval_width
from .engine_word import elements, select_tree, word_layout

__all__ = ["KernelUnit", "RowSums"]


def _rows(program: EngineProgram) -> list[tuple[int, int]]:
    """Return size and width of the signed sums of each row."""
    *others, last = row_sizes(program.unit)
    bounds = [size * program.magnitude for size in others]
    widths = [interval_width(-bound, bound) for bound in bounds]
    return [*zip(others, widths, strict=True), (last, program.entry_width)]


def _bits(program: EngineProgram) -> int:
    return sum(width << size for size, width in _rows(program))


class RowSums(wiring.Component):
    """The sums of each row of a word. Combinational.

    Members
    -------
    word : ``In(word_layout(program))``
    o : ``Out``, row by row; sum k of a row takes those elements as they are whose bit in k is 1
    """

    def __init__(self, program: EngineProgram) -> None:
        self._program = program
        super().__init__({"word": In(word_layout(program)), "o": Out(_bits(program))})

    def elaborate(self, platform: object) -> Module:
        """Return the adders."""
        m = Module()
        values = elements(self._program, self.word)
        *others, last = (values[k : k + ROW] for k in range(0, len(values), ROW))
        sums: list[Value] = []
        totals = []
        for number, row in enumerate(others):
            chosen = self._chosen(m, row, f"row{number}")
            totals.append(chosen[-1])
            sums += chosen
        whole = reduce(add, last)
        if totals:
            whole -= reduce(add, totals)
        sums += self._facing(m, last, whole)
        start = 0
        for value in sums:
            m.d.comb += self.o[start : start + len(value)].eq(value)
            start += len(value)
        return m

    def _chosen(self, m: Module, row: list[Value], name: str) -> list[Value]:
        """Return the sum of each choice of elements."""
        (_, width), *_ = _rows(self._program)
        sums: list[Value] = [Const(0, signed(width))]
        for choice in range(1, 1 << len(row)):
            top = choice.bit_length() - 1
            rest = choice ^ 1 << top
            value = Signal(signed(width), name=f"{name}_{choice}")
            m.d.comb += value.eq(sums[rest] + row[top] if rest else row[top])
            sums.append(value)
        return sums

    def _facing(self, m: Module, row: list[Value], whole: Value) -> list[Value]:
        """Return ``whole`` less twice each choice of elements, none of them at the end."""
        sums: list[Value] = []
        for choice in range(1 << len(row)):
            top = choice.bit_length() - 1
            value = Signal(signed(self._program.entry_width), name=f"last_{choice}")
            m.d.comb += value.eq(sums[choice ^ 1 << top] - (row[top] << 1) if choice else whole)
            sums.append(value)
        return sums[::-1]


class KernelUnit(wiring.Component):
    """The signed sum of a word under the signs of a kernel: one sum of each row. Combinational.

    Members
    -------
    rows : ``In``, of :class:`RowSums`
    kernel : ``In(unit)``
    o : ``Out(signed(entry_width))``
    """

    def __init__(self, program: EngineProgram) -> None:
        self._program = program
        super().__init__(
            {
                "rows": In(_bits(program)),
                "kernel": In(program.unit),
                "o": Out(signed(program.entry_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return what selects, and an adder for each row but one."""
        m = Module()
        chosen = []
        first = tap = 0
        for size, width in _rows(self._program):
            row = self.rows[first : first + (width << size)]
            chosen.append(select_tree(row, self.kernel[tap : tap + size], width).as_signed())
            first, tap = first + (width << size), tap + size
        *others, last = chosen
        m.d.comb += self.o.eq((reduce(add, others) << 1) + last if others else last)
        return m
