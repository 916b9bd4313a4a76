"""Timelines as tables and pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnn2hw import api
from bnn2hw.errors import BuildError
from bnn2hw.plan.timeline import Timeline
from bnn2hw.report.timeline import assumption_table, draw_timeline, timeline_table


@pytest.fixture(scope="module")
def line() -> Timeline:
    return api.timeline("vgg-small", input_size=16)


def test_the_table_adds_up(line: Timeline) -> None:
    rows = timeline_table(line).rows
    layers = len(line.network.binary)
    names = [row[0] for row in rows]
    assert names == [s.name for s in line.network.binary] + ["stage 1", "stage 2", "stage 3", "all"]
    for column in (3, 4):
        cycles = [int(row[column].replace(",", "")) for row in rows]
        assert sum(cycles[:layers]) == sum(cycles[layers:-1]) == cycles[-1]
    assert rows[-1][-1] == f"{line.speedup:.2f}"


def test_every_assumption_has_a_row(line: Timeline) -> None:
    table = assumption_table(line.assumptions)
    assert len(table.rows) == len(line.assumptions)
    assert table.rows[0][1:3] == ["-", "-"]


def test_picture(line: Timeline, tmp_path: Path) -> None:
    closed = api.timeline("vgg-small", input_size=16, mode="closed")
    path = tmp_path / "timeline.svg"
    draw_timeline([line, closed], path)
    text = path.read_text()
    for words in ("1 bit", "sub-bit", "closed subset", "milliseconds", "stage 3", "64 PEs"):
        assert f"<!-- {words}" in text or words in text
    assert f"{line.speedup:.2f}x" in text
    assert f"{closed.speedup:.2f}x" in text


def test_unwritable_picture_is_told(line: Timeline, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="picture cannot be written"):
        draw_timeline([line], tmp_path / "missing" / "x.png")
