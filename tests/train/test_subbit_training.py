"""Sub-bit networks from recipe to model file: codebooks, combination with centers, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")
pytest.importorskip("sklearn", reason="training needs scikit-learn: pip install 'bnn2hw[train]'")

import torch

from bnn2hw.errors import TrainingError
from bnn2hw.model import LinearLayer, Network, load, save
from bnn2hw.train.loop import train
from bnn2hw.train.recipe import Recipe, parse_recipe

CONV = {"type": "conv", "channels": 16}
LAYERS = [
    CONV,
    {"type": "pool"},
    CONV,
    {"type": "pool"},
    {**CONV, "channels": 12, "kernel": 1},
    {"type": "dense", "channels": 20},
    {"type": "dense", "channels": 10},
]


def recipe(layers: list[dict[str, Any]] = LAYERS, **values: Any) -> Recipe:
    return parse_recipe({"name": "small", "network": {"layers": layers}, "epochs": 1, **values})


def shapes(network: Network) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return tau and the shape of the indices of every layer with a codebook."""
    return {
        layer.name: (layer.codebook.tau, layer.codebook.indices.shape)
        for layer in network.linear_layers()
        if layer.codebook is not None
    }


def test_sub_bit_and_centers_combine_and_are_kept_in_the_file(tmp_path: Path) -> None:
    subbit = {"tau": 4, "tau_vectors": 3, "closed": True, "update_every": 2}
    trained = train(recipe(epochs=3, subbit=subbit, mst={"centers": 2, "weight": 1e-4}))
    assert trained.history[-1]["center_distance"] < trained.history[0]["center_distance"]
    save(trained.network, tmp_path / "a.npz")
    network = load(tmp_path / "a.npz")
    expected = {"conv2": (4, (16, 16)), "conv3": (3, (12, 2)), "dense4": (3, (20, 6))}
    assert shapes(network) == shapes(trained.network) == expected
    for layer in network.linear_layers():
        if layer.codebook is not None:
            assert layer.codebook.closed
            assert np.array_equal(layer.codebook.expand(layer.weights.shape), layer.weights)


@pytest.mark.parametrize("method", ["random", "uniform", "frequent"])
def test_every_baseline_trains_and_exports(method: str) -> None:
    plain = ["last"] if method == "frequent" else []
    network = train(recipe(subbit={"tau": 3, "method": method, "plain": plain})).network
    names = [layer.name for layer in network.linear_layers()]
    assert list(shapes(network)) == (names[:-1] if plain else names)
    first: LinearLayer = network.linear_layers()[0]
    assert first.codebook is not None
    if method == "uniform":
        codes = first.codebook.subset @ (1 << np.arange(9))
        assert codes.tolist() == list(range(0, 512, 64))


def test_a_resumed_training_has_the_same_codebooks(tmp_path: Path) -> None:
    plan = recipe(epochs=3, subbit={"tau": 3, "update_every": 7, "closed": True})
    whole = train(plan)
    checkpoint = tmp_path / "x.checkpoint.pt"

    def stop(text: str) -> None:
        if text.startswith("epoch 2/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan, progress=stop, checkpoint=checkpoint)
    resumed = train(plan, checkpoint=checkpoint, resume=True)
    assert resumed.history == whole.history
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name]), name


def test_kernels_without_a_subset_are_told() -> None:
    large = {**CONV, "kernel": 5}
    with pytest.raises(
        TrainingError, match=r"layer conv2: .* 16 taps, this one has 25; use smaller"
    ):
        train(recipe([CONV, large, LAYERS[-1]], subbit={}))
    small = {**CONV, "kernel": 2}
    with pytest.raises(TrainingError, match=r"layer conv2: key 'subbit.tau' is 5, a kernel has 4"):
        train(recipe([CONV, small, LAYERS[-1]], subbit={}))
