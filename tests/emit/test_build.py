"""Build directories are written whole or not at all, and never destroy anything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bnn2hw.emit.build import check_target, write_build
from bnn2hw.emit.manifest import layer_directories, manifest_text, read_manifest
from bnn2hw.errors import BuildError

LAYER = {
    "layer": "conv", "top": "conv", "input": {}, "output": {}, "pipeline": None, "plan": {},
    "verilator_flags": [], "make_flags": [],
}  # fmt: skip


def writer(text: str = "hardware") -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / "conv.v").write_text(text)
        (directory / "manifest.json").write_text(manifest_text("layer", LAYER))

    return write


def build(out: Path, text: str = "hardware", name: str = "conv") -> None:
    write_build(out, "net", {name: (name, writer(text))}, {"bnn2hw": "1"})


def tree(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    build(tmp_path / "a")
    build(tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert layer_directories(tmp_path / "a") == {"conv": tmp_path / "a" / "conv"}
    listed = read_manifest(tmp_path / "a", "build")["files"]
    assert sorted([*listed, "manifest.json"]) == sorted(tree(tmp_path / "a"))


def test_an_earlier_build_is_replaced_and_unchanged_results_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out)
    (out / "conv" / "results").mkdir()
    (out / "conv" / "results" / "figures.json").write_text("{}")
    build(out)
    assert (out / "conv" / "results" / "figures.json").exists()
    build(out, "other hardware")
    assert not (out / "conv" / "results").exists()
    assert (out / "conv" / "conv.v").read_text() == "other hardware"
    build(out, name="other")
    assert not (out / "conv").exists()
    assert os.listdir(tmp_path) == ["out"]


def test_a_failure_leaves_the_earlier_build_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out)
    before = tree(out)

    def fail(directory: Path) -> None:
        (directory / "half.v").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(BuildError, match="No space left on device"):
        write_build(out, "net", {"conv": ("conv", fail)}, {})
    assert tree(out) == before
    with pytest.raises(BuildError, match="No space left"):
        write_build(tmp_path / "new", "net", {"conv": ("conv", fail)}, {})
    assert os.listdir(tmp_path) == ["out"]


def test_a_failing_move_puts_the_earlier_build_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    build(out)
    before = tree(out)
    rename = Path.rename

    def no_move(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", no_move)
    with pytest.raises(BuildError, match="Input/output error"):
        build(out, "other")
    monkeypatch.undo()
    assert tree(out) == before
    assert os.listdir(tmp_path) == ["out"]


def test_other_peoples_directories_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(BuildError, match="something other than an earlier build"):
        build(foreign)
    (foreign / "manifest.json").write_text('{"name": "a web app"}')
    with pytest.raises(BuildError, match="something other than an earlier build"):
        build(foreign)
    assert (foreign / "thesis.tex").exists()


@pytest.mark.parametrize(
    "name",
    ["conv/notes.txt", "conv/results/notes.txt", "results/notes.txt", "mine/results/a.json"],
)
def test_a_build_with_a_foreign_file_is_refused(tmp_path: Path, name: str) -> None:
    build(tmp_path / "out")
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(BuildError, match=f"also holds {name}"):
        build(tmp_path / "out", "other")
    assert path.read_text() == "mine"


def test_a_build_with_a_foreign_empty_folder_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "out")
    (tmp_path / "out" / "mine").mkdir()
    with pytest.raises(BuildError, match="also holds mine"):
        build(tmp_path / "out")


def test_what_later_steps_leave_is_no_hindrance(tmp_path: Path) -> None:
    build(tmp_path / "out")
    for name in (
        "results/lut6.json", "results/sim_build-0a1b/Vtop.cpp", "results/conv.vcd", "results.xml",
        "sim_build/Vtop", "__pycache__/test_conv.cpython-311.pyc", "hdl/__pycache__/a.pyc",
        "results/direct/manifest.json", "results/vectors.txt",
    ):  # fmt: skip
        path = tmp_path / "out" / "conv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left")
    build(tmp_path / "out", "other")
    assert not (tmp_path / "out" / "conv" / "results").exists()


def test_the_current_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".", "", "../" + tmp_path.name):
        with pytest.raises(BuildError, match="the current folder"):
            check_target(Path(name))


def test_files_links_and_unwritable_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(BuildError, match="not a directory"):
            check_target(tmp_path / name)
    with pytest.raises(BuildError, match="cannot write here"):
        check_target(tmp_path / "file" / "below")
    with pytest.raises(BuildError, match="cannot write here"):
        build(Path("/proc/bnn2hw"))


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    build(tmp_path / "out")
    assert (tmp_path / "out" / "conv" / "conv.v").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a build directory"),
        ("[" * 100_000, "not a build directory"),
        ('{"tool": "bnn2hw", "kind": "layer", "format": 1}', "not a build directory"),
        ('{"tool": "bnn2hw", "kind": "build", "format": 99}', "format 99"),
        ('{"tool": "bnn2hw", "kind": "build", "format": 1}', "not one that this version writes"),
        (
            '{"tool": "bnn2hw", "kind": "build", "format": 1, "network": "n", "files": [],'
            ' "layers": {"a": "../../etc"}}',
            "lists no layers",
        ),
        (
            '{"tool": "bnn2hw", "kind": "build", "format": 1, "network": "n", "files": [],'
            ' "layers": {"a": "a"}}',
            "not a layer directory",
        ),
    ],
)
def test_broken_manifests_are_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BuildError, match=message) as caught:
        layer_directories(tmp_path)
    assert "\n" not in str(caught.value)
