"""Tables as Markdown, numbers and ratios; the synthesis table puts plans side by side."""

from __future__ import annotations

from bnn2hw.report.synthesis import synthesis_table
from bnn2hw.report.tables import Table, number, ratio


def test_markdown() -> None:
    table = Table(["layer", "LUTs"], [["conv1", number(1234)], ["conv2", number(None)]])
    assert table.markdown() == (
        "| layer | LUTs |\n| :-- | --: |\n| conv1 | 1,234 |\n| conv2 | - |\n"
    )


def test_ratios() -> None:
    assert ratio(1, 3) == "0.33"
    assert ratio(1, 0) == "-"
    assert number(0.5) == "0.50"


def result(target: str, luts: int, nand2: float | None = None) -> dict[str, object]:
    cells = {"luts": luts, "carries": 1, "flip_flops": 2, "memories": 0, "nand2": nand2}
    return {"target": target, "cells": cells, "levels": None, "seconds": 1.25}


def test_the_synthesis_table_compares_areas() -> None:
    item = {"layer": "a", "plan": "mst"}
    table = synthesis_table(
        [
            {**item, "result": result("lut6", 50), "baseline": result("lut6", 200)},
            {**item, "result": result("asic", 0, 30.0), "baseline": result("asic", 0, 40.0)},
        ]
    )
    assert [row[2] for row in table.rows] == ["direct", "mst", "direct", "mst"]
    assert [row[-1] for row in table.rows] == ["1.00", "0.25", "1.00", "0.75"]
    assert table.rows[1][3] == "50"
    assert table.rows[3][3] == "-"


def test_without_a_direct_plan_there_is_no_ratio() -> None:
    table = synthesis_table(
        [{"layer": "a", "plan": "mst", "result": result("lut6", 50), "baseline": None}]
    )
    assert "of direct" not in table.headers
    assert len(table.rows[0]) == len(table.headers)
