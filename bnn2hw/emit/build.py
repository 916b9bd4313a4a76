"""Writing a build directory: all of it or nothing, the same bytes for the same input."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import BuildError
from .manifest import manifest_text, read_manifest
from .templates import render

__all__ = ["check_target", "write_build"]

WriteLayer = Callable[[Path], None]

# What simulate, synth and the Makefiles leave in a layer's folder; all else is in the manifest.
_LEFT_BEHIND = re.compile(
    r"results/[\w.-]+\.(json|log|xml|vcd|ltp|bit)|results/vectors\.txt|results/[\w-]+-routed\.txt"
    r"|results/(stages|yowasp_\w+|sim_build-[0-9a-f]+)/.*"
    r"|results/(vectors|volume)/\w+\.(txt|bin)|results/harness-[0-9a-f]+/.*"
    r"|board\.(asc|bin|bit|config|json|rpt|svf|tim)|board-pnr\.json"
    r"|results/direct/.*|results/\.yosys-[^/]*|sim_build/.*|results\.xml|(.*/)?__pycache__/.*"
)


def _files(layer: Path) -> list[str]:
    """Return the files of a layer's folder, relative to it, less what later steps leave there."""
    names = (path.relative_to(layer).as_posix() for path in layer.rglob("*") if not path.is_dir())
    return sorted(name for name in names if not _LEFT_BEHIND.fullmatch(name))


def _foreign(out: Path, listed: Collection[str], tops: Collection[str]) -> str | None:
    """Return the first file or empty folder of a build that is not part of it, or None."""
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        top, _, rest = name.partition("/")
        if path.is_dir() and not path.is_symlink():
            inside = f"{rest}/" if rest else ""
            empty = not any(path.iterdir())
            known = not empty or rest in ("results", "sim_build") or _left(top, tops, inside)
        else:
            known = name in listed or _left(top, tops, rest)
        if not known:
            return name
    return None


def _left(top: str, tops: Collection[str], rest: str) -> bool:
    return top in tops and _LEFT_BEHIND.fullmatch(rest) is not None


def check_target(out: Path) -> None:
    """Check that a build may be written there, before any work starts.

    Raises
    ------
    BuildError
        If the path is a file or the current folder, cannot be written, or holds something other
        than an earlier build.
    """
    with _reported(out):
        if out.resolve() == Path.cwd():
            raise BuildError(
                "this is the current folder, which cannot be replaced",
                file=out,
                remedy="choose another --out",
            )
        parent = next(path for path in (out.parent, *out.resolve().parents) if path.exists())
        # An attempt tells more than permissions do: they mean little to root.
        os.rmdir(tempfile.mkdtemp(prefix=".bnn2hw-", dir=parent))
        if not out.exists() and not out.is_symlink():
            return
        if out.is_symlink() or not out.is_dir():
            raise BuildError("this is not a directory", file=out, remedy="choose another --out")
        if not any(out.iterdir()):
            return
    try:
        manifest = read_manifest(out, "build")
    except BuildError:
        raise BuildError(
            "this directory holds something other than an earlier build",
            file=out,
            remedy="choose another --out or empty it",
        ) from None
    listed, layers = manifest.get("files"), manifest.get("layers")
    known = {"manifest.json", *(listed if isinstance(listed, list) else [])}
    foreign = _foreign(out, known, list(layers.values()) if isinstance(layers, dict) else [])
    if foreign is not None:
        raise BuildError(
            f"this earlier build also holds {foreign}, which would be lost",
            file=out,
            remedy="move it away or choose another --out",
        )


@contextmanager
def _reported(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BuildError(
            f"cannot write here: {reason}", file=out, remedy="choose another --out"
        ) from None


def _same(left: Path, right: Path) -> bool:
    names = _files(left)
    return names == _files(right) and all(
        filecmp.cmp(left / name, right / name, shallow=False) for name in names
    )


def _replace(new: Path, out: Path, tops: Sequence[str]) -> None:
    """Put the new build in the place of an earlier one; on failure the earlier one stays.

    What was measured on a layer is kept if the layer is the same to the byte; netlists of stages
    are kept in any case, by their content.
    """
    if not out.exists():
        new.rename(out)
        return
    aside = Path(tempfile.mkdtemp(prefix=".bnn2hw-", dir=out.parent))
    earlier = aside / "earlier"
    out.rename(earlier)
    try:
        new.rename(out)
    except BaseException:
        earlier.rename(out)
        raise
    else:
        for top in tops:
            results = earlier / top / "results"
            if results.is_dir() and _same(earlier / top, out / top):
                results.rename(out / top / "results")
            elif (results / "stages").is_dir():
                (out / top / "results").mkdir()
                (results / "stages").rename(out / top / "results" / "stages")
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
    files = sorted(p.relative_to(new).as_posix() for p in new.rglob("*") if p.is_file())
    return {
        "network": network,
        "layers": {name: top for name, (top, _) in layers.items()},
        "versions": dict(versions),
        "files": files,
    }
