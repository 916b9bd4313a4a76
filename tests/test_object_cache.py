"""Objects of Verilator's library are compiled once, and everything else every time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bnn2hw.object_cache import main


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a compiler that writes source and flags, and a line a run to calls.txt."""
    include = tmp_path / "verilator" / "include"
    include.mkdir(parents=True)
    for name in ("verilated.cpp", "broken.cpp", "verilated.h"):
        (include / name).write_text(name)
    program = tmp_path / "c++"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {tmp_path}/calls.txt\n'
        'case "$5" in *broken*) exit 3;; esac\n'
        '{ echo "$1"; cat "$5"; } > "$4"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("VERILATOR_ROOT", str(include.parent))
    monkeypatch.chdir(tmp_path)
    return str(program)


def compiled(compiler: str, source: Path, flag: str = "-O1", folder: str = "kept") -> str | int:
    """Return the object, or the status of a failure."""
    target = Path("a.o")
    target.unlink(missing_ok=True)
    status = main([folder, compiler, flag, "-c", "-o", str(target), str(source)])
    return target.read_text() if status == 0 else status


def calls() -> int:
    return len(Path("calls.txt").read_text().splitlines())


def test_the_library_is_compiled_once_a_command(compiler: str) -> None:
    source = Path("verilator/include/verilated.cpp").resolve()
    assert [compiled(compiler, source) for _ in range(3)] == ["-O1\nverilated.cpp"] * 3
    assert calls() == 1
    assert compiled(compiler, source, "-O2") == "-O2\nverilated.cpp"
    assert calls() == 2


def test_a_change_of_library_or_compiler_is_seen(compiler: str) -> None:
    source = Path("verilator/include/verilated.cpp").resolve()
    compiled(compiler, source)
    for changed in (source, source.with_suffix(".h"), Path(compiler)):
        before = calls()
        os.utime(changed, ns=(1, 1))
        compiled(compiler, source)
        assert calls() == before + 1


def test_a_design_is_compiled_every_time(compiler: str) -> None:
    source = Path("design.cpp")
    for text in ("one", "two"):
        source.write_text(text)
        assert compiled(compiler, source) == f"-O1\n{text}"
    assert not Path("kept").exists()


def test_a_failure_is_told_and_not_kept(compiler: str) -> None:
    source = Path("verilator/include/broken.cpp").resolve()
    assert [compiled(compiler, source) for _ in range(2)] == [3, 3]
    assert calls() == 2
    assert not Path("kept").exists()


def test_a_folder_that_cannot_be_written_is_left_alone(compiler: str) -> None:
    Path("file").write_text("in the way")
    source = Path("verilator/include/verilated.cpp").resolve()
    assert compiled(compiler, source, folder="file") == "-O1\nverilated.cpp"
    assert Path("file").read_text() == "in the way"
