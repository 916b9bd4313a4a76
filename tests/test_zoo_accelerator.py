"""TFC and CNV on their hardware; the fixed point around the binary part of ResNet-18."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples" / "zoo"


def run(zoo: Path, *arguments: str | Path) -> str:
    """Run Python on an example, among the examples, and return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=EXAMPLES,
        env={**os.environ, "BNN2HW_ZOO": str(zoo)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.zoo
def test_tfc(zoo: Path, tmp_path: Path) -> None:
    told = run(
        zoo, "accelerate.py", "tfc", "--interval", "64", "--images", "2000",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert "2000 images, every answer as expected" in told
    assert "64 cycles an image" in told


@pytest.mark.slow
@pytest.mark.zoo
def test_popcounts_of_cnv(zoo: Path, tmp_path: Path) -> None:
    told = run(zoo, "popcounts.py", "cnv", "--interval", "32400", "--out", tmp_path / "out")
    assert "570,408 popcounts are those of the zoo" in told
    cycles = re.search(r"4 images at (\d+) cycles: 16,412 words on edges as expected", told)
    assert cycles is not None
    assert int(cycles[1]) <= 32_400


@pytest.mark.slow
@pytest.mark.zoo
def test_resnet18_in_fixed_point_gives_the_classes_of_the_float_network(zoo: Path) -> None:
    told = run(zoo, "-c", "import resnet18; resnet18.load(resnet18.ZOO, 1, 'whole')")
    assert "the residual sums of two images, after every unit, are those of the zoo" in told
    assert "8 of 8 classes are those of the float network" in told
