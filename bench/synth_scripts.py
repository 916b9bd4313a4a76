"""The short ABC scripts against Yosys' stock ones, on layers that stock scripts can finish.

python bench/synth_scripts.py [SECONDS]    limit for a stock run, 300 by default
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import numpy as np

import bnn2hw
from bnn2hw.errors import SynthesisError
from bnn2hw.model import BIPOLAR, BinaryDense, Network, Tensor, Threshold
from bnn2hw.report.tables import Table, number, ratio
from bnn2hw.synth import synthesise

CASES = [(8, 64, "direct"), (8, 64, "mst"), (32, 144, "direct"), (32, 144, "mst")]
TARGETS = ["lut6", "ice40", "ecp5"]


def network(channels: int, inputs: int) -> Network:
    """Return a dense layer of random weights with thresholds in the middle."""
    weights = np.random.default_rng(0).integers(0, 2, (channels, inputs)).astype(np.uint8)
    threshold = Threshold.at_least(np.zeros(channels, np.int64))
    layer = BinaryDense("fc", ("input",), weights, threshold)
    return Network("random", Tensor((inputs,), BIPOLAR), (layer,))


def stock(directory: Path, target: str) -> None:
    """Take the lines that shorten ABC's work out of a synthesis script."""
    path = directory / "synth" / f"{target}.ys"
    path.write_text(re.sub(r"^scratchpad .*\n", "", path.read_text(), flags=re.MULTILINE))


def main() -> None:
    limit = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    rows = []
    for channels, inputs, plan in CASES:
        with tempfile.TemporaryDirectory() as folder:
            build = bnn2hw.generate(
                network(channels, inputs), ["fc"], plan=plan, out=Path(folder, "build")
            )
            layer = build.directory / "fc"
            for target in TARGETS:
                short = synthesise(layer, target)
                stock(layer, target)
                row = [f"{channels}x{inputs} {plan}", target, number(short.luts)]
                row += [number(short.levels), f"{short.seconds:.1f}"]
                try:
                    long = synthesise(layer, target, timeout=limit)
                    row += [number(long.luts), number(long.levels), f"{long.seconds:.1f}"]
                    row += [ratio(short.luts, long.luts), ratio(short.seconds, long.seconds)]
                except SynthesisError:
                    row += ["-", "-", f"> {limit:.0f}", "-", "-"]
                rows.append(row)
                print(row, file=sys.stderr)
    headers = [
        "layer", "target", "LUTs", "levels", "s", "stock: LUTs", "levels", "s", "LUTs of stock",
        "time of stock",
    ]  # fmt: skip
    print(Table(headers, rows, left=(0, 1)).markdown())


if __name__ == "__main__":
    main()
