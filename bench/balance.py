"""Estimated beside measured area of whole networks, stage by stage, on iCE40 and ECP5.

python bench/balance.py                     all networks that are there
python bench/balance.py digits-folded tfc   some of them
python bench/balance.py --docs              and put the table into docs/networks.md

Yosys runs each stage; what an earlier run made is used again (build/balance).
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from common import ROOT, network

from bnn2hw import api
from bnn2hw.model import Network
from bnn2hw.report.tables import Table, number

EXAMPLES = ROOT / "examples" / "networks"
ENGINES = ROOT / "examples" / "choices" / "subbit_engines.toml"
# Name: network, how it is generated, families.
CASES: Mapping[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "digits-small": ("digits", {"device": "ice40-up5k", "target_fps": 80}, ("ice40", "ecp5")),
    "digits-folded": ("digits", {"interval": 4096}, ("ice40", "ecp5")),
    "digits-fast": ("digits", {"device": "ecp5-25k", "target_fps": 50_000}, ("ice40", "ecp5")),
    "digits-spatial": ("digits", {"target": "ecp5", "pipeline": 3}, ("ice40", "ecp5")),
    "subbit": ("subbit", {"interval": 3000}, ("ice40", "ecp5")),
    "subbit-engines": ("subbit", {"interval": 16_500, "choices": ENGINES}, ("ice40", "ecp5")),
    "quantised": ("quantised", {"interval": 2000}, ("ice40", "ecp5")),
    "groupnet": ("groupnet", {"interval": 5000, "bases_parallel": 1}, ("ecp5",)),
    "tfc": ("tfc_w1a1_mnist", {"device": "ecp5-25k", "interval": 64}, ("ice40", "ecp5")),
    "tfc-spatial": ("tfc_w1a1_mnist", {"target": "ecp5", "pipeline": 4}, ("ecp5",)),
    "lfc": ("lfc_w1a1_mnist", {"device": "ecp5-85k", "interval": 2100}, ("ecp5",)),
    "cnv": ("cnv_w1a1_cifar10", {"device": "ecp5-85k", "interval": 32_400}, ("ecp5",)),
}
MARKERS = {
    "networks": "<!-- table: python bench/balance.py, networks -->",
    "stages": "<!-- table: python bench/balance.py, stages -->",
}


def load(name: str) -> Network | None:
    """Return a network of the examples or the zoo; None where it is missing."""
    path = EXAMPLES / f"{name}.npz"
    return api.load_network(path) if path.exists() else network(name)


def error(estimate: float, measured: float) -> str:
    """Return the error of an estimate in percent."""
    return f"{100 * (estimate / measured - 1):+.1f} %" if measured else "-"


def measure(names: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rows of networks and those of kinds of stages."""
    rows = []
    kinds: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for name in names:
        model, options, families = CASES[name]
        found = load(model)
        if found is None:
            print(f"{model} is missing: set BNN2HW_ZOO", file=sys.stderr)
            continue
        build = api.generate_network(found, **options, out=ROOT / "build" / "balance" / name)
        (top,) = build.directory.glob("*/manifest.json")
        estimate = json.loads(top.read_text(encoding="utf-8"))["estimate"]
        for result in api.synthesise_network(build.directory, families):
            target = result.total.target
            stages = [stage for stage in result.stages if stage.estimate]
            sums = [
                (estimate[target][key], getattr(result.total.cells, field))
                for key, field in (
                    ("luts", "luts"), ("flipflops", "flip_flops"), ("block_rams", "block_rams"),
                )
            ]  # fmt: skip
            row = [name, target]
            for guess, measured in sums:
                row += [number(guess), number(measured), error(guess, measured)]
            rows.append(row)
            print(" | ".join(row), file=sys.stderr, flush=True)
            for stage in stages:
                kinds[stage.unit, target].append((stage.estimate["luts"], stage.cells.luts))
    units = []
    for (unit, target), pairs in sorted(kinds.items()):
        large = [abs(a / b - 1) for a, b in pairs if b >= 50]
        mean = f"{100 * sum(large) / len(large):.1f} %" if large else "-"
        most = f"{100 * max(large):.1f} %" if large else "-"
        a, b = (sum(column) for column in zip(*pairs, strict=True))
        units.append(
            [unit, target, number(len(pairs)), number(a), number(b), error(a, b), mean, most]
        )
    return rows, units


def main() -> None:
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or list(CASES)
    rows, units = measure(names)
    headers = ["network", "family"]
    for what in ("LUTs", "flip-flops", "block RAMs"):
        headers += [f"{what}, estimated", "measured", "error"]
    tables = {
        "networks": Table(headers, rows, left=(0, 1)).markdown(),
        "stages": Table(
            ["component", "family", "stages", "LUTs, estimated", "measured", "error",
             "mean error of those from 50 LUTs on", "greatest"],
            units, left=(0, 1),
        ).markdown(),
    }  # fmt: skip
    print(*tables.values(), sep="\n")
    if "--docs" in sys.argv:
        path = ROOT / "docs" / "networks.md"
        text = path.read_text(encoding="utf-8")
        for name, marker in MARKERS.items():
            pattern = re.compile(re.escape(marker) + r"\n+(\|.*\n)*")
            text = pattern.sub(lambda _, m=marker, t=tables[name]: f"{m}\n\n{t}", text)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
