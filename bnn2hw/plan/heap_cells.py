"""Cells on heaps of literals: what a counter takes, and the last cells of a comparison."""

from __future__ import annotations

from collections import defaultdict

from .counters import Adder, Kind
from .netlist import Netlist

__all__ = ["finish", "put"]


def put(netlist: Netlist, held: defaultdict[int, list[int]], column: int, kind: Kind) -> None:
    """Put a counter on a column of literals: it takes those that are there first.

    An adder takes those that are inverted like most of its column.
    """
    inverted = _mostly_inverted(held[column])
    literals = [
        literal
        for place, bits in enumerate(kind.reads)
        for literal in (
            _alike(netlist, held[column + place], bits, inverted)
            if isinstance(kind, Adder)
            else _earliest(netlist, held[column + place], bits)
        )
    ]
    turned = isinstance(kind, Adder) and kind.self_dual and _mostly_inverted(literals)
    written = netlist.add(kind, [literal ^ turned for literal in literals])
    for place, literal in zip(kind.places, written, strict=True):
        held[column + place].append(literal ^ turned)


def _mostly_inverted(literals: list[int]) -> bool:
    return 2 * sum(literal & 1 for literal in literals) > len(literals)


def _alike(netlist: Netlist, literals: list[int], count: int, inverted: bool) -> list[int]:
    """Remove and return literals, first of all those that are inverted, or those that are not."""
    literals.sort(key=lambda one: (one & 1 != inverted, netlist.levels[one >> 1], one))
    taken, literals[:] = literals[:count], literals[count:]
    return taken


def _earliest(netlist: Netlist, literals: list[int], count: int) -> list[int]:
    """Remove and return the literals that are there first."""
    literals.sort(key=lambda literal: (netlist.levels[literal >> 1], literal))
    taken, literals[:] = literals[:count], literals[count:]
    return taken


def finish(
    netlist: Netlist, held: defaultdict[int, list[int]], ended: int, top: int, constant: int
) -> tuple[tuple[int, ...], int]:
    """Add the last cells of a comparison; return the numbers of ORs, and of the last one.

    Parameters
    ----------
    netlist, held
        The cells, and the literals that are left by column.
    ended
        Columns that have ended.
    top, constant
        What the sum is compared with: ``sum + constant >= 2**top``.
    """
    joins, inputs = [], netlist.target.lut_inputs
    while sum(len(literals) for literals in held.values()) > inputs:
        many = [literal for column in sorted(held) for literal in held[column]]
        assert all(column >= top for column, literals in held.items() if literals)
        taken = _earliest(netlist, many, min(inputs, len(many) - inputs + 1))
        for literals in held.values():
            literals[:] = [literal for literal in literals if literal not in taken]
        joins.append(len(netlist.cells))
        held[top] += netlist.add(None, taken, (1 << (1 << len(taken))) - 2)
    rest = [(column, literal) for column in sorted(held) for literal in held[column]]
    constant = constant >> ended << ended
    table = sum(
        1 << word
        for word in range(1 << len(rest))
        if constant + sum(1 << c for k, (c, _) in enumerate(rest) if word >> k & 1) >= 1 << top
    )
    number = len(netlist.cells)
    netlist.add(None, [literal for _, literal in rest], table)
    return tuple(joins), number
