"""The engines of docs/timeline.md in lookup tables: a layer of ResNet-18 on each, for ECP5.

python bench/engine_area.py    (some minutes; puts its table into docs/timeline.md)

The layer is layer3.1.conv2, 256 channels of 3x3x256 on a map of 14x14, with random weights: the
area of an engine depends on their number alone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from timeline import MARKER, PAGE, TABLE

import bnn2hw
from bnn2hw.engines import generate_engine
from bnn2hw.model import BIPOLAR, BinaryConv, Codebook, Network, Tensor, Threshold
from bnn2hw.plan.engine import EngineParameters
from bnn2hw.report.tables import Table, number

CHANNELS, SIZE = 256, 14

ENGINES = {
    "1 bit, one product a lane": ("binary", False, EngineParameters(taps=1, pixels=14)),
    "1 bit, nine products a lane": ("binary", False, EngineParameters(taps=9, pixels=14)),
    "any subset": ("subbit", False, EngineParameters(lanes=24, kernel_units=5, pixels=7)),
    "closed subset": ("subbit", True, EngineParameters(lanes=32, kernel_units=4, pixels=7)),
}
WORD_WIDTH = 64  # bits of weight a cycle, for all


def network(closed: bool) -> Network:
    """Return the layer alone, with 32 kernels."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(256)[: 16 if closed else 32]
    if closed:
        codes = np.concatenate([codes, 511 - codes])
    subset = (codes[:, None] >> np.arange(9) & 1).astype(np.uint8)
    book = Codebook(subset, rng.integers(0, 32, (CHANNELS, CHANNELS)).astype(np.int32))
    layer = BinaryConv(
        "conv",
        ("input",),
        book.expand((CHANNELS, 3, 3, CHANNELS)),
        Threshold(np.ones(CHANNELS, np.int8), rng.integers(-20, 20, CHANNELS)),
        codebook=book,
        padding=(1, 1, 1, 1),
        padding_value=1,
    )
    return Network("area", Tensor((SIZE, SIZE, CHANNELS), BIPOLAR), (layer,))


def table() -> Table:
    """Return the engines with lookup tables (adders included), flip-flops, memories, cycles."""
    found = []
    for name, (mode, closed, engine) in ENGINES.items():
        print(name, file=sys.stderr)
        parameters = EngineParameters(**{**vars(engine), "word_width": WORD_WIDTH})
        with tempfile.TemporaryDirectory() as folder:
            build = generate_engine(
                network(closed), ["conv"], parameters, mode=mode, out=Path(folder, "build")
            )
            (result,) = bnn2hw.synthesise(build.directory, ["ecp5"])
        found.append((name, build.layers[0].schedule.cycles, result.result.cells))
    _, first_cycles, first = found[0]
    rows = [
        [
            name,
            number(cells.luts),
            number(cells.flip_flops),
            number(cells.memories),
            number(cycles),
            f"{first_cycles / cycles:.2f}",
            f"{first_cycles * first.luts / cycles / cells.luts:.2f}",
        ]
        for name, cycles, cells in found
    ]
    headers = ["engine", "LUT4", "flip-flops", "memories", "cycles", "speed-up", "speed-up a LUT"]
    return Table(headers, rows)


def main() -> None:
    text = table().markdown()
    print(text)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: f"{MARKER}\n\n{text}", page), encoding="utf-8")


if __name__ == "__main__":
    main()
