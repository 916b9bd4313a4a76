"""Generate and simulate: seconds, peak memory, patches a second.

python bench/generate.py          all cases, each in a process of its own
python bench/generate.py NET LAYER PLAN SIMULATE    one of them, as JSON
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from common import apart, measured, network

import bnn2hw
from bnn2hw.report.tables import Table

CASES = [
    # network, layer, plan, whether it is simulated too
    ("digits", "conv3", "mst", True),
    ("tfc_w1a1_mnist", "fc0", "direct", True),
    ("tfc_w1a1_mnist", "fc0", "mst", True),
    ("cnv_w1a1_cifar10", "conv1", "direct", True),
    ("cnv_w1a1_cifar10", "conv1", "mst", True),
    ("lfc_w1a1_mnist", "fc1", "mst", False),
]


def case(name: str, layer: str, plan: str, simulate: bool) -> dict[str, object] | None:
    """Return the figures of a case, None where the network is missing."""
    found = network(name)
    if found is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "build"
        _, seconds, peak = measured(lambda: bnn2hw.generate(found, [layer], plan=plan, out=out))
        figures: dict[str, object] = {"generate": seconds, "peak": peak}
        if simulate:
            results, seconds, _ = measured(lambda: bnn2hw.simulate(out, vectors=5000))
            figures["simulate"] = seconds
            figures["patches"] = results[0].patches_per_second
    return figures


def main() -> None:
    rows = []
    for name, layer, plan, simulate in CASES:
        figures = apart(__file__, name, layer, plan, str(int(simulate)))
        if figures is None:
            print(f"{name} is missing: set BNN2HW_ZOO", file=sys.stderr)
            continue
        simulated = (
            [f"{figures['simulate']:.1f}", f"{figures['patches']:,.0f}"] if simulate else ["-", "-"]
        )
        rows.append(
            [
                f"{name} {layer}",
                plan,
                f"{figures['generate']:.1f}",
                f"{figures['peak']:.2f}",
                *simulated,
            ]
        )
        print(rows[-1], file=sys.stderr)
    headers = [
        "layer", "plan", "generate s", "peak GiB", "simulate s, with build", "patches/s",
    ]  # fmt: skip
    print(Table(headers, rows, left=(0, 1)).markdown())


if __name__ == "__main__":
    if len(sys.argv) == 5:
        print(json.dumps(case(*sys.argv[1:4], sys.argv[4] == "1")))
    else:
        main()
