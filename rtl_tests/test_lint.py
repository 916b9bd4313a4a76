"""Emitted Verilog under all warnings of Verilator."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnn2hw.emit.verilog import to_rtlil, to_verilog
from rtl_tests.banks import CORES, axi_layer
from rtl_tests.simulation import lint


@pytest.mark.parametrize("name", CORES)
def test_verilog_has_no_warnings(name: str, tmp_path: Path) -> None:
    text = to_verilog(to_rtlil(axi_layer(CORES[name]), "layer"))
    assert lint(tmp_path, "layer", text) == ""


def test_a_fault_is_told(tmp_path: Path) -> None:
    text = to_verilog(to_rtlil(axi_layer(CORES["mst"]), "layer"))
    faulty = text.replace("assign advance =", "assign advance = 2'h3 &", 1)
    assert faulty != text
    assert "WIDTHTRUNC" in lint(tmp_path, "layer", faulty)
