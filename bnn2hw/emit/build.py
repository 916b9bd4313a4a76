"""Writing a build directory: all of it or nothing, the same bytes for the same input."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import BuildError
from .manifest import manifest_text, read_manifest
from .templates import render

__all__ = ["check_target", "write_build"]

# What simulate, synth and the Makefiles leave behind; everything else is listed in the manifest.
_LEFT_BEHIND = ("results", "sim_build", "results.xml", "__pycache__")

WriteLayer = Callable[[Path], None]


def _files(directory: Path) -> Iterator[Path]:
    """Yield the files below a directory, relative to it, less what later steps leave behind."""
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if not path.is_dir() and not any(part in _LEFT_BEHIND for part in relative.parts):
            yield relative


def check_target(out: Path) -> None:
    """Check that a build may be written there, before any work starts.

    Raises
    ------
    BuildError
        If the path is a file, cannot be written, or holds something other than an earlier build.
    """
    parent = next(path for path in (out.parent, *out.parent.parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise BuildError("cannot write here", file=out, remedy="choose another --out")
    if not out.exists() and not out.is_symlink():
        return
    if out.is_symlink() or not out.is_dir():
        raise BuildError("this is not a directory", file=out, remedy="choose another --out")
    if not any(out.iterdir()):
        return
    try:
        listed = read_manifest(out, "build").get("files")
    except BuildError:
        raise BuildError(
            "this directory holds something other than an earlier build",
            file=out,
            remedy="choose another --out or empty it",
        ) from None
    known = set(listed) if isinstance(listed, list) else set()
    for relative in _files(out):
        if relative.as_posix() not in known | {"manifest.json"}:
            raise BuildError(
                f"this earlier build also holds {relative}, which would be lost",
                file=out,
                remedy="move it away or choose another --out",
            )


@contextmanager
def _reported(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BuildError(f"cannot write here: {reason}", file=out) from None


def _same(left: Path, right: Path) -> bool:
    names = list(_files(left))
    return names == list(_files(right)) and all(
        filecmp.cmp(left / name, right / name, shallow=False) for name in names
    )


def _replace(new: Path, out: Path, tops: Sequence[str]) -> None:
    """Put the new build in the place of an earlier one; on failure the earlier one stays.

    What was measured on a layer is kept if the layer is the same to the byte.
    """
    if not out.exists():
        new.rename(out)
        return
    aside = Path(tempfile.mkdtemp(prefix=".bnn2hw-", dir=out.parent))
    earlier = aside / "earlier"
    out.rename(earlier)
    try:
        new.rename(out)
    except OSError:
        earlier.rename(out)
        raise
    else:
        for top in tops:
            results = earlier / top / "results"
            if results.is_dir() and _same(earlier / top, out / top):
                results.rename(out / top / "results")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_build(
    out: Path,
    network: str,
    layers: Mapping[str, tuple[str, WriteLayer]],
    versions: Mapping[str, str],
) -> None:
    """Write a build directory in one move.

    Parameters
    ----------
    out
        The directory; an earlier build there is replaced, and the results of layers that did not
        change are kept.
    network
        Name of the network.
    layers
        By layer name: the name of its folder, and the function that fills it.
    versions
        Of the tools that decide the bytes.

    Raises
    ------
    BuildError
        As :func:`check_target`, or if writing fails; nothing is left half-written.
    """
    check_target(out)
    with _reported(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".bnn2hw-", dir=out.parent))
    try:
        new = work / "new"
        with _reported(out):
            new.mkdir()
        for top, write in layers.values():
            with _reported(out):
                (new / top).mkdir()
                write(new / top)
        tops = [top for top, _ in layers.values()]
        with _reported(out):
            (new / "Makefile").write_text(
                render("build/Makefile.j2", network=network, layers=tops), encoding="utf-8"
            )
            (new / "manifest.json").write_text(
                manifest_text("build", _summary(new, network, layers, versions)), encoding="utf-8"
            )
            _replace(new, out, tops)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _summary(
    new: Path,
    network: str,
    layers: Mapping[str, tuple[str, WriteLayer]],
    versions: Mapping[str, str],
) -> dict[str, object]:
    files: Sequence[str] = [path.as_posix() for path in _files(new)]
    return {
        "network": network,
        "layers": {name: top for name, (top, _) in layers.items()},
        "versions": dict(versions),
        "files": files,
    }
