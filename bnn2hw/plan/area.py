"""Area of what stages are made of, on iCE40 and ECP5: a model calibrated with Yosys.

Tables are of four inputs on both. Memories follow the rules of Yosys exactly: a memory becomes
the cells whose stated costs are least. The other constants are least-squares fits to stages of
the networks of ``examples/`` and the zoo, and to random folded layers; ``bench/balance.py``
prints how far they are off.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

__all__ = [
    "FAMILIES",
    "Area",
    "Family",
    "counter_area",
    "memory_area",
    "multiplexer_luts",
    "rom_area",
]


class Family(NamedTuple):
    """What the model knows of a family.

    Attributes
    ----------
    block_words
        (bits, words, bits that are written together) that one block RAM can be, the deepest
        first.
    block_cost
        Cost of a block RAM in Yosys, where a bit of a memory in logic costs 1, and of one that is
        never written 1/16.
    lut_rams
        Whether there are LUT RAMs: 16 words of 4 bits, at a cost of 4.
    lut_ram_cells
        Logic cells that one takes: four hold its bits, and the two of the slice beside them give
        way to its write port.
    adder
        Tables of a bit of an addition.
    comparator
        Tables of a bit of a comparison that has no result but its carry.
    """

    block_words: tuple[tuple[int, int, int], ...]
    block_cost: int
    lut_rams: bool
    lut_ram_cells: int
    adder: float
    comparator: float


FAMILIES = {
    "ecp5": Family(
        (
            (1, 16384, 1),
            (2, 8192, 2),
            (4, 4096, 4),
            (9, 2048, 9),
            (18, 1024, 9),
            (36, 512, 9),
        ),
        128, True, 6, 1.1, 1.1,
    ),
    "ice40": Family(
        ((2, 2048, 2), (4, 1024, 4), (8, 512, 8), (16, 256, 1)), 64, False, 0, 1.0, 0.4
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Area:
    """What hardware takes of a device.

    Attributes
    ----------
    luts
        Tables of four inputs, those inside adder cells included.
    flipflops
        All of them.
    lone
        Flip-flops and carries that share no logic cell with a table, where a cell has both.
    block_rams, lut_rams
        Memories.
    """

    luts: float = 0.0
    flipflops: float = 0.0
    lone: float = 0.0
    block_rams: int = 0
    lut_rams: int = 0

    def __add__(self, other: Area) -> Area:
        """Return both together."""
        return Area(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Area)))

    def __sub__(self, other: Area) -> Area:
        """Return what there is more."""
        return Area(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(Area)))

    def cells(self, family: str) -> float:
        """Return the logic cells: TRELLIS_COMB of ECP5, ICESTORM_LC of iCE40."""
        if family == "ice40":
            return self.luts + self.lone
        return self.luts + FAMILIES[family].lut_ram_cells * self.lut_rams

    def to_json(self, family: str) -> dict[str, int]:
        """Return the estimate as JSON values."""
        found = {**asdict(self), "cells": self.cells(family)}
        del found["lone"]
        return {key: round(value) for key, value in found.items()}


def counter_area(states: int) -> Area:
    """Return the area of a counter that wraps around."""
    bits = (states - 1).bit_length()
    return Area(luts=1.7 * bits, flipflops=bits)


def multiplexer_luts(bits: int, choices: int) -> float:
    """Return the tables of a choice of words by a number."""
    if choices <= 2:
        return float(bits * (choices - 1))
    return 0.87 * bits * (choices - 1)


class _Blocks(NamedTuple):
    """Block RAMs of a memory: their cost in Yosys, how many, and words that come side by side."""

    cost: float
    number: int
    rows: int

    def area(self, bits: int) -> Area:
        """Return the area, with the choice of a word of those side by side."""
        place = (self.rows - 1).bit_length()
        return Area(multiplexer_luts(bits, self.rows), place, block_rams=self.number)


def _blocks(family: str, bits: int, words: int, *, written: bool) -> _Blocks:
    """Return the block RAMs of a memory, as Yosys lays words too many for one side by side."""
    what, found = FAMILIES[family], []
    for width, depth, grain in what.block_words:
        rows = -(-words // depth)
        row = -(-bits // grain) * grain if written else bits
        number = -(-rows * row // width)
        choice = ((rows - 1) * bits + (rows if written and rows > 1 else 0)) / 2
        found.append(_Blocks(number * what.block_cost + choice, number, rows))
    return min(found, key=lambda blocks: blocks.cost)


def rom_area(family: str, bits: int, words: int, *, varying: int | None = None) -> Area:
    """Return the area of a memory that is never written, with a register behind it.

    ``varying`` is how many bits are not the same in all words; those that are cost nothing.
    """
    bits = bits if varying is None else varying
    if words <= 1 or not bits:
        return Area()
    blocks = _blocks(family, bits, words, written=False)
    if blocks.cost < bits * words / 16:
        return blocks.area(bits)
    # Random functions of a few bits, of which there are not that many; shared beyond 16 words.
    each = min(1.0, 2.0 ** (words - 2) / bits) if words <= 16 else 1 + (words - 16) * 0.13
    if words > 16 and bits > 64:  # the more functions, the more have parts in common
        each *= (64 / bits) ** 0.08
    registers = min(bits, 2**words - 2) if words < 6 else bits
    return Area(luts=each * bits, flipflops=registers)


def memory_area(family: str, bits: int, words: int) -> Area:
    """Return the area of a memory that is written and read, in a cycle each.

    Where words that are written are read at once, what passes by the memory is not in it.
    """
    blocks = _blocks(family, bits, words, written=True)
    rows = -(-words // 16)
    small = -(-bits // 4) * rows
    costs = {"logic": float(bits * words), "block": blocks.cost}
    if FAMILIES[family].lut_rams:
        costs["lut"] = 4 * small + ((rows - 1) * bits + (rows if rows > 1 else 0)) / 2
    kind = min(costs, key=costs.__getitem__)
    if kind == "block":
        return blocks.area(bits)
    if kind == "lut":
        selects = multiplexer_luts(bits, rows)
        return Area(luts=selects, flipflops=bits, lone=bits, lut_rams=small)
    return Area(
        luts=multiplexer_luts(bits, words) + words,
        flipflops=bits * (words + 1),
        lone=bits * words,
    )
