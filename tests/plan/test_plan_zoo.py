"""Plans of real networks: totals of scipy's optimum, and of bounded depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree

from bnn2hw.model import BinaryDense
from bnn2hw.plan import plan_layer
from bnn2hw.plan.text import dump, load
from tests.plan.strategies import dense, vector

pytestmark = pytest.mark.zoo

LFC, CNV = "lfc_w1a1_mnist", "cnv_w1a1_cifar10"


def real_layer(zoo: Path, network: str, name: str) -> BinaryDense:
    with np.load(zoo / f"{network}.npz") as arrays:
        weights = arrays[f"{name}_weight"]
    return dense(weights.reshape(len(weights), -1))


@pytest.mark.parametrize(
    ("network", "name", "complement", "weight", "depth"),
    [
        (LFC, "fc1", False, 297_073, 63),
        (LFC, "fc1", True, 277_507, 57),
        (LFC, "fc2", False, 280_062, 44),
        (LFC, "fc2", True, 265_603, 48),
        (CNV, "conv1", False, 12_877, 11),
        (CNV, "conv1", True, 11_690, 10),
        (CNV, "fc7", True, 65_539, 22),
    ],
)
def test_totals_are_scipys_optimum(
    zoo: Path, network: str, name: str, complement: bool, weight: int, depth: int
) -> None:
    layer = real_layer(zoo, network, name)
    inputs = layer.patch_size()
    plan = plan_layer(layer, vector(inputs), "mst", complement=complement)
    assert plan.tree is not None
    assert (plan.tree.weight, plan.tree.total) == (weight, weight + inputs)
    # in all of these the bound shows that the depth is the least
    assert plan.tree.depth == plan.tree.depth_bound == depth

    signs = layer.matrix().astype(np.int64)
    distance = (inputs - signs @ signs.T) // 2
    if complement:
        distance = np.minimum(distance, inputs - distance)
    # no two rows are equal here: scipy would take a weight of zero for no edge
    assert (distance + np.eye(len(signs)) > 0).all()
    assert minimum_spanning_tree(distance).sum() == weight


@pytest.mark.parametrize(
    ("network", "name", "depth", "weight"),
    [(CNV, "conv1", 4, 11_860), (CNV, "fc7", 6, 66_450)],
)
def test_a_bounded_depth_costs_little(
    zoo: Path, network: str, name: str, depth: int, weight: int
) -> None:
    layer = real_layer(zoo, network, name)
    plan = plan_layer(layer, vector(layer.patch_size()), "mst", max_depth=depth)
    assert plan.tree is not None
    assert plan.tree.depth <= depth
    assert plan.tree.weight <= weight


def test_text_of_a_real_plan_reads_back(zoo: Path) -> None:
    layer = real_layer(zoo, LFC, "fc1")
    graph = plan_layer(layer, vector(1024), "mst").graph
    assert load(dump(graph)) == graph
