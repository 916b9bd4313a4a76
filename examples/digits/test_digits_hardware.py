"""The digits network runs on its hardware, folded."""

from __future__ import annotations

from pathlib import Path

import hardware
import pytest


@pytest.mark.slow
def test_digits_on_their_hardware(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--interval", "20000", "--images", "4", "--out", str(tmp_path / "out")]
    hardware.main(arguments)
    told = capsys.readouterr().out
    assert "4 images, every answer as expected\n18816 cycles an image" in told
    assert (tmp_path / "out" / "digits" / "digits.v").is_file()
