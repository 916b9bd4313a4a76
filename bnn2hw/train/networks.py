"""Networks of PyTorch that a recipe describes: stages in a row, each of which exports itself.

A stage is a part of the network between two edges of the model. It computes these edges as the
hardware does, so that both can be compared, and knows the layers of the model that equal it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from ..errors import TrainingError
from ..frontends.fold import fold, reachable_sums
from ..model import (
    Argmax,
    BaseGroup,
    BinaryConv,
    BinaryDense,
    Layer,
    LinearLayer,
    MaxPool,
    Tensor,
    Threshold,
)
from .binary import (
    BinaryConv2d,
    BinaryLayer,
    BinaryLinear,
    Sign,
    SignBinariser,
    WeightBinariser,
)
from .data import Dataset
from .recipe import ConvRecipe, DenseRecipe, PoolRecipe, Recipe
from .subbit import End, SubsetBinariser

__all__ = [
    "BatchNorm",
    "BinaryNetwork",
    "ConvStage",
    "DenseStage",
    "ScoreStage",
    "Stage",
    "build",
    "conv_layer",
    "dense_layer",
    "make_binariser",
    "threshold_of",
]


class BatchNorm(nn.BatchNorm2d):
    """Ordinary batch norm; in evaluation, plain IEEE operations in a known order.

    So the same expression gives the same float for the same sum, wherever it stands.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the normalised values, (batch, channels, height, width)."""
        if self.training:
            return super().forward(x)
        mean, variance, gamma, beta = (
            p.detach()[:, None, None]
            for p in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        return (x - mean) / torch.sqrt(variance + self.eps) * gamma + beta


class Stage(nn.Module):
    """A part of a network.

    Attributes
    ----------
    exact
        Whether its output equals that of the exported layers. If not, it is approximated in
        fixed point from this stage on.
    """

    exact = True

    def edges(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the edges of the model that it computes exactly, by name, in order.

        Maps are (batch, channels, height, width), bits are -1 and +1. The output is the last one
        of a stage that is exact.
        """
        raise TypeError(f"{type(self).__name__} is abstract")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the next stage reads; of the last stage, the logits."""
        assert self.exact
        return list(self.edges(x).values())[-1]

    def layers(self, source: str, tensor: Tensor) -> list[Layer]:
        """Return the layers of the model, given the edge that they read and its tensor."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def groups(self) -> tuple[BaseGroup, ...]:
        """Return which of the layers are parallel bases."""
        return ()

    def settle(self, data: Dataset) -> None:
        """Choose what the export needs to know beyond the weights, after training."""

    def notes(self) -> Mapping[str, str]:
        """Return facts to keep with the exported layers."""
        return {}


class ConvStage(Stage):
    """Convolution, batch norm, an optional max-pool, and sign.

    The pool stands before the sign, where gradients see more than ties; as the sign is monotone,
    its forward value is the maximum of the bits.
    """

    def __init__(
        self, name: str, conv: BinaryConv2d, estimator: str, pool: tuple[str, int] | None = None
    ) -> None:
        super().__init__()
        self.name, self.pool = name, pool
        self.conv, self.norm = conv, BatchNorm(conv.outputs)
        self.sign = Sign(estimator)

    def edges(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the bits of the convolution and of the pool."""
        z = self.norm(self.conv(x))
        if self.pool is None:
            return {self.name: self.sign(z)}
        pool, size = self.pool
        return {self.name: self.sign(z), pool: self.sign(functional.max_pool2d(z, size))}

    def layers(self, source: str, tensor: Tensor) -> list[Layer]:
        """Return a BinaryConv with threshold, and a MaxPool."""
        layer = conv_layer(self.name, source, self.conv)
        threshold = threshold_of(layer, tensor, self.conv, self.norm)
        layers: list[Layer] = [replace(layer, threshold=threshold)]
        if self.pool is not None:
            pool, size = self.pool
            layers.append(MaxPool(pool, (self.name,), (size, size), (size, size)))
        return layers


class DenseStage(Stage):
    """Dense layer, batch norm and sign; maps are flattened as the hardware does."""

    def __init__(self, name: str, dense: BinaryLinear, estimator: str) -> None:
        super().__init__()
        self.name = name
        self.dense, self.norm = dense, BatchNorm(dense.outputs)
        self.sign = Sign(estimator)

    def edges(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the bits."""
        z = self.norm(self.dense(flattened(x))[:, :, None, None])
        return {self.name: self.sign(z)[:, :, 0, 0]}

    def layers(self, source: str, tensor: Tensor) -> list[Layer]:
        """Return a BinaryDense with threshold."""
        layer = dense_layer(self.name, source, self.dense)
        threshold = threshold_of(layer, tensor, self.dense, self.norm)
        return [replace(layer, threshold=threshold)]


class ScoreStage(Stage):
    """The scores of the classes: integer sums. Logits are the sums times one common factor."""

    def __init__(self, name: str, dense: BinaryLinear) -> None:
        super().__init__()
        self.name, self.dense = name, dense

    def edges(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the sums."""
        return {self.name: self.dense.sums(flattened(x))}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, sums of a size that softmax can learn from."""
        sums: torch.Tensor = super().forward(x)
        return sums / self.dense.inputs**0.5

    def layers(self, source: str, tensor: Tensor) -> list[Layer]:
        """Return a BinaryDense without threshold, and an Argmax."""
        return [dense_layer(self.name, source, self.dense), Argmax("class", (self.name,))]


class BinaryNetwork(nn.Module):
    """Stages in a row, by name."""

    def __init__(self, stages: Mapping[str, Stage]) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(stages)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, (batch, classes), of images (batch, channels, height, width)."""
        for stage in self.stages.values():
            x = stage(x)
        return x

    def edges(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the edges of the model that are exact, by name."""
        edges: dict[str, torch.Tensor] = {}
        for stage in self.stages.values():
            edges.update(stage.edges(x))
            if not stage.exact:
                break
            x = list(edges.values())[-1]
        return edges

    def binary_layers(self) -> dict[str, BinaryLayer]:
        """Return the layers with binary weights in order, by stage, and place in the stage."""
        return {
            name.removeprefix("stages."): module
            for name, module in self.named_modules()
            if isinstance(module, BinaryLayer)
        }


def flattened(x: torch.Tensor) -> torch.Tensor:
    """Return maps as vectors in (y, x, channel) order, the order of the hardware."""
    return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x


def bits(weight: torch.Tensor) -> NDArray[np.uint8]:
    """Return weights -1 and +1 as bits."""
    return (weight.detach() > 0).numpy().astype(np.uint8)


def conv_layer(name: str, source: str, conv: BinaryConv2d) -> BinaryConv:
    """Return the layer of the model without its threshold: it gives signed sums."""
    return BinaryConv(
        name,
        (source,),
        bits(conv.binary_weight().permute(0, 2, 3, 1)),
        codebook=conv.binariser.codebook(conv.weight),
        stride=(conv.stride, conv.stride),
        padding=(conv.padding,) * 4,
        padding_value=conv.padding_value,
        dilation=(conv.dilation, conv.dilation),
        groups=conv.groups,
    )


def dense_layer(name: str, source: str, dense: BinaryLinear) -> BinaryDense:
    """Return the layer of the model without its threshold."""
    codebook = dense.binariser.codebook(dense.weight)
    return BinaryDense(name, (source,), bits(dense.binary_weight()), codebook=codebook)


def threshold_of(
    layer: LinearLayer, tensor: Tensor, module: BinaryLayer, norm: BatchNorm
) -> Threshold:
    """Return scale, batch norm and sign as a threshold, evaluated on every reachable sum."""

    @torch.no_grad()
    def normalised(sums: NDArray[np.int64]) -> NDArray[np.float32]:
        scaled = torch.from_numpy(sums.astype(np.float32)) * module.scale()
        values: NDArray[np.float32] = norm(scaled[:, :, None, None])[:, :, 0, 0].numpy()
        return values

    assert not norm.training
    return fold(normalised, reachable_sums(layer, tensor), layer.channels, layer=layer.name)


def make_binariser(
    recipe: Recipe, shape: tuple[int, ...], end: End | None, *, standardise: bool = True
) -> WeightBinariser:
    """Return what binarises weights of a shape, in the first or last layer or between them."""
    if recipe.subbit is None or end in recipe.subbit.plain:
        return SignBinariser(standardise, recipe.estimator)
    return SubsetBinariser(shape, recipe.subbit, standardise=standardise)


def build(recipe: Recipe, data: Dataset) -> BinaryNetwork:
    """Return the untrained network of a recipe; its weights come from torch's generator.

    Raises
    ------
    TrainingError
        If the layers do not fit the data or one another.
    """
    assert recipe.network is not None
    layers = recipe.network.layers
    stages: dict[str, Stage] = {}
    shape = data.tensor.shape
    for k, layer in enumerate(layers):
        if isinstance(layer, PoolRecipe):
            continue  # it is part of the convolution before it
        name, last = f"{layer.type}{len(stages) + 1}", k == len(layers) - 1
        end: End | None = "last" if last else "first" if k == 0 else None
        try:
            if isinstance(layer, ConvRecipe):
                follower = layers[k + 1]
                size = follower.kernel if isinstance(follower, PoolRecipe) else 1
                stages[name], shape = _conv_stage(name, layer, size, shape, recipe, end)
            else:
                stages[name] = _dense_stage(name, layer, math.prod(shape), recipe, end)
                shape = (1, 1, layer.channels)
        except TrainingError as error:
            raise error.located(layer=name) from None
    if shape[2] != data.classes:
        raise TrainingError(
            f"the last layer has {shape[2]} channels, {data.name} has {data.classes} classes"
        )
    return BinaryNetwork(stages)


def _conv_stage(
    name: str, layer: ConvRecipe, pool: int, shape: tuple[int, ...], recipe: Recipe, end: End | None
) -> tuple[ConvStage, tuple[int, ...]]:
    """Return a stage and the (height, width, channels) that come out of it."""
    assert recipe.network is not None
    height, width, inputs = shape
    padding = layer.padding_positions
    sides = (
        ((side + 2 * padding - layer.kernel) // layer.stride + 1) // pool
        for side in (height, width)
    )
    output = (*sides, layer.channels)
    if min(output) < 1:
        raise TrainingError("the map is smaller than the kernel or the pool")
    weights = (layer.channels, inputs, layer.kernel, layer.kernel)
    conv = BinaryConv2d(
        inputs, layer.channels, layer.kernel, layer.stride, padding, layer.padding_value,
        binariser=make_binariser(recipe, weights, end, standardise=recipe.network.standardise),
    )  # fmt: skip
    follower = (name.replace("conv", "pool"), pool) if pool > 1 else None
    return ConvStage(name, conv, recipe.estimator, follower), output


def _dense_stage(
    name: str, layer: DenseRecipe, inputs: int, recipe: Recipe, end: End | None
) -> Stage:
    assert recipe.network is not None
    standardise = recipe.network.standardise
    binariser = make_binariser(recipe, (layer.channels, inputs), end, standardise=standardise)
    dense = BinaryLinear(inputs, layer.channels, binariser)
    return ScoreStage(name, dense) if end == "last" else DenseStage(name, dense, recipe.estimator)
