"""LUTs of whole layers, direct XNOR-popcount against MST reuse, in one table.

python bench/luts.py            print the table
python bench/luts.py --readme   and put it into README.md
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import ROOT, into_page, network

import bnn2hw
from bnn2hw.model import Network
from bnn2hw.report.tables import Table, number, ratio
from bnn2hw.synth import SynthesisResult

LAYERS = [("digits", "conv3"), ("cnv_w1a1_cifar10", "conv1"), ("tfc_w1a1_mnist", "fc0")]
TARGETS = ["lut6", "ice40", "ecp5"]
PLANS = ["mst", "classes", "rowtree"]
MARKER = "<!-- table: python bench/luts.py -->"


def rows() -> list[list[str]]:
    found = []
    for name, layer in LAYERS:
        model = network(name)
        if model is None:
            print(f"{name} is missing: set BNN2HW_ZOO", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            results = {
                plan: synthesised(model, layer, plan, Path(folder)) for plan in ["direct", *PLANS]
            }
        for k, target in enumerate(TARGETS):
            direct = results["direct"][k].result
            row = [f"{name.split('_')[0]} {layer}", target, cell(direct)]
            for plan in PLANS:
                result = results[plan][k].result
                row += [cell(result), ratio(result.luts, direct.luts)]
            found.append(row)
            print(row, file=sys.stderr)
    return found


def synthesised(
    model: Network, layer: str, plan: str, folder: Path
) -> list[bnn2hw.api.LayerSynthesis]:
    """Return the figures of a plan on each target; row-class trees are made for the target."""
    if plan != "rowtree":
        build = bnn2hw.generate(model, [layer], plan=plan, out=folder / plan)
        return bnn2hw.synthesise(build.directory, TARGETS)
    found = []
    for target in TARGETS:
        build = bnn2hw.generate(model, [layer], plan=plan, target=target, out=folder / target)
        found += bnn2hw.synthesise(build.directory, [target])
    return found


def cell(result: SynthesisResult) -> str:
    """Return LUTs, and carries where there are some."""
    return number(result.luts) + (f" + {number(result.carries)}" if result.carries else "")


def main() -> None:
    headers = ["layer", "target", "direct: LUTs + carries"]
    for plan in PLANS:
        headers += [plan, "of direct"]
    text = Table(headers, rows(), left=(0, 1)).markdown()
    print(text)
    if "--readme" in sys.argv:
        into_page(ROOT / "README.md", MARKER, text)


if __name__ == "__main__":
    main()
