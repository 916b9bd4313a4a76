"""Recipes: what is read, and one clear line for everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")

from bnn2hw.errors import TrainingError, UsageError
from bnn2hw.train.recipe import (
    ConvRecipe,
    DenseRecipe,
    PoolRecipe,
    Recipe,
    parse_recipe,
    read_recipe,
)

TEXT = """
name = "net"
epochs = 3
learning_rate = 1

[network]
standardise = false

[[network.layers]]
type = "conv"
channels = 4
kernel = 5
padding_value = -1

[[network.layers]]
type = "pool"

[[network.layers]]
type = "dense"
channels = 10

[mst]
centers = 2
weight = 1e-4
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "net.toml"
    path.write_text(TEXT)
    return path


def test_a_recipe_is_read_key_by_key(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.network is not None and recipe.mst is not None
    conv, pool, dense = recipe.network.layers
    assert conv == ConvRecipe(4, kernel=5, padding_value=-1)
    assert isinstance(conv, ConvRecipe) and conv.padding_positions == 2
    assert (pool, dense) == (PoolRecipe(), DenseRecipe(10))
    assert (recipe.learning_rate, recipe.mst.weight) == (1.0, 1e-4)
    assert not recipe.network.standardise
    assert recipe.subbit is None and recipe.groupnet is None


def test_settings_go_before_the_file(path: Path) -> None:
    recipe = read_recipe(path, ["epochs=7", "mst.centers=3", "data=mnist", "subbit.tau=4"])
    assert (recipe.epochs, recipe.data) == (7, "mnist")
    assert recipe.mst is not None and recipe.mst.centers == 3
    assert recipe.subbit is not None and recipe.subbit.tau == 4


def test_equal_recipes_are_equal_texts(path: Path) -> None:
    one, same = read_recipe(path), read_recipe(path, ["epochs=3"])
    assert one == same and one.to_json() == same.to_json()
    assert read_recipe(path, ["seed=1"]).to_json() != one.to_json()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["epoch=3"], "key 'epoch' is unknown; did you mean 'epochs'?"),
        (["mst.center=3"], "key 'mst.center' is unknown; did you mean 'centers'?"),
        (["mst.weight=-1e-4"], "key 'mst.weight' is -0.0001; lambda must be 0 or greater"),
        (["mst.weight=inf"], "key 'mst.weight' must be a finite number, not inf"),
        (["mst.weight=much"], "key 'mst.weight' must be a number, not 'much'"),
        (["mst.centers=0"], "key 'mst.centers' is 0; give at least 1 center"),
        (["mst.centers_kind=mean"], "key 'mst.centers_kind' is 'mean'; choose one of 'learned'"),
        (["name=a b"], "key 'name' is 'a b'; use letters, digits"),
        (["epochs=0"], "key 'epochs' is 0; give at least 1"),
        (["epochs=2.5"], "key 'epochs' must be an integer, not 2.5"),
        (["epochs=true"], "key 'epochs' must be an integer, not True"),
        (["batch=1"], "key 'batch' is 1; give at least 2"),
        (["learning_rate=0"], "key 'learning_rate' is 0; give a number above 0, up to 1000"),
        (["learning_rate=1e39"], "key 'learning_rate' is 1e+39; give a number above 0"),
        (["learning_rate=nan"], "key 'learning_rate' must be a finite number"),
        (["weight_decay=-1"], "key 'weight_decay' is -1.0; give at least 0"),
        (["shift=-1"], "key 'shift' is -1; give at least 0"),
        (["seed=-1"], "key 'seed' is -1; give at least 0"),
        (["optimiser=lion"], "key 'optimiser' is 'lion'; choose one of 'adam', 'sgd'"),
        (["estimator=magic"], "key 'estimator' is 'magic'; choose one of"),
        (["data=imagenet"], "key 'data' is 'imagenet'; choose one of 'digits', 'mnist'"),
        (["activation_bits=2"], "'activation_bits' is 2, and layers in a row have 1; give"),
        (["network.standardise=1"], "key 'network.standardise' must be true or false, not 1"),
        (["network.layers=3"], "key 'network.layers' must be a list of tables, not 3"),
        (['network.layers=[{type="conv",channels=4}]'], "'network.layers' is not dense"),
        (['network.layers=[{type="dance"}]'], "key 'network.layers.type' is 'dance'; choose"),
        (['network.layers=[{type="dense"}]'], "key 'network.layers.channels' is missing"),
        (
            ['network.layers=[{type="pool"},{type="dense",channels=10}]'],
            "a pool in 'network.layers' does not follow a conv",
        ),
        (
            ['network.layers=[{type="dense",channels=4},{type="conv",channels=4},'
             '{type="dense",channels=10}]'],
            "a conv in 'network.layers' follows a dense layer",
        ),
        (
            ['network.layers=[{type="conv",channels=4,padding_value=2},'
             '{type="dense",channels=10}]'],
            "key 'network.layers.padding_value' is 2; choose one of -1, 0, 1",
        ),
        (
            ['network.layers=[{type="conv",channels=4,stride=0},{type="dense",channels=10}]'],
            "key 'network.layers.stride' is 0; give at least 1",
        ),
        (["groupnet.bases=3"], "give one of the sections 'network' and 'groupnet'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(path: Path, settings: list[str], message: str) -> None:
    with pytest.raises(TrainingError) as caught:
        read_recipe(path, settings)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_recipes_are_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no such file"):
        read_recipe(tmp_path / "no.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(TrainingError, match="is not TOML"):
        read_recipe(broken)
    broken.write_text("name = 'x'")
    with pytest.raises(TrainingError, match="one of the sections 'network' and 'groupnet'"):
        read_recipe(broken)
    broken.write_text("epochs = 3")
    with pytest.raises(TrainingError, match="key 'name' is missing"):
        read_recipe(broken)


@pytest.mark.parametrize("setting", ["epochs", "=3", "mst..weight=1", "epochs.x=1"])
def test_settings_of_another_form_are_told(path: Path, setting: str) -> None:
    with pytest.raises(UsageError, match="setting"):
        read_recipe(path, [setting])


@pytest.mark.parametrize("value", [None, 3, [], "x", [1], {"layers": {}}])
def test_sections_of_another_type_are_told(value: Any) -> None:
    with pytest.raises(TrainingError):
        parse_recipe({"name": "net", "network": value})


def test_a_recipe_parsed_from_values_is_the_one_read(path: Path) -> None:
    layers = [
        {"type": "conv", "channels": 4, "kernel": 5, "padding_value": -1},
        {"type": "pool"},
        {"type": "dense", "channels": 10},
    ]
    parsed = parse_recipe(
        {
            "name": "net", "epochs": 3, "learning_rate": 1,
            "network": {"standardise": False, "layers": layers},
            "mst": {"centers": 2, "weight": 1e-4},
        }
    )  # fmt: skip
    assert isinstance(parsed, Recipe)
    assert parsed == read_recipe(path)
