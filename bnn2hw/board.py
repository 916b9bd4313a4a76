"""Networks on boards: wrapper, bitstream, and the clock that it reaches."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from .accelerator import network_directory
from .emit.board import BoardFiles, load_platform
from .emit.build import check_target, write_build
from .emit.manifest import read_manifest, versions
from .errors import BuildError, SynthesisError, UsageError
from .synth.board import Bitstream, make_bitstream
from .toolchain import find_nextpnr, find_yosys

__all__ = ["LINKS", "build_board", "write_board"]

LINKS = ("uart", "stream")

Progress = Callable[[str], None]


def write_board(
    directory: str | Path,
    board: str,
    *,
    link: str = "uart",
    baud: int = 115200,
    divide: int = 1,
    out: str | Path | None = None,
) -> Path:
    """Write the directory of a network on a board, without its bitstream; return it.

    Parameters
    ----------
    directory
        A build of a network, made by :func:`bnn2hw.accelerator.generate_network`.
    board
        A name of :data:`bnn2hw.emit.board.BOARDS`.
    link
        How host and board speak: ``uart``, or ``stream`` for bytes on the pins of connectors.
    baud
        Bits a second of a UART.
    divide
        Cycles of the board's clock in one of the network's: 1 or an even number.
    out
        Where; ``DIRECTORY-BOARD`` if None. An earlier one there is replaced.

    Raises
    ------
    UsageError
        If there is no such board or link, or its clock does not make the rate.
    ToolError
        If amaranth-boards or Yosys is missing.
    BuildError
        If the directory is no build of a network, or the other one cannot be written.
    """
    load_platform(board)
    if link not in LINKS:
        raise UsageError(f"there is no link {link!r}", remedy=f"use {' or '.join(LINKS)}")
    if divide < 1 or (divide > 1 and divide % 2):
        raise UsageError(f"a clock divided by {divide} is not built", remedy="give an even number")
    source = Path(directory)
    read_manifest(source, "build")
    path = network_directory(source)
    if path is None:
        raise BuildError(
            "this build holds no network", file=source,
            remedy="make one with 'bnn2hw generate --network'",
        )  # fmt: skip
    manifest = read_manifest(path, "network")
    try:
        verilog = (path / f"{manifest['top']}.v").read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(
            f"the network has no Verilog: {error.strerror}", file=path,
            remedy="generate the build again",
        ) from None  # fmt: skip
    target = Path(out) if out is not None else source.with_name(f"{source.name}-{board}")
    check_target(target)
    find_yosys()
    files = BoardFiles(manifest, verilog, board, link, baud, divide)
    files.check()
    name = manifest["network"]
    write_build(target, name, {name: (files.top, files.write)}, versions())
    return target


def build_board(
    directory: str | Path,
    board: str,
    *,
    link: str = "uart",
    baud: int = 115200,
    out: str | Path | None = None,
    progress: Progress = lambda text: None,
) -> Bitstream:
    """Make the bitstream of a network on a board.

    The network runs at the board's clock, or at an even part of it if it does not reach that.
    Parameters and further errors are those of :func:`write_board`.

    Raises
    ------
    SynthesisError
        If the network does not fit the board, reaches no clock, or not the divided one either.
    ToolError
        If a tool is missing.
    """
    divide = 1
    for _ in range(2):
        target = write_board(directory, board, link=link, baud=baud, divide=divide, out=out)
        (part,) = (target / top for top in read_manifest(target, "build")["layers"].values())
        find_nextpnr(read_manifest(part, "board")["family"])
        found = make_bitstream(part, progress=progress)
        if found.reached >= found.clock:
            return found
        if not found.reached:
            raise SynthesisError("nextpnr reports no clock that it reaches", file=found.file)
        divide *= 2 * math.ceil(found.clock / found.reached / 2)
        progress(f"{found.reached:.1f} MHz is below {found.clock:g} MHz: dividing by {divide}")
    raise SynthesisError(
        f"the network reaches {found.reached:.1f} MHz and needs {found.clock:g} MHz",
        file=found.file,
        remedy="generate it with more registers: --pipeline 1",
    )
