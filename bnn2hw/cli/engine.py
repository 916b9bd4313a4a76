"""``bnn2hw engine``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..plan.engine import EngineParameters
from ..report.tables import Table, number
from .common import JsonOption, ModelArgument, hertz, progress, show, write_json

__all__ = ["engine"]


def engine(
    layer: Annotated[
        list[str], typer.Option("--layer", help="Layer to generate; may be given repeatedly.")
    ],
    model: ModelArgument = None,
    mode: Annotated[
        str,
        typer.Option(
            help="subbit: kernel tables and indices; delta: indices where they change from channel "
            "to channel; binary: XNOR and weights as they are; auto: the fastest of them."
        ),
    ] = "subbit",
    lanes: Annotated[int, typer.Option(help="Output channels under way at a time.")] = 64,
    kernel_units: Annotated[int, typer.Option(help="Kernels evaluated a cycle (not binary).")] = 16,
    pixels: Annotated[int, typer.Option(help="Output positions that share fetched weights.")] = 1,
    taps: Annotated[int, typer.Option(help="Products a lane takes a cycle (binary).")] = 9,
    word_width: Annotated[
        int | None,
        typer.Option(
            metavar="BITS", help="Weight memory read a cycle [as much as the lanes take]."
        ),
    ] = None,
    clock: Annotated[str, typer.Option(help="Turns cycles into seconds.")] = "100MHz",
    loadable: Annotated[
        bool, typer.Option("--loadable", help="Load weights through a port; baked in if not.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Build directory [build/NETWORK-LAYER...-engine]."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Generate layers as sequential engines, with weights in memories: a build directory.

    Modes subbit and delta take layers with codebooks, and those that have few kernels anyway: see
    `bnn2hw compress`.

    Example: `bnn2hw engine --layer conv3 --mode binary --lanes 16`
    """
    network = api.load_network(model)
    parameters = EngineParameters(
        lanes=lanes,
        kernel_units=kernel_units,
        pixels=pixels,
        taps=taps,
        word_width=word_width,
        clock=hertz(clock),
    )
    with progress() as tell:
        build = api.generate_engine(
            network, layer, parameters, mode=mode, loadable=loadable, out=out, progress=tell
        )
    rows = [
        [
            item.name,
            item.mode,
            number(item.tau),
            number(item.schedule.cycles),
            number(item.schedule.lower_bound),
            f"{item.schedule.utilisation:.1%}",
            f"{item.schedule.cycles / parameters.clock * 1e6:,.1f}",
            number(sum(item.memory_bits.values())),
        ]
        for item in build.layers
    ]
    headers = [
        "layer", "mode", "tau", "cycles an image", "lower bound", "lanes busy", "µs", "memory bits",
    ]  # fmt: skip
    show(Table(headers, rows, left=(0, 1)), json_to=json)
    if json is None or str(json) != "-":
        typer.echo(f"{build.directory}: try 'bnn2hw simulate {build.directory}'")
    write_json(json, build.to_json())
