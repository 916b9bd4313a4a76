"""The center loss: distances, votes, assignments, and what it does to weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")

import torch

from bnn2hw.errors import TrainingError
from bnn2hw.train.binary import BinaryLinear, SignBinariser, sign
from bnn2hw.train.mst import CenterLoss, MstRecipe, center_distances


def layer(channels: int = 8, inputs: int = 12, seed: int = 0) -> BinaryLinear:
    torch.manual_seed(seed)
    module = BinaryLinear(inputs, channels, SignBinariser(standardise=False))
    with torch.no_grad():
        module.weight.uniform_(-0.9, 0.9)
    return module


def bits(weight: Any) -> np.ndarray[Any, Any]:
    return (weight.detach() >= 0).numpy()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 20), st.sampled_from(["learned", "majority"]), st.data())
def test_the_loss_is_the_sum_of_hamming_distances_to_the_nearest_centers(
    channels: int, inputs: int, kind: Any, data: st.DataObject
) -> None:
    centers = data.draw(st.integers(1, channels))
    module = layer(channels, inputs, data.draw(st.integers(0, 99)))
    loss = CenterLoss(module, MstRecipe(centers, 1.0, kind), "fc")
    value = float(loss().detach())
    rows, middle = bits(module.weight), bits(loss.centers)
    assert value == (rows != middle[loss.nearest.numpy()]).sum()
    loss.reassign()
    distances = (rows[:, None] != middle[None]).sum(axis=2)
    assert np.array_equal(loss.nearest.numpy(), distances.argmin(axis=1))
    found = center_distances(sign(module.weight), sign(loss.centers))
    assert np.array_equal(found.detach().numpy(), distances)


def test_a_majority_center_is_the_vote_of_its_channels_and_ties_stay() -> None:
    module = layer(5)
    loss = CenterLoss(module, MstRecipe(1, 1.0, "majority"), "fc")
    loss()
    assert np.array_equal(bits(loss.centers)[0], bits(module.weight).sum(axis=0) > 2.5)
    even = layer(2)
    loss = CenterLoss(even, MstRecipe(1, 1.0, "majority"), "fc")
    loss()
    assert np.array_equal(bits(loss.centers)[0], bits(even.weight)[0]), "ties keep the first row"


def test_the_gradient_pulls_weights_to_their_center() -> None:
    module = layer()
    loss = CenterLoss(module, MstRecipe(2, 1.0, "majority"), "fc")
    loss().backward()
    centers = loss.centers[loss.nearest]
    assert torch.equal(module.weight.grad, -centers / 2)


@pytest.mark.parametrize("kind", ["learned", "majority"])
def test_descent_on_the_loss_alone_makes_channels_equal(kind: Any) -> None:
    module = layer(8, 40)
    loss = CenterLoss(module, MstRecipe(2, 1.0, kind), "fc")
    optimiser = torch.optim.SGD([module.weight, *loss.parameters()], lr=0.05)
    first = float(loss().detach())
    for step in range(60):
        if step % 10 == 0:
            loss.reassign()
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        loss.after_step()
        module.after_step()
    last = float(loss().detach())
    assert first > 50
    if kind == "majority":
        assert last == 0
        assert len(np.unique(bits(module.weight), axis=0)) <= 2
    else:  # a weight and a center that are as far from 0 pass each other
        assert last < first / 10
    assert len(list(loss.parameters())) == (kind == "learned")
    assert float(loss.centers.detach().abs().max()) <= 1


def test_wrong_recipes_are_told() -> None:
    with pytest.raises(TrainingError, match=r"'mst.weight' is -1; lambda must be 0"):
        MstRecipe(weight=-1.0)
    with pytest.raises(TrainingError, match=r"'mst.weight' is nan"):
        MstRecipe(weight=float("nan"))
    with pytest.raises(TrainingError, match=r"'mst.centers' is 0; give at least 1"):
        MstRecipe(centers=0)
    with pytest.raises(TrainingError, match="layer fc: 9 centers are more than 8 channels"):
        CenterLoss(layer(8), MstRecipe(9), "fc")


def test_a_center_of_another_vote_is_found() -> None:
    """A mutant: centers that follow the minority raise the distance, so the vote matters."""
    module = layer(7)
    loss = CenterLoss(module, MstRecipe(1, 1.0, "majority"), "fc")
    best = float(loss().detach())
    rows = bits(module.weight)
    minority = rows.sum(axis=0) <= 3.5
    assert (rows != minority).sum() > best == (rows != ~minority).sum()


def test_lambda_is_constant_or_falls_along_a_cosine() -> None:
    constant, falling = MstRecipe(weight=2.0), MstRecipe(weight=2.0, schedule="cosine")
    assert [constant.weight_at(p) for p in (0, 0.5, 1)] == [2, 2, 2]
    assert [falling.weight_at(p) for p in (0, 0.5, 1)] == pytest.approx([2, 1, 0])
