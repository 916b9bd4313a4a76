"""What docs/timeline.md cannot compute from shapes: area of engines, and mode delta on weights.

python bench/timeline_measured.py area     (some minutes)
python bench/timeline_measured.py delta    (needs the networks that BNN2HW_ZOO names)

Each measures its table and puts it into the page. The area is that of a layer of ResNet-18,
layer3.1.conv2 with 256 channels of 3x3x256 on a map of 14x14, and random weights: the size of an
engine depends on their number alone. Mode delta depends on the weights: they are those of a
binary ResNet-18 trained for CIFAR-10, projected to a closed subset, in place of one for ImageNet.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from common import network as zoo_network
from common import random_layer
from timeline import PAGE, marked

import bnn2hw
from bnn2hw.engines import generate_engine
from bnn2hw.model import BinaryConv
from bnn2hw.plan.codebooks import project
from bnn2hw.plan.engine import EngineParameters, schedule
from bnn2hw.plan.engine_delta import delta_order
from bnn2hw.report.tables import Table, number

CHANNELS = 256

ENGINES = {
    "1 bit, one product a lane": ("binary", False, EngineParameters(taps=1, pixels=14)),
    "1 bit, nine products a lane": ("binary", False, EngineParameters(taps=9, pixels=14)),
    "any subset": ("subbit", False, EngineParameters(lanes=29, kernel_units=8, pixels=7)),
    "closed subset": ("subbit", True, EngineParameters(lanes=33, kernel_units=6, pixels=7)),
}
WORD_WIDTH = 64  # bits of weight a cycle, for all


def area_table() -> Table:
    """Return the engines with lookup tables (adders included), flip-flops, memories, cycles."""
    found = []
    for name, (mode, closed, engine) in ENGINES.items():
        print(name, file=sys.stderr)
        parameters = EngineParameters(**{**vars(engine), "word_width": WORD_WIDTH})
        with tempfile.TemporaryDirectory() as folder:
            build = generate_engine(
                random_layer(CHANNELS, closed),
                ["conv"],
                parameters,
                mode=mode,
                out=Path(folder, "build"),
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


def delta_table() -> Table:
    """Return the cycles of ResNet-18 by stage: each kernel index added, or the changed ones."""
    weights = zoo_network("bmxnet_resnet18_cifar10")
    if weights is None:
        sys.exit("bmxnet_resnet18_cifar10 is missing: set BNN2HW_ZOO")
    layers = [
        layer
        for layer in weights.linear_layers()
        if isinstance(layer, BinaryConv) and layer.kernel == (3, 3)
    ]
    line = bnn2hw.timeline("resnet18", mode="closed")
    engine = line.subbit.parameters
    stages: dict[str, list[list[float]]] = {}
    for shape, run, layer in zip(line.network.binary, line.subbit.layers, layers, strict=True):
        assert (shape.outputs, shape.inputs) == (layer.channels, layer.input_channels)
        print(shape.name, file=sys.stderr)
        codebook = project(layer, engine.tau, closed=True)[0].codebook
        assert codebook is not None
        order = delta_order(codebook.indices, engine.lanes)
        timing = schedule(engine, shape, "delta", steps=order.steps.tolist())
        size = codebook.indices.size
        figures = [size, order.tree, order.changes, run.schedule.cycles, timing.cycles]
        for stage in (f"stage {run.stage}", "all"):
            stages.setdefault(stage, []).append(figures)
    rows = []
    for stage in sorted(stages, key=lambda name: (name == "all", name)):
        kernels, tree, changes, plain, delta = np.sum(stages[stage], axis=0).tolist()
        rows.append(
            [
                stage,
                f"{tree / kernels:.2f}",
                f"{changes / kernels:.2f}",
                number(plain),
                number(delta),
                f"{plain / delta:.2f}",
            ]
        )
    headers = [
        "layers", "changes along the tree", "of lanes", "cycles, all kernels", "cycles, delta",
        "speed-up",
    ]  # fmt: skip
    return Table(headers, rows)


def main() -> None:
    tables = {"area": area_table, "delta": delta_table}
    if len(sys.argv) != 2 or sys.argv[1] not in tables:
        sys.exit(__doc__)
    text = tables[sys.argv[1]]().markdown()
    print(text)
    marker, pattern = marked(sys.argv[1])
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(pattern.sub(lambda _: f"{marker}\n\n{text}", page), encoding="utf-8")


if __name__ == "__main__":
    main()
