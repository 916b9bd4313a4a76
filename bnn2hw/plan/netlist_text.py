"""The text form of a bit netlist: one line a cell, reading back to an equal netlist.

::

    netlist inputs 288 target lut6
    n288 = count 6 0 0: x3 ~x7 x12 x20 ~x21 x40
    n291 = lut 8e @4: n288 ~n289 x5
    bit 0 = ~n300: x1 n290 | ~n289 >= 2; 4 5 | 6 |; 7
    sum 1 = x1 n290 | ~n289

A cell that comes later than it could, for the cuts of a pipeline, states its level behind ``@``. A
counter states the bits that it reads of each column, its constant and drop, and what it reads,
``~`` before the inverted literals; it writes as many bits as it has outputs, numbered on from its
name. ``count 3.2 0 0`` is one of a table a bit, ``add 3.2.2 0 0`` an adder, ``parity 0`` a parity
chain with its drop. A table is hexadecimal. A comparison names its last cell's bit, the heap
(columns between bars), the level, the cells of each column by number, a bar behind each column,
and those that join deciding bits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import PlanError
from .counters import LUT_INPUTS, Adder, Counter, Kind, ParityChain
from .netlist import BitOutput, Cell, Heap, Netlist, SumOutput
from .targets import TARGETS

__all__ = ["HEADER", "dump_netlist", "load_netlist"]

HEADER = "netlist inputs "
_TARGET = " target "
_MAXIMUM_INPUTS = 1 << 24
_CELL = re.compile(
    r"n(\d{1,9}) = (?:lut ([0-9a-f]{1,16})|parity ([01])|count (\d(?:\.\d){0,5}) (\d{1,2}) (\d)"
    r"|add ([0-3](?:\.[0-2]){0,31}) (\d{1,10}) (\d{1,2}))(?: @(\d{1,6}))?:((?: ~?[xn]\d{1,9})*)"
)
_SUM = re.compile(r"sum (\d{1,9}) = ([^>;]*)")
_BIT = re.compile(
    r"bit (\d{1,9}) = (~?)n(\d{1,9}): ([^>;]*) >= (\d{1,12}); ?([0-9 |]*); ?([0-9 ]*)"
)
_LITERAL = re.compile(r"(~?)([xn])(\d{1,9})")


def dump_netlist(netlist: Netlist) -> str:
    """Return the text of a netlist."""
    inputs = netlist.inputs

    def names(literals: Sequence[int]) -> str:
        return " ".join(
            f"{'~' if one & 1 else ''}{'x' if one >> 1 < inputs else 'n'}{one >> 1}"
            for one in literals
        )

    def heap(columns: Heap) -> str:
        return " | ".join(names(column) for column in columns)

    lines = [f"{HEADER}{inputs}{_TARGET}{netlist.target.name}"]
    for cell in netlist.cells:
        level = netlist.levels[cell.first]
        late = f" @{level}" if level > netlist.soonest(cell.literals) else ""
        lines.append(f"n{cell.first} = {_what(cell)}{late}: {names(cell.literals)}")
    for output in netlist.outputs:
        if isinstance(output, SumOutput):
            lines.append(f"sum {output.channel} = {heap(output.heap)}")
            continue
        steps = " ".join(" ".join([*map(str, numbers), "|"]) for numbers in output.steps)
        last = netlist.cells[output.last].first
        lines.append(
            f"bit {output.channel} = {'~' if output.inverted else ''}n{last}: {heap(output.heap)}"
            f" >= {output.level}; {steps}; {' '.join(map(str, output.joins))}".rstrip()
        )
    return "\n".join(lines) + "\n"


def _what(cell: Cell) -> str:
    kind = cell.kind
    if isinstance(kind, Counter):
        return f"count {'.'.join(map(str, kind.reads))} {kind.constant} {kind.drop}"
    if isinstance(kind, ParityChain):
        return f"parity {kind.drop}"
    if isinstance(kind, Adder):
        return f"add {'.'.join(map(str, kind.reads))} {kind.constant} {kind.drop}"
    return f"lut {cell.table:x}"


def load_netlist(text: str) -> Netlist:
    """Return the netlist that a text describes.

    Raises
    ------
    PlanError
        If the text is malformed, with the number of the line.
    """
    lines = text.split("\n")
    number = 1
    try:
        if lines[-1]:
            number = len(lines)
            raise PlanError("is cut short: it does not end")
        size, _, target = lines[0].removeprefix(HEADER).partition(_TARGET)
        if not (size.isdecimal() and size.isascii()) or not 0 < int(size) <= _MAXIMUM_INPUTS:
            raise PlanError(f"is not '{HEADER}N{_TARGET}NAME': {lines[0][:40]!r}")
        if target not in TARGETS:
            raise PlanError(
                f"names the target {target[:20]!r}, which is none of {', '.join(TARGETS)}"
            )
        netlist = Netlist(int(size), TARGETS[target])
        for line in lines[1:-1]:
            number += 1
            if line.startswith("n") and not netlist.outputs:
                _read_cell(netlist, line)
            else:
                output = _read_output(netlist, line)
                if netlist.outputs and output.channel <= netlist.outputs[-1].channel:
                    raise PlanError(f"has channel {output.channel} out of order")
                netlist.outputs.append(output)
    except PlanError as error:
        raise PlanError(
            f"line {number} of the plan {error.what}",
            remedy="restore the text that was generated",
        ) from None
    return netlist


def _read_cell(netlist: Netlist, line: str) -> None:
    match = _CELL.fullmatch(line)
    if match is None:
        raise PlanError(f"is not 'nBIT = COUNTER or lut: literals': {line[:40]!r}")
    first, table, *parts, late, names = match.groups()
    if int(first) != len(netlist.levels):
        raise PlanError(f"numbers bit {first} where {len(netlist.levels)} is next")
    literals = _literals(netlist, names)
    level = int(late or 0)
    if late is not None and level <= netlist.soonest(literals):
        raise PlanError(f"has a level that says nothing: {line[:40]!r}")
    if table is not None:
        if not 1 <= len(literals) <= LUT_INPUTS or int(table, 16) >> (1 << len(literals)):
            raise PlanError(f"has a table that does not fit {len(literals)} literals")
        netlist.add(None, literals, int(table, 16), level)
        return
    try:
        kind = _kind(parts)
    except ValueError:
        raise PlanError(f"has no such counter: {line[:40]!r}") from None
    if kind.inputs != len(literals):
        raise PlanError(f"has a counter of {len(literals)} literals: {line[:40]!r}")
    netlist.add(kind, literals, level=level)


def _kind(parts: Sequence[str | None]) -> Kind:
    """Return the kind of counter that the parts of a line state.

    Raises
    ------
    ValueError
        If there is none such.
    """
    words = [part or "" for part in parts]
    if words[0]:
        return ParityChain(int(words[0]))
    sort, (reads, constant, drop) = (Counter, words[1:4]) if words[1] else (Adder, words[4:])
    return sort(tuple(int(bits) for bits in reads.split(".")), int(constant), int(drop))


def _read_output(netlist: Netlist, line: str) -> BitOutput | SumOutput:
    if match := _SUM.fullmatch(line):
        return SumOutput(int(match[1]), _heap(netlist, match[2]))
    match = _BIT.fullmatch(line)
    if match is None:
        raise PlanError(f"is neither a cell nor an output: {line[:40]!r}")
    channel, inverted, last, heap, level, steps, joins = match.groups()
    *columns, rest = steps.split("|")
    if rest.strip():
        raise PlanError(f"has cells of a column that does not end in a bar: {rest.strip()[:40]!r}")
    cell = netlist.writer[int(last)] if int(last) < len(netlist.writer) else -1
    if cell < 0 or netlist.cells[cell].kind is not None:
        raise PlanError(f"reads n{last}, which no table writes")
    return BitOutput(
        channel=int(channel),
        heap=_heap(netlist, heap),
        level=int(level),
        steps=tuple(_cells(netlist, column) for column in columns),
        joins=_cells(netlist, joins),
        last=cell,
        inverted=bool(inverted),
    )


def _cells(netlist: Netlist, words: str) -> tuple[int, ...]:
    numbers = tuple(int(word) for word in words.split())
    if any(number >= len(netlist.cells) for number in numbers):
        raise PlanError("names a cell that is not there")
    return numbers


def _heap(netlist: Netlist, text: str) -> Heap:
    return tuple(tuple(_literals(netlist, column)) for column in text.split("|"))


def _literals(netlist: Netlist, words: str) -> list[int]:
    found = []
    for word in words.split():
        match = _LITERAL.fullmatch(word)
        if match is None:
            raise PlanError(f"has {word[:20]!r} where a literal belongs, such as ~n300")
        inverted, kind, number = match[1], match[2], int(match[3])
        if (kind == "x") != (number < netlist.inputs) or number >= len(netlist.levels):
            raise PlanError(f"reads {word}, which is not there")
        found.append(2 * number + bool(inverted))
    return found
