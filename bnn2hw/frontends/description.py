"""Reading a TOML description: every key is known and of its type, or the user is told."""

from __future__ import annotations

import difflib
import reprlib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import Bnn2hwError, ImportFailure

__all__ = ["Table", "read_description"]

_SIZE_LIMIT = 1 << 20


def read_description(path: Path, error: type[Bnn2hwError] = ImportFailure) -> Table:
    """Return the top table of a TOML file.

    Raises
    ------
    error
        If the file cannot be read or is not TOML.
    """
    try:
        if not path.is_file():
            raise error("there is no such file", file=path)
        if path.stat().st_size > _SIZE_LIMIT:
            raise error(f"is larger than {_SIZE_LIMIT} bytes", file=path)
        values = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as failure:
        raise error(f"cannot be read: {failure.strerror}", file=path) from failure
    except (ValueError, RecursionError) as failure:
        raise error(f"is not TOML: {str(failure)[:200]}", file=path) from failure
    return Table(values, path, error=error)


class Table:
    """A table of a description, read key by key.

    Parameters
    ----------
    values
        What TOML gave.
    path
        The file.
    layer
        Name of the layer that it describes, for messages.
    place
        What messages call the table; empty for the top.
    error
        Class of the errors that it raises.
    """

    def __init__(
        self,
        values: dict[str, Any],
        path: Path,
        layer: str | None = None,
        place: str = "",
        error: type[Bnn2hwError] = ImportFailure,
    ) -> None:
        self.values = values
        self.path = path
        self.layer = layer
        self.place = place
        self.error = error

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def fail(self, what: str, remedy: str | None = None) -> NoReturn:
        """Raise an error that names file and layer."""
        raise self.error(what, file=self.path, layer=self.layer, remedy=remedy)

    def check_keys(self, keys: Iterable[str]) -> None:
        """Check that there is no key but these; a wrong one is told with its near match."""
        known = sorted(keys)
        for key in self.values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                remedy = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                self.fail(f"key {self.path_of(key)!r} is unknown", remedy)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text."""
        return str(self._value(key, str, "text", default))

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return a text that is one of the choices."""
        value = self.text(key, default)
        if value not in choices:
            known = ", ".join(repr(choice) for choice in choices)
            self.fail(f"key {self.path_of(key)!r} is {value!r}", f"choose one of {known}")
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        """Return an integer."""
        value = self._value(key, int, "an integer", default)
        if type(value) is not int or abs(value) > 1 << 40:
            self.fail(f"key {self.path_of(key)!r} must be an integer, not {value!r}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        value = self._value(key, (int, float), "a number", default)
        if isinstance(value, bool) or not abs(value) <= 1e300:  # infinite and NaN too
            self.fail(f"key {self.path_of(key)!r} must be a finite number, not {value!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        return bool(self._value(key, bool, "true or false", default))

    def integers(
        self, key: str, sizes: Sequence[int], default: tuple[int, ...] | None = None
    ) -> tuple[int, ...]:
        """Return a list of integers of one of these sizes; one integer alone is a list of one."""
        value = self._value(key, (int, list), "an integer or a list of them", default)
        items = (value,) if isinstance(value, int) else tuple(value)
        if len(items) not in sizes or any(type(n) is not int or abs(n) > 1 << 40 for n in items):
            few = len(sizes) <= 4
            wanted = " or ".join(map(str, sizes)) if few else f"{min(sizes)} to {max(sizes)}"
            self.fail(
                f"key {self.path_of(key)!r} must be {wanted} integers of at most 40 bits, not "
                f"{reprlib.repr(value)}"
            )
        return items

    def texts(self, key: str, default: list[str]) -> list[str]:
        """Return a list of texts that is not empty; one text alone is a list of one."""
        value = self._value(key, (str, list), "a text or a list of them", default)
        items = [value] if isinstance(value, str) else value
        if not items or any(not isinstance(item, str) for item in items):
            self.fail(f"key {self.path_of(key)!r} must be texts, not {value!r}")
        return items

    def tables(self, key: str) -> list[dict[str, Any]]:
        """Return a list of tables that is not empty."""
        value: list[dict[str, Any]] = self._value(key, list, "a list of tables", None)
        if not value or any(not isinstance(item, dict) for item in value):
            self.fail(f"key {self.path_of(key)!r} must be a list of tables")
        return value

    def table(self, key: str, default: dict[str, Any] | None = None) -> Table:
        """Return a table in this one."""
        value = self._value(key, dict, "a table", default)
        return Table(value, self.path, self.layer, self.path_of(key), self.error)

    def _value(self, key: str, kind: type | tuple[type, ...], wanted: str, default: Any) -> Any:
        value = self.values.get(key, default)
        if value is None:
            self.fail(f"key {self.path_of(key)!r} is missing")
        if key in self.values and not isinstance(value, kind):
            self.fail(f"key {self.path_of(key)!r} must be {wanted}, not {value!r}")
        return value

    def path_of(self, key: str) -> str:
        """Return what messages call a key."""
        return f"{self.place}.{key}" if self.place else key
