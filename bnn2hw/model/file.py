"""The model file: a network as ``.npz`` without pickle, described in docs/model-file.md.

The array ``network`` holds a JSON text in UTF-8 that describes the network and names its other
arrays. Same network, same bytes.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .arrays import read_arrays
from .formats import BIPOLAR, Bipolar, Format, Integer, Tensor
from .layers import Argmax, Binarize, BinaryConv, BinaryDense, Layer, MaxPool
from .limits import check_input, check_layer
from .network import Network, Samples
from .threshold import Threshold

__all__ = ["FORMAT", "load", "save"]

FORMAT = 1
"""Number of the format; a file of another one is refused."""

_ENTRY = "network"
_KIND = "bnn2hw network"
_TEXT_LIMIT = 1 << 24
_INT_LIMIT = 1 << 40

_TYPES: dict[str, type[Layer]] = {
    "argmax": Argmax,
    "binarize": Binarize,
    "binary_conv": BinaryConv,
    "binary_dense": BinaryDense,
    "max_pool": MaxPool,
}
_NAMES = {cls: name for name, cls in _TYPES.items()}


# ---------------------------------------------------------------------------------- writing


def save(network: Network, path: str | Path) -> None:
    """Write a network to a model file, whole or not at all.

    Raises
    ------
    ModelError
        If the file cannot be written, and an earlier one is then as it was; or the network is
        larger than a reader takes.
    """
    check_input(network.input)
    for layer in network.layers:
        check_layer(layer)
    arrays: dict[str, NDArray[Any]] = {}
    text = json.dumps(_describe(network, arrays), indent=1, ensure_ascii=False)
    try:
        entry = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    except UnicodeEncodeError as error:
        raise ModelError(f"notes or classes are not Unicode: {error}", file=path) from error
    _write_whole(Path(path), _pack({_ENTRY: entry, **arrays}))


def _pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # else the system that writes is told in the bytes
            member.external_attr = 0o644 << 16
            data = io.BytesIO()
            np.lib.format.write_array(data, array, version=(1, 0), allow_pickle=False)
            archive.writestr(member, data.getvalue(), zipfile.ZIP_DEFLATED, 6)
    return stream.getvalue()


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    try:
        if path.exists() and not path.is_file():
            raise ModelError("cannot be written: it is there and not a file", file=path)
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(
            f"cannot be written: {reason}", file=path, remedy="choose another place"
        ) from error


def _describe(network: Network, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    text: dict[str, Any] = {
        "kind": _KIND,
        "format": FORMAT,
        "name": network.name,
        "input": {
            "shape": [int(n) for n in network.input.shape],
            "format": _describe_format(network.input.format),
        },
        "layers": [_describe_layer(layer, arrays) for layer in network.layers],
        "classes": list(network.classes),
        "notes": dict(network.notes),
        "samples": None,
    }
    if network.samples is not None:
        text["samples"] = _describe_samples(network.samples, network.input.format, arrays)
    return text


def _describe_format(value: Format) -> dict[str, Any]:
    if isinstance(value, Bipolar):
        return {"type": "bipolar"}
    return {"type": "integer", "low": int(value.low), "high": int(value.high)}


def _describe_layer(layer: Layer, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    text: dict[str, Any] = {
        "type": _NAMES[type(layer)],
        "name": layer.name,
        "inputs": list(layer.inputs),
    }
    for name in _fields(type(layer)):
        text[name] = _CODECS[name].write(getattr(layer, name), f"{layer.name}.{name}", arrays)
    return text


def _describe_samples(
    samples: Samples, format_: Format, arrays: dict[str, NDArray[Any]]
) -> dict[str, Any]:
    low = 0 if isinstance(format_, Bipolar) else format_.low
    dtype = next(
        np.dtype(code)
        for code in ("u1", "i1", "u2", "i2", "i4", "i8")
        if np.iinfo(code).min <= low and format_.high <= np.iinfo(code).max
    )
    arrays["samples.images"] = np.ascontiguousarray(samples.images.astype(dtype))
    text: dict[str, Any] = {"images": "samples.images", "labels": None}
    if samples.labels is not None:
        arrays["samples.labels"] = samples.labels.astype(np.int64)
        text["labels"] = "samples.labels"
    return text


# ---------------------------------------------------------------------------------- reading


def load(path: str | Path) -> Network:
    """Read a network from a model file; damaged and hostile files are told from good ones.

    Raises
    ------
    ModelError
        If the file is not a model file of :data:`FORMAT`, or the network is not well-formed;
        the message names the file, the layer where one is at fault, and a remedy.
    """
    path = Path(path)
    arrays = read_arrays(path)
    try:
        return _build(_Arrays(arrays), _parse(arrays.pop(_ENTRY, None)))
    except ModelError as error:
        raise error.located(file=path) from error
    except (MemoryError, OverflowError, RecursionError) as error:
        raise ModelError("describes a network that is too large or too deep", file=path) from error


def _parse(entry: NDArray[Any] | None) -> dict[str, Any]:
    if entry is None:
        raise ModelError(
            f"has no entry {_ENTRY!r}, so it is not a model file",
            remedy="turn plain arrays into one with 'bnn2hw import'",
        )
    if entry.dtype != np.uint8 or entry.ndim != 1 or entry.size > _TEXT_LIMIT:
        raise ModelError(f"entry {_ENTRY!r} must be at most {_TEXT_LIMIT} bytes (uint8)")
    try:
        text = json.loads(
            entry.tobytes().decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        raise ModelError(f"entry {_ENTRY!r} is not JSON: {str(error)[:200]}") from error
    return _object(text, "the description")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


@dataclass
class _Arrays:
    """The arrays of a file, each to be taken by name."""

    arrays: dict[str, NDArray[Any]]
    taken: set[str] = field(default_factory=set)

    def take(self, name: Any, what: str) -> NDArray[Any]:
        if not isinstance(name, str) or name not in self.arrays:
            raise ModelError(f"{what}: there is no array {_short(name)}")
        if name in self.taken:
            raise ModelError(f"{what}: array {name!r} belongs to something else already")
        self.taken.add(name)
        return self.arrays[name]

    def integers(self, name: Any, what: str, dtype: type[np.integer]) -> NDArray[Any]:
        array = self.take(name, what)
        if array.dtype.kind not in "iu":
            raise ModelError(f"{what}: array {name!r} holds {array.dtype}, expected integers")
        bounds = np.iinfo(dtype)
        if array.size and (int(array.min()) < bounds.min or int(array.max()) > bounds.max):
            raise ModelError(f"{what}: array {name!r} leaves {bounds.min}..{bounds.max}")
        return array.astype(dtype)


def _build(arrays: _Arrays, text: dict[str, Any]) -> Network:
    if text.get("kind") != _KIND:
        raise ModelError(f"is not a model file: its kind is {_short(text.get('kind'))}")
    if type(text.get("format")) is not int or text["format"] != FORMAT:
        raise ModelError(
            f"is of format {_short(text.get('format'))} and this bnn2hw reads format {FORMAT}",
            remedy="use the bnn2hw that wrote it, or import the network again",
        )
    keys = ("kind", "format", "name", "input", "layers", "classes", "notes", "samples")
    _check_keys(text, keys, "the description")
    samples = None if text["samples"] is None else _read_samples(text["samples"], arrays)
    layers = tuple(_read_layer(item, arrays) for item in _list(text["layers"], "layers"))
    input_ = _read_input(text["input"])
    check_input(input_)
    network = Network(
        name=_string(text["name"], "name"),
        input=input_,
        layers=layers,
        classes=tuple(_string(name, "classes") for name in _list(text["classes"], "classes")),
        notes={k: _string(v, "notes") for k, v in _object(text["notes"], "notes").items()},
        samples=samples,
    )
    unused = sorted(set(arrays.arrays) - arrays.taken)
    if unused:
        raise ModelError(f"array {unused[0]!r} belongs to nothing in the description")
    return network


def _read_input(value: Any) -> Tensor:
    text = _object(value, "input")
    _check_keys(text, ("shape", "format"), "input")
    shape = tuple(_integer(n, "input shape") for n in _list(text["shape"], "input shape"))
    format_ = _object(text["format"], "input format")
    if format_.get("type") == "bipolar":
        _check_keys(format_, ("type",), "input format")
        return Tensor(shape, BIPOLAR)
    if format_.get("type") == "integer":
        _check_keys(format_, ("type", "low", "high"), "input format")
        low, high = (_integer(format_[key], f"input {key}") for key in ("low", "high"))
        return Tensor(shape, Integer(low, high))
    raise ModelError(f"input format {_short(format_.get('type'))} is not bipolar or integer")


def _read_samples(value: Any, arrays: _Arrays) -> Samples:
    text = _object(value, "samples")
    _check_keys(text, ("images", "labels"), "samples")
    images = arrays.integers(text["images"], "samples", np.int32)
    labels = text["labels"]
    if labels is not None:
        labels = arrays.integers(labels, "samples", np.int64)
    return Samples(images, labels)


def _read_layer(value: Any, arrays: _Arrays) -> Layer:
    text = _object(value, "a layer")
    name = _string(text.get("name"), "layer name")
    try:
        cls = _TYPES.get(text["type"]) if isinstance(text.get("type"), str) else None
        if cls is None:
            raise ModelError(
                f"type {_short(text.get('type'))} is unknown",
                remedy=f"this bnn2hw knows {', '.join(sorted(_TYPES))}",
            )
        _check_keys(text, ("type", "name", "inputs", *_fields(cls)), "it")
        inputs = tuple(_string(edge, "inputs") for edge in _list(text["inputs"], "inputs"))
        values = {key: _CODECS[key].read(text[key], key, arrays) for key in _fields(cls)}
        for item in dataclasses.fields(cls):
            if values.get(item.name, ...) is None and item.default is dataclasses.MISSING:
                raise ModelError(f"{item.name} is missing")
        layer = cls(name=name, inputs=inputs, **values)
        check_layer(layer)
    except ModelError as error:
        raise error.located(layer=name) from error
    return layer


# ------------------------------------------------------------------- the fields of layers


class _Codec(NamedTuple):
    """How a field of a layer is written and read; both get a name and the arrays."""

    write: Callable[[Any, str, dict[str, NDArray[Any]]], Any]
    read: Callable[[Any, str, _Arrays], Any]


def _write_array(value: NDArray[Any], name: str, arrays: dict[str, NDArray[Any]]) -> str:
    arrays[name] = np.ascontiguousarray(value)
    return name


def _write_threshold(
    value: Threshold | None, name: str, arrays: dict[str, NDArray[Any]]
) -> dict[str, str] | None:
    if value is None:
        return None
    return {
        part: _write_array(getattr(value, part), f"{name}.{part}", arrays)
        for part in ("direction", "level")
    }


def _read_threshold(value: Any, name: str, arrays: _Arrays) -> Threshold | None:
    if value is None:
        return None
    text = _object(value, name)
    _check_keys(text, ("direction", "level"), name)
    parts = [arrays.integers(text[part], name, np.int64) for part in ("direction", "level")]
    return Threshold(*parts)


_ARRAY = _Codec(_write_array, lambda value, name, arrays: arrays.take(value, name))
_INTEGER = _Codec(lambda value, *_: int(value), lambda value, name, _: _integer(value, name))
_INTEGERS = _Codec(
    lambda value, *_: [int(n) for n in value],
    lambda value, name, _: tuple(_integer(n, name) for n in _list(value, name)),
)
_STRING = _Codec(lambda value, *_: str(value), lambda value, name, _: _string(value, name))

_CODECS: dict[str, _Codec] = {
    "dilation": _INTEGERS,
    "groups": _INTEGER,
    "kernel": _INTEGERS,
    "padding": _INTEGERS,
    "padding_value": _INTEGER,
    "stride": _INTEGERS,
    "threshold": _Codec(_write_threshold, _read_threshold),
    "ties": _STRING,
    "weights": _ARRAY,
}


def _fields(cls: type[Layer]) -> tuple[str, ...]:
    names = (item.name for item in dataclasses.fields(cls))
    return tuple(name for name in names if name not in ("name", "inputs"))


# --------------------------------------------------------------------------- JSON by type


def _short(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."


def _check_keys(text: dict[str, Any], keys: tuple[str, ...], what: str) -> None:
    missing = [key for key in keys if key not in text]
    if missing:
        raise ModelError(f"{what} has no key {missing[0]!r}")
    unknown = [key for key in text if key not in keys]
    if unknown:
        raise ModelError(
            f"{what} has the unknown key {_short(unknown[0])}",
            remedy=f"the keys are {', '.join(keys)}",
        )


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"{what} must be a JSON object, not {_short(value)}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ModelError(f"{what} must be a JSON list, not {_short(value)}")
    return value


def _string(value: Any, what: str) -> str:
    if not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value):
        raise ModelError(f"{what} must be text, not {_short(value)}")
    return value


def _integer(value: Any, what: str) -> int:
    if type(value) is not int or abs(value) > _INT_LIMIT:
        raise ModelError(f"{what} must be an integer within +-2**40, not {_short(value)}")
    return value
