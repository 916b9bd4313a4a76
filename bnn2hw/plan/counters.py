"""Counters: functions of a few weighted bits that count them, the cells of a bit heap.

A counter reads bits of a column and of those above it, and writes bits that stand for the same
sum. There are three sorts: what one table a bit can write (:class:`Counter`), three full adders
whose parities share tables (:class:`ParityChain`), and additions along carries
(:class:`Adder`). Which of them a device has, and what they take there, is told by
:mod:`.targets`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["LUT_INPUTS", "Adder", "Counter", "Kind", "ParityChain"]

LUT_INPUTS = 6
"""Bits that the table of any device reads at most."""


class Kind:
    """A kind of counter: it writes ``(sum of what it reads + constant) >> drop``.

    A kind that cannot be is refused by a ValueError.

    Attributes
    ----------
    reads
        How many bits it reads of its own column, of the next one, and so on.
    places
        The column of each bit that it writes, its own one being 0.
    constant
        What is added to the sum.
    drop
        Columns at the bottom of which no bit is written, as a comparison needs none.
    """

    reads: tuple[int, ...]
    places: tuple[int, ...]
    constant: int
    drop: int

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Return the column of each bit that it reads, in the order of reading."""
        return tuple(column for column, bits in enumerate(self.reads) for _ in range(bits))

    @cached_property
    def takes(self) -> tuple[tuple[int, int, int], ...]:
        """Return each column that it reads, the bits, and how many of them it writes back."""
        return tuple(
            (column, bits, int(column in self.places))
            for column, bits in enumerate(self.reads)
            if bits
        )

    @cached_property
    def inputs(self) -> int:
        """Return the number of bits that it reads."""
        return sum(self.reads)

    @property
    def self_dual(self) -> bool:
        """Return whether inverting all that it reads inverts all that it writes."""
        read = sum(bits << column for column, bits in enumerate(self.reads))
        return not self.constant and not self.drop and read == sum(1 << k for k in self.places)

    @property
    def outputs(self) -> int:
        """Return the number of bits that it writes."""
        return len(self.places)

    def evaluate(self, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what it writes, uint8 (outputs, count), of bits, uint8 (inputs, count)."""
        weights = np.left_shift(1, np.array(self.columns, dtype=np.int64))
        total = weights @ bits.astype(np.int64) + self.constant
        written: NDArray[np.uint8] = (total >> np.array(self.places)[:, None] & 1).astype(np.uint8)
        return written


@dataclass(frozen=True)
class Counter(Kind):
    """A counter of one table a bit: it writes ``(sum of what it reads + constant) >> drop``.

    Attributes
    ----------
    reads
        Bits that it reads of its column, of the next one, and so on; of the first and the last
        one at least.
    constant
        A number of as many bits as there are columns.
    drop
        The columns that it ends, from its own on: no bit of them is written.
    """

    reads: tuple[int, ...]
    constant: int = 0
    drop: int = 0
    places: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        columns = len(self.reads)
        if not (
            columns
            and min(self.reads) >= 0
            and self.reads[0]
            and self.reads[-1]
            and sum(self.reads) <= LUT_INPUTS
            and 0 <= self.constant < 1 << columns
            and 0 <= self.drop <= columns
        ):
            raise ValueError("there is no such counter")
        most = sum(bits << column for column, bits in enumerate(self.reads)) + self.constant
        object.__setattr__(self, "places", tuple(range(self.drop, most.bit_length())))
        if not self.places:
            raise ValueError("there is no such counter")

    @cached_property
    def tables(self) -> tuple[int, ...]:
        """Return the truth table of each bit that it writes; bit k is its value for inputs k."""
        words = np.arange(1 << self.inputs)
        written = self.evaluate((words >> np.arange(self.inputs)[:, None] & 1).astype(np.uint8))
        return tuple(sum(1 << word for word in np.flatnonzero(row).tolist()) for row in written)


@dataclass(frozen=True)
class ParityChain(Kind):
    """Three full adders in a row: seven bits of a column become one, and three carries.

    The parities run through tables of four inputs, ``t = a ^ b ^ c ^ d``, ``s = t ^ e ^ f ^ g``,
    and the carries are ``maj(a, b, c)``, ``maj(t ^ d, d, e)`` and ``maj(s ^ f ^ g, f, g)``. So
    five tables do what three full adders do with six.

    Attributes
    ----------
    drop
        1 where it ends its column: s is not written.
    """

    drop: int = 0
    constant: int = 0
    reads: tuple[int, ...] = field(default=(7,), init=False, repr=False, compare=False)
    places: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", (0, 1, 1, 1)[self.drop :])

    def evaluate(self, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what it writes, uint8 (outputs, count), of bits, uint8 (7, count)."""
        parity, carries = bits[0], []
        for one, other in (bits[1:3], bits[3:5], bits[5:7]):
            carries.append(parity & one | parity & other | one & other)
            parity = parity ^ one ^ other
        return np.array([parity, *carries][self.drop :])


@dataclass(frozen=True)
class Adder(Kind):
    """The sum of two numbers, and of one bit more at the bottom, along a chain of carries.

    Attributes
    ----------
    reads
        Bits of each column: at most two with the constant's, three in the lowest.
    constant
        Fills what is not read.
    drop
        Nothing, or all columns: then the carry alone is written.
    """

    reads: tuple[int, ...]
    constant: int = 0
    drop: int = 0
    places: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        width = len(self.reads)
        total = sum(bits << column for column, bits in enumerate(self.reads)) + self.constant
        object.__setattr__(self, "places", tuple(range(self.drop, total.bit_length())))
        fits = all(
            bits + (self.constant >> column & 1) <= (2 if column else 3)
            for column, bits in enumerate(self.reads)
        )
        written = self.drop in (0, width) and self.places
        if not (fits and written and sum(self.reads) and 0 <= self.constant < 1 << width):
            raise ValueError("there is no such adder")
