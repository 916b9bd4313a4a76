"""What all pictures share: matplotlib when it is needed, and a file at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BuildError, ToolError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_figure", "save_figure"]


def new_figure() -> Figure:
    """Return an empty figure that lays itself out and opens no window.

    Raises
    ------
    ToolError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ToolError(
            "pictures need matplotlib, which is not installed",
            remedy="run 'pip install bnn2hw[plot]'",
        ) from None
    return Figure(layout="constrained")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure; the ending of the path chooses the format.

    Raises
    ------
    BuildError
        If it cannot be written.
    """
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise BuildError(
            f"the picture cannot be written: {error}",
            file=path,
            remedy="choose a writable path that ends in .png, .svg or .pdf",
        ) from None
