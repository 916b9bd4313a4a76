"""From a graph of float operations to integers: what is exact stays exact, the rest is rounded.

Exact are the sums of convolutions, sums of such sums, ReLU of them, and every sign or code that
depends on one such sum alone: it becomes integer thresholds, found by evaluating the float
expression on every reachable sum. All other streams become fixed point by these rules:

1. All streams have the same number of fraction bits. It is the least one for which the golden
   model gives :data:`AGREEMENT` of the training and validation images the class that the float
   network gives them. Labels play no part: accuracy would count lucky turns as gains.
2. A stream saturates at the least power of two that is at least :data:`HEADROOM` times its
   greatest magnitude over the training images.
3. A batch norm and the sum that alone reads it, and a ReLU after a sum that alone reads that, are
   one layer, which rounds once, half up. Its coefficients have the least number of bits behind
   the point of the result (the layer's shift) for which their rounding moves no result by more
   than half of its last place, whatever the inputs: with the rounding of the result, a layer is
   off by less than one last place. A mean of K bases is the exact mean, rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..errors import TrainingError
from ..frontends.fixed_point import fixed_line
from ..frontends.fold import ReachableSums, format_values, reachable_sums
from ..frontends.fuse import fuse_thresholds
from ..model import (
    Affine,
    Argmax,
    BaseGroup,
    Binarize,
    Bipolar,
    Integer,
    Layer,
    LinearLayer,
    Quantize,
    SumPool,
    Tensor,
    Threshold,
)
from .binary import BinaryConv2d, BinaryLinear, Sign
from .dataflow import Combination, Graph, Node, Quantiser, Scores, SumPool2d, Weighted
from .networks import BatchNorm, conv_layer, dense_layer

__all__ = ["AGREEMENT", "HEADROOM", "lower"]

AGREEMENT = 0.995
"""Part of the training and validation images whose class fixed point may not change."""

HEADROOM = 1.25
"""How much larger than in training a stream may become before it saturates."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Line:
    """A real-valued stream as a weighted sum of edges: sum of slope * integer, plus intercept.

    ``slopes`` has one float64 array a term, (channels,) or (1,), and ``intercept`` is another.
    """

    edges: tuple[str, ...]
    slopes: tuple[Vector, ...]
    intercept: Vector


@dataclass(frozen=True, eq=False)
class Lowered:
    """A graph as integers.

    Attributes
    ----------
    layers
        In evaluation order; the last is an Argmax.
    groups
        The parallel bases.
    exact
        Whether the class is that of the float network on every image.
    exact_edges
        By edge that equals its stream on every image, bits as -1 and +1, the stream's node.
    """

    layers: tuple[Layer, ...]
    groups: tuple[BaseGroup, ...]
    exact: bool
    exact_edges: dict[str, str]


def lower(graph: Graph, source: Tensor, magnitudes: dict[str, float], fraction: int) -> Lowered:
    """Return what a graph is in evaluation, as integers.

    Parameters
    ----------
    graph
        In evaluation mode; it ends in :class:`~bnn2hw.train.dataflow.Scores`.
    source
        Shape and format of the images.
    magnitudes
        Greatest absolute value of every stream (see :meth:`.Graph.magnitudes`).
    fraction
        Fraction bits of the rounded streams.

    Raises
    ------
    TrainingError
        If a stream does not fit 32 bits.
    """
    assert not graph.training
    with torch.no_grad():
        lowering = _Lowering(graph, source, magnitudes, fraction)
        last = lowering.edge(next(reversed(graph.nodes)))
    lowering.add(Argmax("class", (last,)), None)
    layers = fuse_thresholds(lowering.layers)
    names = [layer.name for layer in layers]
    edges = _exact_edges(lowering, names)
    return Lowered(layers, _groups(lowering, names), "class" in lowering.exact, edges)


def _groups(lowering: _Lowering, names: Sequence[str]) -> tuple[BaseGroup, ...]:
    """Return the groups of bases, from the nodes that the layers stem from."""
    groups = []
    for group, meeting in lowering.graph.meeting.items():
        members: dict[int, list[str]] = {}
        for name in names:
            base = lowering.bases[name]
            if base is not None and base[0] == group:
                members.setdefault(base[1], []).append(name)
        bases = tuple(tuple(members[k]) for k in sorted(members))
        groups.append(BaseGroup(group, bases, lowering.edges[meeting]))
    return tuple(groups)


def _exact_edges(lowering: _Lowering, names: Sequence[str]) -> dict[str, str]:
    """Return the edges that equal a stream; a layer with a threshold bears that of the sign."""
    exact = {}
    for layer in lowering.layers[:-2]:  # scores leave out a scale
        if layer.name in lowering.exact:
            edge = layer.name if layer.name in names else layer.inputs[0]
            exact[edge] = layer.name
    return exact


@dataclass
class _Lowering:
    """Makes layers of nodes, each when the first layer that reads it is made.

    Attributes
    ----------
    layers
        In evaluation order.
    tensors
        Shape and format of every edge.
    edges
        By node, the edge that bears its stream.
    bases
        By layer, the group and index of the base that it is part of.
    rounded
        Nodes whose values are rounded.
    exact
        Edges that depend on no node that is.
    """

    graph: Graph
    source: Tensor
    magnitudes: dict[str, float]
    fraction: int
    layers: list[Layer] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    edges: dict[str, str] = field(default_factory=dict)
    bases: dict[str, tuple[str, int] | None] = field(default_factory=dict)
    rounded: set[str] = field(default_factory=set)
    exact: set[str] = field(default_factory=lambda: {"input"})

    def __post_init__(self) -> None:
        self.tensors["input"] = self.source
        self.edges["input"] = "input"

    def add(self, layer: Layer, base: tuple[str, int] | None) -> str:
        """Add a layer and return its name."""
        self.tensors[layer.name] = layer.output(*(self.tensors[edge] for edge in layer.inputs))
        self.layers.append(layer)
        self.bases[layer.name] = base
        if layer.name not in self.rounded and self.exact.issuperset(layer.inputs):
            self.exact.add(layer.name)
        return layer.name

    def edge(self, name: str) -> str:
        """Return the edge that bears a stream."""
        if name not in self.edges:
            node = self.graph.nodes[name]
            self.edges[name] = self.add(self.layer(node), node.base)
        return self.edges[name]

    def layer(self, node: Node) -> Layer:
        """Return the layer that computes a node."""
        match node.operation:
            case BinaryConv2d() as conv:
                return conv_layer(node.name, self.edge(node.inputs[0]), conv)
            case BinaryLinear() as dense:
                return dense_layer(node.name, self.edge(node.inputs[0]), dense)
            case SumPool2d(kernel=kernel):
                return SumPool(node.name, (self.edge(node.inputs[0]),), kernel, kernel)
            case Scores() as scores:
                return self.scores(node, scores)
            case Sign() | Quantiser():
                return self.activation(node)
            case nn.ReLU():
                inner = self.graph.nodes[node.inputs[0]]
                alone = self.graph.readers(inner.name) == 1
                if alone and isinstance(inner.operation, BatchNorm | Combination):
                    self.edges[inner.name] = node.name  # where bases meet, if they do so here
                    return self.affine(node, self.line(inner), low=0)
                return self.affine(node, self.plain(inner.name), low=0)
            case BatchNorm() | Combination():
                return self.affine(node, self.line(node))
        raise TypeError(f"{type(node.operation).__name__} cannot be lowered")

    # ------------------------------------------------------------------- linear streams

    def plain(self, name: str) -> _Line:
        """Return a stream as the edge that bears it."""
        edge = self.edge(name)
        slope = np.array([2.0 ** -self.tensors[edge].format.fraction])
        return _Line((edge,), (slope,), np.zeros(1))

    def line(self, node: Node) -> _Line:
        """Return what a batch norm or a sum computes; a sum takes norms in that it alone reads."""
        if isinstance(node.operation, BatchNorm):
            slope, intercept = _slope_and_intercept(node.operation)
            inner = self.plain(node.inputs[0])
            return _Line(inner.edges, (inner.slopes[0] * slope,), intercept)
        edges: list[str] = []
        slopes: list[Vector] = []
        total: Vector = np.zeros(1)
        coefficients = node.operation.coefficients().double().numpy()
        if _is_mean(node.operation):  # 1/K in float32 is not 1/K
            coefficients = np.full(len(node.inputs), 1 / len(node.inputs))
        for name, coefficient in zip(node.inputs, coefficients, strict=True):
            inner_node = self.graph.nodes[name]
            folds = isinstance(inner_node.operation, BatchNorm) and self.graph.readers(name) == 1
            inner = self.line(inner_node) if folds else self.plain(name)
            edges += inner.edges
            slopes += [coefficient * slope for slope in inner.slopes]
            total = total + coefficient * inner.intercept
        return _Line(tuple(edges), tuple(slopes), total)

    def affine(self, node: Node, line: _Line, low: int | None = None) -> Affine:
        """Return a linear stream as a layer: exact where it is one of integers, else rounded."""
        sources = [self.tensors[edge] for edge in line.edges]
        exact = not line.intercept.any() and all(
            tensor.format.fraction == 0 and (slope == np.rint(slope)).all()
            for tensor, slope in zip(sources, line.slopes, strict=True)
        )
        fraction = 0 if exact else self.fraction
        scaled = [slope * 2.0**fraction for slope in line.slopes]
        most = [max(-tensor.format.low, tensor.format.high) for tensor in sources]
        mean = _is_mean(node.operation)
        try:
            weights, offset, shift = fixed_line(
                scaled, line.intercept * 2.0**fraction, most, mean=mean
            )
        except ValueError as error:
            raise TrainingError(str(error), layer=node.name) from None
        layer = Affine(node.name, line.edges, weights, offset, shift, Integer(0, 0))
        least, greatest = (bound >> shift for bound in _ends(*layer.sum_bounds(*sources)))
        if not exact:
            self.rounded.add(node.name)
            limit = self.limit(node.name)
            least, greatest = max(least, -limit), min(greatest, limit - 1)
        if low is not None:
            least, greatest = low, max(low, greatest)
        return replace(layer, format=Integer(least, greatest, fraction))

    def limit(self, name: str) -> int:
        """Return the integer where a rounded stream saturates, a power of two."""
        most = HEADROOM * self.magnitudes[name]
        bits = self.fraction + (math.ceil(math.log2(most)) if most > 0 else 0)
        if bits > 31:
            raise TrainingError(
                f"the stream {name} reaches {self.magnitudes[name]:g}, which does not fit 32 bits "
                f"with {self.fraction} of fraction"
            )
        return 1 << max(bits, 0)

    # ------------------------------------------------------------ activations and scores

    def activation(self, node: Node) -> Layer:
        """Return signs or codes as thresholds of the integers on an edge.

        Where only norms and ReLUs lie between an exact sum and the activation, the sum itself is
        compared, so that nothing is rounded on the way.
        """
        chain: list[nn.Module] = []
        name = node.inputs[0]
        while isinstance(self.graph.nodes[name].operation, BatchNorm | nn.ReLU):
            chain.insert(0, self.graph.nodes[name].operation)
            (name,) = self.graph.nodes[name].inputs
        if not self.is_exact(name):
            chain, name = [], node.inputs[0]
        edge = self.edge(name)
        values = self.reachable(edge)
        unit = 2.0 ** -self.tensors[edge].format.fraction
        channels = self.tensors[edge].channels if chain else 1

        def codes(integers: NDArray[np.int64]) -> NDArray[np.float32]:
            column = np.broadcast_to(integers, (len(integers), channels)) * unit
            stream = torch.from_numpy(column.astype(np.float32))[:, :, None, None]
            for operation in (*chain, node.operation):
                stream = operation(stream)
            result: NDArray[np.float32] = stream[:, :, 0, 0].numpy()
            return result

        if isinstance(node.operation, Quantiser):
            count = node.operation.count
            direction, levels = _levels(codes, values, [k - 0.5 for k in range(1, count + 1)])
            return Quantize(node.name, (edge,), direction, levels)
        direction, levels = _levels(codes, values, [0.0])
        low = np.broadcast_to(values.low, channels)
        threshold = Threshold(direction, levels[:, 0]).reduced(low, low + values.offsets[-1])
        return Binarize(node.name, (edge,), threshold)

    def is_exact(self, name: str) -> bool:
        """Return whether a stream is a sum of convolutions, or a plain sum of such sums."""
        node = self.graph.nodes[name]
        if isinstance(node.operation, Weighted):
            ones = bool((node.operation.coefficients() == 1).all())
            return ones and all(self.is_exact(source) for source in node.inputs)
        return isinstance(node.operation, BinaryConv2d)

    def reachable(self, edge: str) -> ReachableSums:
        """Return the integers that an edge can bear."""
        layer = next(layer for layer in self.layers if layer.name == edge)
        if isinstance(layer, LinearLayer):
            return reachable_sums(layer, self.tensors[layer.inputs[0]])
        return format_values(self.tensors[edge].format)

    def scores(self, node: Node, scores: Scores) -> Affine:
        """Return sums plus offsets, exact: the common scale does not change the class."""
        (edge,) = (self.edge(name) for name in node.inputs)
        form = self.tensors[edge].format
        assert not isinstance(form, Bipolar)
        offset = np.rint(scores.offsets().double().numpy()).astype(np.int64) << form.fraction
        wide = Integer(form.low + int(offset.min()), form.high + int(offset.max()), form.fraction)
        return Affine(node.name, (edge,), np.ones((1, 1), np.int64), offset, 0, wide)


def _slope_and_intercept(norm: BatchNorm) -> tuple[Vector, Vector]:
    """Return a batch norm in evaluation as a line, float64 (channels,) each."""
    mean, variance, gamma, beta = (
        p.detach().double().numpy()
        for p in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    slope = gamma / np.sqrt(variance + norm.eps)
    return slope, beta - mean * slope


def _is_mean(operation: nn.Module) -> bool:
    """Return whether an operation is a plain mean."""
    if not isinstance(operation, Weighted):
        return False
    scales = operation.coefficients()
    return len(scales) > 1 and bool((scales == torch.tensor(1 / len(scales))).all())


def _ends(low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[int, int]:
    return int(low.min()), int(high.max())


def _levels(
    function: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    values: ReachableSums,
    cuts: Sequence[float],
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return direction (channels,) and levels (channels, cuts) of a monotone function.

    Level k is the first integer from which on (up to which, where the function falls) it is above
    cut k; where it never is, the level is one beyond the reachable integers.
    """
    integers = values.low + values.offsets[:, None]
    found = function(integers)
    rising = found[-1] >= found[0]
    steps = np.diff(found, axis=0)
    assert np.where(rising, steps >= 0, steps <= 0).all(), "signs and codes are monotone"
    below = np.stack([(found < cut).sum(axis=0) for cut in cuts], axis=1)
    low = np.broadcast_to(values.low, len(rising))[:, None]
    last = len(values.offsets) - 1
    up = np.append(values.offsets, values.offsets[-1] + 1)
    upward = low + up[below]
    downward = low + np.append(values.offsets, -1)[last - below]
    return (
        np.where(rising, 1, -1).astype(np.int8),
        np.where(rising[:, None], upward, downward).astype(np.int64),
    )
