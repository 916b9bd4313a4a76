"""Whole networks from model to bitstream: what they take, what that takes, and FINN's figures.

    python bench/networks.py                  # TFC, folded: some minutes
    python bench/networks.py digits tfc lfc cnv
    python bench/networks.py --docs           # the tables of all results into README and docs

The cases are the commands of examples/digits/hardware.py and examples/zoo/accelerate.py. For each
network: what it is on its device by nextpnr, with every answer of its images compared with the
golden model; the processor time of the steps from the model to the bitstream, of this process and
all that it started; and the peak memory of any one of them. Figures are kept in build/networks.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from common import ROOT, apart

from bnn2hw import api
from bnn2hw.model import Network
from bnn2hw.plan.devices import CAPACITIES
from bnn2hw.report.tables import Table, number

sys.path.insert(0, str(ROOT / "examples" / "zoo"))

from accelerate import ZOO, load

KEPT = ROOT / "build" / "networks"
# Tables of all results, by the page that they are part of.
PAGES = {"readme": "README.md", "measured": "docs/networks.md", "times": "docs/networks.md"}


@dataclass(frozen=True)
class Case:
    """A network, how it is built, and what was published of it.

    Attributes
    ----------
    name
        Network and style.
    network
        ``digits``, or a network of ``examples/zoo/accelerate.py``.
    device
        Where it is placed.
    interval
        Cycles that an image may take; None for spatial layers.
    pipeline
        Adder levels between registers; the device's if None.
    images
        Through the compiled simulation.
    published
        FINN's figures, with its clock, device and tools.
    """

    name: str
    network: str
    device: str
    interval: int | None
    pipeline: int | None
    images: int
    published: str = ""


# FINN's figures as its authors print them: its paper, and its folding files for the cycles.
_TFC = "64 cycles an image"
_SFC = "SFC-max: 12.3 M images/s, 0.31 us, 91,131 LUT6 at 200 MHz"
_CNV = "21,906 images/s, 283 us at 200 MHz; 32,400 cycles an image"
CASES = {
    "digits": Case("digits, folded", "digits", "ice40-up5k", 20_000, None, 400),
    "digits-ecp5": Case("digits, folded", "digits", "ecp5-25k", 20_000, None, 400),
    "digits-spatial": Case("digits, spatial", "digits", "ecp5-25k", None, 6, 400),
    "tfc": Case("TFC, folded", "tfc", "ecp5-25k", 64, None, 10_000, _TFC),
    "tfc-spatial": Case("TFC, spatial", "tfc", "ecp5-85k", None, 4, 10_000, _SFC),
    "lfc": Case("LFC, folded", "lfc", "ecp5-85k", 2_100, None, 1_000),
    "cnv": Case("CNV, folded", "cnv", "ecp5-85k", 32_400, None, 64, _CNV),
}


def command(case: Case) -> str:
    """Return the command of the examples that does the same."""
    script = (
        "digits/hardware.py" if case.network == "digits" else f"zoo/accelerate.py {case.network}"
    )
    parts = ["python", f"examples/{script}", f"--device {case.device}"]
    if case.interval is not None:
        parts.append(f"--interval {case.interval}")
    if case.pipeline is not None:
        parts.append(f"--pipeline {case.pipeline}")
    if case.network != "digits":
        parts.append(f"--images {case.images}")
    return " ".join(parts)


def seconds() -> float:
    """Return the processor time so far, of this process and those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run(name: str) -> dict[str, Any]:
    """Return the figures of a case."""
    case = CASES[name]
    network: Network = api.load_network()
    if case.network != "digits":
        network, _ = load(case.network, case.images, ZOO)
    family = CAPACITIES[case.device].family
    sized = case.interval is not None
    where: dict[str, Any] = {"device": case.device} if sized else {"target": family}
    shutil.rmtree(KEPT / name, ignore_errors=True)  # what an earlier run made would save time
    times = [seconds()]
    build = api.generate_network(
        network, interval=case.interval, pipeline=case.pipeline, **where, out=KEPT / name
    )
    simulated = api.simulate_network(build.directory, images=case.images, bench=False)
    times.append(seconds())
    api.synthesise_network(build.directory, [family])
    times.append(seconds())
    (placed,) = api.place(build.directory, [case.device])
    times.append(seconds())
    peaks = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    logic, memory = (
        ("ICESTORM_LC", "ICESTORM_RAM") if family == "ice40" else ("TRELLIS_COMB", "DP16KD")
    )
    return {
        "cycles": simulated.interval,
        "latency": simulated.latency,
        "images": simulated.real,
        "cells": [placed.used[logic], placed.available[logic]],
        "flip-flops": placed.used.get("TRELLIS_FF"),
        "block RAMs": [placed.used.get(memory, 0), CAPACITIES[case.device].block_rams],
        "MHz": placed.clock,
        "seconds": [after - before for before, after in pairwise(times)],
        "GiB": max(peaks) / 2**20,
    }


def tables() -> Mapping[str, str]:
    """Return the tables of all results that are kept."""
    readme, measured, times = [], [], []
    for name, case in CASES.items():
        path = KEPT / f"{name}.json"
        if not path.exists():
            continue
        row = json.loads(path.read_text(encoding="utf-8"))
        images = 1e6 * row["MHz"] / row["cycles"]
        used = [
            f"{number(row[key][0])} of {number(row[key][1])}" for key in ("cells", "block RAMs")
        ]
        flipflops, clock = row["flip-flops"], f"{row['MHz']:.1f}"
        latency = f"{row['latency'] / row['MHz']:,.1f}"
        readme.append([
            case.name, f"`{command(case)}`", used[0], used[1], clock, number(round(images)),
            latency,
        ])  # fmt: skip
        measured.append([
            case.name, f"`{command(case)}`", case.device, number(row["cycles"]),
            number(row["latency"]), number(row["images"]), used[0],
            "in the cells" if flipflops is None else number(flipflops), used[1],
            clock, number(round(images)),
        ])  # fmt: skip
        times.append([
            case.name, case.device, *(number(round(one)) for one in row["seconds"]),
            f"{row['GiB']:.1f}", f"{images:,.0f}", case.published,
        ])  # fmt: skip
    return {
        "readme": Table(
            ["network", "command", "cells", "block RAM", "MHz", "images/s", "latency, us"],
            readme, left=(0, 1),
        ).markdown(),
        "measured": Table(
            ["network", "command", "device", "cycles an image", "latency", "images compared",
             "cells", "flip-flops", "block RAM", "MHz", "images/s"], measured, left=(0, 1, 2),
        ).markdown(),
        "times": Table(
            ["network", "device", "model to verified build, s", "Yosys, s", "nextpnr, s", "GiB",
             "images/s", "FINN, by Vivado for a Zynq 7045 (ZC706)"], times, left=(0, 1, 7),
        ).markdown(),
    }  # fmt: skip


def merged(old: list[str], new: list[str]) -> str:
    """Return the lines of a new table, with the rows of the old one whose case it has not."""
    order = {f" {case.name} ": k for k, case in enumerate(CASES.values())}
    # Name and command, or name and device, tell a case; there may be rows of other networks.
    rows = {tuple(line.split("|")[1:3]): line for line in (*old[2:], *new[2:])}
    keys = sorted(rows, key=lambda key: order.get(key[0], len(order)))
    return "".join([*new[:2], *(rows[key] for key in keys)] if rows else [])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Networks from model to bitstream.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} [tfc]")
    parser.add_argument("--docs", action="store_true", help="put the tables into README and docs")
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(run(options.one)))
        return
    for name in options.cases or ([] if options.docs else ["tfc"]):
        if name not in CASES:
            parser.error(f"there is no case {name!r}: use {', '.join(CASES)}")
        print(f"{name}: {command(CASES[name])}", file=sys.stderr, flush=True)
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"{name}.json").write_text(json.dumps(apart(__file__, "--one", name)) + "\n")
    found = tables()
    print(*found.values(), sep="\n")
    for name, table in found.items() if options.docs else ():
        page = ROOT / PAGES[name]
        marker = f"<!-- table: python bench/networks.py, {name} -->"
        text = page.read_text(encoding="utf-8")
        place = re.search(re.escape(marker) + r"\n+((?:\|.*\n)*)\n*", text)
        assert place is not None, f"{page} has no marker of {name}"
        kept = merged(place[1].splitlines(keepends=True), table.splitlines(keepends=True))
        if kept:
            text = f"{text[: place.start()]}{marker}\n\n{kept}\n{text[place.end() :]}"
            page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
