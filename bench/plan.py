"""Planning: seconds, peak memory, and XNOR terms of minimum and of bounded-depth trees.

Each plan is made in a process of its own, so that its peak memory is its own. The time is that
of ``plan_layer``, the proof of the linear form included; beside it stands scipy's
``minimum_spanning_tree`` on the same distances, which gives a tree of any depth and no plan.
Layers of real networks come from the folder that BNN2HW_ZOO names; where it is missing, random
weights of the same shapes take their place.

    python bench/plan.py [--depths 1,2,3,4,6,8,12]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree

from bnn2hw.model import BIPOLAR, BinaryDense, Tensor
from bnn2hw.plan import plan_layer

ZOO = Path(os.environ.get("BNN2HW_ZOO", Path(__file__).parents[2] / "shared" / "zoo"))
CASES: dict[str, tuple[str, str, tuple[int, int]]] = {
    "LFC fc1": ("lfc_w1a1_mnist", "fc1", (1024, 1024)),
    "LFC fc2": ("lfc_w1a1_mnist", "fc2", (1024, 1024)),
    "CNV conv1": ("cnv_w1a1_cifar10", "conv1", (64, 576)),
    "CNV fc7": ("cnv_w1a1_cifar10", "fc7", (512, 512)),
    "random": ("", "", (512, 4608)),
}


def weights_of(case: str) -> NDArray[np.uint8]:
    network, layer, shape = CASES[case]
    path = ZOO / f"{network}.npz"
    if network and path.is_file():
        with np.load(path) as arrays:
            found: NDArray[np.uint8] = arrays[f"{layer}_weight"]
        return found.reshape(len(found), -1)
    return np.random.default_rng(0).integers(0, 2, shape, dtype=np.uint8)


def measure(case: str, complement: bool, max_depth: int | None) -> dict[str, float]:
    """Return the figures of one plan; the first of a process, so that the peak is its own."""
    weights = weights_of(case)
    layer = BinaryDense("layer", ("input",), weights=weights)
    source = Tensor((weights.shape[1],), BIPOLAR)
    start = time.perf_counter()
    plan = plan_layer(layer, source, "mst", max_depth=max_depth, complement=complement)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    assert plan.tree is not None
    result = {
        "seconds": seconds,
        "peak": peak,
        "terms": plan.tree.total,
        "weight": plan.tree.weight,
        "depth": plan.tree.depth,
        "bound": plan.tree.depth_bound,
    }
    if max_depth is None:
        signs = layer.matrix().astype(np.float32)
        start = time.perf_counter()
        distance = (signs.shape[1] - signs @ signs.T) / 2
        if complement:
            distance = np.minimum(distance, signs.shape[1] - distance)
        optimum = minimum_spanning_tree(distance).sum()
        result["scipy"] = time.perf_counter() - start
        assert optimum == plan.tree.weight, "scipy finds another optimum"
    return result


def measured(case: str, complement: bool, max_depth: int | None = None) -> dict[str, float]:
    """Return the figures of one plan, made in a process of its own."""
    arguments = [sys.executable, __file__, "--one", json.dumps([case, complement, max_depth])]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--depths", default="1,2,3,4,6,8,12")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*json.loads(options.one))))
        return
    if not ZOO.is_dir():
        print(f"no real networks at {ZOO} (set BNN2HW_ZOO): random weights of the same shapes\n")
    print("minimum spanning trees; the optimum is equal to scipy's")
    print(
        "layer      weights    edges       plan s  to scipy  peak MiB  XNOR terms  of direct"
        "  tree weight  depth  least"
    )
    for case, (_, _, (rows, columns)) in CASES.items():
        for complement in (False, True):
            r = measured(case, complement)
            print(
                f"{case:10} {rows:>4}x{columns:<5} {'+complement' if complement else 'plain':11}"
                f" {r['seconds']:6.2f}  {r['seconds'] / r['scipy']:7.1f}x  {r['peak']:8.0f}"
                f"  {r['terms']:10,.0f}  {r['terms'] / rows / columns:9.3f}"
                f"  {r['weight']:11,.0f}  {r['depth']:5.0f}  {r['bound']:5.0f}"
            )
    print("\nbounded depth, with complements: tree weight (to the unbounded one, seconds)")
    for case in CASES:
        least = measured(case, True)["weight"]
        for depth in map(int, options.depths.split(",")):
            r = measured(case, True, depth)
            print(
                f"{case:10} depth {depth:3}  {r['weight']:11,.0f}  {r['weight'] / least:6.3f}x"
                f"  {r['seconds']:5.2f} s"
            )


if __name__ == "__main__":
    main()
