"""Sums, codes and parallel bases on the command line: shown, and refused where hardware is due."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import bnn2hw
from bnn2hw.cli import main
from bnn2hw.emit.limits import compile_problem
from bnn2hw.errors import PlanError
from bnn2hw.model import save
from tests.model.networks import decomposed

REASON = "has no weights: 'generate --network' compiles it"


def inspected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: Path, *options: str
) -> str:
    save(decomposed(), path)
    monkeypatch.setattr(sys, "argv", ["bnn2hw", "inspect", str(path), *options])
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit, match="0"):
        main()
    return capsys.readouterr().out


def test_the_table_shows_every_layer_and_the_groups(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = inspected(monkeypatch, capsys, tmp_path / "net.npz")
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if "│" in line}
    assert list(rows) == [layer.name for layer in decomposed().layers]
    assert "3x3x3 2 x integer -12..12" in rows["mean"]
    assert "sum >> 3 to integer -20..20 x 2^-5, 3 additions a channel at most" in rows["mean"]
    assert "0 additions" in rows["relu"]
    assert "codes 0..2" in rows["codes"]
    assert "3x3 windows, stride 1x1" in rows["pool"]
    for name, row in rows.items():
        assert (REASON in row) == (name not in ("base0", "base1", "scores"))
    assert "unit: 2 parallel bases of base0 and base1, meet in mean" in out


def test_it_draws_the_bases(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "bases.png"
    inspected(monkeypatch, capsys, tmp_path / "net.npz", "--bases", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(sys, "argv", ["bnn2hw", "inspect", "--bases", str(picture)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "network digits has no parallel bases to draw" in capsys.readouterr().err


def test_json_holds_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    value = json.loads(inspected(monkeypatch, capsys, tmp_path / "net.npz", "--json", "-"))
    assert value["groups"] == [{"name": "unit", "bases": [["base0"], ["base1"]], "output": "mean"}]
    layers = {layer["name"]: layer for layer in value["layers"]}
    assert layers["base1"]["groups"] == ["unit"]
    assert layers["mean"]["groups"] == []
    assert layers["mean"]["output"] == "3x3x3 integer -20..20 x 2^-5"


def test_it_tells_which_streams_are_exact(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    value = json.loads(inspected(monkeypatch, capsys, tmp_path / "net.npz", "--json", "-"))
    found = {layer["name"]: layer["rounding"] for layer in value["layers"]}
    exact = dict.fromkeys(("bits", "base0", "base1"), "exact")
    after = dict.fromkeys(("codes", "pool", "relu", "scores", "class"), "after rounding")
    assert found == {**exact, "mean": "rounded", **after}
    row = next(line for line in inspected(monkeypatch, capsys, tmp_path / "net.npz").splitlines()
               if "mean " in line)  # fmt: skip
    assert "rounded" in row


@pytest.mark.parametrize("name", ["mean", "codes", "pool", "relu"])
def test_generate_refuses_them_before_work_starts(tmp_path: Path, name: str) -> None:
    network = decomposed()
    kind = type(network.layer(name)).__name__
    assert compile_problem(network, name) == f"{kind} {REASON}"
    with pytest.raises(PlanError, match=f"layer {name}: {kind} {REASON}; 'bnn2hw inspect'"):
        bnn2hw.generate(network, ["base0", name], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
