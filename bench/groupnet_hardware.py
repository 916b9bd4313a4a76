"""Trained Group-Nets as hardware on every test image: float, fixed point, and from Verilator.

python bench/groupnet_hardware.py          print the table
python bench/groupnet_hardware.py --page   and put it into docs/groupnet.md

Networks that are not among the examples are trained by their recipes first, for some minutes each.
All test images go through the compiled hardware, without and with stalls; a row comes out only
where each answer is that of the golden model. Models and builds stay in build/groupnet-hardware.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import ROOT, into_page

from bnn2hw import api, golden
from bnn2hw.model import Network, load
from bnn2hw.report.tables import Table, number

EXAMPLES = ROOT / "examples" / "networks"
BUILDS = ROOT / "build" / "groupnet-hardware"
PAGE = ROOT / "docs" / "groupnet.md"
MARKER = "<!-- table: python bench/groupnet_hardware.py -->"


@dataclass(frozen=True)
class Case:
    """A network by its recipe and what is changed in it, and how it is built.

    ``lanes`` are those of ``--bases-parallel``.
    """

    recipe: str
    bases: int
    lanes: int | None = None

    @property
    def model(self) -> Path:
        """Return the model file, that of the examples where they have it."""
        there = {"groupnet": 3, "quantised": 1}[self.recipe] == self.bases
        return EXAMPLES / f"{self.recipe}.npz" if there else BUILDS / f"bases{self.bases}.npz"

    def network(self) -> Network:
        """Return the network, trained if it has to be."""
        if not self.model.is_file():
            settings = [f"groupnet.bases={self.bases}"]
            api.train(EXAMPLES / f"{self.recipe}.toml", self.model, settings=settings)
        return load(self.model)


CASES = (
    Case("quantised", 1),
    Case("groupnet", 1),
    Case("groupnet", 3),
    Case("groupnet", 3, lanes=1),
    Case("groupnet", 5),
)


def row(case: Case) -> list[str]:
    """Return a row of the table."""
    network = case.network()
    samples, bases = network.samples, case.bases
    assert samples is not None
    assert samples.labels is not None
    count = len(samples.images)
    build = api.generate_network(
        network, plan="mst", pipeline=3, bases_parallel=case.lanes,
        out=BUILDS / f"{case.recipe}{bases}-{case.lanes or bases}",
    )  # fmt: skip
    result = api.simulate_network(build.directory, images=count, bench=False)
    assert (result.real, result.random) == (count, 0)
    exact = 100 * float(np.mean(golden.predict(network, samples.images) == samples.labels))
    found = re.search(r"float network ([\d.]+) %", network.notes["accuracy"])
    assert found is not None
    bits = max(tensor.format.fraction for tensor in network.tensors.values())
    return [
        case.recipe, number(bases), number(case.lanes or bases),
        number(bits), f"{float(found[1]):.2f}", f"{exact:.2f}", f"{exact:.2f}", number(count),
        number(result.interval),
        number(result.stalled_cycles),
    ]  # fmt: skip


HEADERS = (
    "recipe", "K", "lanes", "fraction bits", "float %", "fixed point %", "hardware %",
    "images equal", "cycles an image", "cycles with stalls",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Trained Group-Nets as hardware.")
    parser.add_argument("--page", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    BUILDS.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in CASES:
        rows.append(row(case))
        print(" | ".join(rows[-1]), flush=True)
    table = Table(HEADERS, rows, left=(0,)).markdown()
    print(table)
    if options.page:
        into_page(PAGE, MARKER, table)


if __name__ == "__main__":
    main()
