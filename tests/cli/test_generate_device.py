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
        (["--network", "--interval", "9", "--target", "ecp5"], 2, "; give a device instead"),
        (["--network", "--device", "ecp5-25k", "--target-fps", "1e-303"], 2, "of 1e-303 makes no"),
        (["--network", "--device", "ecp5-25k", "--target-fps", "1e300"], 2, "from 1e-09 to 1e+09"),
        (["--network", "--board", "icebreaker", "--clock", "0"], 2, "a board has its clock; leave"),
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


def test_an_interval_that_choices_miss_is_told(run: Run, tmp_path: Path) -> None:
    choices = tmp_path / "choices.toml"
    choices.write_text('[conv1]\nstyle = "folded"\npes = 1\nsimd = 9\n')
    given = ("--network", "--plan", "direct", "--choices", str(choices))
    code, out, _ = run("generate", *given, "--interval", "100")
    assert code == 0
    assert "(100 were asked for: 2048 is the least with these choices)" in out
    code, _, err = run("generate", *given, "--device", "ecp5-25k", "--interval", "100")
    assert code == 1
    assert "an image takes 2,048 cycles at least with these choices, and 100 are asked for" in err


def test_a_board_that_is_too_small_names_no_device(run: Run, tmp_path: Path) -> None:
    code, _, err = run(
        "generate", "--network", "--board", "icebreaker", "--target-fps", "5000", "--plan", "direct"
    )
    assert code == 1
    assert "--device" not in err
    assert " or a board with ice40-hx8k" in err
    assert list(tmp_path.iterdir()) == []
