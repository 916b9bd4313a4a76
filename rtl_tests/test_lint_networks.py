"""Emitted Verilog of spatial networks under all warnings of Verilator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bnn2hw.accelerator import generate_network
from bnn2hw.model import Network
from rtl_tests.simulation import lint
from tests.test_accelerator import residual_network, tiny_network


@pytest.mark.parametrize("network", [tiny_network, residual_network])
def test_verilog_has_no_warnings(network: Callable[[], Network], tmp_path: Path) -> None:
    made = network()
    out = tmp_path / "out"
    generate_network(made, plan="direct", pipeline=2, scores=True, out=out)
    text = (out / made.name / f"{made.name}.v").read_text(encoding="utf-8")
    assert lint(tmp_path, made.name, text) == ""
