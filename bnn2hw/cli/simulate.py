"""``bnn2hw simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import api
from ..report.tables import Table, number
from .common import JsonOption, progress, show, write_json

__all__ = ["simulate"]


def simulate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Build directory.")],
    vectors: Annotated[
        int, typer.Option(metavar="N", help="Vectors beside the corners, half of them real.")
    ] = 1000,
    images: Annotated[
        int, typer.Option(metavar="N", help="Of a network: images, its samples first.")
    ] = 1000,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of vectors and stalls.")] = 0,
    stall: Annotated[
        float, typer.Option(metavar="P", help="Probability that a side waits in a cycle.")
    ] = 0.3,
    bench: Annotated[
        bool,
        typer.Option(
            "--bench/--no-bench",
            help="Of a network: also run the cocotb bench, of some twenty frames.",
        ),
    ] = True,
    waves: Annotated[
        bool, typer.Option("--waves", help="Record the waveforms of every layer (VCD).")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Simulate a build under Verilator and compare every output with the golden model.

    Example: `bnn2hw simulate build/digits-conv3 --vectors 5000 --stall 0.5`
    """
    if api.network_directory(directory) is not None:
        with progress() as tell:
            network = api.simulate_network(
                directory, images=images, seed=seed, stall=stall, bench=bench, waves=waves,
                progress=tell,
            )  # fmt: skip
        _show_network(network.to_json(), json)
        return
    with progress() as tell:
        results = api.simulate(
            directory, vectors=vectors, seed=seed, stall=stall, waves=waves, progress=tell
        )
    rows = [
        [
            item.layer,
            number(item.corner),
            number(item.real),
            number(item.random),
            number(item.outputs),
            "0",
            number(item.cycles),
            number(round(item.patches_per_second)),
        ]
        for item in results
    ]
    headers = [
        "layer", "corners", "real", "random", "outputs compared", "differences", "cycles",
        "patches/s",
    ]  # fmt: skip
    show(Table(headers, rows), json_to=json)
    write_json(json, [item.to_json() for item in results])


def _show_network(result: dict[str, Any], json: Path | None) -> None:
    measured = sorted({result["least_interval"], result["greatest_interval"]})
    row = [
        result["network"],
        number(result["real"]),
        number(result["random"]),
        number(result["edge_words"]),
        "0",
        number(result["interval"]),
        " to ".join(map(number, measured)),
        number(result["latency"]),
        number(result["cycles"]),
        number(round(result["frames_per_second"])),
    ]
    headers = [
        "network", "real", "random", "words on edges", "differences", "interval", "measured",
        "latency", "cycles", "images/s",
    ]  # fmt: skip
    show(Table(headers, [row]), json_to=json)
    write_json(json, result)
