"""LUTs and cycles of Group-Nets: K bases, side by side and in turn, with and without sharing.

python bench/groupnet.py          print the table
python bench/groupnet.py --page   and put it into docs/groupnet.md

The networks are trained on digits for some seconds each: one block of eight channels. Sharing off
is the choice of a graph for each layer; windows are shared in both cases.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import ROOT

import bnn2hw
from bnn2hw.accelerator import generate_network
from bnn2hw.model import Network
from bnn2hw.report.tables import Table, number, ratio
from bnn2hw.train.loop import train
from bnn2hw.train.recipe import parse_recipe

TARGETS = ("ecp5", "ice40")
# Bases, variant, lanes (None for one a base), and whether graphs may span bases.
CASES: tuple[tuple[int, str, int | None, bool], ...] = (
    (1, "gbd1", None, True),
    (3, "gbd1", None, True),
    (3, "gbd1", None, False),
    (3, "gbd1", 1, True),
    (5, "gbd1", None, True),
    (5, "gbd1", 1, True),
    (3, "lbd", None, True),
    (3, "lbd", None, False),
)
MARKER = "<!-- table: python bench/groupnet.py -->"


def trained(bases: int, variant: str) -> Network:
    """Return a network of one block."""
    recipe = {
        "name": f"{variant}{bases}",
        "data": "digits",
        "epochs": 2,
        "learning_rate": 0.03,
        "groupnet": {"bases": bases, "variant": variant, "stem": 8, "blocks": [{"channels": 8}]},
    }
    return train(parse_recipe(recipe)).network


def measured(network: Network, lanes: int | None, shared: bool) -> tuple[int, list[Any]]:
    """Return the cycles of an image, and what synthesis gives on each target."""
    with tempfile.TemporaryDirectory() as folder:
        choices = None
        if not shared:
            choices = Path(folder, "choices.toml")
            choices.write_text(
                "".join(
                    f'[{layer.name}]\nstyle = "spatial"\nplan = "mst"\n'
                    for layer in network.linear_layers()
                )
            )
        build = generate_network(
            network, plan="mst", pipeline=2, bases_parallel=lanes, choices=choices,
            out=Path(folder, "build"),
        )  # fmt: skip
        results = bnn2hw.synthesise(build.directory, TARGETS)
    return build.interval, [found.result for found in results]


def rows() -> list[list[str]]:
    """Return the table, printing each row as it comes."""
    networks: dict[tuple[int, str], Network] = {}
    single, found = 0, []
    for bases, variant, lanes, shared in CASES:
        key = bases, variant
        if key not in networks:
            networks[key] = trained(*key)
        cycles, (ecp5, ice40) = measured(networks[key], lanes, shared)
        single = single or ecp5.luts
        row = [
            variant,
            str(bases),
            str(bases if lanes is None else lanes),
            "yes" if shared else "no",
            number(cycles),
            number(ecp5.luts),
            ratio(ecp5.luts, single),
            number(ecp5.cells.flip_flops),
            number(ice40.luts),
        ]
        print(" | ".join(row), flush=True)
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    headers = [
        "variant", "K", "lanes", "graph over bases", "cycles an image", "ECP5 LUTs", "of K = 1",
        "flip-flops", "iCE40 LUTs",
    ]  # fmt: skip
    table = Table(headers, rows()).markdown()
    print(table)
    if options.page:
        page = ROOT / "docs" / "groupnet.md"
        text = page.read_text(encoding="utf-8").partition(MARKER)[0].rstrip("\n")
        page.write_text(f"{text}\n\n{MARKER}\n{table}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
