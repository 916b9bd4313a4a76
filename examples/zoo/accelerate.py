"""Compile a real network of the zoo into streaming hardware and run real images through it.

    python examples/zoo/accelerate.py tfc --device ecp5-25k --interval 64 --images 10000
    python examples/zoo/accelerate.py tfc --device ecp5-85k --pipeline 4 --images 10000
    python examples/zoo/accelerate.py lfc --device ecp5-85k --interval 2100 --images 1000
    python examples/zoo/accelerate.py cnv --device ecp5-85k --interval 32400 --images 64

Without an interval every layer is spatial, a position a cycle, of plans for the device. Every image
goes through the compiled simulation of the hardware; every answer is compared with the golden
model, and the golden model's with the predictions that came with the network. Places and routes
where a device is named.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnn2hw import api
from bnn2hw.golden import predict
from bnn2hw.model import Network, Samples
from bnn2hw.plan.devices import CAPACITIES
from bnn2hw.report.synthesis import placement_text

HERE = Path(__file__).parent
ZOO = Path(os.environ.get("BNN2HW_ZOO", HERE.parents[2] / "shared" / "zoo"))
ARCHIVES = {"tfc": "tfc_w1a1_mnist", "lfc": "lfc_w1a1_mnist", "cnv": "cnv_w1a1_cifar10"}


def mnist(zoo: Path) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return images as bits, int32 (count, 784), and labels."""
    with np.load(zoo / "mnist_t10k_bits.npz") as found:
        return np.unpackbits(found["bits"], axis=1)[:, :784].astype(np.int32), found["labels"]


def cifar10(zoo: Path) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return images as CNV reads them, int32 (count, 32, 32, 3) from -128 to 127, and labels."""
    with np.load(zoo / "cifar10_samples.npz") as found:
        scaled = (found["images"] / 255 * 2 - 1) * 128
        return np.clip(np.floor(scaled + 0.5), -128, 127).astype(np.int32), found["labels"]


def load(name: str, count: int, zoo: Path) -> tuple[Network, NDArray[np.int64]]:
    """Return a network with so many images as samples, and the predictions that came with it."""
    archive = ARCHIVES[name]
    network = api.import_model(zoo / f"{archive}.npz", description=HERE / f"{archive}.toml")
    images, labels = (cifar10 if name == "cnv" else mnist)(zoo)
    samples = Samples(images[:count], labels[:count].astype(np.int64))
    with np.load(zoo / f"expected_{archive}.npz") as found:
        expected = found["prediction"][:count].astype(np.int64)
    return replace(network, samples=samples), expected


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Run a network of the zoo on its hardware.")
    parser.add_argument("network", choices=sorted(ARCHIVES))
    parser.add_argument("--device", choices=CAPACITIES)
    parser.add_argument("--interval", type=int, help="cycles an image; spatial if left out")
    parser.add_argument("--pipeline", type=int, help="adder levels between registers")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    network, expected = load(options.network, options.images, ZOO)
    assert network.samples is not None
    assert network.samples.labels is not None
    found = predict(network, network.samples.images)
    assert (found == expected[: len(found)]).all(), "the golden model differs from the zoo"
    right = int((found == network.samples.labels).sum())
    device, spatial = options.device, options.interval is None
    build = api.generate_network(
        network, interval=options.interval, device=None if spatial else device,
        target=CAPACITIES[device].family if spatial and device else None,
        pipeline=options.pipeline, out=options.out, progress=print,
    )  # fmt: skip
    result = api.simulate_network(build.directory, images=len(found), progress=print)
    print(
        f"{result.real} images, every answer as expected, {100 * right / len(found):.2f} % right\n"
        f"{result.interval} cycles an image, latency {result.latency} cycles, "
        f"{result.frames_per_second:.0f} images/s in simulation"
    )
    placed = api.place(build.directory, [device] if device else [], progress=print)
    print(placement_text([item.to_json() for item in placed]))


if __name__ == "__main__":
    main(sys.argv[1:])
