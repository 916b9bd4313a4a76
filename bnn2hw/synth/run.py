"""What runs of Yosys give, and what is kept of them."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from ..emit.templates import synthesis_targets
from ..errors import SynthesisError, UsageError
from .cells import CellCounts

__all__ = [
    "SynthesisResult",
    "abc_script",
    "check_targets",
    "earlier",
    "longest_path",
    "read_results",
    "read_source",
    "write_atomically",
]


@dataclass(frozen=True)
class SynthesisResult:
    """The figures of a layer on a target.

    Attributes
    ----------
    target
        Name of the target.
    script
        The ABC script behind the figures, as the synthesis script sets it.
    cells
        Cells by kind.
    levels
        Cells on the longest path between registers; None where Yosys gives none, and of what was
        synthesised in parts.
    seconds
        Time that Yosys took; 0 where an earlier run of the same content served.
    yosys
        Version and kind of Yosys.
    """

    target: str
    script: str
    cells: CellCounts
    levels: int | None
    seconds: float
    yosys: str

    @property
    def luts(self) -> int:
        """Return the lookup tables of all sizes."""
        return self.cells.luts

    @property
    def carries(self) -> int:
        """Return the cells of carry chains."""
        return self.cells.carries

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return asdict(self)


def check_targets(targets: Sequence[str]) -> None:
    """Check that there are scripts for targets.

    Raises
    ------
    UsageError
        If there is none for one.
    """
    known = synthesis_targets()
    for target in targets:
        if target not in known:
            raise UsageError(f"there is no target {target!r}", remedy=f"use {', '.join(known)}")


def read_results(path: Path, **kinds: type | UnionType) -> dict[str, Any] | None:
    """Return what an earlier run left; None where it is not there, broken or not of these kinds.

    Parameters
    ----------
    path
        A JSON file.
    kinds
        The type of each value that is needed, by key.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and all(
        key in found and isinstance(found[key], kind) for key, kind in kinds.items()
    )
    return found if whole else None


def earlier(path: Path, digest: str, **kinds: type | UnionType) -> dict[str, Any] | None:
    """Return the figures of an earlier run on the same content, as :func:`read_results` does."""
    found = read_results(path, content=str, **kinds)
    return found if found is not None and found["content"] == digest else None


def read_source(directory: Path, target: str, source: str, layer: str) -> tuple[str, str]:
    """Return the script of a target, and the text that it synthesises.

    Raises
    ------
    SynthesisError
        If a file is missing.
    """
    try:
        script = (directory / "synth" / f"{target}.ys").read_text(encoding="utf-8")
        return script, (directory / source).read_text(encoding="utf-8")
    except OSError as error:
        raise SynthesisError(
            f"{error.strerror}", file=error.filename, layer=layer, remedy="generate the build again"
        ) from None


def longest_path(report: str) -> int | None:
    """Return the cells on the longest path, as Yosys's ``ltp`` reports it."""
    found = re.search(r"length=(\d+)", report)
    return int(found[1]) if found else None


def write_atomically(path: Path, text: str) -> None:
    """Write a file in one move, so that what is there is whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)


def abc_script(script: str) -> str:
    """Return what a synthesis script tells ABC to do."""
    for pattern in (r"scratchpad -set abc9\.script (\S+)", r"^abc (.*)$"):
        found = re.search(pattern, script, re.MULTILINE)
        if found:
            return found.group(1)
    return "stock"
