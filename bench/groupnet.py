"""LUTs, clock and cycles of Group-Nets: K bases, side by side and in turn, shared and not.

python bench/groupnet.py          print the table
python bench/groupnet.py --page   and put it into docs/groupnet.md

The networks are trained on digits for some seconds each: one block of six channels, placed on an
ECP5-85k. Sharing off is the choice of a graph for each layer; windows are shared in both cases.
Builds stay in build/groupnet, and what was synthesised there serves again.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from functools import cache

from common import ROOT

from bnn2hw.accelerator import generate_network, place
from bnn2hw.model import Network
from bnn2hw.report.tables import Table, number, ratio
from bnn2hw.synth import Placement
from bnn2hw.train.loop import train
from bnn2hw.train.recipe import parse_recipe

BUILDS = ROOT / "build" / "groupnet"
PAGE = ROOT / "docs" / "groupnet.md"
MARKER = "<!-- table: python bench/groupnet.py -->"
DEVICE = "ecp5-85k"


@dataclass(frozen=True)
class Case:
    """A network and how it is built: on so many lanes, with graphs that may span bases or not."""

    bases: int
    variant: str = "gbd1"
    lanes: int | None = None
    shared: bool = True

    @property
    def name(self) -> str:
        """Return the name of its build."""
        apart = "" if self.shared else "-apart"
        return f"{self.variant}{self.bases}-{self.lanes or self.bases}{apart}"


CASES = (
    Case(1),
    Case(3),
    Case(5),
    Case(3, lanes=2),
    Case(3, lanes=1),
    Case(5, lanes=1),
    Case(3, shared=False),
    Case(3, "lbd"),
    Case(3, "lbd", shared=False),
)


@cache
def trained(bases: int, variant: str) -> Network:
    """Return a network of one block."""
    recipe = {
        "name": f"{variant}{bases}",
        "data": "digits",
        "epochs": 20,
        "learning_rate": 0.03,
        "groupnet": {"bases": bases, "variant": variant, "stem": 6, "blocks": [{"channels": 6}]},
    }
    return train(parse_recipe(recipe)).network


def placed(case: Case) -> Placement:
    """Return what synthesis, place and route give."""
    network, choices = trained(case.bases, case.variant), None
    if not case.shared:
        BUILDS.mkdir(parents=True, exist_ok=True)
        choices = BUILDS / "apart.toml"
        choices.write_text(
            "".join(
                f'[{layer.name}]\nstyle = "spatial"\nplan = "mst"\n'
                for layer in network.linear_layers()
            )
        )
    build = generate_network(
        network, plan="mst", pipeline=2, bases_parallel=case.lanes, choices=choices,
        out=BUILDS / case.name,
    )  # fmt: skip
    (found,) = place(build.directory, [DEVICE])
    return found


def row(case: Case, found: Placement, single: int) -> list[str]:
    """Return a row of the table; ``single`` is the LUTs of the bases of a network with one."""
    network, luts = trained(case.bases, case.variant), in_bases(found)
    fraction = max(tensor.format.fraction for tensor in network.tensors.values())
    return [
        case.variant,
        number(case.bases),
        number(case.lanes or case.bases),
        "yes" if case.shared else "no",
        number(fraction),
        number(found.interval),
        number(found.synthesis.total.cells.luts),
        number(luts),
        ratio(luts, single),
        number(found.synthesis.total.cells.flip_flops),
        f"{found.clock:.1f}",
        number(round(found.images_per_second)),
    ]


def in_bases(found: Placement) -> int:
    """Return the LUTs of the stages between the first activation and where the bases meet."""
    stages = found.synthesis.stages
    return sum(stage.cells.luts for stage in stages if stage.name.startswith("block"))


def rows() -> list[list[str]]:
    """Return the table, printing each row as it comes."""
    single, table = 0, []
    for case in CASES:
        found = placed(case)
        single = single or in_bases(found)
        table.append(row(case, found, single))
        print(" | ".join(table[-1]), flush=True)
    return table


HEADERS = (
    "variant", "K", "lanes", "graph over bases", "fraction bits", "cycles an image", "LUTs",
    "in bases", "of K = 1", "flip-flops", "MHz", "images/s",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="LUTs, clock and cycles of Group-Nets.")
    parser.add_argument("--page", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    table = Table(HEADERS, rows()).markdown()
    print(table)
    if options.page:
        pattern = re.compile(re.escape(MARKER) + r"\n+(\|.*\n)*")
        text = pattern.sub(f"{MARKER}\n\n{table}", PAGE.read_text(encoding="utf-8"))
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
