"""LUTs, clock and cycles of Group-Nets: K bases, side by side and in turn, shared and not.

python bench/groupnet.py          print the table
python bench/groupnet.py --page   and put it into README.md and docs/groupnet.md

The networks are trained on digits for some seconds each: one block of six channels. Those of which
the clock counts are placed and routed on an ECP5-85k. Sharing off is the choice of a graph for each
layer; windows are shared in both cases. Builds stay in build/groupnet, and what was synthesised
there serves again.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cache

from common import ROOT, into_page

from bnn2hw.accelerator import generate_network, place, synthesise_network
from bnn2hw.model import Network
from bnn2hw.report.tables import Table, number, ratio
from bnn2hw.synth import NetworkSynthesis, Placement
from bnn2hw.train.loop import train
from bnn2hw.train.recipe import parse_recipe

BUILDS = ROOT / "build" / "groupnet"
PAGES = (ROOT / "README.md", ROOT / "docs" / "groupnet.md")
MARKER = "<!-- table: python bench/groupnet.py -->"
DEVICE = "ecp5-85k"


@dataclass(frozen=True)
class Case:
    """A network and how it is built: on so many lanes, with graphs that may span bases or not."""

    bases: int
    variant: str = "gbd1"
    lanes: int | None = None
    shared: bool = True
    placed: bool = True

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
    Case(3, shared=False, placed=False),
    Case(3, "lbd", placed=False),
    Case(3, "lbd", shared=False, placed=False),
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


def measured(case: Case) -> tuple[int, NetworkSynthesis, Placement | None]:
    """Return the cycles of an image, and what synthesis, place and route give."""
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
    (found,) = synthesise_network(build.directory, [DEVICE.partition("-")[0]])
    placements = place(build.directory, [DEVICE] if case.placed else [])
    return build.interval, found, placements[0] if placements else None


def in_bases(found: NetworkSynthesis) -> int:
    """Return the LUTs of the stages between the first activation and where the bases meet."""
    return sum(stage.cells.luts for stage in found.stages if stage.name.startswith("block"))


def row(case: Case, single: int) -> tuple[list[str], int]:
    """Return a row of the table, and its LUTs in bases; ``single`` is those of one base, or 0."""
    network, (cycles, found, placement) = trained(case.bases, case.variant), measured(case)
    luts, cells = in_bases(found), found.total.cells
    fraction = max(tensor.format.fraction for tensor in network.tensors.values())
    cells_of = [
        case.variant, number(case.bases), number(case.lanes or case.bases),
        "yes" if case.shared else "no", number(fraction), number(cycles), number(cells.luts),
        number(luts), ratio(luts, single or luts), number(cells.flip_flops),
    ]  # fmt: skip
    if placement is None:
        return [*cells_of, "", ""], luts
    return [*cells_of, f"{placement.clock:.1f}", number(round(placement.images_per_second))], luts


def rows() -> list[list[str]]:
    """Return the table, printing each row as it comes."""
    single, table = 0, []
    for case in CASES:
        cells, luts = row(case, single)
        single = single or luts
        table.append(cells)
        print(" | ".join(cells), flush=True)
    return table


HEADERS = (
    "variant", "K", "lanes", "graph over bases", "fraction bits", "cycles an image", "LUTs",
    "in bases", "of K = 1", "flip-flops", "MHz", "images/s",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="LUTs, clock and cycles of Group-Nets.")
    parser.add_argument("--page", action="store_true", help="put the table into README and docs")
    options = parser.parse_args()
    table = Table(HEADERS, rows()).markdown()
    print(table)
    for page in PAGES if options.page else ():
        into_page(page, MARKER, table)


if __name__ == "__main__":
    main()
