"""How the fields of layers lie in the model file: JSON by type, formats, and arrays by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .codebook import Codebook
from .formats import BIPOLAR, Bipolar, Format, Integer
from .limits import MATRIX_LIMIT
from .threshold import Threshold

__all__ = [
    "CODECS",
    "OPTIONAL",
    "Codec",
    "FileArrays",
    "as_integer",
    "as_list",
    "as_object",
    "as_string",
    "check_keys",
    "read_format",
    "short",
    "write_format",
]

_INT_LIMIT = 1 << 40

# --------------------------------------------------------------------------- JSON by type


def short(value: Any) -> str:
    """Return a value's text, cut to 60 characters."""
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."


def check_keys(
    text: dict[str, Any], keys: tuple[str, ...], what: str, optional: tuple[str, ...] = ()
) -> None:
    """Check that an object has all of the keys and no others but the optional ones."""
    missing = [key for key in keys if key not in text]
    if missing:
        raise ModelError(f"{what} has no key {missing[0]!r}")
    unknown = [key for key in text if key not in (*keys, *optional)]
    if unknown:
        raise ModelError(
            f"{what} has the unknown key {short(unknown[0])}",
            remedy=f"the keys are {', '.join((*keys, *optional))}",
        )


def as_object(value: Any, what: str) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise ModelError(f"{what} must be a JSON object, not {short(value)}")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """Return a JSON list."""
    if not isinstance(value, list):
        raise ModelError(f"{what} must be a JSON list, not {short(value)}")
    return value


def as_string(value: Any, what: str) -> str:
    """Return a text without half characters."""
    if not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value):
        raise ModelError(f"{what} must be text, not {short(value)}")
    return value


def as_integer(value: Any, what: str) -> int:
    """Return an integer, which true and 1.0 are not."""
    if type(value) is not int or abs(value) > _INT_LIMIT:
        raise ModelError(f"{what} must be an integer within +-2**40, not {short(value)}")
    return value


# ------------------------------------------------------------------------------- arrays


@dataclass
class FileArrays:
    """The arrays of a file, each to be taken by name."""

    arrays: dict[str, NDArray[Any]]
    taken: set[str] = field(default_factory=set)

    def take(self, name: Any, what: str, limit: int = MATRIX_LIMIT) -> NDArray[Any]:
        """Return the array of that name, of at most so many elements, which nothing has taken."""
        if not isinstance(name, str) or name not in self.arrays:
            raise ModelError(f"{what}: there is no array {short(name)}")
        if name in self.taken:
            raise ModelError(f"{what}: array {name!r} belongs to something else already")
        if self.arrays[name].size > limit:
            raise ModelError(f"{what}: array {name!r} has more than {limit} elements")
        self.taken.add(name)
        return self.arrays[name]

    def integers(
        self, name: Any, what: str, dtype: type[np.integer], limit: int = MATRIX_LIMIT
    ) -> NDArray[Any]:
        """Return it as integers of the dtype."""
        array = self.take(name, what, limit)
        if array.dtype.kind not in "iu":
            raise ModelError(f"{what}: array {name!r} holds {array.dtype}, expected integers")
        bounds = np.iinfo(dtype)
        if array.size and (int(array.min()) < bounds.min or int(array.max()) > bounds.max):
            raise ModelError(f"{what}: array {name!r} leaves {bounds.min}..{bounds.max}")
        return array.astype(dtype)


# ------------------------------------------------------------------- the fields of layers


class Codec(NamedTuple):
    """How a field of a layer is written and read; both get a name and the arrays."""

    write: Callable[[Any, str, dict[str, NDArray[Any]]], Any]
    read: Callable[[Any, str, FileArrays], Any]


def _write_array(value: NDArray[Any], name: str, arrays: dict[str, NDArray[Any]]) -> str:
    arrays[name] = np.ascontiguousarray(value)
    return name


def _write_parts(
    value: Any, names: tuple[str, str], name: str, arrays: dict[str, NDArray[Any]]
) -> dict[str, str] | None:
    """Return the object that names two arrays of a value, or None where there is no value."""
    if value is None:
        return None
    return {part: _write_array(getattr(value, part), f"{name}.{part}", arrays) for part in names}


def _read_threshold(value: Any, name: str, arrays: FileArrays) -> Threshold | None:
    if value is None:
        return None
    text = as_object(value, name)
    check_keys(text, ("direction", "level"), name)
    parts = [arrays.integers(text[part], name, np.int64) for part in ("direction", "level")]
    return Threshold(*parts)


def _read_codebook(value: Any, name: str, arrays: FileArrays) -> Codebook | None:
    if value is None:
        return None
    text = as_object(value, name)
    check_keys(text, ("subset", "indices"), name)
    return Codebook(arrays.take(text["subset"], name), arrays.take(text["indices"], name))


def write_format(value: Format) -> dict[str, Any]:
    """Return the JSON object of a format; a fraction of 0 is left out."""
    if isinstance(value, Bipolar):
        return {"type": "bipolar"}
    text: dict[str, Any] = {"type": "integer", "low": int(value.low), "high": int(value.high)}
    return text | ({"fraction": int(value.fraction)} if value.fraction else {})


def read_format(value: Any, what: str) -> Format:
    """Return the format of a JSON object."""
    text = as_object(value, what)
    if text.get("type") == "bipolar":
        check_keys(text, ("type",), what)
        return BIPOLAR
    if text.get("type") == "integer":
        check_keys(text, ("type", "low", "high"), what, optional=("fraction",))
        keys = ("low", "high", "fraction")
        return Integer(*(as_integer(text[key], f"{what} {key}") for key in keys if key in text))
    raise ModelError(f"{what} {short(text.get('type'))} is not bipolar or integer")


def _read_integer_format(value: Any, name: str, _: FileArrays) -> Integer:
    form = read_format(value, name)
    if not isinstance(form, Integer):
        raise ModelError(f"{name} must be integer, not {form}")
    return form


_ARRAY = Codec(_write_array, lambda value, name, arrays: arrays.take(value, name))
_INTEGER = Codec(lambda value, *_: int(value), lambda value, name, _: as_integer(value, name))
_INTEGERS = Codec(
    lambda value, *_: [int(n) for n in value],
    lambda value, name, _: tuple(as_integer(n, name) for n in as_list(value, name)),
)
_STRING = Codec(lambda value, *_: str(value), lambda value, name, _: as_string(value, name))

CODECS: dict[str, Codec] = {
    "codebook": Codec(
        lambda value, *place: _write_parts(value, ("subset", "indices"), *place), _read_codebook
    ),
    "dilation": _INTEGERS,
    "direction": _ARRAY,
    "factor": _INTEGER,
    "format": Codec(lambda value, *_: write_format(value), _read_integer_format),
    "groups": _INTEGER,
    "kernel": _INTEGERS,
    "levels": _ARRAY,
    "offset": _ARRAY,
    "padding": _INTEGERS,
    "padding_value": _INTEGER,
    "shift": _INTEGER,
    "stride": _INTEGERS,
    "threshold": Codec(
        lambda value, *place: _write_parts(value, ("direction", "level"), *place), _read_threshold
    ),
    "ties": _STRING,
    "weights": _ARRAY,
}
"""By the name of the field."""

OPTIONAL = ("codebook",)
"""Fields that are left out where they are None."""
