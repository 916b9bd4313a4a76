"""Networks of parallel bases that make no sense: one line, and nothing is built."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw.cli import main
from bnn2hw.model import save
from tests.model.networks import decomposed
from tests.report.test_bases import network_of

EXAMPLES = Path(__file__).parents[2] / "examples" / "networks"

Arrays = dict[str, Any]
Text = dict[str, Any]


def layer_of(text: Text, name: str) -> Text:
    """Return the description of a layer."""
    found: Text = next(layer for layer in text["layers"] if layer["name"] == name)
    return found


def no_bases(text: Text, arrays: Arrays) -> None:
    text["groups"][0]["bases"] = []


def gate_beyond(text: Text, arrays: Arrays) -> None:
    arrays["block2_base1_gate.weights"] = np.array([[5, 5], [-1, -1]])


def wide_format(text: Text, arrays: Arrays) -> None:
    layer_of(text, "block1_mean")["format"]["high"] = 1 << 34


def large_sums(text: Text, arrays: Arrays) -> None:
    arrays["block1_mean.offset"] = np.array([1 << 61] * 2)
    layer_of(text, "block1_mean")["shift"] = 62


def long_dilation(text: Text, arrays: Arrays) -> None:
    layer_of(text, "block1_base1_conv")["dilation"] = [9, 9]


def unsorted(text: Text, arrays: Arrays) -> None:
    arrays["codes.levels"] = arrays["codes.levels"][:, ::-1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_bases, "group 'group1' has no bases, or an empty one"),
        (
            gate_beyond,
            "layer block2_base1_gate: mixes a base and the mean with shares from -0.25 to 1.25; "
            "a gate s and 1 - s lie within 0 to 1",
        ),
        (wide_format, "layer block1_mean: an integer format of 36 bits is wider than 32 bits"),
        (large_sums, "layer block1_mean: sums of up to"),
        (
            long_dilation,
            "layer block1_base1_conv: kernel (3, 3) with dilation (9, 9) does not fit a 4x4 map",
        ),
        (unsorted, "layer codes: levels must ascend where the direction is +1"),
    ],
)
def test_it_is_told_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    damage: Callable[[Text, Arrays], None],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save(decomposed() if damage is unsorted else network_of(1, soft=True), "net.npz")
    with np.load("net.npz") as file:
        arrays = dict(file)
    text = json.loads(arrays.pop("network").tobytes())
    damage(text, arrays)
    entry = np.frombuffer(json.dumps(text).encode(), np.uint8)
    np.savez("bad.npz", network=entry, **arrays)
    options = ["generate", "bad.npz", "--network", "--out", "out"]
    monkeypatch.setattr(sys, "argv", ["bnn2hw", *options])
    with pytest.raises(SystemExit, match="1"):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bnn2hw: bad.npz: ")
    assert message in line
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("groupnet.bases=0", "groupnet.bases is 0; choose an integer from 1 to 32"),
        ("groupnet.blocks=[{channels=8, dilations=[1, 2, 9]}]", "the rate 9 on a map of 8"),
        ("activation_bits=5", "is 5; choose one of 1, 2, 3, 4, 8"),
    ],
)
def test_a_recipe_is_told_before_it_is_trained(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    setting: str,
    message: str,
) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXAMPLES / "groupnet.toml", "net.toml")
    options = ["train", "net.toml", "--set", setting, "-o", "net.npz"]
    monkeypatch.setattr(sys, "argv", ["bnn2hw", *options])
    with pytest.raises(SystemExit, match="1"):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bnn2hw: net.toml: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["net.toml"]
