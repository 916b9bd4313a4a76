"""The model file: networks come back, bytes repeat, and every bad file is a ModelError."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bnn2hw.errors import ModelError
from bnn2hw.model import (
    BIPOLAR,
    Binarize,
    BinaryConv,
    BinaryDense,
    Codebook,
    Integer,
    Network,
    Samples,
    Tensor,
    Threshold,
    load,
    save,
)
from bnn2hw.model.arrays import read_arrays
from bnn2hw.model.fields import FileArrays

from .files import Edit, array, drop, layer, loads_or_tells, rewritten, top, walk
from .networks import decomposed, digits, networks, same

quick = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quick
@given(network=networks())
def test_networks_come_back(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "network.npz"
    save(network, path)
    got = load(path)
    assert same(got, network)
    first = path.read_bytes()
    save(got, path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("index", [0, 2, 3, 4, 5])
def test_the_comparison_of_these_tests_sees_a_change(index: int) -> None:
    network = digits()
    layer = network.layers[index]
    changed: Any
    if isinstance(layer, BinaryConv | BinaryDense):
        weights = layer.weights.copy()
        weights.flat[-1] ^= 1
        changed = replace(layer, weights=weights)
    elif isinstance(layer, Binarize):
        changed = replace(layer, threshold=Threshold.at_least(np.array([1])))
    else:
        changed = replace(layer, ties="first")
    layers = (*network.layers[:index], changed, *network.layers[index + 1 :])
    assert same(network, digits())
    assert not same(network, replace(network, layers=layers))


def test_the_file_opens_without_bnn2hw(tmp_path: Path) -> None:
    save(digits(), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        text = json.loads(file["network"].tobytes())
        assert [layer["type"] for layer in text["layers"]] == [
            "binary_conv", "max_pool", "binary_dense", "binarize", "binary_dense", "argmax",
        ]  # fmt: skip
        assert file[text["layers"][0]["weights"]].shape == (4, 3, 3, 1)
        assert file[text["samples"]["images"]].dtype == np.int8


def test_nothing_of_the_machine_is_in_the_bytes(tmp_path: Path) -> None:
    save(digits(), tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        for member in archive.infolist():
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert member.create_system == 3
            assert not member.extra


# ------------------------------------------------------------------------- writing


def test_an_earlier_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"earlier")
    save(digits(), path)
    assert same(load(path), digits())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("name", ["missing/a.npz", "folder", "x" * 300, "a\0b"])
def test_an_unwritable_place_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match="cannot be written"):
        save(digits(), tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
    assert not list((tmp_path / "folder").iterdir())


def test_a_write_that_fails_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"earlier")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match=r"a\.npz: cannot be written: No space left on device"):
        save(digits(), path)
    assert path.read_bytes() == b"earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


# ------------------------------------------------------------------------- hostile files


W = "conv1.weights"
LEVEL = "conv1.threshold.level"
NAN = np.array([1.0, np.nan, 0, 1])

BAD: dict[str, tuple[Edit, str]] = {
    "other kind": (top(kind="cat"), "is not a model file"),
    "no kind": (drop("kind"), "is not a model file"),
    "later format": (top(format=2), "is of format 2 and this bnn2hw reads format 1; use"),
    "format is true": (top(format=True), "is of format True"),
    "missing key": (drop("classes"), "no key 'classes'"),
    "unknown key": (top(colour="red"), "unknown key 'colour'; the keys are"),
    "list for object": (top(raw=b"[1]"), "must be a JSON object"),
    "not JSON": (top(raw=b"{"), "is not JSON"),
    "not UTF-8": (top(raw=b'{"a": "\xff"}'), "is not JSON"),
    "NaN": (top(raw=b'{"a": NaN}'), "is not JSON: NaN is not a number"),
    "huge integer": (top(raw=b'{"a": ' + b"9" * 9999 + b"}"), "is not JSON"),
    "deep": (top(raw=b"[" * 100000), "is not JSON"),
    "key twice": (top(raw=b'{"a": 1, "a": 2}'), "a key is there twice"),
    "name is half a character": (top(classes=["\ud800"]), "classes must be text"),
    "name is a number": (top(name=3), "name must be text"),
    "name is a path": (top(name="../a"), "network name '../a' is not usable"),
    "no layers": (top(layers=[]), "has no layers"),
    "layers are text": (top(layers="conv"), "must be a JSON list"),
    "layer is text": (top(layers=["conv"]), "a layer must be a JSON object"),
    "classes are numbers": (top(classes=[1]), "classes must be text"),
    "notes are numbers": (top(notes={"a": 1}), "notes must be text"),
    "shape is true": (top(input={"shape": [True], "format": {"type": "bipolar"}}), "integer"),
    "shape is float": (top(input={"shape": [8.0], "format": {"type": "bipolar"}}), "integer"),
    "shape is huge": (top(input={"shape": [1 << 50], "format": {"type": "bipolar"}}), "integer"),
    "side is huge": (
        top(input={"shape": [1 << 15, 8, 2], "format": {"type": "bipolar"}}),
        "larger than 16384",
    ),
    "format unknown": (
        top(input={"shape": [8], "format": {"type": "float"}}),
        "'float' is not bipolar or integer",
    ),
    "format empty": (
        top(input={"shape": [8], "format": {"type": "integer", "low": 3, "high": 2}}),
        "is empty",
    ),
    "format without low": (
        top(input={"shape": [8], "format": {"type": "integer", "high": 2}}),
        "input format has no key 'low'",
    ),
    "unknown type": (
        layer(1, type="residual"),
        "layer pool: type 'residual' is unknown; this bnn2hw knows affine",
    ),
    "type is a list": (layer(1, type=["max_pool"]), "layer pool: type .* is unknown"),
    "no name": (drop("layers", 1, "name"), "layer name must be text"),
    "name twice": (layer(1, name="conv1"), "conv1: this name is used twice"),
    "layer without inputs": (drop("layers", 1, "inputs"), "layer pool: it has no key 'inputs'"),
    "two inputs": (layer(1, inputs=["conv1", "conv1"]), "layer pool: has 2 inputs"),
    "forward edge": (layer(1, inputs=["scores"]), "layer pool: reads 'scores'"),
    "unknown field": (layer(1, size=3), "layer pool: it has the unknown key 'size'"),
    "missing field": (drop("layers", 0, "groups"), "layer conv1: it has no key 'groups'"),
    "stride is text": (layer(0, stride="12"), "layer conv1: stride must be a JSON list"),
    "stride is long": (layer(0, stride=[1, 1, 1]), "layer conv1: stride .* must be 2 integers"),
    "stride is huge": (layer(0, stride=[1, 1 << 39]), "layer conv1: stride"),
    "stride is zero": (layer(0, stride=[0, 1]), "layer conv1: stride"),
    "kernel is long": (layer(1, kernel=[2, 2, 2]), "layer pool: kernel .* must be 2 integers"),
    "groups is true": (layer(0, groups=True), "layer conv1: groups must be an integer"),
    "groups do not divide": (layer(0, groups=3), "layer conv1: 3 groups do not divide"),
    "groups do not fit": (layer(0, groups=1), "layer conv1: reads"),
    "padding value": (layer(0, padding_value=2), "layer conv1: padding value 2"),
    "ties": (layer(5, ties="any"), "layer class: ties"),
    "no such array": (layer(0, weights="other"), "layer conv1: weights: there is no array"),
    "array is a number": (layer(0, weights=3), "layer conv1: weights: there is no array 3"),
    "array is the description": (layer(0, weights="network"), "there is no array 'network'"),
    "array used twice": (layer(4, weights="sums.weights"), "layer scores: .*something else"),
    "array unused": (array("spare", [1]), "array 'spare' belongs to nothing"),
    "array missing": (
        lambda text, arrays: arrays.pop(W),
        "layer conv1: weights: there is no array 'conv1.weights'",
    ),
    "weights are floats": (array(W, np.ones((4, 3, 3, 1))), "layer conv1: weights must be"),
    "weights are signs": (array(W, -np.ones((4, 3, 3, 1), np.int8)), "weights must be bits"),
    "weights are flat": (array(W, np.ones((4, 9), np.uint8)), "layer conv1: weights must be 4-d"),
    "weights are empty": (array(W, np.ones((0, 3, 3, 1), np.uint8)), "layer conv1: weights"),
    "weights are text": (array(W, np.full((4, 3, 3, 1), "1")), "layer conv1: weights"),
    "level is NaN": (array(LEVEL, NAN), "layer conv1: threshold: .* holds float64"),
    "level is huge": (array(LEVEL, [1 << 60] * 4), "levels must lie within"),
    "level is unsigned": (array(LEVEL, np.full(4, 1 << 63, np.uint64)), "leaves"),
    "level is short": (array(LEVEL, [1, 2, 3]), "4 directions and 3 levels"),
    "level is a matrix": (array(LEVEL, np.ones((4, 1), int)), "one-dimensional"),
    "threshold is a list": (layer(0, threshold=[]), "threshold must be a JSON object"),
    "threshold missing": (layer(3, threshold=None), "layer sign: threshold is missing"),
    "channels differ": (
        lambda text, arrays: (array(LEVEL, [1, 1, 1, 1, 1])(text, arrays),
                              array("conv1.threshold.direction", np.ones(5, int))(text, arrays)),
        "layer conv1: threshold has 5 channels",
    ),
    "images are floats": (array("samples.images", np.zeros((2, 8, 8, 2))), "holds float64"),
    "images too large": (array("samples.images", np.full((2, 8, 8, 2), 200)), "leave the input"),
    "images of other shape": (array("samples.images", np.zeros((2, 8, 8), int)), "of shape"),
    "image of no shape": (array("samples.images", np.array(3)), "of shape"),
    "labels of other count": (array("samples.labels", np.zeros(3, int)), "labels of shape"),
    "samples are text": (top(samples="all"), "samples must be a JSON object"),
    "kernel is expensive": (
        lambda text, arrays: (
            layer(0, groups=1, threshold=None)(text, arrays),
            array(W, np.ones((1, 1, 300, 2), np.uint8))(text, arrays),
        ),
        "layer conv1: kernel .* is larger than",
    ),
    "groups are expensive": (
        lambda text, arrays: (
            layer(0, groups=1 << 14, threshold=None)(text, arrays),
            array(W, np.ones((1 << 14, 1, 1, 1), np.uint8))(text, arrays),
        ),
        "layer conv1: weights .* make a matrix of more than",
    ),
}  # fmt: skip


BOOK = "base0.codebook."
ALL = np.arange(16)[:, None] >> np.arange(4) & 1


def group(**values: Any) -> Edit:
    return lambda text, arrays: text["groups"][0].update(values)


BAD_DECOMPOSED: dict[str, tuple[Edit, str]] = {
    "a fraction of text": (
        top(input={"shape": [4, 4, 3], "format":
                   {"type": "integer", "low": 0, "high": 1, "fraction": "4"}}),
        "input format fraction must be an integer",
    ),
    "a fraction beyond": (
        layer(3, format={"type": "integer", "low": 0, "high": 1, "fraction": 63}),
        "layer mean: a fraction of 63 bits",
    ),
    "bits have no fraction": (
        top(input={"shape": [4, 4, 3], "format": {"type": "bipolar", "fraction": 0}}),
        "input format has the unknown key 'fraction'",
    ),
    "sums as bits": (layer(3, format={"type": "bipolar"}), "mean: format must be integer, not bip"),
    "no format": (drop("layers", 3, "format"), "layer mean: it has no key 'format'"),
    "format is null": (layer(3, format=None), "layer mean: format must be a JSON object"),
    "no shift": (drop("layers", 3, "shift"), "layer mean: it has no key 'shift'"),
    "a huge shift": (layer(3, shift=63), "layer mean: shift 63"),
    "more inputs": (layer(3, inputs=["base0"] * 3), "mean: has weights for 2 inputs and 3"),
    "an input of another shape": (layer(3, inputs=["base0", "bits"]), "mean: reads edges of diff"),
    "real weights": (array("mean.weights", np.ones((2, 3))), "mean: weights must be 2-dim"),
    "infinite offset": (array("mean.offset", [np.inf] * 3), "mean: offset must be 1-dim"),
    "weights of 64 bits": (
        array("mean.weights", np.full((2, 3), (1 << 64) - 1, np.uint64)), "mean: weights must lie",
    ),
    "the least weight": (
        array("mean.weights", np.full((2, 3), -(1 << 63))), "mean: weights must lie",
    ),
    "sums of 64 bits": (array("mean.weights", np.full((2, 3), 1 << 60)), "mean: sums of up to"),
    "levels out of order": (array("codes.levels", [[2, 1]] * 3), "codes: levels must ascend"),
    "many channels of levels": (
        lambda text, arrays: (
            array("codes.levels", np.zeros((1, 255), np.int8))(text, arrays),
            array("codes.direction", np.ones(1 << 22, np.int8))(text, arrays),
        ),
        "codes: has parameters for 4194304 channels",
    ),
    "a codebook of text": (layer(1, codebook="all"), "base0: codebook must be a JSON object"),
    "a codebook without indices": (
        layer(1, codebook={"subset": BOOK + "subset"}), "base0: codebook has no key 'indices'",
    ),
    "a codebook of more": (
        lambda text, arrays: text["layers"][1]["codebook"].update(size=8),
        "base0: codebook has the unknown key 'size'",
    ),
    "a codebook twice": (
        lambda text, arrays: text["layers"][2].update(codebook=text["layers"][1]["codebook"]),
        "base1: codebook: array 'base0.codebook.subset' belongs to something else already",
    ),
    "a codebook left behind": (
        drop("layers", 1, "codebook"), "array 'base0.codebook.indices' belongs to nothing",
    ),
    "another codebook": (array(BOOK + "subset", ALL[8:]), "base0: the codebook gives other"),
    "a codebook of three": (array(BOOK + "subset", ALL[:3]), "base0: a codebook of 3 kernels"),
    "indices beyond": (array(BOOK + "indices", np.full((3, 3), 8)), "base0: codebook indices go"),
    "groups of text": (top(groups="unit"), "groups must be a JSON list"),
    "a group of text": (top(groups=["unit"]), "a group must be a JSON object"),
    "a group without output": (drop("groups", 0, "output"), "a group has no key 'output'"),
    "a group of more": (group(size=2), "a group has the unknown key 'size'"),
    "a base of text": (group(bases=["base0"]), "a base must be a JSON list"),
    "a base of numbers": (group(bases=[[1]]), "bases must be text"),
    "an unknown base": (group(bases=[["base0"], ["base9"]]), "group 'unit' names 'base9'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_DECOMPOSED)
def test_a_bad_decomposed_file_is_refused(tmp_path: Path, case: str) -> None:
    edit, message = BAD_DECOMPOSED[case]
    path = rewritten(tmp_path / "a.npz", edit, decomposed())
    with pytest.raises(ModelError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < len(str(path)) + 400


def test_many_groups_are_read_in_a_moment(tmp_path: Path) -> None:
    many = [{"name": f"g{k}", "bases": [["base0"]], "output": "mean"} for k in range(50_000)]
    network = load(rewritten(tmp_path / "a.npz", top(groups=many), decomposed()))
    assert len(network.groups) == 50_000


def test_an_array_of_a_layer_has_a_limit() -> None:
    huge = np.broadcast_to(np.uint8(1), (1 << 27) + 1)
    with pytest.raises(ModelError, match="levels: array 'a' has more than 134217728 elements"):
        FileArrays({"a": huge}).take("a", "levels")
    assert FileArrays({"a": huge[1:]}).take("a", "levels").size == 1 << 27


def test_a_codebook_of_null_is_none(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "a.npz", layer(0, codebook=None))
    assert same(load(path), digits())


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    """Files without codebooks, groups and fractions are as they were before there were any."""
    save(digits(), tmp_path / "a.npz")
    text = bytes(read_arrays(tmp_path / "a.npz")["network"]).decode()
    assert all(f'"{key}"' not in text for key in ("codebook", "fraction"))
    assert "groups" not in json.loads(text)


CHANGES: dict[str, Callable[[Network], Network]] = {
    "groups": lambda network: replace(network, groups=()),
    "codebook": lambda network: _with(network, 1, codebook=None),
    "codebook of the other order": lambda network: _with(
        network, 1, codebook=_reordered(network.layers[1].codebook)
    ),
    "fraction": lambda network: _with(network, 3, format=Integer(-20, 20)),
    "offset": lambda network: _with(network, 3, offset=np.array([1, 0, -6])),
    "levels": lambda network: _with(network, 4, levels=np.array([[1, 2], [9, 8], [4, 5]])),
    "pool": lambda network: _with(network, 5, stride=(2, 2)),
}  # fmt: skip


def _with(network: Network, index: int, **values: Any) -> Network:
    layers = list(network.layers)
    layers[index] = replace(layers[index], **values)
    return replace(network, layers=tuple(layers))


def _reordered(book: Codebook) -> Codebook:
    return Codebook(book.subset[::-1], len(book.subset) - 1 - book.indices)


@pytest.mark.parametrize("change", CHANGES)
def test_the_comparison_sees_a_change_of_decomposed(change: str) -> None:
    assert same(decomposed(), decomposed())
    assert not same(decomposed(), CHANGES[change](decomposed()))


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused(tmp_path: Path, case: str) -> None:
    edit, message = BAD[case]
    path = rewritten(tmp_path / "a.npz", edit)
    with pytest.raises(ModelError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < len(str(path)) + 400


def test_the_edited_file_is_good_before_the_edit(tmp_path: Path) -> None:
    assert same(load(rewritten(tmp_path / "a.npz", lambda text, arrays: None)), digits())


def test_plain_arrays_are_no_model_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weights=np.ones(3))
    with pytest.raises(ModelError, match=r"has no entry 'network'.*bnn2hw import"):
        load(tmp_path / "a.npz")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a\.npz: there is no such file"):
        load(tmp_path / "a.npz")


@pytest.fixture(scope="module", params=[digits, decomposed])
def good(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "a.npz"
    save(request.param(), path)
    return path.read_bytes()


@quick
@given(data=st.data())
def test_damaged_bytes_load_or_are_told(tmp_path: Path, good: bytes, data: st.DataObject) -> None:
    mutated = bytearray(good)
    for _ in range(data.draw(st.integers(0, 3))):
        mutated[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(good)) | st.integers(0, len(good)))
    (tmp_path / "a.npz").write_bytes(mutated[:end])
    loads_or_tells(tmp_path / "a.npz")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@settings(quick, max_examples=200)
@given(data=st.data(), value=values)
@example(data=None, value=None)
@pytest.mark.parametrize("network", [digits(), decomposed()], ids=["digits", "decomposed"])
def test_a_changed_description_loads_or_is_told(
    tmp_path: Path, network: Network, data: Any, value: Any
) -> None:
    def edit(text: dict[str, Any], arrays: dict[str, Any]) -> None:
        places: list[tuple[Any, Any]] = []
        walk(text, places)
        if data is not None:
            holder, key = data.draw(st.sampled_from(places))
            holder[key] = value

    loads_or_tells(rewritten(tmp_path / "a.npz", edit, network))


@settings(quick, max_examples=200)
@given(data=st.data())
@pytest.mark.parametrize("network", [digits(), decomposed()], ids=["digits", "decomposed"])
def test_a_changed_array_loads_or_is_told(
    tmp_path: Path, network: Network, data: st.DataObject
) -> None:
    def edit(text: dict[str, Any], arrays: dict[str, Any]) -> None:
        name = data.draw(st.sampled_from(sorted(arrays)))
        dtype = data.draw(st.sampled_from(["u1", "i1", "i8", "u8", "f4", "?", "U1"]))
        shape = data.draw(
            st.lists(st.integers(0, 3), max_size=5).map(tuple) | st.just(arrays[name].shape)
        )
        fill = data.draw(st.integers(0, 1) | st.integers(-(1 << 63), (1 << 64) - 1))
        try:
            arrays[name] = np.full(shape, np.array(fill).astype(dtype))
        except OverflowError:
            arrays[name] = np.zeros(shape, dtype)

    loads_or_tells(rewritten(tmp_path / "a.npz", edit, network))


def test_bipolar_samples_are_stored_as_bytes(tmp_path: Path) -> None:
    network = Network(
        "bits",
        Tensor((4,), BIPOLAR),
        (BinaryDense("fc", ("input",), np.eye(4, dtype=np.uint8)),),
        samples=Samples(np.eye(4, dtype=np.int32)),
    )
    save(network, tmp_path / "a.npz")
    assert read_arrays(tmp_path / "a.npz")["samples.images"].dtype == np.uint8
    assert same(load(tmp_path / "a.npz"), network)
