"""Arrays and descriptions: conventions and layouts mean what they say, errors are told."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw import golden
from bnn2hw.errors import ImportFailure, UsageError
from bnn2hw.frontends import import_arrays, import_network
from bnn2hw.model import (
    BIPOLAR,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Integer,
    MaxPool,
    Network,
    Tensor,
)
from tests.helpers import read_or_told

from .descriptions import damaged, write

quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

RNG = np.random.default_rng(8)
ARRAYS: dict[str, NDArray[Any]] = {
    "w0": RNG.integers(0, 2, (4, 3, 3, 2), np.uint8),
    "t0": np.array([3, 9, 12, 20], np.int32),
    "w1": RNG.choice(np.array([-1, 1], np.int8), (3, 16)),
    "d1": np.array([1, -1, 0], np.int8),
    "t1": np.array([2, -3, 1], np.int64),
    "names": np.array(["cat", "dog", "owl"]),
    "images": RNG.integers(0, 2, (5, 6, 6, 2), np.uint8),
    "labels": np.array([0, 1, 2, 1, 0], np.uint8),
    "real": np.linspace(0, 1, 4),
}
DESCRIPTION: dict[str, Any] = {
    "name": "small",
    "classes": "names",
    "input": {"shape": [6, 6, 2], "format": "bipolar"},
    "notes": {"origin": "a test"},
    "layers": [
        {"type": "conv", "name": "conv0", "weights": "w0", "threshold": "t0",
         "convention": "popcount >=", "padding": [0, 0, 1, 1], "padding_value": 1,
         "stride": 3},
        {"type": "dense", "name": "fc1", "weights": "w1", "encoding": "signs",
         "threshold": "t1", "convention": "sum >=", "direction": "d1"},
        {"type": "argmax", "name": "class", "ties": "last"},
    ],
    "samples": {"images": "images", "labels": "labels", "count": 3},
}  # fmt: skip
POOL = {"type": "max_pool", "name": "pool0", "kernel": [2, 1], "stride": 1}


def imported(
    tmp_path: Path, description: dict[str, Any], arrays: dict[str, Any] = ARRAYS
) -> Network:
    return import_arrays(*write(tmp_path, description, arrays))


def changed(*path: Any, **values: Any) -> dict[str, Any]:
    """Return the description with values set in the table at a path; None takes a key out."""
    description = copy.deepcopy(DESCRIPTION)
    table: Any = description
    for key in path:
        table = table[key]
    for key, value in values.items():
        if value is None:
            del table[key]
        else:
            table[key] = value
    return description


def layer(index: int, **values: Any) -> dict[str, Any]:
    return changed("layers", index, **values)


# ------------------------------------------------------------------------------- meaning


def test_a_description_is_read(tmp_path: Path) -> None:
    network = imported(tmp_path, DESCRIPTION)
    assert (network.name, network.classes) == ("small", ("cat", "dog", "owl"))
    assert network.input == Tensor((6, 6, 2), BIPOLAR)
    assert network.notes == {"origin": "a test"}
    conv, dense, head = network.layers
    assert isinstance(conv, BinaryConv)
    assert conv.threshold is not None
    np.testing.assert_array_equal(conv.weights, ARRAYS["w0"])
    assert (conv.stride, conv.padding, conv.padding_value) == ((3, 3), (0, 0, 1, 1), 1)
    assert conv.threshold.level.tolist() == [2 * 3 - 18, 0, 2 * 12 - 18, 2 * 20 - 18]
    assert isinstance(dense, BinaryDense)
    assert dense.threshold is not None
    np.testing.assert_array_equal(dense.weights, ARRAYS["w1"] > 0)
    assert dense.threshold.direction.tolist() == [1, -1, 0]
    assert dense.threshold.level.tolist() == [2, -3, 1]
    assert isinstance(head, Argmax)
    assert head.ties == "last"
    assert network.samples is not None
    assert network.samples.labels is not None
    np.testing.assert_array_equal(network.samples.images, ARRAYS["images"][:3])
    np.testing.assert_array_equal(network.samples.labels, [0, 1, 2])


@quick
@given(
    quantity=st.sampled_from(["popcount", "sum"]),
    comparison=st.sampled_from([">", ">="]),
    extra=st.sampled_from(["none", "direction", "flip"]),
    seed=st.integers(0, 999),
)
def test_conventions_mean_what_they_say(
    tmp_path: Path, quantity: str, comparison: str, extra: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    size, outputs = int(rng.integers(1, 8)), 6
    weights = rng.integers(0, 2, (outputs, size), np.uint8)
    level = rng.integers(-size - 2, size + 3, outputs)
    arrays = {"w": weights, "t": level}
    table = {"type": "dense", "name": "fc", "weights": "w", "threshold": "t",
             "convention": f"{quantity} {comparison}"}  # fmt: skip
    if extra != "none":
        table[extra] = "e"
        arrays["e"] = (
            rng.integers(-1, 2, outputs) if extra == "direction" else rng.integers(0, 2, outputs)
        )
    description = {"name": "n", "input": {"shape": size, "format": "bipolar"}, "layers": [table]}
    network = imported(tmp_path, description, arrays)
    bits = (np.arange(1 << size)[:, None] >> np.arange(size)) & 1
    matches = (bits[:, None, :] == weights).sum(axis=-1)
    value = matches if quantity == "popcount" else 2 * matches - size
    compare = {">": np.greater, ">=": np.greater_equal}[comparison]
    expected = compare(value, level)
    if extra == "direction":
        falling = {">": np.less, ">=": np.less_equal}[comparison](value, level)
        direction = arrays["e"]
        expected = np.where(direction > 0, expected, np.where(direction < 0, falling, level != 0))
    elif extra == "flip":
        expected = expected ^ (arrays["e"] == 1)
    np.testing.assert_array_equal(golden.run(network, bits)["fc"], expected)


@pytest.mark.parametrize("layout", ["OHWI", "OIHW", "HWIO", "IHWO"])
def test_layouts_of_convolutions(tmp_path: Path, layout: str) -> None:
    moved = ARRAYS["w0"].transpose(["OHWI".index(axis) for axis in layout])
    network = imported(tmp_path, layer(0, layout=layout), {**ARRAYS, "w0": moved})
    np.testing.assert_array_equal(network.linear_layers()[0].weights, ARRAYS["w0"])


def test_layouts_of_dense_layers(tmp_path: Path) -> None:
    arrays = {**ARRAYS, "w1": np.ascontiguousarray(ARRAYS["w1"].T)}
    network = imported(tmp_path, layer(1, layout="IO"), arrays)
    np.testing.assert_array_equal(network.linear_layers()[1].weights, ARRAYS["w1"] > 0)


def test_maps_flattened_channel_first(tmp_path: Path) -> None:
    description = layer(1, flatten="CHW")
    weights = ARRAYS["w1"].reshape(3, 2, 2, 4).transpose(0, 3, 1, 2).reshape(3, 16)
    description["layers"][0]["padding"] = 0
    network = imported(tmp_path, description, {**ARRAYS, "w1": weights})
    assert network.tensors["conv0"].shape == (2, 2, 4)
    np.testing.assert_array_equal(network.linear_layers()[1].weights, ARRAYS["w1"] > 0)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [(1, (1, 1, 1, 1)), ([1, 2], (1, 2, 1, 2)), ([0, 1, 2, 3], (0, 1, 2, 3))],
)
def test_paddings(tmp_path: Path, padding: Any, expected: tuple[int, ...]) -> None:
    description = layer(0, padding=padding)
    description["layers"] = description["layers"][:1]
    (conv,) = imported(tmp_path, description).layers
    assert isinstance(conv, BinaryConv)
    assert conv.padding == expected


def test_pools_dilations_and_groups(tmp_path: Path) -> None:
    table = {"type": "conv", "name": "c", "weights": "g", "groups": 2, "dilation": [2, 1]}
    description = {
        "name": "n",
        "input": {"shape": [8, 8, 2], "format": "integer", "low": 0, "high": 3},
        "layers": [table, POOL, {"type": "max_pool", "name": "p2", "kernel": 2}],
    }
    network = imported(tmp_path, description, {"g": np.ones((4, 2, 3, 1), np.uint8)})
    conv, first, second = network.layers
    assert isinstance(conv, BinaryConv)
    assert (conv.groups, conv.dilation, conv.threshold) == (2, (2, 1), None)
    assert isinstance(first, MaxPool)
    assert (first.kernel, first.stride) == ((2, 1), (1, 1))
    assert isinstance(second, MaxPool)
    assert (second.kernel, second.stride) == ((2, 2), (2, 2))
    assert network.input.format == Integer(0, 3)


@pytest.mark.parametrize(("ties", "none"), [("last", 0), ("first", 4)])
def test_none_is_the_class_without_any_bit(tmp_path: Path, ties: str, none: int) -> None:
    description = {
        "name": "n",
        "input": {"shape": 5, "format": "bipolar"},
        "layers": [
            {
                "type": "dense",
                "name": "fc",
                "weights": "w",
                "threshold": "t",
                "convention": "sum >=",
            },
            {"type": "argmax", "name": "class", "ties": ties, "none": none},
        ],
    }
    weights = 1 - np.eye(5, dtype=np.uint8)
    network = imported(tmp_path, description, {"w": weights, "t": np.full(5, 3)})
    assert isinstance(network.layers[1], Binarize)
    images = ((np.arange(32)[:, None] >> np.arange(5)) & 1).astype(np.int64)
    edges = golden.run(network, images)
    for outputs, class_ in zip(edges["fc"], edges["class"][:, 0], strict=True):
        ones = np.flatnonzero(outputs)
        expected = none if not ones.size else ones[-1] if ties == "last" else ones[0]
        assert class_ == expected
    assert (edges["fc"].sum(axis=1) == 0).any()


def test_packed_samples(tmp_path: Path) -> None:
    packed = np.packbits(ARRAYS["images"].reshape(5, -1), axis=1)
    description = changed("samples", packed=True, labels=None, count=None)
    network = imported(tmp_path, description, {**ARRAYS, "images": packed})
    assert network.samples is not None
    np.testing.assert_array_equal(network.samples.images, ARRAYS["images"])
    assert network.samples.labels is None


def test_samples_of_signs_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for place in (tmp_path, tmp_path / "deep"):  # beside the arrays, then beside the description
        np.savez(place / "s.npz", x=2 * ARRAYS["images"].astype(np.int8) - 1)
        table = {"file": "s.npz", "images": "x", "encoding": "signs", "count": 2}
        arrays, description = write(tmp_path, {**DESCRIPTION, "samples": table}, ARRAYS)
        network = import_arrays(arrays, description.rename(tmp_path / "deep" / "d.toml"))
        assert network.samples is not None
        np.testing.assert_array_equal(network.samples.images, ARRAYS["images"][:2])
        (place / "s.npz").unlink()
    with pytest.raises(ImportFailure, match=r"there is no file 's\.npz'"):
        import_arrays(arrays, tmp_path / "deep" / "d.toml")


def test_a_name_can_be_given(tmp_path: Path) -> None:
    network = import_network(*write(tmp_path, changed(name=None), ARRAYS), name="other")
    assert network.name == "other"


# -------------------------------------------------------------------------------- errors

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt key": (
        layer(1, weights=None, weigths="w1"),
        r"a\.toml: layer fc1: key 'layers\.weigths' is unknown; did you mean 'weights'\?",
    ),
    "unknown key": (layer(2, zzz=1), "layer class: .* is unknown; known are from, name, none"),
    "unknown key at the top": (changed(clases=[]), "key 'clases' is unknown; did you mean 'cl"),
    "unknown key of the input": (changed("input", depth=1), "'input.depth' is unknown"),
    "unknown key of samples": (changed("samples", label="a"), "did you mean 'labels'"),
    "unknown type": (layer(1, type="denze"), "key 'layers.type' is 'denze'; choose one of"),
    "no type": (layer(1, type=None), "layer fc1: key 'layers.type' is missing"),
    "no name": (layer(1, name=None), "layer 1: key 'layers.name' is missing"),
    "no weights": (layer(1, weights=None), "layer fc1: key 'layers.weights' is missing"),
    "no convention": (layer(1, convention=None), "key 'layers.convention' is missing"),
    "no layers": (changed(layers=None), "key 'layers' is missing"),
    "empty layers": (changed(layers=[]), "key 'layers' must be a list of tables"),
    "layers are numbers": (changed(layers=[1]), "key 'layers' must be a list of tables"),
    "no input": (changed(input=None), "key 'input' is missing"),
    "no network name": (changed(name=None), "key 'name' is missing"),
    "bad network name": (changed(name="a/b"), "network name 'a/b' is not usable"),
    "bad layer name": (layer(0, name="a-b"), "layer name 'a-b' is not usable"),
    "name is a number": (layer(1, name=3), "key 'layers.name' must be text, not 3"),
    "notes are numbers": (changed("notes", origin=1), "key 'notes.origin' must be text"),
    "classes are numbers": (changed(classes=[1]), "'classes' must be a list of names"),
    "classes are no text": (changed(classes="w0"), "array 'w0' holds uint8, expected text"),
    "shape of two": (changed("input", shape=[6, 6]), "'input.shape' must be 1 or 3 integers"),
    "shape of floats": (changed("input", shape=[6.0]), "'input.shape' must be 1 or 3 integers"),
    "shape of truths": (changed("input", shape=[True]), "'input.shape' must be 1 or 3"),
    "shape below one": (changed("input", shape=[6, 0, 2]), "is neither"),
    "shape is huge": (changed("input", shape=[1 << 20, 6, 2]), "is larger than 16384"),
    "format": (changed("input", format="float"), "key 'input.format' is 'float'"),
    "low without need": (changed("input", low=3), "a bipolar input has no low and high"),
    "high missing": (changed("input", format="integer", low=3), "key 'input.high' is missing"),
    "empty format": (changed("input", format="integer", low=3, high=2), "is empty"),
    "no such array": (
        layer(1, weights="w9"),
        r"a\.npz: layer fc1: there is no array 'w9', which key 'weights' names; it has big, d1, ",
    ),
    "real weights": (layer(1, weights="real"), "array 'real' holds float64, expected integers"),
    "weights of other rank": (layer(1, weights="w0"), "have shape .* expected the 2 axes OI"),
    "signs as bits": (layer(1, encoding=None), "are not bits; is their encoding 'signs'?"),
    "bits as signs": (layer(0, encoding="signs"), "are not signs -1 and"),
    "layout": (layer(0, layout="OHW"), "key 'layout' is 'OHW'; use the letters of 'OHWI'"),
    "threshold of other size": (layer(1, threshold="t0"), r"has shape \(4,\), expected \(3,\)"),
    "threshold of reals": (layer(0, threshold="real"), "holds float64, expected integers"),
    "convention": (layer(1, convention="<"), "key 'layers.convention' is '<'; choose"),
    "directions": (layer(0, direction="t0"), "directions are not -1, 0"),
    "flips": (layer(0, flip="t0"), "flips are not 0 and 1"),
    "direction and flip": (layer(1, flip="d1"), "'direction' and 'flip' are given both"),
    "convention alone": (layer(0, threshold=None), "'convention' is given without a threshold"),
    "popcount and zero padding": (layer(0, padding_value=0), "popcounts have no meaning"),
    "popcount of integers": (
        changed(input={"shape": [6, 6, 2], "format": "integer", "low": 0, "high": 3}, samples={}),
        "popcounts have no meaning",
    ),
    "padding value": (layer(0, padding_value=7), "layer conv0: padding value 7"),
    "padding of three": (layer(0, padding=[1, 1, 1]), "'layers.padding' must be 1 or 2 or 4"),
    "stride of zero": (layer(0, stride=0), "layer conv0: stride"),
    "stride is true": (layer(0, stride=True), "'layers.stride' must be 1 or 2 integers"),
    "groups": (layer(0, groups=3), "layer conv0: 3 groups do not divide"),
    "kernel does not fit": (changed("input", shape=[1, 1, 2]), "layer conv0: kernel"),
    "inputs differ": (changed("input", shape=[6, 9, 2]), "layer fc1: reads 16 inputs and gets"),
    "name twice": (layer(1, name="conv0"), "layer conv0: this name is used twice"),
    "none": (layer(2, none=1), "'none' is 1; it needs bits, and with ties 'last' it can be 0"),
    "ties": (layer(2, ties="any"), "key 'layers.ties' is 'any'"),
    "count": (changed("samples", count=9), r"there are \(5,\) images, not 9"),
    "count of zero": (changed("samples", count=0), "images, not 0"),
    "labels": (changed("samples", labels="t0"), "there are 5 images and labels of shape"),
    "images": (changed("samples", images="w0", labels=None), "images of shape .* do not fit"),
    "images of reals": (changed("samples", images="real"), "holds float64"),
    "packed": (changed("samples", packed=True), "packed images are uint8 of shape"),
    "packed is a number": (changed("samples", packed=1), "must be true or false"),
    "images are no bits": (changed("samples", images="big"), "sample images leave the input"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_description_is_told(tmp_path: Path, case: str) -> None:
    description, message = BAD[case]
    arrays = {**ARRAYS, "big": ARRAYS["images"] + 1}
    with pytest.raises(ImportFailure, match=message) as caught:
        imported(tmp_path, description, arrays)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["name = ", "a = 1\na = 2", "[" * 5000, "a = {b = {" * 3000])
def test_no_toml_is_told(tmp_path: Path, text: str) -> None:
    arrays, description = write(tmp_path, DESCRIPTION, ARRAYS)
    description.write_text(text)
    with pytest.raises(ImportFailure, match=r"a\.toml: is not TOML"):
        import_arrays(arrays, description)


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    arrays, description = write(tmp_path, DESCRIPTION, ARRAYS)
    with pytest.raises(ImportFailure, match=r"b\.toml: there is no such file"):
        import_arrays(arrays, tmp_path / "b.toml")
    with pytest.raises(ImportFailure, match=r"b\.npz: there is no such file"):
        import_arrays(tmp_path / "b.npz", description)
    description.write_bytes(b'name = "\xff"')
    with pytest.raises(ImportFailure, match=r"a\.toml: is not TOML"):
        import_arrays(arrays, description)
    description.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ImportFailure, match=r"a\.toml: is larger than"):
        import_arrays(arrays, description)


def test_damaged_arrays_are_told(tmp_path: Path) -> None:
    arrays, description = write(tmp_path, DESCRIPTION, ARRAYS)
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.raises(ImportFailure, match=r"a\.npz: cannot be read"):
        import_arrays(arrays, description)


def test_damaged_samples_name_their_file(tmp_path: Path) -> None:
    (tmp_path / "s.npz").write_bytes(b"none")
    with pytest.raises(ImportFailure, match=r"s\.npz: cannot be read"):
        imported(tmp_path, {**DESCRIPTION, "samples": {"file": "s.npz", "images": "x"}})


values = st.one_of(
    st.booleans(),
    st.integers(-3, 20),
    st.sampled_from([1 << 40, 1 << 62, -(1 << 62), 0.5, [], {}, [1, 2], ["w0"], "", "\x00"]),
    st.sampled_from([*ARRAYS, "bits", "signs", "OI", "IO", "OHWI", "integer", "sum >", "dense"]),
)


@settings(quick, max_examples=400)
@given(data=st.data())
def test_changed_descriptions_import_or_are_told(tmp_path: Path, data: st.DataObject) -> None:
    description = damaged(DESCRIPTION, data, values)
    read_or_told(lambda: imported(tmp_path, description), tmp_path)


# ----------------------------------------------------------------------------- dispatching


def test_sources_are_told_by_their_suffix(tmp_path: Path) -> None:
    arrays, description = write(tmp_path, DESCRIPTION, ARRAYS)
    assert import_network(arrays, description).name == "small"
    with pytest.raises(UsageError, match=r"a\.npz: arrays need a description .*--description"):
        import_network(arrays)
    with pytest.raises(UsageError, match="an ONNX file describes itself"):
        import_network(tmp_path / "a.onnx", description)
    with pytest.raises(ImportFailure, match=r"a\.onnx: there is no such file"):
        import_network(tmp_path / "a.onnx")
    with pytest.raises(ImportFailure, match=r"a\.pt: has the unknown suffix '\.pt'"):
        import_network(str(tmp_path / "a.pt"))
