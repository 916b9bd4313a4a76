"""The wheel holds the templates and the bundled network, and works where it is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the unpacked wheel and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
         "--target", str(folder / "site"), str(wheel)],
        check=True,
        timeout=300,
    )  # fmt: skip
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.startswith(("tests", "bench"))]
    return folder


@pytest.mark.slow
def test_an_installed_copy_generates_and_names_its_own_files(installed: Path) -> None:
    script = (
        "import bnn2hw, sys; from pathlib import Path; "
        f"assert Path(bnn2hw.__file__).is_relative_to({str(installed / 'site')!r}); "
        "build = bnn2hw.generate(bnn2hw.load_network(), ['conv1'], plan='mst', out='out'); "
        "print(build.layers[0].name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=installed,
        env={"PYTHONPATH": str(installed / "site"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "conv1"
    assert (installed / "out" / "conv1" / "conv1.v").exists()
