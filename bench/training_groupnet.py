"""Group-Net: bases, ways to decompose, bits of activations (see ``training.py``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from bnn2hw.model import Network
from bnn2hw.report.figure import new_figure, save_figure
from bnn2hw.report.tables import Table

if TYPE_CHECKING:
    from training import Result, Run

SEEDS = (0, 1, 2)
BASES = (1, 3, 5)
BITS = (1, 2, 4)
VARIANTS = ("groupnet", "gbd1", "gbd2", "gbd3", "lbd")
MOST = max(BASES)
TEST_IMAGES = 360


def digits(bases: int, variant: str = "groupnet", bits: int = 1) -> dict[str, Any]:
    """Return a recipe: four blocks of few channels, so that there is accuracy to gain."""
    blocks = [{"channels": 8}, {"channels": 8}, {"channels": 16, "stride": 2}, {"channels": 16}]
    return {
        "name": "digits_groupnet",
        "data": "digits",
        "epochs": 20,
        "learning_rate": 0.03,
        "activation_bits": bits,
        "groupnet": {"bases": bases, "variant": variant, "stem": 8, "blocks": blocks},
    }


def runs() -> list[Run]:
    cases = [(f"K = {k}, {b}", digits(k, bits=b)) for b in BITS for k in BASES]
    cases += [(name, digits(MOST, name)) for name in VARIANTS[1:]]
    return [(label, values, seed) for seed in SEEDS for label, values in cases]


# ------------------------------------------------------------------------------------- tables


def render(results: Sequence[Result], images: Path) -> str:
    """Return the section, and write its picture."""
    cases = {label: [r for r in results if r.label == label] for label, _, _ in runs()}
    draw(cases, images / "training-groupnet.png")
    table = Table(HEADERS, [[name(label), *row(found)] for label, found in cases.items()])
    return TEXT.format(
        cases=table.markdown(),
        orders=orders(cases).markdown(),
        cost=cost(cases),
        runs=every_run(results).markdown(),
        seeds=", ".join(map(str, SEEDS)),
    )


HEADERS = [
    "network", "weights (kbit)", "bit-ops (M)", "float, validation %", "float, test %",
    "fixed, validation %", "fixed, test %", "fraction bits",
]  # fmt: skip


def row(results: Sequence[Result]) -> list[str]:
    """Return the figures of one case, over its seeds."""
    weights, operations = size(results[0].network())
    fractions = sorted({fraction(result) for result in results})
    return [
        f"{weights / 1e3:.1f}",
        f"{operations / 1e6:.2f}",
        *(
            spread([accuracy(result, form, part) for result in results])
            for form in ("float", "golden")
            for part in ("validation", "test")
        ),
        "-".join(map(str, fractions[:1] + fractions[1:][-1:])),
    ]


def size(network: Network) -> tuple[int, int]:
    """Return the weights of the blocks, and products of a weight with one bit of an activation.

    Weights of a downsampling branch that bases share count once, its products for every base.
    """
    layers = [layer for layer in network.linear_layers() if layer.name.startswith("block")]
    weights = {layer.weights.tobytes(): layer.weights.size for layer in layers}
    operations = sum(
        math.prod(network.tensors[layer.name].shape[:-1])
        * layer.weights.size
        * network.source(layer).format.width
        for layer in layers
    )
    return sum(weights.values()), operations


def fraction(result: Result) -> int:
    """Return the fraction bits of the rounded streams."""
    return max(tensor.format.fraction for tensor in result.network().tensors.values())


def accuracy(result: Result, form: str, part: str) -> float:
    return 100 * float(result.figures[f"accuracy_{form}"][part])


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation over the seeds."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def orders(cases: Mapping[str, Sequence[Result]]) -> Table:
    """Return whether the source's orders hold, on the test accuracy of the float networks."""
    claims = [
        *((f"K = {b}, {bits}", f"K = {a}, {bits}", "Tables S2, S6")
          for bits in BITS for a, b in pairwise(BASES)),
        *((a, b, "Table S1") for a, b in pairwise([f"K = {MOST}, 1", *VARIANTS[1:4]])),
        ("gbd3", "lbd", "Table S4"),
        *((f"K = {k}, {b}", f"K = {k}, {a}", "Tables S2, S4, S6")
          for k in BASES for a, b in pairwise(BITS)),
    ]  # fmt: skip
    rows = []
    for better, worse, where in claims:
        values = [[accuracy(r, "float", "test") for r in cases[name]] for name in (better, worse)]
        gap = mean(values[0]) - mean(values[1])
        error = standard_error(values[0], values[1])
        said = "agrees" if gap > 2 * error else "does not" if gap < -2 * error else "undecided"
        rows.append([f"{name(better)} > {name(worse)}", where, f"{gap:+.2f} ± {error:.2f}", said])
    return Table(["the source's order", "where", "points here", ""], rows, left=(0, 1, 3))


def name(label: str) -> str:
    """Return what a case is called in the text."""
    if label in VARIANTS:
        return f"{label.upper().replace('GBD', 'GBD v')} (K = {MOST}, 1 bit)"
    bases, bits = label.split(", ")
    return f"Group-Net {bases}, {bits} bit{'s' if bits != '1' else ''}"


def standard_error(*cases: Sequence[float]) -> float:
    """Return the standard error of a difference of means, of test images and of seeds.

    The larger of the two: a few seeds alone may happen to lie close together.
    """
    images, seeds = 0.0, 0.0
    for values in cases:
        share = mean(values) / 100
        images += 1e4 * share * (1 - share) / (TEST_IMAGES * len(values))
        seeds += stdev(values) ** 2 / len(values) if len(values) > 1 else 0.0
    return math.sqrt(max(images, seeds))


def cost(cases: Mapping[str, Sequence[Result]]) -> str:
    """Say what fixed point costs on test images, over all runs that round."""
    lost = [
        accuracy(result, "float", "test") - accuracy(result, "golden", "test")
        for found in cases.values()
        for result in found
    ]
    return (
        f"{mean(lost):+.2f} points on average over {len(lost)} runs, from {min(lost):+.2f} to "
        f"{max(lost):+.2f}"
    )


def every_run(results: Sequence[Result]) -> Table:
    headers = [
        "run", "seed", "float, validation %", "float, test %", "fixed, validation %",
        "fixed, test %", "fraction bits",
    ]  # fmt: skip
    rows = [
        [
            name(result.label),
            str(result.seed),
            *(
                f"{accuracy(result, form, part):.2f}"
                for form in ("float", "golden")
                for part in ("validation", "test")
            ),
            str(fraction(result)),
        ]
        for result in results
    ]
    return Table(headers, rows)


def draw(cases: Mapping[str, Sequence[Result]], path: Path) -> None:
    figure = new_figure()
    figure.set_size_inches(10, 3.6)
    left, right = figure.subplots(1, 2, sharey=True)
    for colour, bits in zip(("C0", "C1", "C2"), BITS, strict=True):
        for form, line in (("float", "-"), ("golden", ":")):
            means = [
                mean(accuracy(r, form, "test") for r in cases[f"K = {k}, {bits}"]) for k in BASES
            ]
            what = f"{bits} bit{'s' * (bits > 1)}" + (", fixed point" if form == "golden" else "")
            left.plot(BASES, means, line, color=colour, label=what)
        for k in BASES:
            values = [accuracy(r, "float", "test") for r in cases[f"K = {k}, {bits}"]]
            left.plot([k] * len(values), values, "o", color=colour, markersize=3)
    left.set_xticks(BASES)
    left.set_xlabel("bases K (Group-Net)")
    left.set_ylabel("test accuracy, %")
    left.legend(fontsize=8, loc="lower right")
    labels = [f"K = {MOST}, 1", *VARIANTS[1:], "K = 1, 1"]
    for place, label in enumerate(labels):
        for form, shape, shift in (("float", "o", -0.1), ("golden", "x", 0.1)):
            values = [accuracy(r, form, "test") for r in cases[label]]
            key = {"float": "float", "golden": "fixed point"}[form] if place == 0 else None
            at = [place + shift] * len(values)
            right.plot(at, values, shape, color="C0", markersize=4, label=key)
        right.hlines(
            mean(accuracy(r, "float", "test") for r in cases[label]), place - 0.3, place + 0.3
        )
    names = ["Group-Net", "GBD v1", "GBD v2", "GBD v3", "LBD", "K = 1"]
    right.set_xticks(range(len(names)), names)
    right.set_xlabel(f"how K = {MOST} bases are placed, 1 bit")
    right.legend(fontsize=8)
    save_figure(figure, path)


TEXT = """
A network of four blocks (8, 8, 16 with stride 2, 16 channels, two 3x3 convolutions each), small \
enough that digits leave accuracy to gain. Weights are binary throughout, first and last layer \
included. Group-Net with soft connections for K = 1, 3, 5 bases and activations of 1, 2 and 4 \
bits; the other ways to place K = 5 bases at 1 bit. Weights and bit-ops (products of a weight with \
one bit of an activation) are those of the blocks. *Float* is the network as it was trained, \
*fixed* the golden model on the exported integers, whose formats are chosen on training and \
validation images ([the rules](groupnet.md)).

{cases}

![test accuracy against the number of bases, and of the variants](images/training-groupnet.png)

Fixed point costs {cost} of test accuracy (a plus is a loss). The rule keeps the class of 99.5 % \
of the training and validation images; no label is looked at.

### What agrees with the source
Its orders, on ImageNet, against ours on the test accuracy of the float networks over the seeds \
{seeds}. The error is the standard error of the difference, by test images or by seeds, whichever \
is larger; *undecided* lies within two of them. The source gives Table S1 and S2 at 1 bit, S4 \
(with LBD) and S6 at 4 bits, and 2 bits for two networks.

{orders}

### Every run
{runs}
"""
