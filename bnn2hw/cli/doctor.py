"""``bnn2hw doctor``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from ..report.tables import Table
from ..toolchain import tools
from .common import JsonOption, show, write_json

__all__ = ["doctor"]


def doctor(json: JsonOption = None) -> None:
    """List the tools with their versions, what is missing and how to get it.

    Example: `bnn2hw doctor`
    """
    found = tools()
    rows = [
        [
            tool.name,
            tool.version or "missing",
            tool.purpose if tool.version else f"{tool.purpose}: {tool.remedy}",
        ]
        for tool in found
    ]
    show(Table(["tool", "version", "what it does"], rows, left=(0, 1, 2)), json_to=json)
    write_json(json, [asdict(tool) for tool in found])
    if any(tool.version is None for tool in found):
        raise typer.Exit(1)
