"""A whole big layer: planned, generated, and its blocks synthesised apart, beside the plan's LUTs.

    python bench/blocks.py [CASE ...] [--target T] [--docs]     an hour for LFC fc1 on two cores

The build lies in build/area; a second run goes on where one was stopped.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import replace

from area import FOLDER, put_table
from rowtree import CASES, layer_of

import bnn2hw
from bnn2hw.emit.manifest import layer_directories, read_manifest
from bnn2hw.model import Network
from bnn2hw.plan.targets import TARGETS
from bnn2hw.report.tables import Table, number

MARKER = "<!-- table: python bench/blocks.py -->"


def main() -> None:
    parser = argparse.ArgumentParser(description="LUTs of big layers by blocks.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--target", default="lut6", choices=sorted(TARGETS))
    parser.add_argument("--docs", action="store_true", help="put the table into docs/area.md")
    options = parser.parse_args()
    rows = [row(case, options.target) for case in options.cases or ["LFC fc1"]]
    headers = [
        "layer", "target", "planned", "by Yosys", "difference", "blocks", "generate s",
        "Yosys CPU s",
    ]  # fmt: skip
    put_table(MARKER, Table(headers, rows, left=(0, 1)).markdown(), options.docs)


def row(case: str, target: str) -> list[str]:
    """Return planned and measured LUTs of a layer."""
    found = layer_of(case)
    assert found is not None, f"{case}: its network is missing, set BNN2HW_ZOO"
    layer, source = found
    network = Network("net", source, (replace(layer, inputs=("input",)),))
    out = FOLDER / f"{case}-{target}".replace(" ", "_")
    start = time.process_time()
    build = bnn2hw.generate(network, [layer.name], plan="rowtree", target=target, out=out)
    generated = time.process_time() - start
    (directory,) = layer_directories(build.directory).values()
    manifest = read_manifest(directory, "layer")
    planned = manifest["plan"]["luts"]
    (result,) = bnn2hw.synthesise(
        build.directory, [target], progress=lambda text: print(text, file=sys.stderr)
    )
    luts = result.result.luts
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [
        case, target, number(planned), number(luts), f"{luts / planned - 1:+.1%}",
        str(len(manifest["blocks"]) or 1), f"{generated:.0f}",
        f"{used.ru_utime + used.ru_stime:.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
