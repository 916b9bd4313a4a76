"""ResNet-18 of BMXNet (CIFAR-10) as streaming hardware, from pixels to the class.

    python examples/zoo/resnet18.py --part binary --interval 200000 --images 1
    python examples/zoo/resnet18.py --part front --interval 200000 --images 2
    python examples/zoo/resnet18.py --part head --interval 20000 --images 8
    python examples/zoo/resnet18.py --interval 200000 --images 1

The binary part is exact: 20 binary convolutions, the residual stream between them. What stands
before and behind it is float, and becomes fixed point here: the batch norm of the pixels, the first
convolution and the last dense layer, whose weights are twelve planes of signs each, and between
them the last batch norm, ReLU and average. Each of the three parts can be built alone.

The golden model's residual sums are compared with those that came with the network, its classes
with those of the float network; then every word on every edge of the hardware, for the first
images, and all answers, with the golden model's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import ZOO
from numpy.typing import NDArray

from bnn2hw import api
from bnn2hw.frontends.fixed_point import fixed_line, sign_planes
from bnn2hw.golden import run
from bnn2hw.model import (
    Affine,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Integer,
    Layer,
    LinearLayer,
    Network,
    Samples,
    SumPool,
    Tensor,
    Threshold,
)

HERE = Path(__file__).parent
NAME = "bmxnet_resnet18_cifar10"
UNITS = [f"stage{stage}_unit{unit}" for stage in (1, 2, 3, 4) for unit in (1, 2)]
# Bits behind the point of the pixels' batch norm, and planes of signs of a real weight. With
# two bits less of each one class of the eight is another: a bit behind the first convolution that
# differs moves all that follows.
FRACTION = 10
WEIGHT_BITS = 12

Arrays = Mapping[str, NDArray[np.float32]]
Vector = NDArray[np.floating]


def norm(arrays: Arrays, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slope and intercept of a batch norm; that of the pixels has gamma 1."""
    gamma, beta, mean, variance = (
        arrays[f"float_{name}_{key}"].astype(np.float64)
        for key in ("gamma", "beta", "moving_mean", "moving_var")
    )
    slope = (1 if name == "bn_data" else gamma) / np.sqrt(variance + 2e-5)
    return slope, beta - mean * slope


def total(name: str, planes: Sequence[LinearLayer], source: Tensor, offset: Vector) -> Affine:
    """Return the sums of layers with planes of signs as those of one layer, plus an offset.

    An edge has 32 bits at most: last places beyond are rounded off.
    """
    powers = 1 << np.arange(len(planes))[:, None]
    names = tuple(plane.name for plane in planes)
    layer = Affine(name, names, powers, np.rint(offset).astype(np.int64), 0, Integer(0, 0))
    low, high = layer.sum_bounds(*(plane.output(source) for plane in planes))
    ends = int(low.min()), int(high.max())
    shift = max(max(end.bit_length() for end in ends) - 31, 0)
    return replace(layer, shift=shift, format=Integer(*(end >> shift for end in ends)))


def front(arrays: Arrays, source: Tensor) -> list[Layer]:
    """Return the layers from pixels to the input bits of the first unit."""
    slope, intercept = norm(arrays, "bn_data")
    unit = 2.0**FRACTION
    data = Affine(
        "data", ("input",), *fixed_line([slope * unit], intercept * unit, [255]), Integer(0, 0)
    )
    low, high = (bounds >> data.shift for bounds in data.sum_bounds(source))
    data = replace(data, format=Integer(int(low.min()), int(high.max()), FRACTION))
    signs, steps = sign_planes(arrays["float_conv0_weight"].transpose(0, 2, 3, 1), WEIGHT_BITS)
    planes = [
        BinaryConv(f"conv0_{k}", ("data",), plane, None, padding=(1, 1, 1, 1))
        for k, plane in enumerate(signs)
    ]
    sums = total("conv0", planes, data.output(source), np.zeros(1))
    # A bit is 1 where slope * sum + intercept >= 0.
    slope, intercept = norm(arrays, "stage1_unit1_bn1")
    bound = -intercept / (slope * steps / unit)
    rising = slope > 0
    level = np.where(rising, np.ceil(bound), np.floor(bound)).astype(np.int64)
    bits = Threshold(np.where(rising, 1, -1).astype(np.int8), level)
    return [data, *planes, sums, Binarize("bits", ("conv0",), bits)]


def head(arrays: Arrays, source: Tensor) -> list[Layer]:
    """Return the layers from the last residual sums to the class.

    A ReLU lets a positive factor pass, so the slopes of the batch norm go to the weights of the
    dense layer, and its intercepts are integers beside the sums.
    """
    slope, intercept = norm(arrays, "bn1")
    facing = np.sign(slope).astype(np.int64)[None]
    offset = np.rint(intercept / np.abs(slope)).astype(np.int64)
    normal = Affine("bn1", (UNITS[-1],), facing, offset, 0, Integer(0, 0))
    normal = replace(normal, format=Integer(0, int(normal.sum_bounds(source)[1].max())))
    pool = SumPool("pool", ("bn1",), (4, 4), (4, 4))
    weights = arrays["float_fc1_weight"] * np.abs(slope)
    signs, (step,) = sign_planes(weights.reshape(1, -1), WEIGHT_BITS)
    planes = [
        BinaryDense(f"fc1_{k}", ("pool",), plane.reshape(weights.shape))
        for k, plane in enumerate(signs)
    ]
    # The pool is a sum of 16.
    offset = arrays["float_fc1_bias"] * 16 / step
    scores = total("fc1", planes, pool.output(normal.output(source)), offset)
    return [normal, pool, *planes, scores, Argmax("class", ("fc1",))]


def whole(binary: Network, arrays: Arrays) -> Network:
    """Return the network from pixels to the class around its binary part."""
    pixels = Tensor((32, 32, 3), Integer(0, 255))
    layers = (
        *front(arrays, pixels),
        *renamed(binary.layers, "input", "bits"),
        *head(arrays, binary.tensors[UNITS[-1]]),
    )
    return Network("resnet18", pixels, layers, notes=binary.notes)


def renamed(layers: Sequence[Layer], old: str, new: str) -> list[Layer]:
    """Return layers that read one edge in place of another."""
    return [
        replace(layer, inputs=tuple(new if one == old else one for one in layer.inputs))
        for layer in layers
    ]


def load(zoo: Path, count: int, part: str) -> Network:
    """Return a part with so many images as samples, after the comparison with the zoo."""
    binary = api.import_model(zoo / f"{NAME}.npz", description=HERE / f"{NAME}.toml")
    with np.load(zoo / f"expected_{NAME}.npz") as file:
        expected = dict(file)
    assert binary.samples is not None
    bits = binary.samples.images
    streams = run(binary, bits[:2], edges=UNITS)
    for unit in UNITS:
        assert (streams[unit] == expected[f"{unit}_residual"]).all(), unit
    print("golden model: the residual sums of two images, after every unit, are those of the zoo")
    if part == "binary":
        return replace(binary, samples=Samples(bits[:count]))
    with np.load(zoo / f"{NAME}.npz") as file:
        network = whole(binary, dict(file))
    with np.load(zoo / "cifar10_samples.npz") as file:
        images, labels = file["images"][: len(bits)].astype(np.int32), file["labels"]
    found = run(network, images, edges=["bits", UNITS[-1], "class"])
    classes = expected["logits"].argmax(axis=1)
    print(
        f"golden model: {(found['class'][:, 0] == classes).sum()} of {len(classes)} classes are "
        f"those of the float network; {100 * (found['bits'] != bits).mean():.3f} % of the bits "
        "behind the first convolution differ"
    )
    assert (found["class"][:, 0] == classes).all()
    samples = Samples(images[:count], labels[:count].astype(np.int64))
    names = [layer.name for layer in network.layers]
    if part == "front":
        layers = network.layers[: names.index("bits") + 1]
        return Network(
            "resnet18_front", network.input, layers, samples=replace(samples, labels=None)
        )
    if part == "head":
        stream = network.tensors[UNITS[-1]]
        rest = renamed(network.layers[names.index("bn1") :], UNITS[-1], "input")
        sums = replace(samples, images=found[UNITS[-1]][:count])
        return Network("resnet18_head", stream, tuple(rest), samples=sums)
    return replace(network, samples=samples)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Run ResNet-18 of the zoo on its hardware.")
    parser.add_argument("--interval", type=int, default=200_000, help="cycles an image")
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--part", choices=["front", "binary", "head", "whole"], default="whole")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    network = load(ZOO, options.images, options.part)
    build = api.generate_network(
        network, interval=options.interval, pipeline=2, out=options.out, progress=print
    )
    result = api.simulate_network(
        build.directory, images=options.images, bench=False, progress=print
    )
    print(
        f"{result.real} images, every answer and {result.edge_words} words on edges as expected, "
        f"without and with stalls\n{result.interval} cycles an image, latency {result.latency} "
        f"cycles, {result.frames_per_second:.3f} images/s in simulation"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
