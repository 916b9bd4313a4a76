"""``bnn2hw train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..report.tables import Table, number
from .common import JsonOption, progress, show, write_json

__all__ = ["train"]


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="The recipe.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="MODEL", help="Model file to write (.npz).")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Go before a key of the recipe."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    json: JsonOption = None,
) -> None:
    """Train a network by a recipe and write it as a model file; needs PyTorch.

    Beside MODEL.npz it keeps MODEL.log.jsonl, a line an epoch, and, until it ends,
    MODEL.checkpoint.pt: `--resume` goes on from there after an interrupt.

    Example: `bnn2hw train examples/networks/mst.toml -o mst.npz --set epochs=20`
    """
    try:
        with progress() as tell:
            result = api.train(
                recipe, output, settings=settings or (), resume=resume, progress=tell
            )
    except KeyboardInterrupt:
        if output.with_suffix(api.CHECKPOINT).exists():
            typer.echo("bnn2hw: interrupted; --resume goes on from the last whole epoch", err=True)
        raise
    rows = [
        [
            layer["layer"], number(layer["direct"]), number(layer["params"]),
            number(layer["mst"]), str(layer["depth"]), number(layer["bit_ops"]),
        ]
        for layer in result.layers
    ]  # fmt: skip
    headers = ["layer", "terms direct", "params", "MST", "depth", "bit-ops"]
    show(Table(headers, rows, left=(0,)), json_to=json)
    parts = [
        [part, f"{share:.2%}", f"{result.accuracy_golden[part]:.2%}"]
        for part, share in result.accuracy_float.items()
    ]
    show(Table(["images", "float network", "integers"], parts), json_to=json)
    if json is None or str(json) != "-":
        typer.echo(f"{output}: {result.accuracy}")
        if "fixed point" in result.network.notes:
            typer.echo(f"fixed point: {result.network.notes['fixed point']}")
    write_json(json, result.to_json())
