"""The center loss: centers, lambda, kinds of centers, and MNIST (see ``training.py``)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from bnn2hw.report.figure import new_figure, save_figure
from bnn2hw.report.tables import Table

if TYPE_CHECKING:
    from training import Result, Run

SEEDS = (0, 1, 2)
CENTERS = (1, 2, 4, 6, 8)
WEIGHTS = (0.0, 1e-5, 2e-5, 4e-5, 1e-4)
CHOSEN = 4e-5
"""Lambda of the runs with other numbers of centers."""
WEAKER = 1e-5
"""A lambda below that of examples/networks/mst.toml."""
EXAMPLES = Path(__file__).parents[1] / "examples" / "networks"
MNIST_WEIGHTS = (0.0, 5e-6)


def example(name: str) -> dict[str, Any]:
    """Return the recipe of a network in examples/, without its seed."""
    values = tomllib.loads((EXAMPLES / f"{name}.toml").read_text(encoding="utf-8"))
    del values["seed"]
    return values


def small(**sections: Any) -> dict[str, Any]:
    """Return a recipe like the baseline, with half the channels, and with further sections."""
    conv = {"type": "conv", "channels": 32, "padding_value": -1}
    layers = [{**conv, "padding_value": 0}, conv, {"type": "pool"}, conv]
    return {
        "name": "digits",
        "data": "digits",
        "epochs": 40,
        "learning_rate": 0.02,
        "network": {"standardise": False, "layers": [*layers, {"type": "dense", "channels": 10}]},
        **sections,
    }


def mnist(**sections: Any) -> dict[str, Any]:
    """Return a recipe for 28x28 bits: three strided convolutions and a dense layer."""
    layers = [
        {"type": "conv", "channels": channels, "kernel": kernel, "stride": 2, "padding_value": -1}
        for channels, kernel in ((32, 5), (64, 3), (64, 3))
    ]
    return {
        "name": "mnist",
        "data": "mnist",
        "epochs": 12,
        "learning_rate": 0.02,
        "network": {"standardise": False, "layers": [*layers, {"type": "dense", "channels": 10}]},
        **sections,
    }


def centers(count: int, weight: float, **keys: str) -> dict[str, Any]:
    section = {"centers": count, "weight": weight, "schedule": "cosine", **keys}
    return {"mst": section} if weight else {}


def runs() -> list[Run]:
    sweep = [(f"lambda {weight:g}", small(**centers(1, weight))) for weight in WEIGHTS]
    counts = [(f"centers {count}", small(**centers(count, CHOSEN))) for count in CENTERS]
    weaker = example("mst")
    weaker["mst"] = {**weaker["mst"], "weight": WEAKER}
    large = [("baseline", example("baseline")), ("weaker", weaker), ("mst", example("mst"))]
    kinds = [
        ("constant lambda", small(**centers(1, CHOSEN / 2, schedule="constant"))),
        ("majority votes", small(**centers(1, CHOSEN, centers_kind="majority"))),
    ]
    others = [(f"mnist lambda {weight:g}", mnist(**centers(1, weight))) for weight in MNIST_WEIGHTS]
    return [
        *((label, values, seed) for seed in SEEDS for label, values in (*large, *sweep, *counts)),
        *((label, values, 0) for label, values in (*kinds, *others)),
    ]


# ------------------------------------------------------------------------------------- tables


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return mean and standard deviation, as the paper's table has them."""
    text = f"{mean(values):,.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {stdev(values):.{digits}f}"


def average(results: Sequence[Result], key: str) -> float:
    return mean(result.total(key) for result in results)


def saving(results: Sequence[Result]) -> float:
    """Return how many times fewer XNOR terms than the direct plan of the same network."""
    return mean(result.total("direct") / result.total("params") for result in results)


def row(results: Sequence[Result]) -> list[str]:
    """Return the figures of one case, over its seeds."""
    return [
        f"{average(results, 'depth'):.1f}",
        f"{average(results, 'mst'):,.0f}",
        f"{average(results, 'params') / 1000:.2f}",
        f"{average(results, 'bit_ops') / 1e6:.3f}",
        f"{saving(results):.2f}",
        spread([result.validation for result in results]),
        spread([result.test for result in results]),
    ]


KINDS = [
    ("learned, lambda falls", f"centers {CENTERS[0]}"),
    ("majority votes, lambda falls", "majority votes"),
    ("learned, lambda constant at half", "constant lambda"),
]
FIGURES = [
    "depth", "MST total", "params (kbit)", "bit-ops (M)", "terms: direct / MST", "validation %",
    "test %",
]  # fmt: skip


def render(results: Sequence[Result], images: Path) -> str:
    """Return the section, and write its picture."""

    def of(label: str) -> list[Result]:
        return [result for result in results if result.label == label]

    def table(first: str, cases: Sequence[tuple[str, str]], seeds: Sequence[int] = SEEDS) -> str:
        found = [(name, [r for r in of(label) if r.seed in seeds]) for name, label in cases]
        return Table([first, *FIGURES], [[name, *row(part)] for name, part in found]).markdown()

    draw(of, images / "training-mst.png")
    return TEXT.format(
        large=table(
            "lambda",
            [
                ("0 (`baseline.toml`)", "baseline"),
                (f"{WEAKER:g}", "weaker"),
                (f"{example('mst')['mst']['weight']:g} (`mst.toml`)", "mst"),
            ],
        ),
        sweep=table("lambda", [(f"{w:g}", f"lambda {w:g}") for w in WEIGHTS]),
        count=table("centers", [(str(c), f"centers {c}") for c in CENTERS]),
        kinds=table("one center, seed 0", KINDS, seeds=(0,)),
        mnist=table("lambda", [(f"{w:g}", f"mnist lambda {w:g}") for w in MNIST_WEIGHTS]),
        runs=every_run(results).markdown(),
        chosen=f"{CHOSEN:g}",
        goal=goal(of("baseline"), of("mst")),
        trend=trend([of(f"centers {count}") for count in CENTERS]),
    )


def goal(base: Sequence[Result], drawn: Sequence[Result]) -> str:
    """Say whether the goal is met."""
    valid, test = (
        mean(getattr(r, part) for r in base) - mean(getattr(r, part) for r in drawn)
        for part in ("validation", "test")
    )
    said = " and ".join(
        f"{'met' if saving(drawn) >= 4 and points <= 0.5 else 'not met'} by {part} accuracy"
        for part, points in (("validation", valid), ("test", test))
    )
    return (
        f"{saving(drawn):.2f} times fewer terms than the direct plan of the same network "
        f"({saving(base):.2f} times without the loss), for {valid:.2f} points of validation and "
        f"{test:.2f} of test accuracy. The goal of 4 times for at most 0.5 points is {said}"
    )


def trend(cases: Sequence[Sequence[Result]]) -> str:
    """Say how the figures of Table A1 go with the number of centers."""
    said = []
    for what, key in (("depth", "depth"), ("params", "params"), ("bit-ops", "bit_ops")):
        values = [average(case, key) for case in cases]
        rising = all(a <= b for a, b in pairwise(values))
        said.append(
            f"{what} {values[-1] / values[0]:.2f} times "
            f"({'rising all the way' if rising else 'not steadily'}, "
            f"least at {CENTERS[values.index(min(values))]})"
        )
    tests = [mean(r.test for r in case) for case in cases]
    return f"{', '.join(said)}; test accuracy from {min(tests):.2f} to {max(tests):.2f} %"


def every_run(results: Sequence[Result]) -> Table:
    rows = [
        [
            result.label, str(result.seed), str(result.total("depth")),
            f"{result.total('mst'):,}", f"{result.total('params'):,}",
            f"{result.total('bit_ops'):,}", f"{result.validation:.2f}", f"{result.test:.2f}",
        ]
        for result in results
    ]  # fmt: skip
    headers = ["run", "seed", "depth", "MST total", "params", "bit-ops", "validation %", "test %"]
    return Table(headers, rows)


def draw(of: Callable[[str], list[Result]], path: Path) -> None:
    figure = new_figure()
    figure.set_size_inches(10, 3.6)
    left, right = figure.subplots(1, 2)
    for weight in WEIGHTS:
        found = of(f"lambda {weight:g}")
        totals = [result.total("mst") / 1000 for result in found]
        left.plot(totals, [result.test for result in found], "o", label=f"lambda {weight:g}")
    left.set(xlabel="MST total (thousands)", ylabel="test accuracy (%)", title="one center")
    left.legend()
    depth = [average(of(f"centers {count}"), "depth") for count in CENTERS]
    params = [average(of(f"centers {count}"), "params") / 1000 for count in CENTERS]
    (first,) = right.plot(CENTERS, depth, "o-", label="depth, all layers")
    other = right.twinx()
    (second,) = other.plot(CENTERS, params, "s--", color="C1", label="params (kbit)")
    right.set(xlabel="centers", ylabel="depth", title=f"lambda {CHOSEN:g}", xticks=CENTERS)
    other.set_ylabel("params (kbit)")
    right.set_ylim(bottom=0)
    other.set_ylim(bottom=0)
    right.legend(handles=[first, second], loc="lower right")
    save_figure(figure, path)


TEXT = """
The loss is cross-entropy plus lambda times the sum, over all layers and channels, of the Hamming \
distance of the channel to its center; lambda falls to 0 along the cosine of the learning rate \
(`schedule = "cosine"`), so that its mean is half of what stands here. Figures are sums over the \
layers in the paper's convention: no complements, params = weights of the roots + distances along \
the tree, bit-ops = output positions times params. Mean ± standard deviation of the seeds 0, 1 and \
2, where there are three.

### The goal
Three 3x3 convolutions of 64 channels and a dense layer (84,544 binary weights, 60 epochs); one \
center; the networks in `examples/networks` are those of seed 0. Lambda was raised until 4 times \
was reached, as validation accuracy did not fall.

{large}
`mst.toml` against `baseline.toml`: {goal}.

### Lambda, one center
The same with 32 channels and 40 epochs, which has less to spare:

{sweep}
![Accuracy against MST total, and depth against centers](images/training-mst.png)

### Number of centers, lambda {chosen}
{count}
From 1 to 8 centers, Table A1 has depth 3.27 times, params 1.11 times and bit-ops 1.14 times, all \
rising, with accuracy hardly changed. Here: {trend}.

### Kind of center, schedule of lambda
{kinds}

### MNIST
7000 training images of 28x28 bits; three convolutions with stride 2 (32, 64 and 64 channels) and \
a dense layer, 12 epochs; seed 0.

{mnist}

### Every run
{runs}
"""
