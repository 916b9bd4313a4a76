"""The example draws a picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_example_draws(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("draw_tree.py")), "conv3", "tree.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "depth 8" in done.stdout
    assert (tmp_path / "tree.png").read_bytes().startswith(b"\x89PNG")
