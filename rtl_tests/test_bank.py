"""All cores, mutants and components in one simulation."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnn2hw.emit.verilog import to_rtlil, to_verilog
from rtl_tests.banks import CORES, MUTANTS, POPCOUNTS, REUSES, SUMS, Bank, units
from rtl_tests.simulation import build, run

TESTS = 6 * len(CORES) + len(MUTANTS) + 2 * len(POPCOUNTS) + len(REUSES) + 2 * len(SUMS)


@pytest.mark.slow
def test_bank(tmp_path: Path) -> None:
    bank = Bank(units(tmp_path))
    folder = build(tmp_path, "bank", to_verilog(to_rtlil(bank, "bank")))
    plusargs = [f"+{name}_latency={latency}" for name, latency in bank.latencies().items()]
    results = run(folder, "bank", ["rtl_tests.bench_cores", "rtl_tests.bench_parts"], plusargs)
    assert {name: failure for name, failure in results.items() if failure} == {}
    assert len(results) == TESTS
