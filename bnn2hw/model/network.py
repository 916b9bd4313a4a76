"""The network: layers in evaluation order, with shapes and formats inferred and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .formats import Bipolar, Tensor
from .groups import BaseGroup, check_groups, soft_connections
from .layers import Layer, LinearLayer

__all__ = ["Network", "Samples"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Real inputs that travel with a network.

    Attributes
    ----------
    images
        int32 (count, *input shape) in the input's format; bipolar inputs as bits 0 and 1.
    labels
        int64 (count,): the true classes; None where they are unknown.
    """

    images: NDArray[np.int32]
    labels: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network as integers.

    Attributes
    ----------
    name
        Usable as a file name.
    input
        Shape and format of the images.
    layers
        In evaluation order: a layer reads ``input`` or layers before it.
    classes
        Names of the classes, or empty.
    notes
        Facts to keep with the weights: origin, accuracy, how the input is made.
    samples
        A few real inputs, or None.
    groups
        Parallel bases that layers belong to (Group-Net); metadata.

    Raises
    ------
    ModelError
        If names repeat, an edge is missing, shapes do not fit, groups are not parallel, or a gate
        between them lies outside 0 to 1.
    """

    name: str
    input: Tensor
    layers: tuple[Layer, ...]
    classes: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    samples: Samples | None = None
    groups: tuple[BaseGroup, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or not all(c.isascii() and (c.isalnum() or c in "_-") for c in self.name):
            raise ModelError(
                f"network name {self.name!r} is not usable",
                remedy="use letters, digits, underscores and hyphens",
            )
        if not self.layers:
            raise ModelError(f"network {self.name} has no layers")
        assert self.tensors  # infers and checks every shape
        check_groups(self.groups, self.layers)
        assert self.gates is not None  # checks them
        if self.samples is not None:
            self._check_samples(self.samples)

    def _check_samples(self, samples: Samples) -> None:
        images = samples.images
        if images.dtype.kind not in "iu" or images.shape[1:] != self.input.shape:
            raise ModelError(
                f"sample images are {images.dtype} of shape {images.shape}, expected integers of "
                f"shape (count, {', '.join(map(str, self.input.shape))})"
            )
        low = 0 if isinstance(self.input.format, Bipolar) else self.input.format.low
        if images.size and (images.min() < low or images.max() > self.input.format.high):
            raise ModelError(f"sample images leave the input format {self.input.format}")
        if samples.labels is not None and samples.labels.shape != images.shape[:1]:
            raise ModelError(
                f"{len(images)} sample images have labels of shape {samples.labels.shape}"
            )

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Return shape and format of every edge by name, ``input`` first."""
        tensors = {"input": self.input}
        for layer in self.layers:
            if layer.name in tensors:
                raise ModelError("this name is used twice", layer=layer.name)
            for source in layer.inputs:
                if source not in tensors:
                    raise ModelError(f"reads {source!r}, which is not before it", layer=layer.name)
            try:
                tensors[layer.name] = layer.output(*(tensors[source] for source in layer.inputs))
            except ModelError as error:
                raise error.located(layer=layer.name) from error
        return tensors

    @cached_property
    def gates(self) -> dict[str, tuple[str, float]]:
        """Return the soft connections between groups: see :func:`.soft_connections`."""
        return soft_connections(self.groups, self.layers, self.tensors)

    def layer(self, name: str) -> Layer:
        """Return the layer of that name.

        Raises
        ------
        ModelError
            If there is none; the message lists the names there are.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise ModelError(f"network {self.name} has no layer {name!r}", remedy=f"it has {names}")

    def linear_layers(self) -> tuple[LinearLayer, ...]:
        """Return the layers that hold weights."""
        return tuple(layer for layer in self.layers if isinstance(layer, LinearLayer))

    def source(self, layer: Layer) -> Tensor:
        """Return the (first) edge that a layer reads."""
        return self.tensors[layer.inputs[0]]

    def sources(self, layer: Layer) -> tuple[Tensor, ...]:
        """Return the edges that a layer reads."""
        return tuple(self.tensors[name] for name in layer.inputs)

    def single(self, name: str, samples: Samples | None) -> Network:
        """Return a network of that layer alone, which reads its source as the input."""
        layer = self.layer(name)
        alone = replace(layer, inputs=("input",))
        return Network(f"{self.name}-{name}", self.source(layer), (alone,), samples=samples)
