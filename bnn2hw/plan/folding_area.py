"""Estimated area of folded layers: processing elements, memories and what feeds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .area import Area, counter_area, multiplexer_luts, rom_area
from .folding import Folding

__all__ = ["FoldingArea"]

# Tables by family: of the schedule; of a bit of a popcount and its XNOR; of a bit that integers
# add; of a bit of a value.
_TABLES = {"ecp5": (28.1, 2.70, 1.32, 2.84), "ice40": (13.1, 2.66, 1.36, 2.77)}


@dataclass(frozen=True, eq=False)
class FoldingArea:
    """Estimates the area of a layer for any processing elements and inputs of each.

    Attributes
    ----------
    folding
        The layer; its own ``pes`` and ``simd`` do not matter.
    source
        Bits of an input element.
    pipeline
        Adder levels between registers of the popcounts, or None.
    """

    folding: Folding
    width: int
    pipeline: int | None = None

    @cached_property
    def _constant_bits(self) -> int:
        low, high = int(self.folding.constants.min()), int(self.folding.constants.max())
        if low < 0:
            return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1
        return max(high.bit_length(), 1)

    def _varying(self, pes: int) -> int:
        """Return the bits of the words of constants that are not the same in all of them."""
        classes, channels = self.folding.constants.shape
        turns, width = self.folding.turns, self._constant_bits
        each = channels // turns
        full = np.zeros((classes, turns, -(-each // pes) * pes), np.int64)
        full[:, :, :each] = self.folding.constants.reshape(classes, turns, each)
        words = full.reshape(-1, pes)
        changing = np.bitwise_or.reduce(words ^ words[0], axis=0) & (1 << width) - 1
        return sum(int(bits).bit_count() for bits in changing.tolist())

    def _chunks(self, pes: int, folds: int) -> list[int]:
        """Return for each chunk that processing elements share the groups that it is read from."""
        work = self.folding
        channels = len(work.weights) // work.turns
        row = np.minimum(np.arange(folds * pes), channels - 1) * work.groups // channels
        return [len(set(read)) for read in np.unique(row.reshape(folds, pes).T, axis=0).tolist()]

    def area(self, pes: int, simd: int, family: str) -> Area:
        """Return the estimated area with so many processing elements and inputs of each."""
        work, width = self.folding, self.width
        channels, inputs = work.weights.shape
        classes, turns = len(work.constants), work.turns
        steps, folds = -(-inputs // simd), -(-channels // turns // pes)
        value = (inputs * ((1 << width) - 1)).bit_length()
        out = 1 if work.sums is None else work.sums[1]
        chunks = self._chunks(pes, folds)
        base, lane, adding, holding = _TABLES[family]
        # A popcount for each bit of an element, and what adds them.
        popcount = lane * (simd - 1) if simd > 2 else simd
        summing = width * popcount + adding * adder_bits(width, simd.bit_length())
        part = width - 1 + simd.bit_length()
        weights = rom_area(family, pes * simd, turns * folds * steps)
        constants = rom_area(
            family, pes * self._constant_bits, classes * turns * folds,
            varying=self._varying(pes),
        )  # fmt: skip
        word = channels // turns * out
        control = counter_area(steps) + counter_area(folds) + counter_area(turns * steps * folds)
        place = (classes * turns * folds - 1).bit_length()
        logic = Area(
            luts=base
            + sum(
                multiplexer_luts(inputs * width, count) + multiplexer_luts(simd * width, steps)
                for count in chunks
            )
            + pes * (summing + holding * value)
            + (place * 3 if classes > 1 else 0),
            flipflops=len(chunks) * simd * width + pes * (part + value) + 15 + 2 * place,
            lone=2 * place + (simd * width if steps == 1 else 0),
        )
        # The groups of a word are collected in registers.
        held = (2 * folds - 1) * pes * out if folds > 1 else word
        area = logic + weights + constants + control + Area(flipflops=held, lone=held)
        if self.pipeline is None:
            return area
        # A level of compressors halves the bits.
        cuts = -(-(simd.bit_length() + 1) // self.pipeline) - 1
        registers = pes * width * simd / ((1 << self.pipeline) - 1) if cuts else 0
        return area + Area(flipflops=registers + cuts * (4 + place), lone=cuts * place)


def adder_bits(terms: int, width: int) -> int:
    """Return the bits of all additions of a balanced tree over terms of a width."""
    found = 0
    while terms > 1:
        width += 1
        found += terms // 2 * width
        terms -= terms // 2
    return found
