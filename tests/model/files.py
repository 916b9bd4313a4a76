"""Model files with their insides changed, and what a reader may do with them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw.model import Network, load, save
from bnn2hw.model.arrays import read_arrays
from tests.helpers import read_or_told

from .networks import digits

Edit = Callable[[dict[str, Any], dict[str, Any]], object]


def rewritten(path: Path, edit: Edit, network: Network | None = None) -> Path:
    """Write the model file of a network, :func:`digits` if none, with its insides edited."""
    save(network or digits(), path)
    arrays: dict[str, Any] = read_arrays(path)
    text = json.loads(arrays.pop("network").tobytes())
    edit(text, arrays)
    raw = text.pop("raw", None) or json.dumps(text).encode()
    arrays["network"] = np.frombuffer(raw, np.uint8)
    return repacked(path, arrays)


def repacked(path: Path, arrays: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, np.asanyarray(array))
            archive.writestr(f"{name}.npy", stream.getvalue())
    return path


def layer(index: int, **values: Any) -> Edit:
    return lambda text, arrays: text["layers"][index].update(values)


def drop(*path: Any) -> Edit:
    def edit(text: Any, arrays: Any) -> None:
        for key in path[:-1]:
            text = text[key]
        del text[path[-1]]

    return edit


def top(**values: Any) -> Edit:
    return lambda text, arrays: text.update(values)


def array(name: str, value: Any) -> Edit:
    return lambda text, arrays: arrays.update({name: np.asarray(value)})


def loads_or_tells(path: Path) -> None:
    network = read_or_told(lambda: load(path), path)
    assert network is None or network.tensors["input"] == network.input


def walk(value: Any, places: list[tuple[Any, Any]]) -> None:
    """List every (holder, key) of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        places.append((value, key))
        if isinstance(item, dict | list):
            walk(item, places)
