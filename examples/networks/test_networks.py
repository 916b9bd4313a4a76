"""The trained networks here are what their notes say, and belong to the recipes beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnn2hw import golden
from bnn2hw.inspection import inspect
from bnn2hw.model import Network, load

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.toml"))


def network(name: str) -> Network:
    return load(HERE / f"{name}.npz")


def test_there_is_one_network_of_each_kind() -> None:
    assert NAMES == ["baseline", "groupnet", "mst", "quantised", "subbit"]


@pytest.mark.parametrize("name", NAMES)
def test_the_accuracy_is_that_of_the_notes(name: str) -> None:
    net = network(name)
    samples = net.samples
    assert samples is not None and samples.labels is not None
    right = int((golden.predict(net, samples.images) == samples.labels).sum())
    assert net.notes["accuracy"].startswith(f"{right}/{len(samples.labels)} held-out test images")
    assert right / len(samples.labels) > 0.94


@pytest.mark.parametrize("name", NAMES)
def test_the_network_is_of_the_recipe_beside_it(name: str) -> None:
    pytest.importorskip("torch", reason="recipes need PyTorch: pip install 'bnn2hw[train]'")
    from bnn2hw.train.recipe import read_recipe

    recipe = read_recipe(HERE / f"{name}.toml")
    assert recipe.name == name == network(name).name
    assert network(name).notes["recipe"] == recipe.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_inspected(name: str) -> None:
    reports = inspect(network(name))
    assert [report.name for report in reports] == [layer.name for layer in network(name).layers]


def test_reuse_takes_a_quarter_of_the_terms_in_the_mst_network() -> None:
    reports = {name: inspect(network(name)) for name in ("baseline", "mst")}
    direct, reused = (
        {name: sum(getattr(r, key) or 0 for r in found) for name, found in reports.items()}
        for key in ("terms_direct", "terms_mst")
    )
    assert direct["mst"] >= 4 * reused["mst"]
    assert reused["mst"] < 0.7 * reused["baseline"]
    weights = [
        [layer.weights.shape for layer in network(name).linear_layers()]
        for name in ("baseline", "mst")
    ]
    assert weights[0] == weights[1], "the same size"
