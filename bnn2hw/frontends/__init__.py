"""Trained networks of other formats, turned into networks of integers.

Every float ends here: batch norm, scales and signs become integer thresholds, exactly.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import ImportFailure, UsageError
from ..model import Network
from .arrays import import_arrays

__all__ = ["import_arrays", "import_network"]


def import_network(
    source: str | Path, description: str | Path | None = None, *, name: str | None = None
) -> Network:
    """Return the network of a file in one of the known formats.

    Parameters
    ----------
    source
        A QONNX or ONNX file (``.onnx``), or arrays (``.npz``).
    description
        TOML file that describes the arrays; needed with ``.npz`` and with nothing else.
    name
        Name of the network; from the file or the description if None.

    Raises
    ------
    ImportFailure
        If the file is of no known format, or cannot be imported exactly.
    UsageError
        If a description is missing or superfluous.
    """
    source = Path(source)
    suffix = source.suffix.lower()
    if suffix == ".onnx":
        if description is not None:
            raise UsageError("an ONNX file describes itself", remedy="leave the description out")
        # onnx and qonnx take longer to load than everything else together, so only for a file.
        from .qonnx import import_qonnx

        return import_qonnx(source, name=name)
    if suffix == ".npz":
        if description is None:
            raise UsageError(
                f"{source}: arrays need a description of their network",
                remedy="give a TOML file with --description; examples/zoo/ has some",
            )
        return import_arrays(source, description, name=name)
    raise ImportFailure(
        f"has the unknown suffix {suffix!r}",
        file=source,
        remedy="give a QONNX or ONNX file (.onnx), or arrays (.npz) with a description (.toml)",
    )
