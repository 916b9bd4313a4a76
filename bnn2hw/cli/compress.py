"""``bnn2hw compress``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..compression import CompressedLayer, Compression
from ..report.tables import Table, number
from .common import JsonOption, ModelArgument, progress, show, write_json

__all__ = ["compress"]


def compress(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="MODEL", help="Model file to write (.npz).")
    ],
    model: ModelArgument = None,
    tau: Annotated[
        int | None,
        typer.Option(metavar="N", help="Change weights until 2^N kernels give them. Lossy."),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", help="Layer to compress; may be given repeatedly [all]."),
    ] = None,
    closed: Annotated[
        bool,
        typer.Option("--closed", help="Subsets closed under negation, tau the larger if need be."),
    ] = False,
    word: Annotated[int, typer.Option(metavar="W", help="Bits of a word of index memory.")] = 32,
    memory: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the memories as text for $readmemh."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Give layers codebooks: kernel indices of few bits in place of weights.

    Without --tau no weight changes: layers made of few kernels are recognised. With it, others
    are projected to the nearest kernels of a subset, and the accuracy before and after is shown.

    Example: `bnn2hw compress --tau 5 --layer conv2 --layer conv3 -o digits5.npz`
    """
    with progress() as tell:
        result = api.compress(
            api.load_network(model),
            tau,
            layers=layer or (),
            closed=closed,
            word_width=word,
            output=output,
            memory=memory,
            progress=tell,
        )
    headers = [
        "layer", "kernels", "tau", "weights", "changed", "index bits", "with subset", "bits/weight",
    ]  # fmt: skip
    show(Table(headers, [_row(item, closed) for item in result.layers]), json_to=json)
    if json is None or str(json) != "-":
        typer.echo(_accuracy(result))
    write_json(json, result.to_json())


def _row(item: CompressedLayer, closed: bool) -> list[str]:
    """Return the cells of a layer; with ``closed`` they tell where closing was not possible."""
    open_ = ", cannot be closed" if closed else ""
    bits = None if item.memory is None else item.memory.bits
    return [
        item.name,
        number(item.kernels),
        "-" if item.tau is None else f"{item.tau}{', closed' if item.closed else open_}",
        number(item.weights),
        f"{number(item.changed)} ({item.changed / item.weights:.1%})" if item.changed else "0",
        number(item.index_bits),
        number(bits),
        "-" if bits is None else f"{bits / item.weights:.3f}",
    ]


def _accuracy(result: Compression) -> str:
    if not any(item.changed for item in result.layers):
        return "no weight has changed"
    if result.agreement is None:
        return "weights have changed; the model has no samples to measure the accuracy on"
    text = f"{result.agreement:.1%} of the model's {result.images} samples in the same class"
    if result.accuracy_before is None or result.accuracy_after is None:
        return text
    return (
        f"accuracy on the model's {result.images} samples: {result.accuracy_before:.1%} before, "
        f"{result.accuracy_after:.1%} after; {text}"
    )
