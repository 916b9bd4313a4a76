"""A big netlist in parts: blocks of rows that share little, to be synthesised apart.

A cell serves the outputs that it leads to. Outputs with many cells in common go into one part,
smallest sets of outputs first, as long as the part stays below a size; what serves outputs of
several parts makes up parts of its own. Any division is right: only the bits that cross it differ.
"""

from __future__ import annotations

from collections import Counter

from .netlist import BitOutput, Netlist

__all__ = ["PART_LUTS", "netlist_parts"]

PART_LUTS = 4096
"""LUTs of a part at most, where the outputs that belong together have no more."""


def netlist_parts(netlist: Netlist) -> list[list[int]]:
    """Return numbers of cells by part, ascending in each; one part of a small netlist."""
    most = PART_LUTS
    luts = [netlist.target.luts(cell.kind) for cell in netlist.cells]
    if sum(luts) <= most:
        return [list(range(len(luts)))]
    served = _served(netlist)
    weights = Counter[int]()
    for outputs, size in zip(served, luts, strict=True):
        weights[outputs] += size
    group = _groups(weights, len(netlist.outputs), most)
    owners = {outputs: {group[k] for k in _members(outputs)} for outputs in weights}
    parts: dict[int, list[int]] = {}
    common: list[list[int]] = []
    room = 0
    for number, outputs in enumerate(served):
        if len(owners[outputs]) == 1:
            parts.setdefault(min(owners[outputs]), []).append(number)
            continue
        if room < luts[number]:
            common.append([])
            room = most
        common[-1].append(number)
        room -= luts[number]
    return [*common, *(parts[first] for first in sorted(parts))]


def _served(netlist: Netlist) -> list[int]:
    """Return for each cell the outputs it leads to, as bits of a number."""
    served = [0] * len(netlist.cells)
    for number, output in enumerate(netlist.outputs):
        cells = {netlist.writer[one >> 1] for one in netlist.literals(output)}
        if isinstance(output, BitOutput):
            cells.add(output.last)
        for cell in cells - {-1}:
            served[cell] |= 1 << number
    for number in reversed(range(len(served))):
        for literal in netlist.cells[number].literals:
            if (writer := netlist.writer[literal >> 1]) >= 0:
                served[writer] |= served[number]
    return served


def _groups(weights: Counter[int], outputs: int, most: int) -> list[int]:
    """Return for each output the first one of its group."""
    group = list(range(outputs))
    size = dict.fromkeys(range(outputs), 0)
    for mask, luts in sorted(weights.items(), key=lambda one: (one[0].bit_count(), -one[1])):
        firsts = sorted({group[k] for k in _members(mask)})
        total = luts + sum(size[first] for first in firsts)
        if firsts and (total <= most or len(firsts) == 1):
            size[firsts[0]] = total
            if joined := set(firsts[1:]):
                group = [firsts[0] if first in joined else first for first in group]
    return group


def _members(mask: int) -> list[int]:
    """Return the numbers of the bits that are set."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
