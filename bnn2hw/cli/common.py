"""What the subcommands share: options, progress, tables and JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from ..errors import BuildError, UsageError
from ..report.tables import Table

__all__ = ["JsonOption", "ModelArgument", "hertz", "progress", "show", "write_json"]

ModelArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[MODEL]", help="Model file (.npz); the bundled network if left out."),
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the results as JSON; '-' prints them."),
]


_UNBOUNDED = 1000
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows what is being done: a spinner, or a line each without one."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as display:
        task = display.add_task("")

        def tell(text: str) -> None:
            display.update(task, description=text)

        yield tell


def show(table: Table, *, json_to: Path | None = None) -> None:
    """Print a table, unless JSON takes the standard output."""
    if json_to is not None and str(json_to) == "-":
        return
    rich = RichTable()
    for k, header in enumerate(table.headers):
        if k in table.left:
            rich.add_column(header, overflow="fold")
        else:  # a header may be broken between words, a number never
            width = max(map(len, [*header.split(), *(row[k] for row in table.rows)]))
            rich.add_column(header, justify="right", min_width=width)
    for row in table.rows:
        rich.add_row(*row)
    # A table that goes to a file or a pipe is as wide as it needs to be.
    Console(width=None if sys.stdout.isatty() else _UNBOUNDED).print(rich, markup=False)


def write_json(path: Path | None, value: object) -> None:
    """Write a value as JSON to a file, to standard output for ``-``, nowhere for None.

    Raises
    ------
    BuildError
        If the file cannot be written.
    """
    if path is None:
        return
    text = json.dumps(value, indent=2) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BuildError(f"cannot write JSON: {error.strerror}", file=path) from None


def hertz(text: str) -> int:
    """Return a clock such as ``1GHz``, ``12.5 MHz`` or ``1000000`` in Hz."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([kmg]?)(?:hz)?", text.strip().lower())
    hertz = None if match is None else Fraction(match[1]) * _UNITS[match[2]]
    if hertz is None or hertz < 1 or hertz > 10**12:
        raise UsageError(f"clock {text!r} is not a frequency", remedy="give one such as 250MHz")
    return round(hertz)
