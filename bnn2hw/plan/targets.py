"""What devices have to count with, and what it takes there.

What a counter computes is the same everywhere. A target names those that a planner may use, in the
order in which they are tried on a column, and what each takes: in lookup tables, of an ASIC in
equivalents of a NAND gate of two inputs (its tables are gates).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .counters import Adder, Counter, Kind, ParityChain

__all__ = ["LUT6", "TARGETS", "Carries", "Target", "Trial", "gate_cost"]


@dataclass(frozen=True)
class Trial:
    """A kind of counter of whole sums, and how many of them are tried on a column.

    Attributes
    ----------
    kind
        The counter.
    fewer
        As many as fit are tried, and down to so many less; None for any number from none on.
    most
        At most so many, from none on, instead.
    """

    kind: Kind
    fewer: int | None = 2
    most: int | None = None


@dataclass(frozen=True)
class Carries:
    """Chains of carries.

    Attributes
    ----------
    bits, luts
        A cell adds so many bits, in place of so many lookup tables.
    ends
        Whether the last carry of a chain takes a cell's bit like a bit of the sum.
    alone
        Whether carries take tables where no bit of the sum is used.
    sums
        Whether a table of the chain can write the inverse of its bit.
    """

    bits: int
    luts: int
    ends: bool
    alone: bool
    sums: bool

    def luts_of(self, kind: Adder) -> int:
        """Return the lookup tables that synthesis counts for an adder."""
        if kind.drop and not self.alone:
            return 0
        bits = len(kind.reads) + self.ends
        if self.alone and kind.reads[0] + (kind.constant & 1) > 2:
            bits += 1  # the carry enters by a bit of its own
        return -(-bits // self.bits) * self.luts


@dataclass(frozen=True, eq=False)
class Target:
    """A device family as a planner sees it; one object each, equal to itself alone.

    Attributes
    ----------
    name
        Its name.
    lut_inputs
        Inputs of a lookup table.
    trials
        Counters of whole sums, in the order in which they are put on a column.
    shared
        Counters of one column that blocks of rows share, and how many signs in one may be wrong.
    prices
        What a bit costs a block of so many rows, on average over layers of 256 to 1024 inputs.
    blocks
        Numbers of rows of a block to try, the most first, with a factor of the prices that suits.
    bit
        What a bit of a heap costs on average, to rank what is left of heaps in a search.
    carries
        Chains of carries, where there are some.
    table
        What a table takes; with ``gates``, one that is not known.
    gates
        Whether tables become gates, whose costs depend on the function (see :func:`gate_cost`).
    unit
        All costs and prices are in parts of a table (of an ASIC, of a gate): so many a whole one.
    wrong
        What the wrong sign of a column costs that is counted in another class; nothing where
        columns stay in their classes.
    left
        What a bit costs that a class leaves, of a block of any size, on average over raw bits.
    levels
        Levels that an output may have for each bit of its sum; more only where none has fewer.
    """

    name: str
    lut_inputs: int
    trials: tuple[Trial, ...]
    shared: tuple[tuple[Kind, int], ...]
    prices: tuple[tuple[int, float], ...]
    blocks: tuple[tuple[int, float], ...]
    bit: float
    carries: Carries | None = None
    table: int = 1
    gates: bool = False
    unit: int = 1
    wrong: float = 0.0
    left: float = 2.0
    levels: float = 3.0

    def __post_init__(self) -> None:
        assert self.unit == 1 or self.carries is None, "carries are counted in whole tables"

    @cached_property
    def reach(self) -> int:
        """Return how many columns the counters of one read."""
        return max(sum(bits > 0 for bits in trial.kind.reads) for trial in self.trials)

    @cached_property
    def chains(self) -> bool:
        """Return whether there are parity chains."""
        return any(isinstance(trial.kind, ParityChain) for trial in self.trials)

    def luts(self, kind: Kind | None) -> int:
        """Return what synthesis counts for a counter, or for a table, in units."""
        if isinstance(kind, Adder):
            assert self.carries is not None
            return self.carries.luts_of(kind)
        if isinstance(kind, ParityChain):
            return 5 - kind.drop
        if kind is None:
            return self.table
        if self.gates and isinstance(kind, Counter):
            return sum(gate_cost(table, kind.inputs) for table in kind.tables)
        return self.table * kind.outputs

    def cost(self, kind: Kind | None) -> int:
        """Return what a counter takes in place and route, in units: a last carry takes a table."""
        passes = isinstance(kind, Adder) and not (self.carries and self.carries.ends)
        return self.luts(kind) + passes


# Parities of no input to three, as truth tables.
_PARITY = (0, 0b10, 0b0110, 0b10010110)


def gate_cost(table: int, inputs: int) -> int:
    """Return what a function of up to three inputs takes in gates, in eighths of a NAND gate.

    Yosys maps a full adder to 8.75 gates and a half adder to 4. Inverted inputs cost nothing.
    """
    rows, ones = 1 << inputs, table.bit_count()
    if table in (_PARITY[inputs], _PARITY[inputs] ^ (1 << rows) - 1):
        return 20 * max(inputs - 1, 0)
    if inputs < 3:
        return 12 * (inputs - 1)
    if ones in (1, rows - 1):
        return 20
    return 30 if ones == rows // 2 else 28


def _adders(low: int, widths: range) -> tuple[Adder, ...]:
    return tuple(Adder((low, *[2] * (width - 1))) for width in widths)


_LUT4_PRICES = ((1, 1.0), (2, 1.6), (3, 2.1), (4, 2.6), (5, 3.1), (6, 3.6), (8, 4.6))
_LUT4_BLOCKS = ((8, 1.0), (6, 1.0), (5, 1.0), (4, 1.0))

LUT6 = Target(
    "lut6",
    lut_inputs=6,
    trials=(
        Trial(Counter((6,))),
        Trial(Counter((5, 1)), most=4),
        Trial(Counter((3, 2)), most=1),
        Trial(Counter((3,)), most=1),
    ),
    shared=((Counter((6,)), 0), (Counter((6,)), 1), (Counter((5,)), 0), (Counter((6,)), 2)),
    prices=((1, 0.52), (2, 0.92), (3, 1.25), (4, 1.6), (6, 2.3), (8, 2.9)),
    blocks=((8, 1.0), (6, 1.3), (4, 1.0)),
    bit=0.55,
    wrong=0.75,
    left=2.0,
    levels=1.5,
)
LUT4 = Target(
    "lut4",
    lut_inputs=4,
    trials=(Trial(ParityChain()), Trial(Counter((3,))), Trial(Counter((2,)), most=1)),
    shared=((ParityChain(), 0), (Counter((3,)), 0)),
    prices=_LUT4_PRICES,
    blocks=_LUT4_BLOCKS,
    bit=1.0,
    wrong=1.5,
    left=3.0,
)
# A table and a carry a bit. Carries alone are cells whose tables synthesis does not count.
ICE40 = Target(
    "ice40",
    lut_inputs=4,
    trials=tuple(Trial(kind, None) for kind in (Counter((3,)), *_adders(3, range(2, 9)))),
    shared=((Counter((3,)), 0),),
    prices=_LUT4_PRICES,
    blocks=((8, 1.0), (5, 1.0)),
    bit=0.6,
    carries=Carries(bits=1, luts=1, ends=False, alone=False, sums=True),
)
# CCU2C adds two bits in place of two tables; synthesis uses it for sums of five bits and more.
ECP5 = Target(
    "ecp5",
    lut_inputs=4,
    trials=(
        Trial(ParityChain()),
        Trial(Counter((3,))),
        *(Trial(kind, most=2) for kind in _adders(3, range(4, 9, 2))),
        *(Trial(kind, most=2) for kind in _adders(2, range(5, 10, 2))),
    ),
    shared=((ParityChain(), 0), (Counter((3,)), 0)),
    prices=_LUT4_PRICES,
    blocks=_LUT4_BLOCKS,
    bit=1.0,
    carries=Carries(bits=2, luts=2, ends=True, alone=True, sums=False),
)
# In eighths of a NAND gate.
ASIC = Target(
    "asic",
    lut_inputs=3,
    trials=(Trial(Counter((3,))), Trial(Counter((2,)), most=1)),
    shared=((Counter((3,)), 0),),
    prices=tuple((rows, 35 * price) for rows, price in _LUT4_PRICES),
    blocks=_LUT4_BLOCKS,
    bit=44.0,
    table=35,
    gates=True,
    unit=8,
    wrong=52.0,
    left=122.0,
)
TARGETS = {target.name: target for target in (LUT6, LUT4, ICE40, ECP5, ASIC)}
