"""Emitted Verilog under all warnings of Verilator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.gateware.affine import AffineUnit
from bnn2hw.gateware.pool import SumPool
from bnn2hw.gateware.quantize import QuantizeUnit
from rtl_tests.banks import CORES, axi_layer
from rtl_tests.simulation import lint

LEVELS = np.array([[-9, -3, -3, 0, 4, 7, 30, 31], [30, 7, 4, 0, -3, -3, -9, -9]])

# Units with every kind of constant: signs, shifts, both ends saturated.
STREAM_UNITS: dict[str, Callable[[], Any]] = {
    "affine": lambda: AffineUnit(
        [(-8, 7), (0, 1), (0, 9)], np.array([[3, -1, 0], [2, 0, 0], [-8, 5, 0]]),
        np.array([-4, 9, 3]), shift=2, low=-6, high=7, pipeline=1,
    ),
    "relu": lambda: AffineUnit(
        [(-8, 7)], np.ones((1, 2), np.int64), np.zeros(2, np.int64), shift=0, low=0, high=7
    ),
    "quantize": lambda: QuantizeUnit(
        np.array([1, -1], np.int8), LEVELS, low=-8, high=7, pipeline=1
    ),
    "sum_pool": lambda: SumPool((4, 5), 2, (2, 3), stride=(2, 1), bipolar=True),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAM_UNITS)
def test_verilog_of_stream_units_has_no_warnings(name: str, tmp_path: Path) -> None:
    text = to_verilog(to_rtlil(STREAM_UNITS[name](), "unit"))
    assert lint(tmp_path, "unit", text) == ""


@pytest.mark.parametrize("name", CORES)
def test_verilog_has_no_warnings(name: str, tmp_path: Path) -> None:
    text = to_verilog(to_rtlil(axi_layer(CORES[name]), "layer"))
    assert lint(tmp_path, "layer", text) == ""


def test_a_fault_is_told(tmp_path: Path) -> None:
    text = to_verilog(to_rtlil(axi_layer(CORES["mst"]), "layer"))
    faulty = text.replace("assign advance =", "assign advance = 2'h3 &", 1)
    assert faulty != text
    assert "WIDTHTRUNC" in lint(tmp_path, "layer", faulty)
