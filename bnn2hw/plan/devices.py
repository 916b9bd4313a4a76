"""Devices that networks are sized to: what there is of them, and the clock they are sized for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CAPACITIES", "Capacity"]

# Of the block RAMs, so many are used at most.
_MEMORY_MARGIN = 0.95


@dataclass(frozen=True)
class Capacity:
    """What there is of a device.

    Attributes
    ----------
    family
        A name of :data:`~bnn2hw.plan.area.FAMILIES`.
    cells, flipflops, block_rams
        How many: TRELLIS_COMB, TRELLIS_FF and DP16KD, or ICESTORM_LC (both) and ICESTORM_RAM.
    clock
        MHz that networks are sized for.
    margin
        Part of the logic cells and flip-flops that may be used.
    """

    family: str
    cells: int
    flipflops: int
    block_rams: int
    clock: float
    margin: float

    @property
    def usable(self) -> tuple[int, int, int]:
        """Return logic cells, flip-flops and block RAMs that a network may take."""
        logic = int(self.cells * self.margin), int(self.flipflops * self.margin)
        return *logic, int(self.block_rams * _MEMORY_MARGIN)


# Clocks that nextpnr reaches with networks of the default pipeline (docs/networks.md): digits fill
# the UP5K at 30 MHz, and its boards have crystals of 12; the HX8K is about twice as fast; on ECP5
# CNV is the slowest, with 53.8 MHz; more is left free there, as wide words need the wires.
CAPACITIES = {
    "ecp5-25k": Capacity("ecp5", 24_288, 24_288, 56, 50.0, 0.85),
    "ecp5-45k": Capacity("ecp5", 43_848, 43_848, 108, 50.0, 0.85),
    "ecp5-85k": Capacity("ecp5", 83_640, 83_640, 208, 50.0, 0.85),
    "ice40-up5k": Capacity("ice40", 5_280, 5_280, 30, 12.0, 0.94),
    "ice40-hx8k": Capacity("ice40", 7_680, 7_680, 32, 24.0, 0.94),
}
