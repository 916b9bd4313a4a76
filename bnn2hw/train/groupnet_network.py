"""Group-Net: blocks replaced by K parallel binary bases, in all variants of the source.

Every variant is one structure with three choices: how many blocks a base spans before the bases
meet, whether a gate mixes a base's own stream with the mean before a block, and how many weight
bases a single convolution has (layer-wise decomposition).

A block of binary activations, with x the stream that the base reads (the mean m of the bases
where they have just met), adds after each convolution, and has ReLU before batch norm::

    r = x, or BN(conv1x1(sign(x))) where stride or channels change
    u = BN(ReLU(conv(sign(x)))) + r
    b = BN(ReLU(conv(sign(u)))) + u

A block of k-bit activations has the order Conv, BN, ReLU, Quantise, so that the stream between
its convolutions is codes and exact; its residual spans both, as in a ResNet::

    r = x, or BN(conv1x1(Q(x)))
    b = ReLU(BN(conv(Q(ReLU(BN(conv(Q(x))))))) + r)

Without residuals the activation of the last stream goes to the pool, so that with one base all
streams are integers. Sources: "Structured Binary Neural Networks", supplement, S1, S3 and S4;
the block of binary activations and the padding with +1 as in its authors' public code.
"""

from __future__ import annotations

from torch import nn

from ..errors import TrainingError
from .binary import BinaryConv2d, BinaryLinear, Sign
from .dataflow import INPUT, Gate, Graph, Node, Quantiser, Scores, SumPool2d, Weighted
from .groupnet import Block, GroupnetRecipe
from .networks import BatchNorm, make_binariser
from .recipe import Recipe
from .subbit import End

__all__ = ["ACTIVATION_BITS", "build_graph"]

ACTIVATION_BITS = (1, 2, 3, 4, 8)
"""Bits of an activation that there are."""

_Base = tuple[str, int] | None
"""Group of parallel bases and index in it, or None outside of all groups."""

_Weights = list[BinaryConv2d]


def build_graph(recipe: Recipe, shape: tuple[int, int, int], classes: int) -> Graph:
    """Return the network of a recipe with a section ``groupnet``, untrained.

    Parameters
    ----------
    recipe
        The decomposition, bits of activations, and how weights become binary.
    shape
        (height, width, channels) of the images.
    classes
        Number of classes.

    Raises
    ------
    TrainingError
        If there are no activations of that many bits, or a dilation exceeds the map.
    """
    assert recipe.groupnet is not None
    if recipe.activation_bits not in ACTIVATION_BITS:
        raise TrainingError(
            f"key 'activation_bits' is {recipe.activation_bits}",
            remedy=f"choose one of {', '.join(map(str, ACTIVATION_BITS))}",
        )
    return _Builder(recipe, recipe.groupnet, shape).build(classes)


class _Builder:
    """Collects the nodes of a graph.

    Attributes
    ----------
    size, channels
        Of the map at the next block.
    lanes
        Parallel bases of the network: one where every convolution has bases of its own.
    meeting
        For each group of bases the node where they meet.
    """

    def __init__(self, whole: Recipe, recipe: GroupnetRecipe, shape: tuple[int, int, int]) -> None:
        self.whole, self.recipe, self.bits = whole, recipe, whole.activation_bits
        self.size, self.channels = shape[:2], shape[2]
        self.layerwise = recipe.variant == "lbd" and recipe.bases > 1
        self.lanes = 1 if recipe.variant == "lbd" else recipe.bases
        self.nodes: dict[str, Node] = {}
        self.meeting: dict[str, str] = {}

    def add(self, name: str, operation: nn.Module, *inputs: str, base: _Base = None) -> str:
        """Add a node and return its name."""
        assert name not in self.nodes
        self.nodes[name] = Node(name, operation, inputs, base)
        return name

    def build(self, classes: int) -> Graph:
        """Return the whole network."""
        recipe = self.recipe
        (stem,) = self.weights(self.channels, recipe.stem, 3, end="first")
        self.channels = recipe.stem
        mean = self.add("stem", BatchNorm(recipe.stem), self.add("stem_conv", stem, INPUT))
        if self.bits > 1:
            mean = self.add("stem_relu", nn.ReLU(), mean)
        streams = [mean] * self.lanes
        for index in range(len(recipe.blocks)):
            streams = self.block(index, streams, mean)
            if (index + 1) % recipe.span == 0 or index + 1 == len(recipe.blocks):
                mean = self.meet(index, streams)
                if recipe.variant != "groupnet":
                    streams = [mean] * self.lanes
        if not recipe.residual:
            mean = self.activate("last_activation", mean, None)
        pooled = self.add("pool", SumPool2d(self.size), mean)
        binariser = make_binariser(self.whole, (classes, self.channels), "last")
        dense = BinaryLinear(self.channels, classes, binariser)
        sums = self.add("classes", dense, pooled)
        self.add("scores", Scores(classes, 1 / (4 * self.channels**0.5)), sums)
        return Graph(list(self.nodes.values()), self.meeting)

    def meet(self, index: int, streams: list[str]) -> str:
        """Return the mean of the bases' streams, or their sum with learned scales."""
        if self.lanes == 1:
            return streams[0]
        scales = Weighted([1 / self.lanes] * self.lanes, learned=self.learned)
        name = self.add(f"block{index + 1}_mean", scales, *streams)
        self.meeting[self.group(index)] = name
        return name

    @property
    def learned(self) -> bool:
        """Return whether the scales of the bases are learned."""
        return self.recipe.aggregation == "learned"

    def group(self, index: int) -> str:
        """Return the name of the group that a block is in."""
        return f"group{index // self.recipe.span + 1}"

    def block(self, index: int, streams: list[str], mean: str) -> list[str]:
        """Return the streams of all bases after a block, from those before it and their mean.

        The first block of a group has one downsampling branch for all bases, later blocks have
        one a base: between two meetings the bases are networks of their own.
        """
        name, block = f"block{index + 1}", self.recipe.blocks[index]
        first = index % self.recipe.span == 0
        gate = Gate()
        count = 1 if first else self.lanes
        branches = [self.downsampling(block) for _ in range(count)]
        size = tuple(-(-n // block.stride) for n in self.size)
        self.check_dilations(index, min(size))
        results = []
        for k, stream in enumerate(streams):
            base = (self.group(index), k) if self.lanes > 1 else None
            own = f"{name}_base{k + 1}" if self.lanes > 1 else name
            if first and stream != mean:
                stream = self.add(f"{own}_gate", gate, stream, mean, base=base)
            # What reads the mean alone is the same for all bases, and there once.
            common, where = (name, None) if stream == mean else (own, base)
            a = self.activate(f"{common}_activation1", stream, where)
            residual = self.shortcut(f"{common}_shortcut", a, stream, branches[k % count], where)
            rates = block.dilations[k : k + 1] if self.lanes > 1 else block.dilations
            results.append(self.body(own, block, a, residual, base, rates))
        self.size, self.channels = (size[0], size[1]), block.channels
        return results

    def check_dilations(self, index: int, side: int) -> None:
        """Check that the outer taps of the dilated convolutions of a block meet the map."""
        rate = max(self.recipe.blocks[index].dilations, default=1)
        if rate > 1 and rate >= side:
            raise TrainingError(
                f"groupnet.blocks[{index}].dilations has the rate {rate} on a map of {side} "
                "positions along a side",
                remedy=f"choose rates below {side}",
            )

    def activate(self, name: str, stream: str, base: _Base) -> str:
        """Return the activation of a stream, which is there once."""
        for node in self.nodes.values():
            if isinstance(node.operation, Sign | Quantiser) and node.inputs == (stream,):
                return node.name
        bits = self.bits
        operation = Sign(self.whole.estimator) if bits == 1 else Quantiser(bits, self.recipe.beta)
        return self.add(name, operation, stream, base=base)

    def downsampling(self, block: Block) -> tuple[_Weights, BatchNorm] | None:
        """Return weights and norm of a downsampling branch, where the block needs one."""
        if (block.stride == 1 and block.channels == self.channels) or not self.recipe.residual:
            return None
        weights = self.weights(self.channels, block.channels, 1, block.stride)
        return weights, BatchNorm(block.channels)

    def shortcut(
        self, name: str, a: str, stream: str, branch: tuple[_Weights, BatchNorm] | None, base: _Base
    ) -> str:
        """Return the residual of a block: the stream itself, or downsampled from its activation."""
        if branch is None or name in self.nodes:
            return stream if branch is None else name
        sums = self.convolve(f"{name}_conv", branch[0], a, base)
        return self.add(name, branch[1], sums, base=base)

    def body(
        self, own: str, block: Block, a: str, residual: str, base: _Base, rates: tuple[int, ...]
    ) -> str:
        """Return what the two convolutions of a block make of an activation and a residual."""
        stream, inputs, stride = residual, self.channels, block.stride
        for n in (1, 2):
            if n == 2:
                a = self.activate(f"{own}_activation2", stream, base)
            weights = self.weights(inputs, block.channels, 3, stride, rates)
            stream = self.convolve(f"{own}_conv{n}", weights, a, base)
            if self.bits == 1:
                stream = self.add(f"{own}_relu{n}", nn.ReLU(), stream, base=base)
            stream = self.add(f"{own}_norm{n}", BatchNorm(block.channels), stream, base=base)
            if self.recipe.residual and (self.bits == 1 or n == 2):
                both = Weighted([1.0, 1.0])
                stream = residual = self.add(f"{own}_sum{n}", both, stream, residual, base=base)
            if self.bits > 1:
                stream = self.add(f"{own}_relu{n}", nn.ReLU(), stream, base=base)
            inputs, stride = block.channels, 1
        return stream

    def weights(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        rates: tuple[int, ...] = (),
        end: End | None = None,
    ) -> _Weights:
        """Return the convolutions that stand for one: K of them if decomposed layer by layer.

        Bits are padded with +1 as in the source, pixels and codes with 0.
        """
        inside = end is None
        count = self.recipe.bases if self.layerwise and inside else 1
        return [
            BinaryConv2d(
                inputs,
                outputs,
                kernel,
                stride,
                padding=rate * (kernel // 2),
                padding_value=1 if self.bits == 1 and inside else 0,
                dilation=rate,
                binariser=make_binariser(self.whole, (outputs, inputs, kernel, kernel), end),
            )
            for rate in rates or (1,) * count
        ]

    def convolve(self, name: str, weights: _Weights, a: str, base: _Base) -> str:
        """Return the sums of convolutions of one activation, one or K of them added up.

        The batch norm behind takes up a factor, so the mean of the bases is their sum here.
        """
        if len(weights) == 1:
            return self.add(name, weights[0], a, base=base)
        sums = [
            self.add(f"{name}_base{k + 1}", conv, a, base=(name, k))
            for k, conv in enumerate(weights)
        ]
        self.meeting[name] = self.add(
            f"{name}_sum", Weighted([1.0] * len(sums), learned=self.learned), *sums
        )
        return self.meeting[name]
