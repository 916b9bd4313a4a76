"""Untrained Group-Nets on digits, for the tests of the float network and of its integers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bnn2hw.model import Integer, Network, Tensor
from bnn2hw.train.dataflow import Gate, Graph, Weighted
from bnn2hw.train.fixed_point import Lowered, lower
from bnn2hw.train.groupnet import Block, GroupnetRecipe
from bnn2hw.train.groupnet_network import build_graph
from bnn2hw.train.networks import BatchNorm
from bnn2hw.train.recipe import Recipe

VARIANTS = ("lbd", "gbd1", "gbd2", "gbd3", "groupnet")
BLOCKS = (Block(6), Block(8, stride=2), Block(8))
SHAPE = (8, 8, 1)


def recipe(bits: int = 1, **values: Any) -> Recipe:
    groupnet = GroupnetRecipe(**{"stem": 6, "blocks": BLOCKS, **values})
    return Recipe("small", groupnet=groupnet, activation_bits=bits)


CASES = [
    {"variant": variant, "bases": bases, "bits": bits}
    for variant, bases, bits in itertools.product(VARIANTS, (1, 3), (1, 2))
] + [
    {"variant": "groupnet", "bases": 2, "bits": 1, "aggregation": "learned"},
    {"variant": "lbd", "bases": 2, "bits": 1, "aggregation": "learned"},
    {"variant": "gbd2", "bases": 2, "bits": 1, "residual": False},
    {"variant": "lbd", "bases": 3, "bits": 3, "residual": False},
    {"variant": "gbd1", "bases": 2, "bits": 1, "blocks": (Block(6, dilations=(1, 3)), Block(8, 2))},
    {"variant": "lbd", "bases": 2, "bits": 2, "blocks": (Block(6, dilations=(2, 4)), Block(6))},
]  # fmt: skip
IDS = ["-".join(str(value)[:40] for value in case.values()) for case in CASES]


def graph_of(images: Any, bits: int = 1, seed: int = 0, **values: Any) -> Graph:
    """Return an untrained network whose statistics, gates and scales are those of no other."""
    torch.manual_seed(seed)
    graph = build_graph(recipe(bits, **values), SHAPE, 10)
    with torch.no_grad():
        graph(images)
        for module in graph.modules():
            if isinstance(module, BatchNorm):
                module.weight.uniform_(-1.5, 1.5)
                module.bias.uniform_(-0.5, 1)
            elif isinstance(module, Gate):
                module.theta.uniform_(-1, 1)
            elif isinstance(module, Weighted) and module.scales.requires_grad:
                module.scales.uniform_(0.1, 0.5)
        graph(images)
        graph.operations["scores"].offset.uniform_(-2, 2)
    return graph.eval()


def integers(graph: Graph, images: Any, fraction: int = 12) -> tuple[Lowered, Network]:
    tensor = Tensor(SHAPE, Integer(0, 16))
    lowered = lower(graph, tensor, graph.magnitudes(images), fraction)
    return lowered, Network("small", tensor, lowered.layers, groups=lowered.groups)


def pixels(images: Any) -> NDArray[np.int32]:
    array: NDArray[np.int32] = images.permute(0, 2, 3, 1).numpy().astype(np.int32)
    return array
