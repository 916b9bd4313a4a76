"""Speed of the golden model: images a second for the dense networks TFC and LFC.

The networks have the published shapes and random weights, as values change no timing. Beside
the golden model runs the plainest exact way, a product of int32 matrices, on fewer images.

    python bench/golden.py
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bnn2hw import golden
from bnn2hw.model import BIPOLAR, Argmax, BinaryDense, Layer, Network, Tensor, Threshold

SHAPES = {"TFC": (784, 64, 64, 64, 10), "LFC": (784, 1024, 1024, 1024, 10)}
IMAGES = 10_000
REFERENCE_IMAGES = 200


def network(name: str, sizes: tuple[int, ...], rng: np.random.Generator) -> Network:
    layers: list[Layer] = []
    edge = "input"
    for k, (inputs, outputs) in enumerate(pairwise(sizes)):
        weights = rng.integers(0, 2, (outputs, inputs)).astype(np.uint8)
        last = k == len(sizes) - 2
        threshold = None if last else Threshold.at_least(rng.integers(-9, 9, outputs))
        layers.append(BinaryDense(f"fc{k}", (edge,), weights, threshold))
        edge = f"fc{k}"
    layers.append(Argmax("class", (edge,)))
    return Network(name, Tensor((sizes[0],), BIPOLAR), tuple(layers))


def plain(net: Network, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the classes by products of int32 matrices."""
    values = 2 * images.astype(np.int32) - 1
    for layer in net.linear_layers():
        sums = values @ (2 * layer.weights.T.astype(np.int32) - 1)
        if layer.threshold is None:
            return sums.argmax(axis=1)
        values = np.where(sums >= layer.threshold.level, 1, -1).astype(np.int32)
    raise AssertionError("the last layer has a threshold")


def rate(
    classify: Callable[[Network, NDArray[np.uint8]], NDArray[np.int64]],
    net: Network,
    images: NDArray[np.uint8],
    repeats: int,
) -> float:
    """Return images a second, the best of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        classify(net, images)
        times.append(time.perf_counter() - start)
    return len(images) / min(times)


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux


def main() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (IMAGES, 784), dtype=np.uint8)
    idle = peak_mebibytes()
    print("network  golden images/s  for 10,000  int32 images/s  ratio  peak above idle")
    for name, sizes in SHAPES.items():
        net = network(name, sizes, rng)
        fast = rate(golden.predict, net, images, repeats=3)
        peak = peak_mebibytes() - idle
        few = images[:REFERENCE_IMAGES]
        slow = rate(plain, net, few, repeats=2)
        assert np.array_equal(plain(net, few), golden.predict(net, few))
        print(
            f"{name:7}  {fast:15,.0f}  {IMAGES / fast:8.2f} s  {slow:14,.0f}  "
            f"{fast / slow:4.0f}x  {peak:11.0f} MiB"
        )


if __name__ == "__main__":
    main()
