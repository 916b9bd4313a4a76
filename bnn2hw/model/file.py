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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .arrays import SIZE_LIMIT, read_arrays
from .fields import (
    CODECS,
    OPTIONAL,
    FileArrays,
    as_integer,
    as_list,
    as_object,
    as_string,
    check_keys,
    read_format,
    short,
    write_format,
)
from .formats import Bipolar, Format, Tensor
from .groups import BaseGroup
from .layers import BinaryConv, BinaryDense, Layer
from .limits import check_input, check_layer
from .network import Network, Samples
from .streams import (
    Affine,
    Argmax,
    Binarize,
    ChannelArgmax,
    MaxPool,
    Quantize,
    SumPool,
    Upsample,
)

__all__ = ["FORMAT", "check_writable", "load", "save"]

FORMAT = 1
"""Number of the format; a file of another one is refused."""

_ENTRY = "network"
_KIND = "bnn2hw network"
_TEXT_LIMIT = 1 << 24

_TYPES: dict[str, type[Layer]] = {
    "affine": Affine,
    "argmax": Argmax,
    "binarize": Binarize,
    "binary_conv": BinaryConv,
    "binary_dense": BinaryDense,
    "channel_argmax": ChannelArgmax,
    "max_pool": MaxPool,
    "quantize": Quantize,
    "sum_pool": SumPool,
    "upsample": Upsample,
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


def check_writable(path: str | Path) -> None:
    """Check, by an attempt before work starts, that a file can be written at a place.

    Raises
    ------
    ModelError
        If it cannot, or something other than a file is there.
    """
    with _temporary(Path(path)) as temporary:
        temporary.touch(exist_ok=False)


def _write_whole(path: Path, data: bytes) -> None:
    with _temporary(path) as temporary:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a name for a file beside a path, which is gone afterwards unless it was moved."""
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    try:
        if path.exists() and not path.is_file():
            raise ModelError("cannot be written: it is there and not a file", file=path)
        try:
            yield temporary
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
            "format": write_format(network.input.format),
        },
        "layers": [_describe_layer(layer, arrays) for layer in network.layers],
        "classes": list(network.classes),
        "notes": dict(network.notes),
        "samples": None,
    }
    if network.samples is not None:
        text["samples"] = _describe_samples(network.samples, network.input.format, arrays)
    if network.groups:
        text["groups"] = [
            {
                "name": group.name,
                "bases": [list(base) for base in group.bases],
                "output": group.output,
            }
            for group in network.groups
        ]
    return text


def _describe_layer(layer: Layer, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    text: dict[str, Any] = {
        "type": _NAMES[type(layer)],
        "name": layer.name,
        "inputs": list(layer.inputs),
    }
    for name in _fields(type(layer)):
        if name in OPTIONAL and getattr(layer, name) is None:
            continue
        text[name] = CODECS[name].write(getattr(layer, name), f"{layer.name}.{name}", arrays)
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
        return _build(FileArrays(arrays), _parse(arrays.pop(_ENTRY, None)))
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
    return as_object(text, "the description")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _build(arrays: FileArrays, text: dict[str, Any]) -> Network:
    if text.get("kind") != _KIND:
        raise ModelError(f"is not a model file: its kind is {short(text.get('kind'))}")
    if type(text.get("format")) is not int or text["format"] != FORMAT:
        raise ModelError(
            f"is of format {short(text.get('format'))} and this bnn2hw reads format {FORMAT}",
            remedy="use the bnn2hw that wrote it, or import the network again",
        )
    keys = ("kind", "format", "name", "input", "layers", "classes", "notes", "samples")
    check_keys(text, keys, "the description", optional=("groups",))
    samples = None if text["samples"] is None else _read_samples(text["samples"], arrays)
    layers = tuple(_read_layer(item, arrays) for item in as_list(text["layers"], "layers"))
    input_ = _read_input(text["input"])
    check_input(input_)
    network = Network(
        name=as_string(text["name"], "name"),
        input=input_,
        layers=layers,
        classes=tuple(as_string(name, "classes") for name in as_list(text["classes"], "classes")),
        notes={k: as_string(v, "notes") for k, v in as_object(text["notes"], "notes").items()},
        samples=samples,
        groups=tuple(_read_group(item) for item in as_list(text.get("groups", []), "groups")),
    )
    unused = sorted(set(arrays.arrays) - arrays.taken)
    if unused:
        raise ModelError(f"array {unused[0]!r} belongs to nothing in the description")
    return network


def _read_input(value: Any) -> Tensor:
    text = as_object(value, "input")
    check_keys(text, ("shape", "format"), "input")
    shape = tuple(as_integer(n, "input shape") for n in as_list(text["shape"], "input shape"))
    return Tensor(shape, read_format(text["format"], "input format"))


def _read_samples(value: Any, arrays: FileArrays) -> Samples:
    text = as_object(value, "samples")
    check_keys(text, ("images", "labels"), "samples")
    images = arrays.integers(text["images"], "samples", np.int32, SIZE_LIMIT)
    labels = text["labels"]
    if labels is not None:
        labels = arrays.integers(labels, "samples", np.int64)
    return Samples(images, labels)


def _read_group(value: Any) -> BaseGroup:
    text = as_object(value, "a group")
    check_keys(text, ("name", "bases", "output"), "a group")
    return BaseGroup(
        as_string(text["name"], "group name"),
        tuple(
            tuple(as_string(name, "bases") for name in as_list(base, "a base"))
            for base in as_list(text["bases"], "bases")
        ),
        as_string(text["output"], "group output"),
    )


def _read_layer(value: Any, arrays: FileArrays) -> Layer:
    text = as_object(value, "a layer")
    name = as_string(text.get("name"), "layer name")
    try:
        cls = _TYPES.get(text["type"]) if isinstance(text.get("type"), str) else None
        if cls is None:
            raise ModelError(
                f"type {short(text.get('type'))} is unknown",
                remedy=f"this bnn2hw knows {', '.join(sorted(_TYPES))}",
            )
        fields = _fields(cls)
        optional = tuple(key for key in fields if key in OPTIONAL)
        keys = tuple(key for key in fields if key not in OPTIONAL)
        check_keys(text, ("type", "name", "inputs", *keys), "it", optional)
        inputs = tuple(as_string(edge, "inputs") for edge in as_list(text["inputs"], "inputs"))
        values = {key: CODECS[key].read(text[key], key, arrays) for key in fields if key in text}
        for item in dataclasses.fields(cls):
            if values.get(item.name, ...) is None and item.default is dataclasses.MISSING:
                raise ModelError(f"{item.name} is missing")
        layer = cls(name=name, inputs=inputs, **values)
        check_layer(layer)
    except ModelError as error:
        raise error.located(layer=name) from error
    return layer


def _fields(cls: type[Layer]) -> tuple[str, ...]:
    names = (item.name for item in dataclasses.fields(cls))
    return tuple(name for name in names if name not in ("name", "inputs"))
