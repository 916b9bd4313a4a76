"""Random networks of parallel bases, of every variant, as integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bnn2hw.model import (
    Affine,
    Argmax,
    BaseGroup,
    Binarize,
    BinaryConv,
    BinaryDense,
    Integer,
    Layer,
    Network,
    Quantize,
    SumPool,
    Tensor,
    Threshold,
)


@dataclass
class Groupnet:
    """What a random network is made of.

    Attributes
    ----------
    variant
        ``lbd``, ``gbd1``, ``gbd2``, ``gbd3`` or ``groupnet``.
    bases, channels
        Bases, and channels of every map but the image.
    strides
        Of each block.
    dilations
        One rate a base, or more; all 1 if empty.
    gate
        s of the soft connections, in 8 bits: 0 to 256.
    bits
        Of activations: signs if 1.
    fraction
        Bits behind the point.
    seed
        Of all numbers.
    size
        Height and width of the image.
    """

    variant: str = "groupnet"
    bases: int = 3
    channels: int = 2
    strides: Sequence[int] = (1, 2)
    dilations: Sequence[int] = ()
    gate: int = 100
    bits: int = 1
    fraction: int = 2
    seed: int = 0
    size: tuple[int, int] = (4, 4)
    layers: list[Layer] = field(default_factory=list)
    groups: dict[str, tuple[dict[int, list[str]], str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def add(self, layer: Layer, base: tuple[str, int] | None = None) -> str:
        """Add a layer, which may belong to a base of a group."""
        self.layers.append(layer)
        if base is not None:
            members, _ = self.groups.setdefault(base[0], ({}, ""))
            members.setdefault(base[1], []).append(layer.name)
        return layer.name

    def weights(self, *shape: int) -> NDArray[np.uint8]:
        """Return random bits."""
        return self.rng.integers(0, 2, shape).astype(np.uint8)

    def affine(
        self, name: str, inputs: Sequence[str], base: tuple[str, int] | None,
        weights: NDArray[np.int64] | None = None, shift: int = 3,
    ) -> str:  # fmt: skip
        """Add a fixed-point sum, with weights near 2**shift and a format of its own."""
        if weights is None:
            weights = self.rng.integers(-6, 15, (len(inputs), self.channels))
        low, high = -int(self.rng.integers(9, 50)), int(self.rng.integers(9, 70))
        offset = self.rng.integers(-20, 21, self.channels)
        form = Integer(low, high, self.fraction)
        return self.add(Affine(name, tuple(inputs), weights, offset, shift, form), base)

    def activation(self, name: str, source: str, base: tuple[str, int] | None) -> str:
        """Add signs or codes of a stream."""
        if self.bits == 1:
            facing = self.rng.choice([-1, 1, 1], self.channels)
            levels = self.rng.integers(-12, 13, self.channels)
            return self.add(Binarize(name, (source,), Threshold(facing, levels)), base)
        count = (1 << self.bits) - 1
        rows = np.sort(self.rng.integers(-40, 60, (self.channels, count)), axis=1)
        facing = self.rng.choice([-1, 1, 1], self.channels).astype(np.int8)
        rows = np.where(facing[:, None] > 0, rows, rows[:, ::-1])
        return self.add(Quantize(name, (source,), facing, rows), base)

    def convolution(
        self, name: str, source: str, base: tuple[str, int] | None, stride: int, rate: int,
        kernel: int = 3,
    ) -> str:  # fmt: skip
        """Add a binary convolution that keeps the size of the map but for its stride."""
        conv = BinaryConv(
            name, (source,), self.weights(self.channels, kernel, kernel, self.channels),
            stride=(stride, stride), padding=(rate * (kernel // 2),) * 4,
            padding_value=1 if self.bits == 1 else 0, dilation=(rate, rate),
        )  # fmt: skip
        return self.add(conv, base)

    def block(self, index: int, stream: str, mean: str, base: int, group: str | None) -> str:
        """Add the block of a base and return its stream."""
        own = f"block{index}_base{base}" if group else f"block{index}"
        where = (group, base) if group else None
        stride = self.strides[index]
        rate = self.dilations[base] if self.dilations else 1
        common, place = (f"block{index}", None) if stream == mean else (own, where)
        if stream != mean and self.variant == "groupnet":
            mix = np.array([[self.gate], [256 - self.gate]])
            stream = self.affine(f"{own}_gate", (stream, mean), where, mix, 8)
        name = f"{common}_activation1"
        there = {layer.name for layer in self.layers}
        a = name if name in there else self.activation(name, stream, place)
        residual = stream
        if stride > 1:
            residual = f"{common}_shortcut"
            if residual not in there:
                sums = self.convolution(f"{residual}_conv", a, place, stride, 1, kernel=1)
                self.affine(residual, (sums,), place)
        for n in (1, 2):
            if n == 2:
                a, stride = self.activation(f"{own}_activation2", stream, where), 1
            sums = self.sums(f"{own}_conv{n}", a, where, stride, rate)
            relu = Affine(f"{own}_relu{n}", (sums,), np.array([[1]]), np.array([0]), 0,
                          Integer(0, 500))  # fmt: skip
            residual = stream = self.affine(
                f"{own}_sum{n}", (self.add(relu, where), residual), where
            )
        return stream

    def sums(self, name: str, a: str, where: tuple[str, int] | None, stride: int, rate: int) -> str:
        """Add a convolution, or the weight bases that stand for one."""
        if self.variant != "lbd":
            return self.convolution(name, a, where, stride, rate)
        rates = (self.dilations or [1] * self.bases)[: self.bases]
        bases = [
            self.convolution(f"{name}_base{k}", a, (name, k), stride, rate)
            for k, rate in enumerate(rates)
        ]
        total = Affine(f"{name}_sum", tuple(bases), np.ones((self.bases, 1), np.int64),
                       np.array([0]), 0, Integer(-400, 600))  # fmt: skip
        self.groups[name] = self.groups[name][0], total.name
        return self.add(total)

    def build(self) -> Network:
        """Return the network: a stem, blocks, a sum over the map, and a class."""
        depth = 2
        stem = BinaryConv(
            "stem_conv", ("input",), self.weights(self.channels, 3, 3, depth),
            padding=(1, 1, 1, 1), padding_value=0,
        )  # fmt: skip
        mean = self.affine("stem", (self.add(stem),), None)
        lanes = 1 if self.variant == "lbd" else self.bases
        span = {"gbd2": 2, "gbd3": len(self.strides)}.get(self.variant, 1)
        streams = [mean] * lanes
        for index in range(len(self.strides)):
            group = f"group{index // span}" if lanes > 1 else None
            streams = [self.block(index, s, mean, k, group) for k, s in enumerate(streams)]
            if (index + 1) % span == 0 or index + 1 == len(self.strides):
                mean = streams[0]
                if group:
                    scales = self.rng.integers(1, 7, (lanes, 1)).repeat(self.channels, axis=1)
                    mean = self.affine(f"block{index}_mean", streams, None, scales)
                    self.groups[group] = self.groups[group][0], mean
                if self.variant != "groupnet":
                    streams = [mean] * lanes
        tensors = Network("n", Tensor((*self.size, depth), Integer(-4, 3)), tuple(self.layers))
        size = tensors.tensors[mean].shape[:2]
        self.add(SumPool("pool", (mean,), (size[0], size[1]), (1, 1)))
        self.add(BinaryDense("classes", ("pool",), self.weights(3, self.channels)))
        self.add(Argmax("class", ("classes",)))
        groups = tuple(
            BaseGroup(name, tuple(tuple(rows) for rows in members.values()), output)
            for name, (members, output) in self.groups.items()
        )
        return Network("bases", tensors.input, tuple(self.layers), groups=groups)
