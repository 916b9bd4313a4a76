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

from amaranth.hdl import Module, Value, signed
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
    row0_0, row0_1, ... : ``Out``, signed, by row and choice: those elements whose bit in the
        choice is 1 are taken as they are
    """

    def __init__(self, program: EngineProgram) -> None:
        self._program = program
        super().__init__(
            {
                "word": In(word_layout(program)),
                **{
                    f"row{row}_{choice}": Out(signed(width))
                    for row, (size, width) in enumerate(_rows(program))
                    for choice in range(1 << size)
                },
            }
        )

    @property
    def sums(self) -> list[list[Value]]:
        """Return the outputs, row by row."""
        sizes = row_sizes(self._program.unit)
        return [
            [getattr(self, f"row{row}_{choice}") for choice in range(1 << size)]
            for row, size in enumerate(sizes)
        ]

    def elaborate(self, platform: object) -> Module:
        """Return the adders."""
        m = Module()
        values = elements(self._program, self.word)
        *others, last = (values[k : k + ROW] for k in range(0, len(values), ROW))
        *chosen, facing = self.sums
        for row, sums in zip(others, chosen, strict=True):
            for choice in range(1, len(sums)):
                top = choice.bit_length() - 1
                rest = choice ^ 1 << top
                m.d.comb += sums[choice].eq(sums[rest] + row[top] if rest else row[top])
        whole = reduce(add, last)
        if chosen:
            whole -= reduce(add, [sums[-1] for sums in chosen])
        m.d.comb += facing[-1].eq(whole)
        for choice in reversed(range(len(facing) - 1)):
            least = ~choice & choice + 1  # of the elements that are taken with the other sign
            element = last[least.bit_length() - 1]
            m.d.comb += facing[choice].eq(facing[choice | least] - (element << 1))
        return m


class KernelUnit(wiring.Component):
    """The signed sum of a word under the signs of a kernel: one sum of each row. Combinational.

    Members
    -------
    rows : ``In``, the outputs of :class:`RowSums` one above the other
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
