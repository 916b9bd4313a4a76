"""The example of the README runs, and the README shows it as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE / "quickstart.py"


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SOURCE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "outputs compared, all equal" in done.stdout
    assert "LUTs" in done.stdout


def test_the_readme_shows_the_example() -> None:
    readme = (HERE.parents[1] / "README.md").read_text(encoding="utf-8")
    lines = SOURCE.read_text(encoding="utf-8").splitlines()[2:]
    assert "\n".join(f"    {line}".rstrip() for line in lines) in readme
