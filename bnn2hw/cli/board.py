"""``bnn2hw board``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..report.synthesis import board_table
from .common import JsonOption, progress, show, write_json

__all__ = ["board"]


def board(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Build of a network.")],
    name: Annotated[
        str,
        typer.Option("--board", metavar="NAME", help="The board; see docs/host.md for all."),
    ],
    link: Annotated[
        str,
        typer.Option(metavar="uart|stream", help="A serial port, or bytes on the connectors."),
    ] = "uart",
    baud: Annotated[int, typer.Option(help="Bits a second of the UART.")] = 115200,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where it goes [DIR-BOARD].")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Put a network on a board: wrapper, pins, clock and bitstream.

    Example: `bnn2hw board build/digits --board icebreaker --baud 1000000`
    """
    with progress() as tell:
        found = api.build_board(
            directory, name, link=link, baud=baud, out=out, progress=tell
        ).to_json()
    show(board_table([found]), json_to=json)
    write_json(json, [found])
