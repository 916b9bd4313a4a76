"""Devices that networks are sized to: what there is of them, and the clock they are sized for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CAPACITIES", "Capacity"]

# Of the logic cells and flip-flops, and of the block RAMs, so many are used at most: nextpnr
# routes designs of the networks here up to nine tenths of a device, and the estimates may be low.
_LOGIC_MARGIN = 0.85
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
        MHz that networks of the default pipeline reach on it with something to spare.
    """

    family: str
    cells: int
    flipflops: int
    block_rams: int
    clock: float

    @property
    def usable(self) -> tuple[int, int, int]:
        """Return logic cells, flip-flops and block RAMs that a network may take."""
        logic = int(self.cells * _LOGIC_MARGIN), int(self.flipflops * _LOGIC_MARGIN)
        return *logic, int(self.block_rams * _MEMORY_MARGIN)


# The clock: nextpnr gives folded networks 62 to 71 MHz on ECP5 and 29 on the UP5K, whose logic is
# about half as fast as the HX8K's (docs/networks.md); the UP5K divides its 48 MHz oscillator.
CAPACITIES = {
    "ecp5-25k": Capacity("ecp5", 24_288, 24_288, 56, 50.0),
    "ecp5-45k": Capacity("ecp5", 43_848, 43_848, 108, 50.0),
    "ecp5-85k": Capacity("ecp5", 83_640, 83_640, 208, 50.0),
    "ice40-up5k": Capacity("ice40", 5_280, 5_280, 30, 24.0),
    "ice40-hx8k": Capacity("ice40", 7_680, 7_680, 32, 40.0),
}
