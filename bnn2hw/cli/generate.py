"""``bnn2hw generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..report.tables import Table, number
from .common import JsonOption, ModelArgument, progress, show, write_json

__all__ = ["generate"]


def generate(
    layer: Annotated[
        list[str], typer.Option("--layer", help="Layer to generate; may be given repeatedly.")
    ],
    model: ModelArgument = None,
    plan: Annotated[str, typer.Option(help="How channels are computed: direct, mst or auto.")] = (
        "auto"
    ),
    max_depth: Annotated[
        int | None,
        typer.Option(metavar="H", help="Bound the depth of the spanning tree to H edges."),
    ] = None,
    complement: Annotated[
        bool, typer.Option(help="Let channels reuse the complement of another one.")
    ] = True,
    pipeline: Annotated[
        int | None, typer.Option(metavar="LEVELS", help="Registers after this many adder levels.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Build directory [build/NETWORK-LAYER...].")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Generate the hardware of layers: a build directory with Verilog, bench and scripts.

    Example: `bnn2hw generate --layer conv3 --plan mst --pipeline 4`
    """
    network = api.load_network(model)
    with progress() as tell:
        build = api.generate(
            network,
            layer,
            plan=plan,
            max_depth=max_depth,
            complement=complement,
            pipeline=pipeline,
            out=out,
            progress=tell,
        )
    rows = [
        [
            item.name,
            item.plan,
            f"{item.channels}x{item.inputs}",
            number(item.terms_direct),
            number(item.terms),
            number(item.tree_depth),
            number(item.latency),
        ]
        for item in build.layers
    ]
    headers = ["layer", "plan", "weights", "XNOR terms direct", "planned", "tree depth", "latency"]
    show(Table(headers, rows, left=(0, 1)), json_to=json)
    if json is None or str(json) != "-":
        typer.echo(f"{build.directory}: try 'bnn2hw simulate {build.directory}'")
    write_json(json, build.to_json())
