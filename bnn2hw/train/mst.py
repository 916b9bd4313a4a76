"""Weights whose channels are alike: the center loss of MST-compression.

Every output channel belongs to the nearest of a layer's centers, and its Hamming distance to it,
times a weight, is added to the loss. Channels that gather around few centers have a light
spanning tree. The supplement gives the number of centers and the weight lambda; its abstract
says that the total distance is lowered in training. The formula is ours: the plain sum of the
distances over all layers and channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from .binary import BinaryLayer, sign

__all__ = ["CenterLoss", "MstRecipe", "center_distances", "falling_cosine", "majority"]


@dataclass(frozen=True)
class MstRecipe:
    """How channels are drawn together.

    Attributes
    ----------
    centers
        Initial centers of a layer, from 1 to its channels.
    weight
        Lambda, at least 0: what a differing weight adds to the loss.
    centers_kind
        ``learned``: centers are parameters, which their channels pull; ``majority``: each is the
        majority vote of its channels.
    schedule
        ``constant`` lambda, or one that falls to 0 along the ``cosine`` of the learning rate:
        channels gather first, and what the loss of the classes needs parts them again.

    Raises
    ------
    TrainingError
        If a value is out of range.
    """

    centers: int = 1
    weight: float = 0.0
    centers_kind: Literal["learned", "majority"] = "learned"
    schedule: Literal["constant", "cosine"] = "constant"

    def weight_at(self, progress: float) -> float:
        """Return lambda when a part of the training, 0 to 1, is done."""
        falling = self.schedule == "cosine"
        return self.weight * (falling_cosine(progress) if falling else 1.0)

    def __post_init__(self) -> None:
        if self.centers < 1:
            raise TrainingError(
                f"key 'mst.centers' is {self.centers}", remedy="give at least 1 center"
            )
        if not self.weight >= 0:
            raise TrainingError(
                f"key 'mst.weight' is {self.weight:g}", remedy="lambda must be 0 or greater"
            )


def falling_cosine(progress: float) -> float:
    """Return what falls from 1 to 0 along half a cosine while progress goes from 0 to 1."""
    return (1 + math.cos(math.pi * progress)) / 2


def center_distances(signs: Tensor, centers: Tensor) -> Tensor:
    """Return the Hamming distances of rows of signs, (channels, N), to centers (centers, N)."""
    return (signs.shape[1] - signs @ centers.T) / 2


def majority(signs: Tensor, nearest: Tensor, count: int) -> Tensor:
    """Return the sum of the rows of every center, (count, N): its sign is the majority vote."""
    return torch.zeros(count, signs.shape[1]).index_add_(0, nearest, signs)


class CenterLoss(nn.Module):
    """The distance of every channel of a layer to its center.

    Centers start as different channels of the layer. A center without channels stays where it is.

    Attributes
    ----------
    centers
        (centers, N): the latent centers; their signs are the centers. A parameter if learned.
    nearest
        int64 (channels,): the center of every channel.

    Raises
    ------
    TrainingError
        If there are more centers than channels.
    """

    def __init__(self, layer: BinaryLayer, recipe: MstRecipe, name: str) -> None:
        super().__init__()
        self.layer = [layer]  # in a list, so that its parameters are not taken for this module's
        channels = layer.weight.shape[0]
        if recipe.centers > channels:
            raise TrainingError(
                f"{recipe.centers} centers are more than {channels} channels",
                layer=name,
                remedy="lower mst.centers",
            )
        signs = self._signs().detach()
        first = torch.linspace(0, channels - 1, recipe.centers).round().long()
        self.learned = recipe.centers_kind == "learned"
        if self.learned:
            self.centers = nn.Parameter(signs[first].clone() / 2)
        else:
            self.register_buffer("centers", signs[first].clone())
        self.register_buffer("nearest", torch.zeros(channels, dtype=torch.int64))
        self.reassign()

    def _signs(self) -> Tensor:
        return self.layer[0].binary_weight().flatten(1)

    @torch.no_grad()
    def reassign(self) -> None:
        """Give every channel to its nearest center, the first of equally near ones."""
        signs = self._signs()
        self.nearest = center_distances(signs, sign(self.centers)).min(dim=1).indices

    def forward(self) -> Tensor:
        """Return the sum of the distances, a scalar with a gradient to weights and centers."""
        signs = self._signs()
        if not self.learned:
            votes = majority(signs.detach(), self.nearest, len(self.centers))
            self.centers = torch.where(votes == 0, self.centers, votes.sign())
        centers = sign(self.centers)[self.nearest]
        return (signs.shape[1] - (signs * centers).sum(dim=1)).sum() / 2

    def after_step(self) -> None:
        """Keep the latent centers in [-1, 1], where their gradient passes."""
        if self.learned:
            with torch.no_grad():
                self.centers.clamp_(-1, 1)
