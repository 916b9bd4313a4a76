"""Compare the popcounts of every layer in the hardware with those that came with a network.

    python examples/zoo/popcounts.py cnv --interval 32400 --images 4

Each threshold becomes a layer of its own, so that what a layer counts travels on an edge of the
hardware. Every word on every edge is compared with the golden model, without and with stalls,
and the golden model's sums with the popcounts of the zoo.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import ARCHIVES, ZOO, load

from bnn2hw import api
from bnn2hw.golden import run
from bnn2hw.model import Binarize, Bipolar, Layer, LinearLayer, Network


def with_sums(network: Network) -> Network:
    """Return the network with each threshold as a layer behind the sums, which are an edge."""
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, LinearLayer) and layer.threshold is not None:
            sums = replace(layer, name=f"{layer.name}_sums", threshold=None)
            layers += [sums, Binarize(layer.name, (sums.name,), layer.threshold)]
        else:
            layers.append(layer)
    return replace(network, name=f"{network.name}_sums", layers=tuple(layers))


def check_popcounts(name: str, network: Network) -> int:
    """Compare the golden model's sums with the zoo's popcounts; return how many are compared."""
    assert network.samples is not None
    images = network.samples.images
    edges = run(network, images)
    count = 0
    with np.load(ZOO / f"expected_{ARCHIVES[name]}.npz") as expected:
        for layer in network.linear_layers():
            of = layer.name.removesuffix("_sums")
            bits = isinstance(network.source(layer).format, Bipolar)
            wanted = expected[f"{of}_popcount" if bits else f"{of}_acc"][: len(images)]
            sums = edges[layer.name][: len(wanted)]
            found = (sums + layer.patch_size()) // 2 if bits else sums
            assert (found.reshape(wanted.shape) == wanted).all(), layer.name
            count += wanted.size
    return count


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Compare the popcounts of all layers.")
    parser.add_argument("network", choices=sorted(ARCHIVES))
    parser.add_argument("--interval", type=int, help="cycles an image; spatial if left out")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    network = with_sums(load(options.network, options.images, ZOO)[0])
    count = check_popcounts(options.network, network)
    print(f"golden model: {count:,} popcounts are those of the zoo")
    build = api.generate_network(
        network, interval=options.interval, pipeline=2, out=options.out, progress=print
    )
    result = api.simulate_network(
        build.directory, images=options.images, bench=False, progress=print
    )
    print(
        f"{result.real} images at {result.interval} cycles: {result.edge_words:,} words on edges "
        "as expected, without and with stalls"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
