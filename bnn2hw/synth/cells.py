"""What the cells of a mapped netlist count as."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LUT_SIZES", "CellCounts", "count_cells"]

# Inputs of the generic lookup tables of these targets.
LUT_SIZES = {"lut4": 4, "lut6": 6}

_LUT = re.compile(r"LUT(\d)$")
# Cells that take lookup tables of four inputs without being called so, and how many: the adders
# of ECP5 and Gowin are made of them.
_TAKES_LUT4 = {"SB_LUT4": 1, "ALU": 1, "CCU2C": 2}
_CARRIES = frozenset({"CARRY4", "CARRY8", "SB_CARRY", "CCU2C", "ALU"})
_MULTIPLEXERS = re.compile(r"(MUXF\d|PFUMX|L6MUX21|MUX2_LUT\d)$")
_FLIP_FLOPS = re.compile(r"(FD[RSCP]E(_1)?|SB_DFF\w*|TRELLIS_FF|DFF\w*|\$_S?DFF\w*_)$")
_MEMORIES = re.compile(r"(RAM\w*|SB_RAM\w*|DP16KD|TRELLIS_DPR16X4|SDPB|pROM|DPB?|\$mem\w*)$")
_BLOCK_RAMS = re.compile(r"(RAMB\w*|SB_RAM40_4K\w*|DP16KD|SDPX?9?B|pROM|DPX?9?B)$")
_NOT_HARDWARE = frozenset({"$scopeinfo"})

# NAND2 equivalents of the gates that the asic target maps to: transistors in static CMOS, by four.
NAND2_EQUIVALENTS = {
    "$_NOT_": 0.5,
    "$_NAND_": 1.0,
    "$_NOR_": 1.0,
    "$_AND_": 1.5,
    "$_OR_": 1.5,
    "$_ANDNOT_": 1.5,
    "$_ORNOT_": 1.5,
    "$_AOI3_": 1.5,
    "$_OAI3_": 1.5,
    "$_AOI4_": 2.0,
    "$_OAI4_": 2.0,
    "$_XOR_": 2.5,
    "$_XNOR_": 2.5,
    "$_MUX_": 3.0,
    "$_NMUX_": 2.5,
}
# A D flip-flop has some 24 transistors; enable and synchronous reset are gates before it.
NAND2_OF_FLIP_FLOP = 6.0


@dataclass(frozen=True)
class CellCounts:
    """Cells by kind.

    Attributes
    ----------
    luts
        Lookup tables of all sizes, with those inside the adder cells of ECP5 and Gowin.
    luts_by_size
        By number of inputs; a generic ``$lut`` has the target's size.
    carries, multiplexers, flip_flops, memories
        Dedicated cells.
    block_rams
        Those of the memories that are block RAMs.
    other
        Everything else by cell type: inverters, constants, gates.
    nand2
        NAND2 equivalents; None where there are cells that have none.
    """

    luts: int
    luts_by_size: dict[str, int]
    carries: int
    multiplexers: int
    flip_flops: int
    memories: int
    block_rams: int
    other: dict[str, int]
    nand2: float | None


def count_cells(cells: Mapping[str, int], lut_size: int) -> CellCounts:
    """Return the counts of a netlist from its cells by type."""
    luts: dict[str, int] = {}
    other: dict[str, int] = {}
    totals = {"carries": 0, "multiplexers": 0, "flip_flops": 0, "memories": 0}
    totals["block_rams"] = sum(n for cell, n in cells.items() if _BLOCK_RAMS.match(cell))
    for cell, count in sorted(cells.items()):
        if cell in _NOT_HARDWARE:
            continue
        size = _lut_inputs(cell, lut_size)
        if size is not None:
            luts[str(size)] = luts.get(str(size), 0) + count * _TAKES_LUT4.get(cell, 1)
        if cell in _CARRIES:
            totals["carries"] += count
        elif size is not None:
            pass
        elif _MULTIPLEXERS.match(cell):
            totals["multiplexers"] += count
        elif _FLIP_FLOPS.match(cell):
            totals["flip_flops"] += count
        elif _MEMORIES.match(cell):
            totals["memories"] += count
        else:
            other[cell] = count
    gates = set(other) <= set(NAND2_EQUIVALENTS) and not luts and bool(cells)
    nand2 = sum(NAND2_EQUIVALENTS[cell] * count for cell, count in other.items()) if gates else None
    if nand2 is not None:
        nand2 += NAND2_OF_FLIP_FLOP * totals["flip_flops"]
    return CellCounts(
        luts=sum(luts.values()), luts_by_size=luts, other=other, nand2=nand2, **totals
    )


def _lut_inputs(cell: str, lut_size: int) -> int | None:
    """Return the inputs of a lookup table; None for other cells."""
    if cell == "$lut":
        return lut_size
    if cell in _TAKES_LUT4:
        return 4
    found = _LUT.match(cell)
    return int(found.group(1)) if found else None
