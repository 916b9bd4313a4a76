"""The subset of the sequential engine on a word of inputs, by row sums that all kernels share.

The elements of a word come in rows of three, those of a 3x3 kernel. A row has eight sums, one for
each choice of signs, and a kernel is one sum of each row: with t the total of a row and c that of
the elements that the kernel takes as they are, its share of the row is ``2 c - t``. All rows but
the last give c; the last one gives ``2 c - t`` less the totals of the others. So a kernel of three
rows takes two additions, whatever its signs; :func:`.table_adders` counts those of the row sums.
Half of them are made as a word comes in, the sums of its last row from what is kept then.
"""

from __future__ import annotations

from functools import reduce
from operator import add

from amaranth.hdl import Module, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..plan.engine_program import ROW, EngineProgram, row_sizes
from ..plan.graph import interval_width
from .engine_word import elements, select_tree, word_layout

__all__ = ["KernelUnit", "LastRow", "RowSums", "sums_layout"]


def _rows(program: EngineProgram) -> list[tuple[int, int]]:
    """Return size and width of the signed sums of each row."""
    *others, last = row_sizes(program.unit)
    bounds = [size * program.magnitude for size in others]
    widths = [interval_width(-bound, bound) for bound in bounds]
    return [*zip(others, widths, strict=True), (last, program.entry_width)]


def _bits(program: EngineProgram) -> int:
    return sum(width << size for size, width in _rows(program))


def sums_layout(program: EngineProgram) -> data.StructLayout:
    """Return what is kept of a word: the outputs of :class:`RowSums`."""
    *others, (last, width) = _rows(program)
    element = interval_width(-program.magnitude, program.magnitude)
    members = {
        f"row{row}_{choice}": signed(bits)
        for row, (size, bits) in enumerate(others)
        for choice in range(1 << size)
    }
    members["whole"] = signed(width)
    members |= {f"element{k}": signed(element) for k in range(last)}
    return data.StructLayout(members)


class RowSums(wiring.Component):
    """The sums of each row of a word, but of the last one what they are made from. Combinational.

    Members
    -------
    word : ``In(word_layout(program))``
    row0_0, row0_1, ... : ``Out``, signed, by row and choice: the sum of those elements whose bit
        in the choice is 1; of all rows but the last
    whole : ``Out``, signed: the total of the last row less the totals of the others
    element0, ... : ``Out``, signed, of the last row
    """

    def __init__(self, program: EngineProgram) -> None:
        self._program = program
        sums = {name: Out(shape) for name, shape in sums_layout(program).members.items()}
        super().__init__({"word": In(word_layout(program)), **sums})

    def elaborate(self, platform: object) -> Module:
        """Return the adders."""
        m = Module()
        values = elements(self._program, self.word)
        *others, last = (values[k : k + ROW] for k in range(0, len(values), ROW))
        totals = []
        for number, row in enumerate(others):
            sums = [getattr(self, f"row{number}_{choice}") for choice in range(1 << len(row))]
            totals.append(sums[-1])
            for choice in range(1, len(sums)):
                top = choice.bit_length() - 1
                rest = choice ^ 1 << top
                m.d.comb += sums[choice].eq(sums[rest] + row[top] if rest else row[top])
        whole = reduce(add, last)
        m.d.comb += self.whole.eq(whole - reduce(add, totals) if totals else whole)
        for k, element in enumerate(last):
            m.d.comb += getattr(self, f"element{k}").eq(element)
        return m


class LastRow(wiring.Component):
    """The sums of the last row, less the totals of the others. Combinational.

    Members
    -------
    whole, element0, ... : ``In``, as of :class:`RowSums`
    sum0, sum1, ... : ``Out``, signed; those elements whose bit in the number is 1 are taken as
        they are, the others with the other sign
    """

    def __init__(self, program: EngineProgram) -> None:
        self._size = row_sizes(program.unit)[-1]
        made = sums_layout(program).members.items()
        super().__init__(
            {
                **{name: In(shape) for name, shape in made if not name.startswith("row")},
                **{f"sum{k}": Out(signed(program.entry_width)) for k in range(1 << self._size)},
            }
        )

    @property
    def sums(self) -> list[Value]:
        """Return the outputs in order."""
        return [getattr(self, f"sum{k}") for k in range(1 << self._size)]

    def elaborate(self, platform: object) -> Module:
        """Return the adders: each sum is another one less twice an element."""
        m = Module()
        sums = self.sums
        m.d.comb += sums[-1].eq(self.whole)
        for choice in reversed(range(len(sums) - 1)):
            least = ~choice & choice + 1  # of the elements that are taken with the other sign
            element = getattr(self, f"element{least.bit_length() - 1}")
            m.d.comb += sums[choice].eq(sums[choice | least] - (element << 1))
        return m


class KernelUnit(wiring.Component):
    """The signed sum of a word under the signs of a kernel: one sum of each row. Combinational.

    Members
    -------
    rows : ``In``, the sums of all rows one above the other, those of :class:`LastRow` uppermost
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
