"""``bnn2hw generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..errors import UsageError
from ..plan.area import FAMILIES
from ..plan.devices import CAPACITIES
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
        typer.Option(
            metavar="T",
            help="What layers are for: lut6, lut4, ice40, ecp5, asic; auto then weighs rowtree.",
        ),
    ] = None,
    effort: Annotated[
        int | None,
        typer.Option(metavar="1|2|3", help="Of a layer: how long a rowtree is searched for [2]."),
    ] = None,
    interval: Annotated[
        int | None,
        typer.Option(
            metavar="CYCLES",
            help="Of a network: the least area of so many cycles an image.",
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
    device: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(CAPACITIES),
            help="Of a network: choose style and folding of each layer for this device.",
        ),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of a network: the same for a board, with room for its link."
        ),
    ] = None,
    target_fps: Annotated[
        float | None,
        typer.Option(
            metavar="F", help="With --device: the least area of F images/s [the fastest that fits]."
        ),
    ] = None,
    max_luts: Annotated[
        int | None, typer.Option(metavar="N", help="With --device: logic cells to use at most.")
    ] = None,
    clock: Annotated[
        float | None,
        typer.Option(
            metavar="MHZ",
            help="With --device: clock of --target-fps. Of a layer: cut a rowtree for it.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Build directory [build/NETWORK-LAYER...].")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Generate the hardware of layers, or of a whole network: Verilog, bench and scripts.

    Examples: `bnn2hw generate --layer conv3 --plan mst --pipeline 4`,
    `bnn2hw generate --layer conv3 --target ecp5`,
    `bnn2hw generate --network --plan mst --pipeline 3 --scores`,
    `bnn2hw generate --network --device ecp5-25k --target-fps 100000`
    """
    if network == bool(layer):
        raise UsageError("give either --network or a --layer")
    of_network = {
        "--scores": scores or None, "--beat": beat, "--interval": interval, "--choices": choices,
        "--bases-parallel": bases_parallel, "--device": device, "--board": board,
        "--target-fps": target_fps,
        "--max-luts": max_luts,
    }  # fmt: skip
    stray = [option for option, value in of_network.items() if value is not None]
    if not network and stray:
        raise UsageError(f"leave {' and '.join(stray)} to --network")
    if network and effort is not None:
        raise UsageError("leave --effort to --layer")
    model_network = api.load_network(model)
    if network:
        with progress() as tell:
            whole = api.generate_network(
                model_network,
                plan=plan,
                max_depth=max_depth,
                complement=complement,
                pipeline=pipeline,
                target=target,
                interval=interval,
                choices=choices,
                scores=scores,
                beat=beat,
                bases_parallel=bases_parallel,
                device=device,
                board=board,
                target_fps=target_fps,
                max_luts=max_luts,
                clock=clock,
                out=out,
                progress=tell,
            )
        _show_network(whole, choices is not None, json)
        return
    with progress() as tell:
        build = api.generate(
            model_network,
            layer or [],
            plan=plan,
            max_depth=max_depth,
            complement=complement,
            pipeline=pipeline,
            clock=clock,
            target=target,
            effort=effort,
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
    _show_candidates(build, target or "lut6", json)
    headers = ["layer", "plan", "weights", "XNOR terms direct", "planned", "tree depth", "latency"]
    show(Table(headers, rows, left=(0, 1)), json_to=json)
    if json is None or str(json) != "-":
        typer.echo(f"{build.directory}: try 'bnn2hw simulate {build.directory}'")
    write_json(json, build.to_json())


def _show_candidates(build: api.Build, target: str, json: Path | None) -> None:
    """Show what auto weighed, where it did."""
    rows = [
        [item.name, one["method"], number(one["max_depth"]), number(one["luts"]),
         number(one["logic_levels"])]
        for item in build.layers
        for one in item.candidates
    ]  # fmt: skip
    unit = "NAND2" if target == "asic" else "LUTs"
    headers = ["layer", "candidate", "depth at most", f"{unit} of {target}, estimated", "levels"]
    if rows:
        show(Table(headers, rows, left=(0, 1)), json_to=json)


def _missed(build: api.NetworkBuild, chosen: bool) -> str:
    """Return what is said of an interval that was asked for and is not kept."""
    if build.asked is None or build.interval <= build.asked:
        return ""
    of_these = " with these choices" if chosen else ""
    return f" ({build.asked} were asked for: {build.interval} is the least{of_these})"


def _show_network(build: api.NetworkBuild, chosen: bool, json: Path | None) -> None:
    """Show the stages of a network, some of which may have been chosen by the user."""
    families = list(FAMILIES)
    rows = [
        [
            stage["name"], stage["layer"], stage["unit"], number(stage["cycles"]),
            *(number(stage.get("estimate", {}).get(one, {}).get("luts")) for one in families),
        ]
        for stage in build.stages
    ]  # fmt: skip
    headers = ["stage", "layer", "component", "cycles"]
    headers += [f"LUTs of {family}, estimated" for family in families]
    show(Table(headers, rows, left=(0, 1, 2)), json_to=json)
    if json is None or str(json) != "-":
        typer.echo(
            f"{build.beats} beats and {build.interval} cycles an image{_missed(build, chosen)}\n"
            f"{build.directory}: try 'bnn2hw simulate {build.directory}'"
        )
        if build.sized is not None:
            sized, area = build.sized, build.sized["estimate"]
            typer.echo(
                f"{sized['images_per_second']:,.0f} images/s at {sized['clock']:g} MHz; "
                f"{area['cells']:,} logic cells and {area['block_rams']} block RAMs of "
                f"{sized['device']}, estimated"
            )
    write_json(json, build.to_json())
