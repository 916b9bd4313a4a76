"""``bnn2hw generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..errors import UsageError
from ..report.tables import Table, number
from .common import JsonOption, ModelArgument, progress, show, write_json

__all__ = ["generate"]


def generate(
    model: ModelArgument = None,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", help="Layer to generate; may be given repeatedly."),
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Generate the whole network, images in, class out.")
    ] = False,
    plan: Annotated[
        str,
        typer.Option(
            help="How channels are computed: direct, mst, subbit, classes, rowtree or auto."
        ),
    ] = "auto",
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
    target: Annotated[
        str | None,
        typer.Option(help="Of a layer: what plan rowtree is for: lut6, lut4, ice40, ecp5 [lut6]."),
    ] = None,
    interval: Annotated[
        int | None,
        typer.Option(
            metavar="CYCLES",
            help="Of a network: fold layers to take so many cycles an image.",
        ),
    ] = None,
    choices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Of a network: how layers are computed (its choices.toml)."
        ),
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Of a network: give the scores behind the class.")
    ] = False,
    beat: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of a network: elements of a beat of the image stream."),
    ] = None,
    bases_parallel: Annotated[
        int | None,
        typer.Option(metavar="P", help="Of a network: lanes that compute parallel bases in turn."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Build directory [build/NETWORK-LAYER...].")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Generate the hardware of layers, or of a whole network: Verilog, bench and scripts.

    Examples: `bnn2hw generate --layer conv3 --plan mst --pipeline 4`,
    `bnn2hw generate --network --plan mst --pipeline 3 --scores`
    """
    if network == bool(layer):
        raise UsageError("give either --network or a --layer")
    if not network and (
        scores or any(x is not None for x in (beat, interval, choices, bases_parallel))
    ):
        raise UsageError(
            "--scores, --beat, --interval, --choices and --bases-parallel belong to --network"
        )
    if network and target is not None:
        raise UsageError("--target belongs to --layer")
    model_network = api.load_network(model)
    if network:
        with progress() as tell:
            whole = api.generate_network(
                model_network,
                plan=plan,
                max_depth=max_depth,
                complement=complement,
                pipeline=pipeline,
                interval=interval,
                choices=choices,
                scores=scores,
                beat=beat,
                bases_parallel=bases_parallel,
                out=out,
                progress=tell,
            )
        _show_network(whole, json)
        return
    with progress() as tell:
        build = api.generate(
            model_network,
            layer or [],
            plan=plan,
            max_depth=max_depth,
            complement=complement,
            pipeline=pipeline,
            target=target or "lut6",
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


def _show_network(build: api.NetworkBuild, json: Path | None) -> None:
    rows = [
        [stage["name"], stage["layer"], stage["unit"], number(stage["cycles"])]
        for stage in build.stages
    ]
    show(Table(["stage", "layer", "component", "cycles"], rows, left=(0, 1, 2)), json_to=json)
    if json is None or str(json) != "-":
        typer.echo(
            f"{build.beats} beats and {build.interval} cycles an image\n"
            f"{build.directory}: try 'bnn2hw simulate {build.directory}'"
        )
    write_json(json, build.to_json())
