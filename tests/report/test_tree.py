"""Pictures of trees."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.errors import BuildError, ToolError
from bnn2hw.plan.tree import SpanningTree
from bnn2hw.report.tree import draw_tree


def tree(size: int, inverted: bool = False) -> SpanningTree:
    """Return a binary tree with a free edge at its end."""
    channels = np.arange(size, dtype=np.int32)
    distance = np.full(size, 5, dtype=np.int32)
    distance[1:][-1:] = 0
    parent = ((channels + 1) // 2 - 1).astype(np.int32)
    return SpanningTree(channels, parent, distance, np.full(size, inverted))


@pytest.mark.parametrize("size", [0, 1, 2, 15, 400])
@pytest.mark.parametrize("inverted", [False, True])
def test_picture_is_written(tmp_path: Path, size: int, inverted: bool) -> None:
    path = tmp_path / "tree.png"
    draw_tree(tree(size, inverted), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_picture_shows_channels_and_depth(tmp_path: Path) -> None:
    path = tmp_path / "tree.svg"
    draw_tree(tree(15), path)
    text = path.read_text()
    for words in ("15 channels, 70 XNOR terms, depth 3", "<!-- 14 -->", "<!-- distance -->"):
        assert words in text


def test_missing_matplotlib_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ToolError, match=r"matplotlib.*pip install bnn2hw\[plot\]"):
        draw_tree(tree(3), tmp_path / "tree.png")


@pytest.mark.parametrize("name", ["missing/tree.png", "tree.magic"])
def test_unwritable_picture_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match="picture cannot be written"):
        draw_tree(tree(3), tmp_path / name)
