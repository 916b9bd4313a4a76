"""``bnn2hw synth``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..errors import UsageError
from ..report.synthesis import placement_table, stage_table, synthesis_table
from ..synth import NetworkSynthesis
from .common import JsonOption, progress, show, write_json

__all__ = ["synth"]


def synth(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Build directory.")],
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="ice40|ecp5|xilinx|gowin|lut6|lut4|asic",
            help="Target; may be given repeatedly [lut6].",
        ),
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Put the plain XNOR-popcount design beside it.")
    ] = False,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            metavar="ecp5-25k|ecp5-45k|ecp5-85k|ice40-up5k|ice40-hx8k",
            help="Of a network: place and route on this device, to a bitstream.",
        ),
    ] = None,
    clock: Annotated[
        float | None,
        typer.Option(
            metavar="MHZ", help="Clock to aim at with --device [what it was sized for, or 100]."
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Synthesise a build with Yosys: LUTs, carries, flip-flops, memories, gate equivalents.

    Example: `bnn2hw synth build/digits-conv3 --target ice40 --target ecp5 --baseline`
    """
    if device:
        if target or baseline:
            raise UsageError(
                "a device names its target", remedy="leave --target and --baseline out"
            )
        with progress() as tell:
            placed = api.place(directory, device, clock=clock, progress=tell)
        by_target = {item.synthesis.total.target: item.synthesis for item in placed}
        _show_stages(by_target.values(), json)
        found = [item.to_json() for item in placed]
        show(placement_table(found), json_to=json)
        for item in placed:
            if item.target_fps is not None and item.images_per_second < item.target_fps:
                typer.echo(
                    f"{item.network} on {item.device}: {item.images_per_second:,.0f} images/s at "
                    f"{item.clock:.1f} MHz, below the {item.target_fps:,.0f} that were asked for",
                    err=True,
                )
        write_json(json, found)
        return
    if clock is not None:
        raise UsageError("--clock belongs to --device", remedy="give a device, or no clock")
    if api.network_directory(directory) is not None:
        if baseline:
            raise UsageError("--baseline belongs to layers, and this is a network: leave it out")
        with progress() as tell:
            networks = api.synthesise_network(directory, target or ["lut6"], progress=tell)
        _show_stages(networks, json)
        write_json(json, [item.to_json() for item in networks])
        return
    with progress() as tell:
        results = api.synthesise(directory, target or ["lut6"], baseline=baseline, progress=tell)
    found = [item.to_json() for item in results]
    show(synthesis_table(found), json_to=json)
    if json is None or str(json) != "-":
        for script in dict.fromkeys(item.result.script for item in results):
            users = dict.fromkeys(i.result.target for i in results if i.result.script == script)
            typer.echo(f"ABC script of {', '.join(users)}: {script}")
    write_json(json, found)


def _show_stages(networks: Iterable[NetworkSynthesis], json: Path | None) -> None:
    """Print the stages of networks, a table a target."""
    for item in networks:
        if json is None or str(json) != "-":
            typer.echo(f"{item.network} for {item.total.target}, stage by stage:")
        show(stage_table(item.to_json()), json_to=json)
