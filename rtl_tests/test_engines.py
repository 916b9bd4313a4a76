"""Engines of all modes and some faulty ones under Verilator."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.gateware.engine_axi import AxiStreamEngine
from rtl_tests.banks import Bank
from rtl_tests.engines import ENGINES, FAULTS, units
from rtl_tests.simulation import build, lint, run

TESTS = 5 * len(ENGINES) + 1 + 1 + len(FAULTS)


@pytest.mark.slow
def test_engines(tmp_path: Path) -> None:
    bank = Bank(units(tmp_path))
    folder = build(tmp_path, "bank", to_verilog(to_rtlil(bank, "bank")))
    results = run(folder, "bank", ["rtl_tests.bench_engines"])
    assert {name: failure for name, failure in results.items() if failure} == {}
    assert len(results) == TESTS


@pytest.mark.parametrize("name", ["integers", "binary_words", "delta_sums"])
@pytest.mark.parametrize("loadable", [False, True])
def test_verilog_has_no_warnings(name: str, loadable: bool, tmp_path: Path) -> None:
    engine = AxiStreamEngine(ENGINES[name].plan.program, loadable=loadable)
    assert lint(tmp_path, "engine", to_verilog(to_rtlil(engine, "engine"))) == ""
