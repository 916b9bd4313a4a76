"""Tables as data: headers and rows, as Markdown or for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table", "number", "ratio"]


def number(value: float | int | None) -> str:
    """Return a number with thousands separated, ``-`` for None."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def ratio(value: float, reference: float) -> str:
    """Return ``value / reference`` to two places, ``-`` where the reference is 0."""
    return f"{value / reference:.2f}" if reference else "-"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    headers
        One a column.
    rows
        As many cells each.
    left
        The columns that hold words; all others are aligned to the right.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rule = [":--" if k in self.left else "--:" for k in range(len(self.headers))]
        lines = [self.headers, rule, *self.rows]
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)
