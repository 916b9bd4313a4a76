"""``bnn2hw inspect``."""

from __future__ import annotations

import typer

from .. import api
from ..inspection import LayerReport
from ..model import Network
from ..report.tables import Table, number
from .common import JsonOption, ModelArgument, progress, show, write_json

__all__ = ["inspect", "summary"]


def inspect(model: ModelArgument = None, json: JsonOption = None) -> None:
    """List the layers of a network, what MST reuse saves, and what cannot be compiled.

    Example: `bnn2hw inspect`
    """
    network = api.load_network(model)
    table, value = summary(network)
    show(table, json_to=json)
    if json is None or str(json) != "-":
        for key, note in network.notes.items():
            typer.echo(f"{key}: {note}")
    write_json(json, value)


def summary(network: Network) -> tuple[Table, dict[str, object]]:
    """Return a network's layers as a table and as JSON values."""
    with progress() as tell:
        reports = api.inspect(network, progress=tell)
    headers = [
        "layer", "type", "input", "weights", "thresholds", "terms direct", "MST", "complements",
        "depth", "3x3 kernels", "compiles",
    ]  # fmt: skip
    value: dict[str, object] = {
        "network": network.name,
        "notes": dict(network.notes),
        "layers": [report.to_json() for report in reports],
    }
    return Table(headers, [_row(report) for report in reports], left=(0, 1, 2, 10)), value


def _row(report: LayerReport) -> list[str]:
    shape = "-" if report.weights is None else f"{report.channels}x{report.inputs}"
    thresholds = number(report.thresholds)
    if report.thresholds is not None and report.constant:
        thresholds += f" (+{report.constant} constant)"
    depth = "-" if report.depth is None else f"{report.depth} (>= {report.depth_bound})"
    kernels = (
        "-" if report.kernels is None else f"{report.kernels} ({report.kernels_up_to_sign} +-)"
    )
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
        kernels,
        "yes" if report.problem is None else report.problem,
    ]
