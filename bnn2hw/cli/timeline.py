"""``bnn2hw timeline``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..plan.engine import EngineParameters
from ..report.timeline import assumption_table, draw_timeline, timeline_table
from .common import JsonOption, hertz, show, write_json

__all__ = ["timeline"]


def timeline(
    network: Annotated[
        str, typer.Argument(help="resnet18, resnet34, resnet18-cifar10, resnet50-cifar10, ...")
    ],
    tau: Annotated[int, typer.Option(help="Bits of a kernel index.")] = 5,
    pes: Annotated[int, typer.Option(help="Processing elements of either engine.")] = 64,
    clock: Annotated[str, typer.Option(help="Such as 1GHz or 250MHz.")] = "1GHz",
    input_size: Annotated[
        int | None, typer.Option("--input", metavar="N", help="Size of the image [its usual one].")
    ] = None,
    mode: Annotated[
        str, typer.Option(help="subbit: any subset; closed: under negation; fastest: each layer.")
    ] = "subbit",
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw both engines as bars over time.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Run a network of the published tables on the cycle model: 1-bit against sub-bit.

    Example: `bnn2hw timeline resnet18 --tau 5 --pes 64 --clock 1GHz --input 224`
    """
    line = api.timeline(
        network, tau=tau, pes=pes, clock=hertz(clock), input_size=input_size, mode=mode
    )
    if picture is not None:
        draw_timeline([line], picture)
    show(timeline_table(line), json_to=json)
    show(assumption_table(line.assumptions), json_to=json)
    if json is None or str(json) != "-":
        for name, run in (("1-bit", line.binary), ("sub-bit", line.subbit)):
            typer.echo(f"{name}: {_engine(run.parameters, name)}, {1e3 * run.seconds:.3f} ms")
        typer.echo(f"speed-up: {line.speedup:.2f}")
    write_json(json, line.to_json())


def _engine(parameters: EngineParameters, name: str) -> str:
    kind = (
        f"{parameters.taps} products each"
        if name == "1-bit"
        else f"{parameters.kernel_units} kernel units"
    )
    return (
        f"{parameters.lanes} lanes, {kind}, {parameters.pixels} positions in flight, "
        f"{parameters.word_width} bits of weight a cycle"
    )
