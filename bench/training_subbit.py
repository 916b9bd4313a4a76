"""Sub-bit weights: refinement against the baselines of the source (see ``training.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np
from training_mst import example

from bnn2hw.model import LinearLayer, Network
from bnn2hw.plan.counting import (
    HALF_ADDS,
    binary_ops,
    index_bits,
    layer_shape,
    subbit_ops,
    subset_bits,
)
from bnn2hw.report.figure import new_figure, save_figure
from bnn2hw.report.tables import Table

if TYPE_CHECKING:
    from training import Result, Run

SEEDS = (0, 1, 2)
TAUS = (6, 5, 4)
UPDATE_EVERY = 1
"""Steps between refinements: the runs here have no more than 540 steps."""

LAST = 10
"""Epochs over which validation accuracy is averaged: it changes by points from one to the next."""

METHODS: dict[str, dict[str, Any]] = {
    "uniform": {"method": "uniform"},
    "frequent": {"method": "frequent", "update_every": 1},
    "random": {"method": "random"},
    "refined": {"method": "refined", "update_every": UPDATE_EVERY},
}
CLOSED = "refined, closed"
PUBLISHED = {"uniform": 60.5, "frequent": 62.7, "random": 62.8, "refined": 63.4}
BINARY = "1 bit"
EXAMPLE = "subbit"


def recipe(**sections: Any) -> dict[str, Any]:
    conv = {"type": "conv", "channels": 64}
    pool = {"type": "pool"}
    layers = [{**conv, "channels": 32}, conv, pool, conv, pool, {"type": "dense", "channels": 10}]
    return {
        "name": "digits_subbit",
        "data": "digits",
        "epochs": 30,
        "estimator": "bireal",
        "network": {"layers": layers},
        **sections,
    }


def runs() -> list[Run]:
    # Sub-bit weights take gradients wherever the latent weight is within 1, so this row does too.
    plain = {"standardise": False, **recipe()["network"]}
    cases = [(BINARY, recipe(network=plain))]
    for tau in TAUS:
        for method, keys in METHODS.items():
            cases.append((f"{method} {tau}", recipe(subbit={"tau": tau, **keys})))
    closed = {"tau": 5, "closed": True, **METHODS["refined"]}
    cases.append((f"{CLOSED} 5", recipe(subbit=closed)))
    return [
        *((label, values, seed) for seed in SEEDS for label, values in cases),
        (EXAMPLE, example(EXAMPLE), 0),
    ]


def render(results: Sequence[Result], images: Path) -> str:
    """Return the section; draws its picture."""
    cells: dict[str, list[Result]] = {}
    for result in results:
        cells.setdefault(result.label, []).append(result)
    (trained,) = cells.pop(EXAMPLE)
    draw(cells, images / "training-subbit.png")
    return TEXT.format(
        main=table(cells).markdown(),
        published=published(cells).markdown(),
        verdict=verdict(cells),
        subsets=subsets(cells).markdown(),
        last=LAST,
        example=delivered(trained),
    )


def shared_layers(network: Network) -> list[LinearLayer]:
    """Return the sub-bit layers."""
    return [layer for layer in network.linear_layers() if layer.codebook is not None]


def costs(network: Network, names: Sequence[str] | None = None) -> tuple[int, int, int]:
    """Return index bits, subset bits and bit-ops of the layers of these names, or of all.

    A plain layer has one bit a weight, and one bit-op a weight and position.
    """
    indices = subsets = ops = 0
    for layer in network.linear_layers():
        if names is not None and layer.name not in names:
            continue
        shape, codebook = layer_shape(layer, network.source(layer)), layer.codebook
        if codebook is None:
            indices, ops = indices + shape.weights, ops + binary_ops(shape)
        else:
            indices += index_bits(shape, codebook.tau)
            subsets += subset_bits(shape, codebook.tau)
            ops += subbit_ops(shape, codebook.tau, HALF_ADDS, closed=codebook.closed)
    return indices, subsets, ops


def settled(result: Result) -> float:
    """Return the mean validation accuracy of the last epochs in percent."""
    return 100 * mean(result.figures["validation"][-LAST:])


def tested(result: Result) -> float:
    return result.test


def table(cells: dict[str, list[Result]]) -> Table:
    rows = []
    binary = cells[BINARY][0].network()
    names = [layer.name for layer in shared_layers(cells["random 5"][0].network())]
    part, whole = costs(binary, names), costs(binary)
    for label, found in cells.items():
        network = found[0].network()
        indices, kernels, ops = costs(network, names)
        all_bits, all_kernels, all_ops = costs(network)
        rows.append(
            [
                label,
                f"{mean(map(settled, found)):.2f}",
                f"{mean(r.test for r in found):.2f}",
                " ".join(f"{r.test:.2f}" for r in found),
                f"{indices / 1e6:.4f}",
                f"{(indices + kernels) / 1e6:.4f}",
                f"{part[0] / indices:.2f}",
                f"{ops / 1e6:.3f}",
                f"{part[2] / ops:.2f}",
                f"{whole[0] / (all_bits + all_kernels):.2f}",
                f"{whole[2] / all_ops:.2f}",
            ]
        )
    headers = [
        "subset, tau", "validation %", "test %", "test by seed", "Mbit", "with subset",
        "1 bit / Mbit", "M bit-ops", "1 bit / ops", "whole: bits", "whole: ops",
    ]  # fmt: skip
    return Table(headers, rows, left=(0, 3))


def published(cells: dict[str, list[Result]]) -> Table:
    """Return the order of the methods beside that of Table 8."""
    rows = []
    for method, accuracy in PUBLISHED.items():
        row = [method, f"{accuracy:.1f}", f"{accuracy - PUBLISHED['random']:+.1f}"]
        for tau in TAUS:
            ours, random = (cells[f"{name} {tau}"] for name in (method, "random"))
            differences = [
                mean(map(part, ours)) - mean(map(part, random)) for part in (settled, tested)
            ]
            row.append(" / ".join(f"{difference:+.2f}" for difference in differences))
        rows.append(row)
    headers = ["subset", "Table 8", "against random", *(f"ours, tau {tau}" for tau in TAUS)]
    return Table(headers, rows)


def subsets(cells: dict[str, list[Result]]) -> Table:
    """Return what refinement makes of a random subset: the same seed starts with the same one."""
    rows = []
    for tau in TAUS:
        kept, symmetric = [], {"random": [], "refined": []}
        for random, refined in zip(cells[f"random {tau}"], cells[f"refined {tau}"], strict=True):
            pairs = zip(*(shared_layers(r.network()) for r in (random, refined)), strict=True)
            for before, after in pairs:
                first, last = (kernel_set(layer) for layer in (before, after))
                kept.append(len(first & last) / len(first))
                for name, found in (("random", first), ("refined", last)):
                    negated = {tuple(1 - bit for bit in kernel) for kernel in found}
                    symmetric[name].append(len(found & negated) / len(found))
        rows.append([str(tau), *(f"{100 * mean(v):.0f} %" for v in (kept, *symmetric.values()))])
    return Table(["tau", "still there", "negation in it: random", "refined"], rows, left=())


def kernel_set(layer: LinearLayer) -> set[tuple[int, ...]]:
    assert layer.codebook is not None
    return {tuple(kernel) for kernel in layer.codebook.subset.tolist()}


def verdict(cells: dict[str, list[Result]]) -> str:
    """Say how the methods are ordered, by accuracy over all taus and seeds."""
    said = []
    for name, part in (("validation", settled), ("test", tested)):
        found = {
            method: [part(r) for tau in TAUS for r in cells[f"{method} {tau}"]]
            for method in PUBLISHED
        }
        order = sorted(found, key=lambda method: mean(found[method]))
        text = " < ".join(f"{method} {mean(found[method]):.2f}" for method in order)
        gains = [a - b for a, b in zip(found["refined"], found["random"], strict=True)]
        error = stdev(gains) / len(gains) ** 0.5
        said.append(
            f"by {name}, {text}; refined less random {mean(gains):+.2f} points, with a standard "
            f"error of {error:.2f} over {len(gains)} pairs of the same tau and seed, refined ahead "
            f"in {sum(gain > 0 for gain in gains)} of them"
        )
    return "; ".join(said)


def delivered(result: Result) -> str:
    """Return the figures of the network among the examples."""
    network = result.network()
    layers = shared_layers(network)
    names = [layer.name for layer in layers]
    indices, kernels, ops = costs(network, names)
    binary = sum(layer.weights.size for layer in layers)
    full = sum(binary_ops(layer_shape(layer, network.source(layer))) for layer in layers)
    return (
        f"{', '.join(names)} are sub-bit: {indices:,} index bits and {kernels:,} of the subsets "
        f"for {binary:,} weights, {ops / 1e6:.3f} M bit-ops for {full / 1e6:.3f} M; validation "
        f"{result.validation:.2f} %, test {result.test:.2f} %, seed {result.seed}"
    )


def draw(cells: dict[str, list[Result]], path: Path) -> None:
    figure = new_figure()
    figure.set_size_inches(10, 3.6)
    titles = (f"validation, last {LAST} epochs", "test, last epoch")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, part, title in zip(axes, (settled, tested), titles, strict=True):
        for offset, method in zip(np.linspace(-0.15, 0.15, len(METHODS)), METHODS, strict=True):
            found = [[part(r) for r in cells[f"{method} {tau}"]] for tau in TAUS]
            at = np.array(TAUS) + offset
            (line,) = axis.plot(at, [mean(values) for values in found], label=method, marker="_")
            axis.plot(np.repeat(at, len(SEEDS)), np.ravel(found), ".", color=line.get_color())
        axis.axhline(mean(map(part, cells[BINARY])), color="0.5", label=BINARY)
        axis.set(xlabel="tau", xticks=TAUS, title=title)
    axes[0].set_ylabel("accuracy (%)")
    axes[0].legend()
    save_figure(figure, path)


TEXT = """
Convolutions of 32, 64 and 64 channels with 3x3 kernels, a max-pool after the second and the \
third, and a dense layer (58,144 binary weights); Adam, 30 epochs (540 steps), seeds 0, 1 and 2. \
The second and the third convolution are sub-bit; first and last layer stay plain. The subsets: \
*uniform*, kernels 0, 512/2^tau, 2·512/2^tau, ... in every layer (baseline A of the supplement; \
the numbers are the kernel's bits, first tap lowest, so the first 9 - tau taps are always -1); \
*frequent*, before every step the 2^tau most frequent sign kernels of the layer's own latent \
weights (baseline B; it trains no second network); *random*, drawn once for each layer (vanilla); \
*refined*, the same random subset, then learned. The sources refine every 25th step of tens of \
thousands; a latent kernel starts at ±1 and matters when it crosses 0, so here every step refines.

Accuracy changes by points from one epoch to the next, as a kernel that moves flips several \
weights, so validation is the mean of the last {last} epochs; test is that of the last epoch. Mbit \
and bit-ops are of the two sub-bit layers, as the sources count them (index bits without and with \
the subset, additions as half a multiply-accumulation, a layer with 2^tau >= outputs counted as 1 \
bit; half the table for a closed subset); the last two columns say how many times less the whole \
network takes, first and last layer and subsets included.

The 1-bit row is the same recipe without `[subbit]` and with `standardise = false`, so that its \
weights too take gradients wherever the latent weight is within ±1.

{main}
![Accuracy against tau, by subset](images/training-subbit.png)

### Against Table 8
ResNet-18 on ImageNet at tau 5 has, in percent, the first column; ours is the difference to the \
random subset in points, by validation / by test.

{published}
Over all three taus: {verdict}.

At the figures above, what agrees: uniform kernels are the worst by far, and worse the smaller the \
subset; frequent kernels are close to random ones at tau 6 and 5 and below them at 4; fewer bits \
cost accuracy. What does not: refinement gains 0.6 points in Table 8 and nothing that these runs \
could tell from chance; it moves too few kernels in 540 steps (next table). The loss of uniform \
kernels is far greater here. A closed subset costs no accuracy that shows, for half the table.

### What refinement does to a subset
Same seed, same first subset: the part of its kernels that is still there after training; and the \
part of the kernels whose negation is in the subset too, drawn at random and after refinement. The \
supplement's Figure 11 finds learned kernels grouped and symmetric; so few replaced ones show at \
most a beginning of it, at tau 4.

{subsets}
### The network among the examples
`examples/networks/subbit.toml` has 3x3 and 1x1 layers of 64 channels at tau 5, refined; tau 5 is \
the greatest that pays at 64 outputs. {example}.
"""
