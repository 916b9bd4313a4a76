"""A compiler's objects of Verilator's runtime library, compiled once and not for every design.

Runs as a program of its own before the compiler's command, as makefiles of Verilator do with
``OBJCACHE``::

    python object_cache.py FOLDER g++ ... -c -o verilated.o .../include/verilated.cpp

Only sources of ``$VERILATOR_ROOT/include`` are kept in the folder, by compiler, command and
content of that library; all else is compiled as ever. It imports nothing but the standard
library, as it starts once for every object.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Compile, or copy what was compiled before, and return the compiler's exit status.

    Parameters
    ----------
    arguments
        The folder of kept objects, and the compiler's command.
    """
    folder, command = Path(arguments[0]), arguments[1:]
    kept = _kept(folder, command)
    if kept is None:
        return subprocess.run(command, check=False).returncode
    target = Path(command[command.index("-o") + 1])
    if kept.is_file():
        shutil.copyfile(kept, target)
        return 0
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        _keep(target, kept)
    return status


def _kept(folder: Path, command: list[str]) -> Path | None:
    """Return where the object of a command is kept; None where it is not of the library."""
    library = Path(os.environ.get("VERILATOR_ROOT", "")) / "include"
    source, compiler = Path(command[-1]), shutil.which(command[0])
    if compiler is None or source.parent != library or not {"-c", "-o"} <= set(command):
        return None
    stamps = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in (Path(compiler).resolve(), *sorted(library.iterdir()))
    ]
    digest = hashlib.sha256(repr((command, stamps)).encode()).hexdigest()
    return folder / f"{source.stem}-{digest[:32]}.o"


def _keep(target: Path, kept: Path) -> None:
    """Copy an object into the folder at once or not at all; a folder of no use is left alone."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            file.write(target.read_bytes())
        os.replace(file.name, kept)
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
