"""Hardware as text: names, shared modules, the same bytes in every run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.emit.verilog import to_rtlil, to_verilog
from bnn2hw.errors import ToolError
from bnn2hw.gateware.axi_stream import AxiStreamLayer
from bnn2hw.model import BIPOLAR, BinaryDense, Tensor
from bnn2hw.plan import plan_layer
from bnn2hw.plan.graph import AdderGraph, Count
from bnn2hw.plan.outputs import BitReadout
from tests.plan.strategies import random_bits

ROOT = Path(__file__).parents[2]


def layer(method: str = "mst", pipeline: int | None = 2) -> AxiStreamLayer:
    dense = BinaryDense("fc", ("input",), random_bits(8, 40, seed=3))
    plan = plan_layer(dense, Tensor((40,), BIPOLAR), method)
    return AxiStreamLayer(plan.graph, plan.readout, pipeline=pipeline)


def modules(verilog: str) -> list[str]:
    return re.findall(r"^module (\S+?)\(", verilog, re.MULTILINE)


def test_verilog_shows_the_hierarchy() -> None:
    hardware = layer()
    verilog = to_verilog(to_rtlil(hardware, "fc"))
    names = modules(verilog)
    assert names[0] == "fc"
    assert {"fc_core", "fc_readout", "fc_delays", "fc_channel0"} <= set(names)
    assert any(re.fullmatch(r"fc_channel\d+_from_channel\d+", name) for name in names)
    header = re.search(r"^module fc\((.*?)\);", verilog, re.MULTILINE)
    assert header is not None
    ports = {name for name, _, _ in hardware.port_list()}
    assert set(header[1].split(", ")) == ports


def test_equal_popcounts_are_one_module() -> None:
    names = modules(to_verilog(to_rtlil(layer("direct", None), "fc")))
    assert [name for name in names if "popcount" in name] == ["fc_popcount40"]
    assert sum(name.startswith("fc_channel") for name in names) == 8


def test_modules_of_the_same_name_are_told_apart() -> None:
    taps = np.arange(3)
    graph = AdderGraph(3, 0, 1, (Count(taps, taps > 0, "core"),), ())
    readout = BitReadout(np.array([3]), np.array([[1]], np.int8), np.array([[2]]))
    verilog = to_verilog(to_rtlil(AxiStreamLayer(graph, readout), "fc"))
    assert modules(verilog) == ["fc", "fc_core", "fc_core_2", "fc_popcount3", "fc_readout"]
    assert "fc_core core (" in verilog
    assert "fc_core_2 core (" in verilog


def test_registers_have_an_enable() -> None:
    verilog = to_verilog(to_rtlil(layer(), "fc"))
    clocked = re.findall(r"always @\(posedge clk\)\n\s*(.*)", verilog)
    assert clocked
    assert all(line.startswith(("if (advance)", "if (rst)")) for line in clocked)


def test_text_has_no_tool_no_date_and_no_path() -> None:
    rtlil = to_rtlil(layer(), "fc")
    verilog = to_verilog(rtlil)
    assert verilog.startswith("module fc(")
    for text in (rtlil, verilog):
        assert "Yosys" not in text
        assert "Amaranth" not in verilog
        assert "src" not in re.findall(r"\w+", text)
        assert str(Path.cwd()) not in text
        assert "/" not in re.sub(r"//.*", "", text).replace("/*", "").replace("*/", "")


SCRIPT = """
import hashlib
from bnn2hw.emit.verilog import to_rtlil, to_verilog
from tests.emit.test_verilog import layer
rtlil = to_rtlil(layer(), "fc")
print(hashlib.sha256((rtlil + to_verilog(rtlil)).encode()).hexdigest())
"""


def digest(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_hash_seeds_make_no_difference() -> None:
    digests = {digest(seed) for seed in ("1", "2", "77")}
    assert len(digests) == 1
    assert len(digests.pop()) == 64


def test_what_is_not_rtlil_is_a_tool_error() -> None:
    with pytest.raises(ToolError, match=r"Yosys .* failed with exit code"):
        to_verilog("module broken\n")
