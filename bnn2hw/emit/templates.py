"""Rendering the files of a build directory from ``templates/``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["render", "synthesis_targets"]


@cache
def _environment() -> Environment:
    # An installed package holds the folder; in a checkout it stands beside the package.
    package = Path(__file__).parent.parent
    installed = package / "templates"
    folder = installed if installed.is_dir() else package.parent / "templates"
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(template: str, **values: object) -> str:
    """Return the text of a template, e.g. ``layer/Makefile.j2``, with these values."""
    return _environment().get_template(template).render(**values)


def synthesis_targets() -> list[str]:
    """Return the names of the synthesis targets that have a script template, sorted."""
    names = _environment().list_templates(
        filter_func=lambda name: name.startswith("synth/") and name.endswith(".ys.j2")
    )
    found = (Path(name).name.removesuffix(".ys.j2") for name in names)
    return sorted(name for name in found if not name.startswith("_"))
