"""Sub-bit layers: packing time, what projection costs, and LUTs of shared kernels.

python bench/subbit.py                  print all tables; the LUTs take half an hour
python bench/subbit.py packing          seconds to find a codebook of 512x512 kernels
python bench/subbit.py projection       weights changed and accuracy of the bundled network
python bench/subbit.py estimates        estimated LUTs of CNV convolutions
python bench/subbit.py luts             LUTs that Yosys maps; results are kept in build/
python bench/subbit.py ... --docs       and put the tables into docs/subbit.md
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import ROOT, network

import bnn2hw
from bnn2hw.model import BinaryConv, LinearLayer, Network
from bnn2hw.plan import plan_cost, plan_layer
from bnn2hw.plan.codebooks import project, recognise
from bnn2hw.plan.kernels import break_even, kernels_of
from bnn2hw.report.tables import Table, number, ratio

TAUS = [8, 6, 5, 4, 3]
PLANS = ["direct", "mst", "subbit"]
TRAINED = "examples/networks/subbit.npz"
CASES = [
    ("digits", "conv3", None),
    ("digits", "conv3", 4),
    (TRAINED, "conv2", None),
    ("cnv_w1a1_cifar10", "conv1", None),
]
KEPT = ROOT / "build" / "bench-subbit.json"


def packing() -> Table:
    """Return the seconds that 512x512 random 3x3 kernels take."""
    weights = np.random.default_rng(0).integers(0, 2, (512, 3, 3, 512)).astype(np.uint8)
    layer = BinaryConv("random", ("input",), weights)
    rows = []
    for tau in TAUS:
        row = [str(tau)]
        for closed in (False, True):
            start = time.process_time()  # one thread; other processes do not count
            _, changed = project(layer, tau, closed=closed)
            row += [f"{time.process_time() - start:.2f}", f"{changed / weights.size:.1%}"]
        rows.append(row)
    headers = ["tau", "CPU seconds", "changed", "closed: CPU seconds", "changed"]
    return Table(headers, rows)


def projection() -> Table:
    """Return what projecting conv2 and conv3 of the bundled network does, without training."""
    model = bnn2hw.load_network()
    rows = []
    for tau in TAUS:
        row = [str(tau)]
        for closed in (False, True):
            result = bnn2hw.compress(model, tau, layers=["conv2", "conv3"], closed=closed)
            found = [layer for layer in result.layers if layer.name in ("conv2", "conv3")]
            weights = sum(layer.weights for layer in found)
            bits = sum(layer.memory.bits for layer in found if layer.memory)
            if not closed:
                row.append(f"{sum(layer.index_bits or 0 for layer in found) / weights:.3f}")
            row += [
                f"{bits / weights:.3f}",
                f"{sum(layer.changed for layer in found) / weights:.1%}",
                f"{result.accuracy_after:.1%}",
            ]
        rows.append(row)
    each = ["bits with subset", "changed", "accuracy"]
    return Table(["tau", "published bits", *each, *(f"closed: {name}" for name in each)], rows)


def linear(model: Network, name: str) -> LinearLayer:
    layer = model.layer(name)
    assert isinstance(layer, LinearLayer)
    return layer


def projected(model: Network, name: str, tau: int | None) -> Network:
    """Return a network whose layer has 2**tau kernels, or as it is."""
    if tau is None:
        return model
    layer = linear(model, name)
    changed, _ = project(layer, tau, closed=True)
    layers = tuple(changed if one is layer else one for one in model.layers)
    return replace(model, layers=layers)


def estimates() -> Table:
    """Return the estimated LUTs of convolutions of CNV, as trained and projected."""
    model = network("cnv_w1a1_cifar10")
    if model is None:
        sys.exit("the zoo is missing: set BNN2HW_ZOO")
    rows = []
    for name in ("conv1", "conv3", "conv5"):
        for tau in (None, 6, 5, 4):
            changed = projected(model, name, tau)
            layer = linear(changed, name)
            kernels = kernels_of(layer)
            assert kernels is not None
            source = changed.source(layer)
            luts = {}
            for plan in PLANS:
                luts[plan] = plan_cost(plan_layer(layer, source, plan), layer, source).luts
            rows.append(
                [
                    name,
                    f"{layer.channels}x{layer.patch_size()}",
                    "-" if tau is None else str(tau),
                    f"{kernels.distinct_each().mean():.0f}",
                    str(break_even(kernels.length, layer.channels)),
                    *(number(luts[plan]) for plan in PLANS),
                    ratio(luts["subbit"], luts["direct"]),
                    ratio(luts["subbit"], luts["mst"]),
                ]
            )
            print(rows[-1], file=sys.stderr)
    headers = [
        "CNV layer", "weights", "tau", "kernels of a channel", "pays to tau", *PLANS,
        "subbit of direct", "of mst",
    ]  # fmt: skip
    return Table(headers, rows)


def luts() -> Table:
    """Return the LUTs that Yosys maps: as trained, trained sub-bit, and projected."""
    rows = []
    for name, layer, tau in CASES:
        model = bnn2hw.load_network(ROOT / name) if name == TRAINED else network(name)
        if model is None:
            print(f"{name} is missing: set BNN2HW_ZOO", file=sys.stderr)
            continue
        changed = projected(model, layer, tau)
        cells = {plan: mapped(changed, layer, plan) for plan in PLANS}
        label = "sub-bit example" if name == TRAINED else name.split("_")[0]
        book = recognise(linear(changed, layer))
        rows.append(
            [
                f"{label} {layer}{'' if tau is None else ', projected'}",
                "-" if book is None else str(book.tau),
                *(f"{number(cells[plan][0])} ({cells[plan][1]})" for plan in PLANS),
                *(ratio(cells["subbit"][0], cells[plan][0]) for plan in ("direct", "mst")),
            ]
        )
        print(rows[-1], file=sys.stderr)
    headers = ["layer", "tau", *(f"{plan}: LUTs (levels)" for plan in PLANS)]
    return Table([*headers, "subbit of direct", "of mst"], rows)


def mapped(model: Network, layer: str, plan: str) -> tuple[int, int]:
    """Return LUT6 and levels of a layer, from an earlier run if its plan is the same."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        build = bnn2hw.generate(model, [layer], plan=plan, out=Path(folder, "build"))
        text = (build.directory / layer / f"{layer}.v").read_bytes()
        key = hashlib.sha256(text).hexdigest()
        if key not in kept:
            result = bnn2hw.synthesise(build.directory)[0].result
            kept[key] = [result.luts, result.levels]
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(kept, indent=1))
    found: tuple[int, int] = tuple(kept[key])
    return found


TABLES: dict[str, Callable[[], Table]] = {
    "packing": packing,
    "projection": projection,
    "estimates": estimates,
    "luts": luts,
}


def main() -> None:
    chosen = [name for name in sys.argv[1:] if name in TABLES] or list(TABLES)
    for name in chosen:
        text = TABLES[name]().markdown()
        print(text)
        if "--docs" in sys.argv:
            write(name, text)


def write(name: str, text: str) -> None:
    """Put a table behind its marker in docs/subbit.md."""
    path = ROOT / "docs" / "subbit.md"
    before, marker, after = path.read_text(encoding="utf-8").partition(
        f"<!-- table: python bench/subbit.py {name} -->\n"
    )
    rest = re.sub(r"\A\n*(\|.*\n)*\n*", "", after)
    path.write_text(f"{before}{marker}\n{text}\n{rest}", encoding="utf-8")


if __name__ == "__main__":
    main()
