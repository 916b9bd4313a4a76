"""A build directory works with the standard tools alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bnn2hw
from bnn2hw.errors import UsageError
from tests.helpers import dense_network, generate


def run(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where nothing but the system's own programs is found."""
    return subprocess.run(
        command,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a small layer."""
    out = tmp_path_factory.mktemp("standalone") / "out"
    return generate(dense_network(30, 5), out, plan="mst", pipeline=3).directory / "fc"


@pytest.mark.slow
def test_make_sim_runs_the_bench(layer: Path) -> None:
    done = run(layer, "make", "sim", f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TESTS=3 PASS=3 FAIL=0 SKIP=0" in done.stdout


@pytest.mark.slow
def test_make_sim_fails_where_the_hardware_is_wrong(layer: Path) -> None:
    vectors = layer / "vectors.txt"
    lines = vectors.read_text().splitlines()
    stimulus, border, expected = lines[5].split()
    lines[5] = f"{stimulus} {border} {int(expected, 16) ^ 2:x}"
    (layer / "wrong.txt").write_text("\n".join(lines) + "\n")
    done = run(layer, "make", "sim", f"PYTHON={sys.executable}", "VECTORS=wrong.txt")
    (layer / "wrong.txt").unlink()
    assert done.returncode != 0
    assert "layer fc channel 1 patch 4: expected" in done.stdout


def test_make_synth_writes_figures(layer: Path) -> None:
    done = run(layer, "make", "synth", f"PYTHON={sys.executable}", "TARGETS=lut6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "$lut" in (layer / "results" / "lut6.json").read_text()


def test_the_amaranth_source_gives_the_same_verilog(layer: Path, tmp_path: Path) -> None:
    done = run(tmp_path, sys.executable, "-I", str(layer / "fc.py"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (layer / "fc.v").read_text()


def test_the_amaranth_source_takes_another_pipeline(layer: Path, tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(layer)!r}); from fc import Fc; "
        "print(Fc(pipeline=None).latency, Fc(pipeline=1).latency)"
    )
    done = run(tmp_path, sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    plain, deep = map(int, done.stdout.split())
    assert plain == 1 < deep


def test_names_that_python_or_verilog_take_work_too(tmp_path: Path) -> None:
    for name in ("table", "random", "clk", "none", "Makefile"):
        build = generate(dense_network(6, 2, name=name), tmp_path / name, plan="direct")
        (folder,) = [path for path in build.directory.iterdir() if path.is_dir()]
        assert folder.name == f"layer_{name}"
        done = run(tmp_path, sys.executable, "-I", str(folder / f"{folder.name}.py"))
        assert done.stdout == (folder / f"{folder.name}.v").read_text(), done.stderr


def test_layers_that_would_share_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would hold more than one layer"):
        bnn2hw.generate(_twins(), ["conv", "Conv"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _twins() -> bnn2hw.Network:
    from bnn2hw.model import BIPOLAR, BinaryDense, Tensor

    (first,) = dense_network(6, 6, name="conv").linear_layers()
    second = BinaryDense("Conv", ("conv",), first.weights)
    return bnn2hw.Network("net", Tensor((6,), BIPOLAR), (first, second))
