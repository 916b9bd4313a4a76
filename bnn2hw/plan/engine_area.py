"""Estimated area of layers on engines: kernel units, tables, lanes and memories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .area import FAMILIES, Area, counter_area, memory_area, multiplexer_luts, rom_area
from .engine_layer import EnginePlan
from .engine_program import row_sizes, table_adders

__all__ = ["EngineArea"]

# Tables of a bit of an entry that change its sign, as far as those that choose it do not.
_SIGN = 0.4
# Flip-flops of a bit that passes by a block RAM.
_PASSING = 1.8


@dataclass(frozen=True, eq=False)
class EngineArea:
    """Estimates the area of a layer on an engine for any lanes and kernel units.

    Attributes
    ----------
    plan
        The layer on an engine; its own lanes and kernel units do not matter.
    output
        Bits of an output element.
    """

    plan: EnginePlan
    output: int

    @cached_property
    def _levels(self) -> NDArray[np.int64]:
        program = self.plan.program
        return _parts(program.levels, program.lanes, program.level_width)[: program.outputs]

    @cached_property
    def _subset(self) -> NDArray[np.int64]:
        program = self.plan.program
        return _parts(program.subset, program.kernel_units, program.unit)[: program.entries]

    def area(self, lanes: int, units: int, family: str) -> Area:
        """Return the estimated area with so many lanes and kernel units."""
        program = self.plan.program
        groups = -(-program.outputs // lanes)
        gathered = groups * lanes * self.output
        counters = (program.words, program.words, program.words * groups, groups, groups + 1)
        return (
            Area(multiplexer_luts(program.unit * program.element_width, program.words))
            + self._tables(units, family)
            + self._lanes(lanes, groups, family)
            + sum(map(counter_area, counters), Area(flipflops=gathered, lone=gathered))
        )

    def _tables(self, units: int, family: str) -> Area:
        """Return what makes the tables, and holds them."""
        program = self.plan.program
        entry, slot = program.entry_width, program.slot_width
        batches = -(-program.entries // units)
        shared, each = table_adders(program.unit)
        *others, last = row_sizes(program.unit)
        element = 2 if program.bits else program.element_width + 1
        # Where few kernels take turns, Yosys sees that a row has no more choices than they have.
        kinds = batches + (batches > 2)
        chosen = sum(multiplexer_luts(element + 1, min(1 << size, kinds)) for size in others)
        chosen += multiplexer_luts(entry, min(1 << last, kinds))
        rows = sum((1 << size) - 1 for size in others) * (element + 1) + entry + last * element
        table = program.entries * slot
        return (
            Area(
                luts=shared * entry + units * (chosen + each * entry) + table + 2 * batches,
                flipflops=rows + 2 * table,
                lone=2 * table - units * slot,
            )
            + rom_area(
                family, units * program.unit, batches, varying=_varying(self._subset, units, 0)
            )
            + counter_area(batches)
        )

    def _lanes(self, lanes: int, groups: int, family: str) -> Area:
        """Return lanes with their weights, sums and levels."""
        program, what = self.plan.program, FAMILIES[family]
        entry, total, index = program.entry_width, program.sum_width, program.index_bits
        luts = multiplexer_luts(program.slot_width, program.entries)
        luts += _SIGN * entry * program.closed
        luts += total * (what.adder + 1)  # a sum starts with 0
        registers = entry + program.closed + index + total * (1 + (groups == 1))
        area = rom_area(family, lanes * index, program.words * groups)
        if groups > 1:
            sums = memory_area(family, lanes * total, groups)
            # What is written and read at once passes by a block RAM.
            passing = _PASSING * lanes * total if sums.block_rams else 0
            area += sums + Area(flipflops=passing, lone=passing)
        if program.thresholds:
            luts += total * what.comparator + 1
            filler = 3 << total - 1  # the least level, inverted
            area += rom_area(
                family, lanes * (total + 1), groups, varying=_varying(self._levels, lanes, filler)
            )
        return area + Area(lanes * luts, lanes * registers, lanes * index)


def _parts(words: Sequence[int], count: int, width: int) -> NDArray[np.int64]:
    """Return the numbers of so many bits in words that hold ``count`` each."""
    mask = (1 << width) - 1
    return np.array([word >> k * width & mask for word in words for k in range(count)], np.int64)


def _varying(parts: NDArray[np.int64], count: int, filler: int) -> int:
    """Return the bits that are not the same in all words of ``count`` parts."""
    full = np.append(parts, np.full(-len(parts) % count, filler)).reshape(-1, count)
    return int(np.bitwise_count(np.bitwise_or.reduce(full ^ full[0], axis=0)).sum())
