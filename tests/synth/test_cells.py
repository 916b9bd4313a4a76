"""Cells of every target are counted as what they are."""

from __future__ import annotations

from bnn2hw.synth.cells import NAND2_OF_FLIP_FLOP, count_cells


def test_cells_of_all_families() -> None:
    found = count_cells(
        {
            "LUT1": 1, "LUT6": 2, "SB_LUT4": 4, "$lut": 8,
            "CARRY4": 1, "SB_CARRY": 2, "CCU2C": 4,
            "MUXF7": 1, "PFUMX": 2, "L6MUX21": 4, "MUX2_LUT5": 8,
            "FDRE": 1, "SB_DFFE": 2, "TRELLIS_FF": 4, "DFFRE": 8, "$_SDFFE_PP0P_": 16,
            "RAM32M": 1, "SB_RAM40_4K": 2, "DP16KD": 4,
            "INV": 3, "$scopeinfo": 99,
        },
        6,
    )  # fmt: skip
    assert found.luts == 23
    assert found.luts_by_size == {"1": 1, "4": 12, "6": 10}
    assert (found.carries, found.multiplexers, found.flip_flops, found.memories) == (7, 15, 31, 7)
    assert found.other == {"INV": 3}
    assert found.nand2 is None


def test_an_adder_cell_of_gowin_takes_a_lookup_table_too() -> None:
    found = count_cells({"ALU": 5, "LUT4": 2}, 0)
    assert (found.luts, found.carries) == (7, 5)


def test_gates_have_nand2_equivalents() -> None:
    found = count_cells({"$_NAND_": 3, "$_XOR_": 2, "$_NOT_": 1, "$_DFF_P_": 2}, 0)
    assert found.nand2 == 3 + 5 + 0.5 + 2 * NAND2_OF_FLIP_FLOP
    assert count_cells({"$_NAND_": 3, "mystery": 1}, 0).nand2 is None
    assert count_cells({}, 0).nand2 is None
