"""A Group-Net as a stage of a network: trained as a graph, exported in fixed point."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from .. import golden
from ..errors import TrainingError
from ..model import Affine, BaseGroup, Layer, Network, Tensor
from .data import Dataset
from .dataflow import Gate, Graph, Weighted
from .fixed_point import AGREEMENT, HEADROOM, Lowered, lower
from .groupnet_network import build_graph
from .networks import BatchNorm, BinaryNetwork, Stage
from .recipe import Recipe

__all__ = ["GroupnetStage", "build_groupnet"]

_MOST_FRACTION = 16
_STATISTICS_IMAGES = 2048
# Images that are compared at once: too few bits behind the point show on the first of them.
_CHUNK = 128


class GroupnetStage(Stage):
    """The whole network, from the images to the class.

    Attributes
    ----------
    graph
        The float network.
    lowered
        Its integers, once :meth:`settle` has chosen the formats.
    fraction, agreement
        Bits behind the point of all rounded streams, and the part of the training and validation
        images that keep their class with them.
    """

    def __init__(self, recipe: Recipe, data: Dataset) -> None:
        super().__init__()
        height, width, channels = data.tensor.shape
        self.graph = build_graph(recipe, (height, width, channels), data.classes)
        self.lowered: Lowered | None = None
        self.fraction = 0
        self.agreement = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        logits: torch.Tensor = self.graph(x)
        return logits

    @torch.no_grad()
    def settle(self, data: Dataset) -> None:
        """Take the statistics of the batch norms anew and choose the formats.

        The statistics are those of the training images as they are. Running ones lag behind
        binary weights that flip, and have seen images that were moved. The formats follow the
        rules of :mod:`.fixed_point`.

        Raises
        ------
        TrainingError
            If no number of fraction bits keeps the classes.
        """
        inputs = data.inputs()
        images = inputs[torch.from_numpy(data.train)]
        _renew_statistics(self.graph, images[:_STATISTICS_IMAGES])
        magnitudes = self.graph.magnitudes(images)
        part = np.concatenate([data.train, data.validation])
        classes = self.graph(inputs[torch.from_numpy(part)]).argmax(dim=1).numpy()
        for self.fraction in range(_MOST_FRACTION + 1):
            self.lowered = lower(self.graph, data.tensor, magnitudes, self.fraction)
            network = Network("fixed_point", data.tensor, self.lowered.layers)
            self.agreement = _agreement(network, data.images[part], classes)
            if self.agreement >= AGREEMENT:
                self.exact = self.lowered.exact
                return
        raise TrainingError(
            f"{_MOST_FRACTION} fraction bits do not keep the class of {100 * AGREEMENT:g} % of "
            "the images",
            remedy="train longer: classes that are near a guess turn on every bit",
        )

    @property
    def integers(self) -> Lowered:
        """Return what :meth:`settle` has chosen."""
        assert self.lowered is not None, "settle comes before the export"
        return self.lowered

    def edges(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the edges that come before all rounding."""
        streams = self.graph.streams(x, keep=True)
        return {edge: streams[node] for edge, node in self.integers.exact_edges.items()}

    def layers(self, source: str, tensor: Tensor) -> list[Layer]:
        """Return all layers."""
        assert source == "input"
        return list(self.integers.layers)

    def groups(self) -> tuple[BaseGroup, ...]:
        """Return the parallel bases."""
        return self.integers.groups

    @torch.no_grad()
    def notes(self) -> Mapping[str, str]:
        """Return which formats, gates and learned scales there are."""
        if self.exact:
            formats = "all streams are integers; nothing is rounded"
        else:
            rounded = [layer for layer in self.integers.layers if isinstance(layer, Affine)]
            width = max(layer.format.width for layer in rounded)
            formats = (
                f"{self.fraction} fraction bits in all rounded streams, the least number that "
                f"keeps the class of {100 * AGREEMENT:g} % of the training and validation images "
                f"({100 * self.agreement:.2f} % of them); at most {width} bits in all, "
                f"for {HEADROOM:g} times the greatest magnitude over the training images"
            )
        notes = {"fixed point": formats}
        gates, scales = [], []
        for name, operation in self.graph.operations.items():
            if isinstance(operation, Gate):
                gates.append(f"{name} s = {float(operation.coefficients()[0]):.4f}")
            elif isinstance(operation, Weighted) and operation.scales.requires_grad:
                values = ", ".join(f"{float(scale):.4f}" for scale in operation.coefficients())
                scales.append(f"{name} lambda = {values}")
        if gates:
            notes["gates"] = "; ".join(gates)
        if scales:
            notes["scales"] = "; ".join(scales)
        return notes


def _agreement(network: Network, images: NDArray[np.int32], classes: NDArray[np.int64]) -> float:
    """Return which part of the images gets these classes; less where it cannot be enough."""
    right = len(images)
    for start in range(0, len(images), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        right -= int((golden.predict(network, images[chunk]) != classes[chunk]).sum())
        if right / len(images) < AGREEMENT:
            break
    return right / len(images)


def _renew_statistics(graph: Graph, images: torch.Tensor) -> None:
    """Make mean and variance of every batch norm those of the images, all other things fixed."""
    norms = [module for module in graph.modules() if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches, and there is one
        norm.train()
    graph(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def build_groupnet(recipe: Recipe, data: Dataset) -> BinaryNetwork:
    """Return the untrained network of a recipe with a section ``groupnet``.

    Raises
    ------
    TrainingError
        If there are no activations of so many bits, or a dilation exceeds the map.
    """
    return BinaryNetwork({"groupnet": GroupnetStage(recipe, data)})
