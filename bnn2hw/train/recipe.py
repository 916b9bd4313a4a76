"""Recipes of trainings: frozen dataclasses, read from TOML and checked before any work starts."""

from __future__ import annotations

import json
import re
import tomllib
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import TrainingError, UsageError
from ..frontends.description import Table, read_description
from .groupnet import GroupnetRecipe
from .mst import MstRecipe
from .subbit import SubbitRecipe

__all__ = [
    "ConvRecipe",
    "DenseRecipe",
    "GroupnetRecipe",
    "MstRecipe",
    "NetworkRecipe",
    "PoolRecipe",
    "Recipe",
    "SubbitRecipe",
    "parse_recipe",
    "read_recipe",
]


_MOST_RATE = 1000


@dataclass(frozen=True)
class ConvRecipe:
    """A binary convolution, followed by batch norm and sign; the kernel is square.

    Without a ``padding`` it is half the kernel, which keeps the size of the map at stride 1.
    """

    channels: int
    type: Literal["conv"] = "conv"
    kernel: int = 3
    stride: int = 1
    padding: int | None = None
    padding_value: Literal[-1, 0, 1] = 0

    def __post_init__(self) -> None:
        _at_least(self, "network.layers", channels=1, kernel=1, stride=1)
        _at_least(self, "network.layers", padding_positions=0)

    @property
    def padding_positions(self) -> int:
        """Return the padded positions on every side."""
        return self.kernel // 2 if self.padding is None else self.padding


@dataclass(frozen=True)
class PoolRecipe:
    """The maximum over windows that do not overlap, after a convolution."""

    type: Literal["pool"] = "pool"
    kernel: int = 2

    def __post_init__(self) -> None:
        _at_least(self, "network.layers", kernel=1)


@dataclass(frozen=True)
class DenseRecipe:
    """A binary dense layer; all but the last are followed by batch norm and sign."""

    channels: int
    type: Literal["dense"] = "dense"

    def __post_init__(self) -> None:
        _at_least(self, "network.layers", channels=1)


LayerRecipe = ConvRecipe | PoolRecipe | DenseRecipe


@dataclass(frozen=True)
class NetworkRecipe:
    """The layers of a network in order; the last one is dense and gives the class scores.

    With ``standardise`` the latent weights of a channel are standardised before their signs are
    taken (IR-Net).
    """

    layers: tuple[LayerRecipe, ...]
    standardise: bool = True

    def __post_init__(self) -> None:
        if not self.layers or not isinstance(self.layers[-1], DenseRecipe):
            raise TrainingError(
                "the last of 'network.layers' is not dense",
                remedy='end with type = "dense" and as many channels as there are classes',
            )
        for before, layer in zip((None, *self.layers), self.layers, strict=False):
            if isinstance(layer, PoolRecipe) and not isinstance(before, ConvRecipe):
                raise TrainingError(
                    "a pool in 'network.layers' does not follow a conv",
                    remedy="pools stand between a convolution and its sign",
                )
            if isinstance(layer, ConvRecipe) and isinstance(before, DenseRecipe):
                raise TrainingError("a conv in 'network.layers' follows a dense layer")


@dataclass(frozen=True)
class Recipe:
    """All that a training depends on.

    Attributes
    ----------
    name
        Name of the network.
    data
        ``digits`` or ``mnist`` (see :func:`.data.load_data`).
    seed
        Of weights, order of images and shifts.
    epochs, batch
        Passes over the training images, and images a step.
    optimiser
        ``adam``, or ``sgd`` with momentum 0.9. The rate falls along a cosine to 0.
    learning_rate, weight_decay
        Of the optimiser.
    estimator
        Gradient of the sign of activations and weights: one of :data:`.binary.ESTIMATORS`.
    shift
        Images are moved by up to so many pixels along both axes.
    activation_bits
        Bits of an activation.
    network, groupnet
        The layers in a row, or a Group-Net: one of them is given.
    mst, subbit
        The sections of that name; None where there is none.

    Raises
    ------
    TrainingError
        If a value is out of range; it names the key.
    """

    name: str
    network: NetworkRecipe | None = None
    groupnet: GroupnetRecipe | None = None
    data: Literal["digits", "mnist"] = "digits"
    seed: int = 0
    epochs: int = 60
    batch: int = 64
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    estimator: Literal["clip", "bireal", "ede"] = "clip"
    shift: int = 1
    activation_bits: int = 1
    mst: MstRecipe | None = None
    subbit: SubbitRecipe | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise TrainingError(
                f"key 'name' is {self.name!r}",
                remedy="use letters, digits, underscores and hyphens",
            )
        _at_least(self, "", seed=0, epochs=1, batch=2, weight_decay=0, shift=0, activation_bits=1)
        if not 0 < self.learning_rate <= _MOST_RATE:
            raise TrainingError(
                f"key 'learning_rate' is {self.learning_rate:g}",
                remedy=f"give a number above 0, up to {_MOST_RATE}",
            )

        if (self.network is None) == (self.groupnet is None):
            raise TrainingError("give one of the sections 'network' and 'groupnet'")
        if self.activation_bits > 1 and self.groupnet is None:
            raise TrainingError(
                f"key 'activation_bits' is {self.activation_bits}, and layers in a row have 1",
                remedy="give a section 'groupnet' (bases = 1 is a plain network)",
            )

    def to_json(self) -> str:
        """Return the recipe as one line of JSON: equal recipes, equal texts."""
        return json.dumps(asdict(self, dict_factory=_given), sort_keys=True)


def _given(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in items if value is not None}


def _at_least(recipe: object, place: str, **least: int) -> None:
    for key, bound in least.items():
        value = getattr(recipe, key)
        if not value >= bound:
            name = f"{place}.{key}" if place else key
            raise TrainingError(f"key {name!r} is {value}", remedy=f"give at least {bound}")


def read_recipe(path: Path, settings: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a TOML file.

    Parameters
    ----------
    path
        The file; keys and sections are the attributes of :class:`Recipe`.
    settings
        ``KEY=VALUE`` each, which go before the file: keys with dots lead into sections, values are
        TOML (a text needs no quotes).

    Raises
    ------
    TrainingError
        If the file cannot be read, or a key is unknown, missing or out of range.
    UsageError
        If a setting is not of that form.
    """
    values = read_description(path, TrainingError).values
    for setting in settings:
        _set(values, setting)
    return parse_recipe(values, path)


def parse_recipe(values: Mapping[str, Any], path: Path = Path("recipe")) -> Recipe:
    """Return the recipe of a table of TOML values; errors name the path.

    Raises
    ------
    TrainingError
        If a key is unknown, missing or out of range.
    """
    try:
        recipe: Recipe = _section(Table(dict(values), path, error=TrainingError), Recipe)
    except TrainingError as error:
        raise error.located(file=path) from None
    return recipe


def _set(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not all(key.split(".")):
        raise UsageError(f"setting {setting!r} is not KEY=VALUE", remedy="such as --set epochs=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"setting {setting!r} leads into {section!r}, which is no section")
    values[last] = value


def _section(table: Table, kind: type) -> Any:
    """Return a dataclass from a table, by the types of its fields."""
    hints = get_type_hints(kind)
    table.check_keys(hints)
    values = {}
    for field in fields(kind):
        if field.name in table:
            values[field.name] = _value(table, field.name, hints[field.name])
        elif field.default is MISSING and field.default_factory is MISSING:
            table.fail(f"key {table.path_of(field.name)!r} is missing")
    return kind(**values)


def _value(table: Table, key: str, kind: Any) -> Any:
    """Return one value of a table, of a field's type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):  # T | None: a key that is there has a T
        (kind,) = (argument for argument in arguments if argument is not types.NoneType)
        return _value(table, key, kind)
    if origin is Literal:
        if isinstance(arguments[0], str):
            return table.choice(key, arguments)
        value = table.integer(key)
        if value not in arguments:
            table.fail(
                f"key {table.path_of(key)!r} is {value}",
                f"choose one of {', '.join(map(str, arguments))}",
            )
        return value
    if origin is tuple:
        return _values(table, key, arguments[0])
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return _section(table.table(key), kind)
    readers: dict[type, Callable[..., Any]] = {
        bool: table.flag,
        int: table.integer,
        float: table.number,
        str: table.text,
    }
    return readers[kind](key, None)


def _values(table: Table, key: str, kind: Any) -> tuple[Any, ...]:
    """Return a list of values: of tables, whose ``type`` tells the dataclass, or plain ones."""
    place = table.path_of(key)
    if get_origin(kind) in (Union, types.UnionType):
        kinds = {get_args(get_type_hints(k)["type"])[0]: k for k in get_args(kind)}
        parts = [Table(t, table.path, None, place, TrainingError) for t in table.tables(key)]
        return tuple(_section(part, kinds[part.choice("type", tuple(kinds))]) for part in parts)
    items = table.values[key]
    if not isinstance(items, list):
        table.fail(f"key {place!r} must be a list, not {items!r}")
    return tuple(
        _value(Table({key: item}, table.path, None, table.place, TrainingError), key, kind)
        for item in items
    )
