"""The program of a sequential engine: everything its hardware is made from, as integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import interval_width

__all__ = ["ROW", "EngineProgram", "row_sizes", "table_adders"]

ROW = 3
"""Elements of a row of a kernel, whose sums all kernels share."""

_MEMORIES = ("weights", "subset", "levels")


def row_sizes(unit: int) -> list[int]:
    """Return the elements of each row of a word."""
    return [min(ROW, unit - start) for start in range(0, unit, ROW)]


def table_adders(unit: int) -> tuple[int, int]:
    """Return the adders that all kernel units share for a word, and those of each unit.

    A row of n elements has ``2**n - 1 - n`` sums of two or more of them. The last row has ``2**n``
    sums instead, each of them one addition to another but the first, from which the totals of the
    other rows are taken too.
    """
    *others, last = row_sizes(unit)
    shared = sum((1 << size) - 1 - size for size in others)
    shared += (1 << last) - 1 + last - 1 + len(others)
    return shared, len(others)


@dataclass(frozen=True)
class EngineProgram:
    """The sizes of an engine for one layer, and what its memories hold.

    Attributes
    ----------
    mode
        ``subbit``, ``binary`` or ``delta``.
    lanes, kernel_units, pixels
        As in :class:`.EngineParameters`; no more kernel units than there are entries.
    outputs
        Output channels; the lanes of the last group beyond them have no meaning.
    words, groups, fetch
        Input words of a position, groups of output channels, memory words of one step.
    unit
        Elements of an input word.
    bits
        Whether an element is a bit that stands for +1 or -1; it is an integer otherwise.
    element_width, element_signed, magnitude
        Format of an element, and its greatest absolute value.
    masked
        Whether each input word comes with a bit an element that tells whether it counts.
    weight_bits
        Bits of a lane's weights for one step: an index, or ``unit`` weights; in mode ``delta`` an
        index and, above it, a place of ``place_bits``.
    closed
        Whether the most significant bit of an index is a sign.
    bound
        The signed sums lie within +-bound, those of lanes beyond the channels too.
    thresholds
        Whether bits come out, or signed sums.
    word_width
        Width of a word of weight memory.
    weights
        Words of weight memory, in the order of the schedule: input word, group, part of a step.
        A step holds the weights of all lanes, lane 0 at the LSB, and in mode ``delta`` above them
        whether it is the last of its input word.
    subset
        One word a cycle in which the table is filled: ``kernel_units`` kernels, the first at the
        LSB, element 0 of each at its LSB; empty in mode ``binary``.
    levels
        One word a group: for each lane a level and, above it, whether the bit is inverted; empty
        without thresholds. The bit of a sum is ``(sum >= level) ^ inverted``.
    """

    mode: str
    lanes: int
    kernel_units: int
    pixels: int
    outputs: int
    words: int
    groups: int
    fetch: int
    unit: int
    bits: bool
    element_width: int
    element_signed: bool
    magnitude: int
    masked: bool
    weight_bits: int
    closed: bool
    bound: int
    thresholds: bool
    word_width: int
    weights: tuple[int, ...]
    subset: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()

    def sizes(self) -> dict[str, object]:
        """Return all fields but what the memories hold."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _MEMORIES}

    def arrays(self) -> dict[str, NDArray[np.uint8]]:
        """Return what the memories hold, uint8 (words, bytes) each, the least byte first."""
        found = {}
        for name, (width, words) in self.memories.items():
            size = -(-width // 8)
            packed = b"".join(word.to_bytes(size, "little") for word in words)
            found[name] = np.frombuffer(packed, np.uint8).reshape(-1, size)
        return found

    @classmethod
    def restored(
        cls, sizes: Mapping[str, Any], arrays: Mapping[str, NDArray[np.uint8]]
    ) -> EngineProgram:
        """Return the program of :meth:`sizes` and :meth:`arrays`."""
        memories: dict[str, Any] = {
            name: tuple(int.from_bytes(row.tobytes(), "little") for row in arrays[name])
            for name in _MEMORIES
            if name in arrays
        }
        return cls(**sizes, **memories)

    @property
    def place_bits(self) -> int:
        """Return the bits of a place in mode ``delta``; 0 in the others."""
        return (self.groups - 1).bit_length() if self.mode == "delta" else 0

    @property
    def index_bits(self) -> int:
        """Return the bits of an index, with its sign."""
        return self.weight_bits - self.place_bits

    @property
    def memories(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Return width and words of each memory by name, in the order in which they are loaded."""
        widths = {
            "weights": self.word_width,
            "subset": self.kernel_units * self.unit,
            "levels": self.lanes * self.level_width,
        }
        found = {name: (width, getattr(self, name)) for name, width in widths.items()}
        return {name: memory for name, memory in found.items() if memory[1]}

    @property
    def memory_bits(self) -> int:
        """Return the bits of all memories that are loaded."""
        return sum(width * len(words) for width, words in self.memories.values())

    def blank(self) -> EngineProgram:
        """Return the same program with memories that hold zeros."""
        weights, subset, levels = ((0,) * len(m) for m in (self.weights, self.subset, self.levels))
        return replace(self, weights=weights, subset=subset, levels=levels)

    @property
    def entries(self) -> int:
        """Return the entries of a table; 1 in mode ``binary``, the word itself."""
        return 1 if self.mode == "binary" else 1 << (self.index_bits - self.closed)

    @property
    def batches(self) -> int:
        """Return the cycles in which the table of a pixel is filled."""
        return max(len(self.subset), 1)

    @property
    def entry_width(self) -> int:
        """Return the width of the signed sum of a word's elements."""
        return interval_width(-self.unit * self.magnitude, self.unit * self.magnitude)

    @property
    def known_bits(self) -> int:
        """Return the least bits of an entry that all have in common: one where bits all count.

        A sum of elements +1 and -1 is as odd as there are elements.
        """
        return int(self.bits and not self.masked)

    @property
    def slot_width(self) -> int:
        """Return the bits of a bank's slot: of an entry, or of a word with its sum above it.

        The known bits of an entry are not kept.
        """
        if self.mode != "binary":
            return self.entry_width - self.known_bits
        return self.unit * (self.element_width + self.masked) + self.entry_width

    @property
    def sum_width(self) -> int:
        """Return the width of a signed sum."""
        return interval_width(-self.bound, self.bound)

    @property
    def output_width(self) -> int:
        """Return the bits of a lane's output."""
        return 1 if self.thresholds else self.sum_width

    @property
    def level_width(self) -> int:
        """Return the bits of a lane's level, with the one that inverts."""
        return self.sum_width + 1
