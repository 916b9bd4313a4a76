"""``bnn2hw inspect``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..inspection import KernelReport, LayerReport
from ..model import Network
from ..plan.kernels import kernels_of
from ..report.bases import draw_bases
from ..report.kernels import draw_kernels
from ..report.tables import Table, number
from .common import JsonOption, ModelArgument, progress, show, write_json

__all__ = ["inspect", "summary"]


def inspect(
    model: ModelArgument = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw how often each kernel occurs (.png, .svg or .pdf)."
        ),
    ] = None,
    bases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw blocks, parallel bases and where they meet (Group-Net)."
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """List the layers of a network, what reuse saves, and what cannot be compiled.

    Example: `bnn2hw inspect --picture kernels.png`
    """
    network = api.load_network(model)
    if picture is not None:
        found = {layer.name: kernels_of(layer) for layer in network.linear_layers()}
        draw_kernels({name: one for name, one in found.items() if one is not None}, picture)
    if bases is not None:
        draw_bases(network, bases)
    table, value = summary(network)
    show(table, json_to=json)
    if json is None or str(json) != "-":
        for group in network.groups:
            typer.echo(
                f"{group.name}: {len(group.bases)} parallel bases of "
                f"{' and '.join(', '.join(base) for base in group.bases)}, meet in {group.output}"
            )
        for key, note in network.notes.items():
            typer.echo(f"{key}: {note}")
    write_json(json, value)


def summary(network: Network) -> tuple[Table, dict[str, object]]:
    """Return a network's layers as a table and as JSON values."""
    with progress() as tell:
        reports = api.inspect(network, progress=tell)
    headers = [
        "layer", "type", "input", "weights", "thresholds", "terms direct", "MST", "complements",
        "depth", "kernels", "of a channel", "tau", "pays to tau", "stream", "detail", "compiles",
    ]  # fmt: skip
    value: dict[str, object] = {
        "network": network.name,
        "notes": dict(network.notes),
        "groups": [asdict(group) for group in network.groups],
        "layers": [report.to_json() for report in reports],
    }
    return Table(headers, [_row(report) for report in reports], left=(0, 1, 2, 13, 14, 15)), value


def _row(report: LayerReport) -> list[str]:
    shape = "-" if report.weights is None else f"{report.channels}x{report.inputs}"
    thresholds = number(report.thresholds)
    if report.thresholds is not None and report.constant:
        thresholds += f" (+{report.constant} constant)"
    depth = "-" if report.depth is None else f"{report.depth} (>= {report.depth_bound})"
    return [
        report.name,
        report.kind,
        report.input,
        shape,
        thresholds,
        number(report.terms_direct),
        number(report.terms_mst),
        number(report.terms_complement),
        depth,
        *_kernels(report.kernels),
        report.rounding,
        report.detail or "-",
        "yes" if report.problem is None else report.problem,
    ]


def _kernels(kernels: KernelReport | None) -> list[str]:
    if kernels is None:
        return ["-"] * 4
    tau = "-" if kernels.tau is None else f"{kernels.tau}{', closed' if kernels.closed else ''}"
    return [
        f"{kernels.distinct} ({kernels.distinct_up_to_sign} +-)",
        f"{kernels.each:.1f} ({kernels.each_up_to_sign:.1f} +-)",
        tau,
        str(kernels.break_even),
    ]
