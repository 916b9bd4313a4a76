"""A network as a graph of float operations on streams, which can be trained and then lowered.

The same graph serves training (it is a module), the ranges of its streams, and the export to
fixed point (:mod:`bnn2hw.train.fixed_point`), so that a structure is written down once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .binary import BinaryConv2d, BinaryLinear

__all__ = [
    "INPUT",
    "Combination",
    "Gate",
    "Graph",
    "Node",
    "Quantiser",
    "Scores",
    "SumPool2d",
    "Weighted",
]

INPUT = "input"
"""The name of the images."""


class Combination(nn.Module):
    """A weighted sum of streams of one shape; a base class."""

    def coefficients(self) -> Tensor:
        """Return the weights, float32 (inputs,)."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def forward(self, *streams: Tensor) -> Tensor:
        """Return the weighted sum."""
        terms = [c * x for c, x in zip(self.coefficients(), streams, strict=True)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total


class Weighted(Combination):
    """A sum with given weights: a residual sum (1, 1), a mean of K bases (1/K, ...).

    Parameters
    ----------
    weights
        One an input.
    learned
        Whether they are only the start of learned scales lambda_k.
    """

    def __init__(self, weights: Sequence[float], *, learned: bool = False) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.tensor(weights), requires_grad=learned)

    def coefficients(self) -> Tensor:
        """Return the weights."""
        return self.scales


class Gate(Combination):
    """The soft connection ``s * b + (1 - s) * m`` of streams b and m, s = sigmoid(theta).

    theta starts at 0, an even mix.
    """

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(()))

    def coefficients(self) -> Tensor:
        """Return (s, 1 - s)."""
        s = torch.sigmoid(self.theta)
        return torch.stack([s, 1 - s])


class Quantiser(nn.Module):
    """Uniform codes of k bits: ``floor(clip(y, 0, beta) * (2^k - 1) / beta + 1/2)``.

    The codes 0..2^k - 1 come out, not the values code * beta / (2^k - 1): the batch norm after
    the next convolution takes up the factor. The gradient is straight-through inside [0, beta].
    Source: Group-Net, supplement, Eq. (1), with halves rounded up.
    """

    def __init__(self, bits: int, beta: float) -> None:
        super().__init__()
        self.bits, self.beta = bits, beta

    @property
    def count(self) -> int:
        """Return the greatest code."""
        return (1 << self.bits) - 1

    def forward(self, y: Tensor) -> Tensor:
        """Return codes as floats, of the same shape."""
        scaled = y.clamp(0, self.beta) * (self.count / self.beta)
        # The difference is an exact zero: only its gradient counts.
        return torch.floor(scaled.detach() + 0.5) + (scaled - scaled.detach())


class SumPool2d(nn.Module):
    """The sum over windows that do not overlap."""

    def __init__(self, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Return the shrunken map."""
        return nn.functional.avg_pool2d(x, self.kernel, divisor_override=1)


class Scores(nn.Module):
    """Logits ``scale * (sums + offset)`` with an integer offset a class and one scale for all.

    As the scale is positive and the same everywhere, sums and offsets decide the class.
    """

    def __init__(self, classes: int, scale: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.offset = nn.Parameter(torch.zeros(classes))

    def offsets(self) -> Tensor:
        """Return the integer offsets, with a straight-through gradient."""
        # In units in which a logit changes by 1, so that the learning rate fits.
        offset = self.offset / self.log_scale.detach().exp()
        return torch.round(offset.detach()) + (offset - offset.detach())

    def forward(self, sums: Tensor) -> Tensor:
        """Return the logits, (batch, classes)."""
        return (sums + self.offsets()) * self.log_scale.exp()


@dataclass(frozen=True)
class Node:
    """An operation of the graph.

    Attributes
    ----------
    name
        Of the stream that it drives; letters, digits and underscores.
    operation
        The module; several nodes may share one.
    inputs
        Names of the streams that it reads.
    base
        Group of parallel bases and index of the base that it is part of, or None.
    """

    name: str
    operation: nn.Module
    inputs: tuple[str, ...]
    base: tuple[str, int] | None = None


class Graph(nn.Module):
    """A network: nodes in evaluation order, the last of which gives the logits.

    Attributes
    ----------
    nodes
        By name.
    meeting
        For each group of parallel bases the node where they meet.
    """

    def __init__(self, nodes: Sequence[Node], meeting: dict[str, str]) -> None:
        super().__init__()
        self.nodes = {node.name: node for node in nodes}
        self.meeting = meeting
        self.last_reader = {edge: node.name for node in nodes for edge in node.inputs}
        # Each module once, by the first node that uses it, for parameters and state.
        self.operations = nn.ModuleDict()
        for node in nodes:
            if all(node.operation is not module for module in self.operations.values()):
                self.operations[node.name] = node.operation

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of float images (batch, channels, height, width)."""
        return self.streams(images)[next(reversed(self.nodes))]

    def streams(self, images: Tensor, *, keep: bool = False) -> dict[str, Tensor]:
        """Return streams by name: all of them, or those that nothing reads any more."""
        streams = {INPUT: images}
        for node in self.nodes.values():
            streams[node.name] = _apply(node.operation, *(streams[name] for name in node.inputs))
            for name in node.inputs:
                if not keep and self.last_reader[name] == node.name:
                    streams.pop(name, None)
        return streams

    @torch.no_grad()
    def magnitudes(self, images: Tensor) -> dict[str, float]:
        """Return the greatest absolute value of every stream over images, by name."""
        greatest: dict[str, float] = {}
        for chunk in images.split(256):
            for name, stream in self.streams(chunk, keep=True).items():
                greatest[name] = max(greatest.get(name, 0.0), float(stream.abs().max()))
        return greatest

    def readers(self, name: str) -> int:
        """Return how often a stream is read."""
        return sum(node.inputs.count(name) for node in self.nodes.values())


def _apply(operation: nn.Module, *streams: Tensor) -> Tensor:
    """Return what an operation makes of streams: of binary layers the integer sums.

    The scale of binary weights is left out, as a batch norm or :class:`Scores` follows.
    """
    if isinstance(operation, BinaryConv2d):
        return operation.sums(*streams)
    if isinstance(operation, BinaryLinear):
        # Maps flatten in the model's order, (y, x, channel).
        return operation.sums(streams[0].permute(0, 2, 3, 1).flatten(1))
    return operation(*streams)
