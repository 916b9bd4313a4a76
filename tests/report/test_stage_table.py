"""Estimates stand beside what was measured, where there are any."""

from __future__ import annotations

from typing import Any

from bnn2hw.report.synthesis import placement_table, placement_text, stage_table


def stage(name: str, count: int, **estimate: int) -> dict[str, Any]:
    cells = {"luts": count, "flip_flops": 10, "block_rams": 0, "nand2": None}
    return {"name": name, "unit": "Fifo", "cells": cells, "estimate": estimate, "seconds": 1.25}


def network(*stages: dict[str, Any]) -> dict[str, Any]:
    cells = {"luts": 290, "flip_flops": 20, "block_rams": 0, "nand2": None}
    total = {"cells": cells, "seconds": 9.0}
    return {"network": "net", "stages": stages, "total": total, "estimate": {"luts": 100}}


def test_estimates_and_their_errors() -> None:
    table = stage_table(network(stage("one", 100, luts=110, block_rams=0), stage("joins", 200)))
    assert table.headers == [
        "stage", "unit", "LUTs", "estimate", "error", "flip-flops", "block RAMs", "estimate",
        "error", "seconds",
    ]  # fmt: skip
    assert table.rows[0] == ["one", "Fifo", "100", "110", "+10 %", "10", "0", "0", "", "1.2"]
    assert table.rows[1][3:5] == ["-", ""]
    assert table.rows[2][:5] == ["all alone", "", "300", "110", "-63 %"]
    assert table.rows[3][:5] == ["joined", "", "290", "100", "-66 %"]


def test_without_estimates_there_is_no_column() -> None:
    table = stage_table(network(stage("one", 100)))
    assert table.headers == ["stage", "unit", "LUTs", "flip-flops", "block RAMs", "seconds"]
    assert table.rows[-1] == ["joined", "", "290", "20", "0", "9.0"]


def test_latency_stands_where_it_was_measured() -> None:
    item = {
        "network": "net", "device": "ecp5-25k", "used": {"TRELLIS_FF": 50},
        "available": {"TRELLIS_FF": 100}, "clock": 50.0, "interval": 64, "images_per_second": 5.0,
        "latency": 200, "latency_microseconds": 4.0, "seconds": (1.0, 2.0), "bitstream": "a.bit",
    }  # fmt: skip
    row = placement_table([item]).rows[0]
    assert row[2] == "50 TRELLIS_FF (50 %)"
    assert row[6:8] == ["200", "4.0"]
    assert placement_table([{**item, "latency": None}]).rows[0][6:8] == ["-", "-"]
    text = placement_text([{**item, "synthesis": network(stage("one", 100))}])
    assert text.index("| one | Fifo | 100 ") < text.index("| net | ecp5-25k | 50 TRELLIS_FF")
