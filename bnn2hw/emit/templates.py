"""Rendering the files of a build directory from ``templates/``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["render", "synthesis_scripts", "synthesis_targets", "write_texts"]


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


def synthesis_scripts(top: str, *, tables: bool = False, levels: int = 0) -> dict[str, str]:
    """Return the Yosys script of every target by file name, for a module and its Verilog.

    ``tables`` says that the design is lookup tables already, which mapping should keep;
    ``levels`` are those of six inputs between registers, 0 for any number.
    """
    values = {"top": top, "verilog": f"{top}.v", "tables": tables, "levels": levels}
    return {
        f"synth/{target}.ys": render(f"synth/{target}.ys.j2", target=target, **values)
        for target in synthesis_targets()
    }


def write_texts(directory: Path, texts: Mapping[str, str]) -> None:
    """Write files by their names below a directory, folders included."""
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
