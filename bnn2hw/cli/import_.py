"""``bnn2hw import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from .common import JsonOption, show, write_json
from .inspect import summary

__all__ = ["import_model"]


def import_model(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="QONNX or ONNX file, or arrays (.npz).")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="MODEL", help="Model file to write (.npz).")
    ],
    description: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Describes the network that arrays belong to."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the network [from the file].")] = None,
    json: JsonOption = None,
) -> None:
    """Import a trained network and write it as a model file.

    Example: `bnn2hw import TFC_1W1A.onnx -o tfc.npz`
    """
    network = api.import_model(source, output, description=description, name=name)
    table, value = summary(network)
    show(table, json_to=json)
    write_json(json, value)
