"""Broken variants of the import that the comparison with the float graph must find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw.frontends import builder as building
from bnn2hw.frontends import onnx_layers
from bnn2hw.model import Threshold

from .graphs import agrees, small_network


@pytest.fixture(scope="module")
def good() -> bytes:
    graph, output = small_network()
    return graph.model(output).SerializeToString()


def falling(threshold: Threshold) -> Threshold:
    return Threshold(-threshold.direction, threshold.level)


fold = building.fold
MUTANTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "padding is always -1": (onnx_layers, "padding_of_code", lambda code: -1),
    "maps are not permuted": (
        building,
        "channel_first",
        lambda shape: (
            np.arange(int(np.prod(shape))).reshape(1, shape[2], *shape[:2])
            if len(shape) == 3
            else np.arange(shape[0])[None]
        ),
    ),
    "thresholds fall": (building, "fold", lambda *a, **k: falling(fold(*a, **k))),
    "thresholds are one too high": (
        building,
        "fold",
        lambda *a, **k: Threshold(fold(*a, **k).direction, fold(*a, **k).level + 2),
    ),
}


def test_the_network_of_these_tests_agrees(tmp_path: Path, good: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(good)
    assert agrees(tmp_path / "a.onnx")


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_found(
    tmp_path: Path, good: bytes, mutant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*MUTANTS[mutant])
    (tmp_path / "a.onnx").write_bytes(good)
    assert not agrees(tmp_path / "a.onnx")
