"""The table of a synthesis, beside the direct plan where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .tables import Table, number, ratio

__all__ = ["board_table", "placement_table", "placement_text", "stage_table", "synthesis_table"]


def synthesis_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of synthesis figures, as :func:`bnn2hw.synthesise` gives them as JSON.

    A line holds a layer, a target and a plan; with a direct plan beside it, that plan has a line
    before it and the ratio of the two stands at the end.
    """
    compared = any(item["baseline"] is not None for item in results)
    rows = []
    for item in results:
        result, baseline = item["result"], item["baseline"]
        if baseline is not None:
            rows.append([*_row(item["layer"], "direct", baseline), "1.00"])
        share = [] if not compared else ["-" if baseline is None else _ratio(result, baseline)]
        rows.append([*_row(item["layer"], item["plan"], result), *share])
    headers = [
        "layer", "target", "plan", "LUTs", "carries", "flip-flops", "memories", "NAND2", "levels",
        "seconds",
    ]  # fmt: skip
    return Table([*headers, *(["of direct"] if compared else [])], rows, left=(0, 1, 2))


def _row(layer: str, plan: str, result: Mapping[str, Any]) -> list[str]:
    cells = result["cells"]
    nand2 = cells["nand2"]
    return [
        layer,
        result["target"],
        plan,
        "-" if nand2 is not None else number(cells["luts"]),
        number(cells["carries"]),
        number(cells["flip_flops"]),
        number(cells["memories"]),
        "-" if nand2 is None else number(round(nand2)),
        number(result["levels"]),
        f"{result['seconds']:.1f}",
    ]


def _ratio(result: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """Return the area in terms of the baseline's: LUTs, or NAND2 equivalents."""
    kind = "luts" if result["cells"]["nand2"] is None else "nand2"
    return ratio(result["cells"][kind], baseline["cells"][kind])


# What is estimated and measured: name in the table, key of the estimate, key of the cells.
_RESOURCES = (
    ("LUTs", "luts", "luts"),
    ("flip-flops", "flipflops", "flip_flops"),
    ("block RAMs", "block_rams", "block_rams"),
)


def stage_table(network: Mapping[str, Any]) -> Table:
    """Return the table of a network's stages, of one target's synthesis as JSON.

    Beside what was measured stands what the build had estimated, and by how much that is more or
    less, where there are estimates. Stages are measured alone; what joining them saves is the
    difference of the last two lines.
    """
    stages, total = network["stages"], network["total"]
    gates = total["cells"]["nand2"] is not None
    resources = [("NAND2", "", "nand2"), *_RESOURCES[1:]] if gates else [*_RESOURCES]
    estimated = [any(key in stage["estimate"] for stage in stages) for _, key, _ in resources]
    totals = {
        key: sum(stage["estimate"].get(key, 0) for stage in stages) for _, key, _ in resources
    }
    headers: list[str] = ["stage", "unit"]
    for (title, _, _), told in zip(resources, estimated, strict=True):
        headers += [title, "estimate", "error"] if told else [title]
    alone = {kind: sum(stage["cells"][kind] or 0 for stage in stages) for _, _, kind in resources}
    lines = [(s["name"], s["unit"], s["cells"], s["estimate"], s["seconds"]) for s in stages]
    lines.append(("all alone", "", alone, totals, sum(stage["seconds"] for stage in stages)))
    lines.append(("joined", "", total["cells"], network["estimate"], total["seconds"]))
    rows = []
    for name, unit, cells, estimate, seconds in lines:
        row = [name, unit]
        for (_, key, kind), told in zip(resources, estimated, strict=True):
            measured = cells[kind] or 0
            row.append(number(round(measured)))
            if told:
                guess = estimate.get(key)
                row += [number(guess), _error(guess, measured)]
        rows.append([*row, f"{seconds:.1f}"])
    return Table([*headers, "seconds"], rows, left=(0, 1))


def _error(estimate: int | None, measured: int) -> str:
    """Return by how much an estimate is more or less than what was measured."""
    if estimate is None or not measured:
        return ""
    return f"{100 * (estimate - measured) / measured:+.0f} %"


def placement_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of places and routes, as :func:`bnn2hw.api.place` gives them as JSON."""
    rows = []
    for item in results:
        rows.append(
            [
                item["network"],
                item["device"],
                _cells(item),
                f"{item['clock']:.1f}",
                number(item["interval"]),
                number(round(item["images_per_second"])),
                *_latency(item),
                f"{item['seconds'][0]:.0f} + {item['seconds'][1]:.0f}",
                item["bitstream"],
            ]
        )
    headers = [
        "network", "device", "cells", "MHz", "cycles/image", "images/s", "latency", "us",
        "seconds", "bitstream",
    ]  # fmt: skip
    return Table(headers, rows, left=(0, 1, 2, 9))


def placement_text(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the stages of every place and route, and all of them beside another, as Markdown."""
    tables = [stage_table(item["synthesis"]) for item in results]
    return "\n".join(table.markdown() for table in [*tables, placement_table(results)])


def _latency(item: Mapping[str, Any]) -> list[str]:
    """Return the latency in cycles and microseconds, where a simulation measured it."""
    if item["latency"] is None:
        return ["-", "-"]
    return [number(item["latency"]), f"{item['latency_microseconds']:.1f}"]


def board_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of networks on boards, as :func:`bnn2hw.api.build_board` gives them."""
    rows = [
        [
            item["network"],
            item["board"],
            _cells(item),
            f"{item['clock']:g}",
            f"{item['reached']:.1f}",
            f"{item['seconds'][0]:.0f} + {item['seconds'][1]:.0f}",
            item["file"],
        ]
        for item in results
    ]
    headers = ["network", "board", "cells", "MHz", "MHz reached", "seconds", "bitstream"]
    return Table(headers, rows, left=(0, 1, 2, 6))


def _cells(item: Mapping[str, Any]) -> str:
    """Return the cells that nextpnr used, and their share of what there is."""
    return ", ".join(
        f"{number(used)} {cell} ({100 * used / item['available'][cell]:.0f} %)"
        for cell, used in item["used"].items()
        if item["available"][cell] >= 20
    )
