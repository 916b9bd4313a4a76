"""Whole networks from model to bitstream: area, clock and images a second beside FINN's.

    python bench/networks.py                       # TFC, folded: some minutes
    python bench/networks.py digits tfc tfc-spatial lfc cnv --place

For each network the seconds from the model to a verified build (generated; every edge of some
images and all answers of the images compared with the golden model, in compiled hardware), the
seconds of Yosys, and the peak memory of any one process. With --place also nextpnr's, and the
images a second at the clock that it reaches.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common import ZOO, apart, measured, network

from bnn2hw import api


@dataclass(frozen=True)
class Case:
    """A network, how it is built, and what was published of it."""

    archive: str
    interval: int | None
    device: str
    pipeline: int
    clock: float
    published: str


# FINN's figures as its authors print them: another clock, device and tools than ours.
_MNIST = "SFC-max: 12.3 M images/s, 91,131 LUT6, 200 MHz, Zynq ZC706, Vivado"
_CIFAR = "21,906 images/s, 32,400 cycles an image, Zynq ZC706, Vivado"
CASES = {
    "digits": Case("digits", 20_000, "ice40-up5k", 3, 16, ""),
    "digits-spatial": Case("digits", None, "ecp5-25k", 6, 50, ""),
    "tfc": Case("tfc_w1a1_mnist", 64, "ecp5-25k", 2, 50, "64 cycles an image"),
    "tfc-spatial": Case("tfc_w1a1_mnist", None, "ecp5-85k", 4, 50, _MNIST),
    "lfc": Case("lfc_w1a1_mnist", 2_100, "ecp5-85k", 2, 50, ""),
    "cnv": Case("cnv_w1a1_cifar10", 32_400, "ecp5-85k", 2, 50, _CIFAR),
}
IMAGES = 64


def run(name: str, place: bool) -> dict[str, object] | None:
    """Return the figures of a case; None where its network is missing."""
    case = CASES[name]
    found = network(case.archive)
    if found is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "build")
        start = time.perf_counter()
        api.generate_network(found, interval=case.interval, pipeline=case.pipeline, out=out)
        simulated = api.simulate_network(out, images=IMAGES)
        seconds = time.perf_counter() - start
        (synthesis,) = api.synthesise_network(out, [case.device.partition("-")[0]])
        cells = synthesis.total.cells
        row: dict[str, object] = {
            "cycles": simulated.interval,
            "latency": simulated.latency,
            "verified": seconds,
            "yosys": synthesis.total.seconds,
            "luts": cells.luts,
            "flip-flops": cells.flip_flops,
            "block RAMs": cells.block_rams,
        }
        if place:
            (placed,) = api.place(out, [case.device], clock=case.clock)
            row |= {
                "MHz": placed.clock,
                "images/s": placed.images_per_second,
                "nextpnr": placed.seconds[1],
            }
        *_, row["GiB"] = measured(lambda: None)
        return row


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Networks from model to bitstream.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} [tfc]")
    parser.add_argument("--place", action="store_true", help="place and route too: minutes each")
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(run(options.one, options.place)))
        return
    for name in options.cases or ["tfc"]:
        if name not in CASES:
            parser.error(f"there is no case {name!r}: use {', '.join(CASES)}")
    print(
        "| network | device | cycles an image | latency | model to verified build, s | Yosys, s "
        "| LUT4 | flip-flops | block RAMs | GiB | MHz | images/s | nextpnr, s | FINN |\n"
        f"| :-- | :-- |{' --: |' * 11} :-- |"
    )
    for name in options.cases or ["tfc"]:
        flags = ["--place"] if options.place else []
        row = apart(__file__, "--one", name, *flags)
        if row is None:
            print(f"| {name} | not in {ZOO.name} |")
            continue
        counts = [f"{row[key]:,}" for key in ("cycles", "latency")]
        counts += [f"{row[key]:,.0f}" for key in ("verified", "yosys", "luts")]
        counts += [f"{row[key]:,}" for key in ("flip-flops", "block RAMs")]
        counts += [f"{row['GiB']:.1f}"]
        counts += [
            f"{row[key]:,.0f}" if key in row else "" for key in ("MHz", "images/s", "nextpnr")
        ]
        case = CASES[name]
        print(f"| {name} | {case.device} | {' | '.join(counts)} | {case.published} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
