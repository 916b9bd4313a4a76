"""Errors are one line with place and remedy."""

from __future__ import annotations

from bnn2hw.errors import Bnn2hwError, ModelError, UsageError


def test_an_error_names_file_layer_and_remedy() -> None:
    error = ModelError("weights are\nfloats", file="a.npz", layer="conv1", remedy="store bits")
    assert str(error) == "a.npz: layer conv1: weights are floats; store bits"


def test_places_are_filled_in_once() -> None:
    error = ModelError("bad", layer="conv1").located(file="a.npz", layer="conv2")
    assert isinstance(error, ModelError)
    assert str(error) == "a.npz: layer conv1: bad"


def test_exit_codes() -> None:
    assert Bnn2hwError("x").exit_code == 1
    assert UsageError("x").exit_code == 2
