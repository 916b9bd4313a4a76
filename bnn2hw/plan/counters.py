"""Counters: functions of a few weighted bits that count them, the cells of a bit heap.

A counter reads bits of one or two neighbouring columns, of weights 1 and 2, and writes their sum
in binary. All read six bits at most, so that each bit they write is one six-input LUT.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

__all__ = ["FULL", "LUT_INPUTS", "Counter", "terminal"]

LUT_INPUTS = 6
"""Bits that a counter reads at most."""


@dataclass(frozen=True)
class Counter:
    """A kind of counter: it writes ``(low + 2 * high + carry) >> drop`` in binary.

    Attributes
    ----------
    low, high
        Bits that it reads of its column, and of the next one.
    carry
        A constant, 0 or 1, added in its column.
    drop
        1 for a counter that ends its column: the lowest bit of the sum is not written.
    """

    low: int
    high: int = 0
    carry: int = 0
    drop: int = 0

    def __post_init__(self) -> None:
        assert 1 <= self.low <= self.inputs <= LUT_INPUTS
        assert 0 <= self.carry <= self.drop <= 1, "a constant is taken in where a column ends"

    @property
    def inputs(self) -> int:
        """Return the number of bits that it reads, those of its own column first."""
        return self.low + self.high

    @cached_property
    def outputs(self) -> int:
        """Return the number of bits that it writes, to columns from ``drop`` on."""
        return ((self.low + 2 * self.high + self.carry) >> self.drop).bit_length()

    @cached_property
    def tables(self) -> tuple[int, ...]:
        """Return the truth table of each bit that it writes; bit k is its value for inputs k."""
        tables = [0] * self.outputs
        for word in range(1 << self.inputs):
            low, high = word & ((1 << self.low) - 1), word >> self.low
            total = (low.bit_count() + 2 * high.bit_count() + self.carry) >> self.drop
            for k in range(self.outputs):
                tables[k] |= (total >> k & 1) << word
        return tuple(tables)


FULL = (Counter(6), Counter(5, 1), Counter(3, 2), Counter(3))
"""Counters that write the whole sum: (6;3), (1,5;3), (2,3;3), and the full adder (3;2)."""


@cache
def terminal(low: int, high: int, carry: int) -> Counter:
    """Return the counter that takes the last bits of a column and writes carries alone."""
    return Counter(low, high, carry, 1)
