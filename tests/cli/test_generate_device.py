"""``generate --network --device``: usage, what is said, and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import Run, run

__all__ = ["run"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--network", "--device", "ice40"], 2, "there is no device 'ice40'; use ecp5-25k, "),
        (["--layer", "conv3", "--device", "ecp5-25k"], 2, "leave --device to --network"),
        (["--layer", "conv3", "--target-fps", "3"], 2, "leave --target-fps to --network"),
        (["--network", "--target-fps", "9"], 2, "a clock belong to a device"),
        (["--network", "--max-luts", "9"], 2, "a clock belong to a device"),
        (["--network", "--clock", "9"], 2, "a clock belong to a device"),
        (["--network", "--device", "ecp5-25k", "--target-fps", "0"], 2, "target of 0.0 makes no"),
        (["--network", "--device", "ecp5-25k", "--target-fps", "nan"], 2, "target of nan makes"),
        (["--network", "--device", "ecp5-25k", "--clock", "-1"], 2, "clock in MHz of -1.0 makes"),
        (["--network", "--device", "ecp5-25k", "--max-luts", "0"], 2, "0 LUTs hold nothing"),
        (["--network", "--interval", "0"], 2, "an interval of 0 cycles makes no sense"),
        (["--network", "--interval", "9", "--target", "ecp5"], 2, "target of plans is told by"),
        (["--network", "--device", "ecp5-25k", "--max-luts", "500"], 1, "logic cells of 500 that"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(
    run: Run, arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    found, _, err = run("generate", *arguments)
    assert found == code
    (line,) = [line for line in err.splitlines() if line.startswith("bnn2hw: ")]
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_a_network_is_sized(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(
        "generate", "--network", "--device", "ecp5-25k", "--target-fps", "2000", "--json", "-"
    )
    assert code == 0
    found = json.loads(out)
    sized = found["sized"]
    assert sized["device"] == "ecp5-25k"
    assert sized["images_per_second"] == pytest.approx(5e7 / found["interval"])
    assert sized["images_per_second"] >= 2000
    stages = sum(stage["estimate"]["ecp5"]["luts"] for stage in found["stages"])
    # Joining saves the masks of windows.
    assert stages - 600 < sized["estimate"]["luts"] < stages
    manifest = json.loads((tmp_path / found["directory"] / "digits" / "manifest.json").read_text())
    assert manifest["sized"] == sized
    assert (sized["clock"], sized["target_fps"]) == (50, 2000)
    assert (tmp_path / found["directory"] / "digits" / "choices.toml").exists()


def test_an_interval_that_is_missed_is_told(run: Run) -> None:
    code, out, _ = run("generate", "--network", "--interval", "5", "--plan", "direct")
    assert code == 0
    assert "64 cycles an image (5 were asked for: 64 is the least)" in out
