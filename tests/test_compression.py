"""Compressing networks: nothing is lost unasked, and what is lost is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bnn2hw
from bnn2hw import compression
from bnn2hw.compression import compress
from bnn2hw.errors import BuildError, ModelError, PlanError, UsageError
from bnn2hw.golden import accuracy
from bnn2hw.model import BIPOLAR, BinaryConv, BinaryDense, Codebook, Network, Tensor
from bnn2hw.plan.memory import CodebookMemory
from tests.helpers import conv_network, dense_network


@pytest.fixture(scope="module")
def digits() -> Network:
    return bnn2hw.load_network()


def weights_of(network: Network) -> dict[str, np.ndarray]:
    return {layer.name: layer.weights for layer in network.linear_layers()}


def test_nothing_is_lost_unasked(digits: Network) -> None:
    result = compress(digits)
    before = weights_of(digits)
    for name, weights in weights_of(result.network).items():
        assert np.array_equal(weights, before[name])
    # of 32 kernels of one channel one occurs twice
    tau = {layer.name: layer.tau for layer in result.layers}
    assert tau == {"conv1": 5, "conv2": None, "conv3": None, "dense": None}
    assert not any(layer.changed for layer in result.layers)
    assert (result.images, result.accuracy_before, result.agreement) == (0, None, None)


def test_projection_tells_what_it_changes(digits: Network) -> None:
    result = compress(digits, 4, layers=["conv3"])
    before, after = weights_of(digits), weights_of(result.network)
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["conv3"]
    (layer,) = [layer for layer in result.layers if layer.tau is not None]
    assert layer.changed == np.count_nonzero(before["conv3"] != after["conv3"]) > 0
    assert layer.index_bits == 4 * 32 * 32
    assert layer.memory is not None and layer.memory.bits == 4 * 32 * 32 + 9 * 16
    samples = digits.samples
    assert samples is not None and samples.labels is not None
    assert result.images == len(samples.images)
    assert result.accuracy_before == accuracy(digits, samples.images, samples.labels)
    assert result.accuracy_after == accuracy(result.network, samples.images, samples.labels)
    assert result.agreement is not None and result.agreement < 1
    json = result.to_json()
    assert json["layers"][2]["memory"] == layer.memory.bits


def test_all_layers_that_have_longer_kernels_are_projected(digits: Network) -> None:
    result = compress(digits, 8)
    # vectors of 8 inputs have no index of 8 bits; conv1 has one of 5
    assert {layer.name: layer.tau for layer in result.layers} == {
        "conv1": 5,
        "conv2": 8,
        "conv3": 8,
        "dense": None,
    }


def test_compressed_network_is_left_as_it_is(digits: Network, tmp_path: Path) -> None:
    path = tmp_path / "sub.npz"
    first = bnn2hw.compress(digits, 3, closed=True, output=path, memory=tmp_path / "memory")
    again = compress(bnn2hw.load_network(path), 3, closed=True)
    assert not any(layer.changed for layer in again.layers)
    assert all(layer.closed for layer in again.layers)
    names = sorted(file.name for file in (tmp_path / "memory").iterdir())
    assert names == sorted(
        f"{layer.name}-{what}.hex" for layer in first.layers for what in ("indices", "subset")
    )
    for one, two in zip(first.layers, again.layers, strict=True):
        assert one.memory is not None and two.memory is not None
        assert one.memory.bits == two.memory.bits


def few_kernels(codes: list[int], tau: int | None = None) -> Network:
    """Return a network of one convolution with these kernels, and 64 more that repeat them."""
    rows = np.resize(codes, 64 + len(codes))[:, None] >> np.arange(9) & 1
    weights = rows.astype(np.uint8).reshape(-1, 3, 3, 1)
    return Network("few", Tensor((4, 4, 1), BIPOLAR), (BinaryConv("c", ("input",), weights),))


@pytest.mark.parametrize(
    ("codes", "tau", "closed", "expected"),
    [
        ([1, 2, 4, 7], None, False, (2, False)),
        ([1, 2, 4, 7], None, True, (3, True)),
        ([1, 2, 4, 7], 3, True, (3, True)),
        ([1, 2, 4, 7], 3, False, (2, False)),
        ([1, 2, 4, 7, 510, 509], 5, True, (3, True)),
        (list(range(256)), None, True, (8, False)),
    ],
)
def test_closing_takes_a_bit_more_where_it_can(
    codes: list[int], tau: int | None, closed: bool, expected: tuple[int, bool]
) -> None:
    (layer,) = compress(few_kernels(codes), tau, closed=closed).layers
    assert (layer.changed, layer.tau, layer.closed) == (0, *expected)


def test_closing_with_fewer_bits_than_that_is_lossy() -> None:
    (layer,) = compress(few_kernels([1, 2, 4, 7]), 2, closed=True).layers
    assert layer.changed > 0 and (layer.tau, layer.closed) == (2, True)


def test_of_codebooks_with_as_many_index_bits_the_smaller_subset_is_kept() -> None:
    """Own vectors of 4 against those of 8 that are found: 48 bits of indices, 16 of subset."""
    rng = np.random.default_rng(0)
    subset = (rng.permutation(16)[:4, None] >> np.arange(4) & 1).astype(np.uint8)
    book = Codebook(subset, rng.integers(0, 4, (6, 4)).astype(np.int32))
    layer = BinaryDense("fc", ("input",), book.expand((6, 16)), codebook=book)
    network = Network("net", Tensor((16,), BIPOLAR), (layer,))
    (found,) = compress(network).layers
    assert (found.index_bits, found.tau) == (48, 2)


def test_a_codebook_of_longer_vectors_is_counted_as_it_is() -> None:
    """Of vectors of 16 inputs: fewer bits than those of 8 that are found."""
    generator = np.random.default_rng(0)
    subset = generator.integers(0, 2, (16, 16))
    book = Codebook(subset, generator.integers(0, 16, (300, 2)))
    fc = BinaryDense("fc", ("input",), book.expand((300, 32)), codebook=book)
    (layer,) = compress(Network("net", Tensor((32,), BIPOLAR), (fc,)), word_width=1).layers
    assert (layer.tau, layer.index_bits) == (4, 4 * 300 * 2)
    assert layer.memory is not None and layer.memory.bits == 4 * 300 * 2 + 16 * 16


def test_a_network_without_classes_has_no_accuracy() -> None:
    result = compress(conv_network(), 2)
    assert result.layers[0].changed > 0
    assert (result.images, result.accuracy_after, result.agreement) == (0, None, None)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tau": 0}, UsageError, "tau 0 is no width of an index of the kernels of network net"),
        ({"tau": 9}, UsageError, "tau 9 is no width"),
        ({"tau": 9, "layers": ["conv"]}, UsageError, "layer conv: tau 9 is no width of an index"),
        ({"tau": 2, "layers": ["fc"]}, ModelError, "has no layer 'fc'"),
        ({"tau": 2, "word_width": 0}, UsageError, "memory words of 0 bits make no sense"),
    ],
)
def test_illegal_options(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        compress(conv_network(), **options)


def test_layers_without_kernels_are_refused_by_name_and_left_out_otherwise() -> None:
    big = BinaryConv("big", ("input",), np.zeros((2, 5, 5, 3), np.uint8))
    fc = BinaryDense("fc", ("big",), np.eye(16, 32, dtype=np.uint8))
    network = Network("net", Tensor((8, 8, 3), BIPOLAR), (big, fc))
    result = compress(network, 2)
    assert {layer.name: layer.tau for layer in result.layers} == {"big": None, "fc": 2}
    with pytest.raises(PlanError, match="layer big: kernels of more than 10 weights"):
        compress(network, 2, layers=["big"])


def test_memories_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BuildError, match="cannot write memories"):
            bnn2hw.compress(dense_network(16, 3), 2, output=tmp_path / "x.npz", memory=place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"output": "no/x.npz"}, ModelError),
        ({"output": "folder"}, ModelError),
        ({"output": "file/x.npz"}, ModelError),
        ({"output": "x.npz", "word_width": 0}, UsageError),
        ({"output": "x.npz", "tau": 9}, UsageError),
    ],
)
def test_what_cannot_be_is_told_before_the_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    error: type[Exception],
) -> None:
    """Nothing is computed, and nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    monkeypatch.setattr(compression, "_compressed", lambda *_: pytest.fail("work was done"))
    with pytest.raises(error):
        bnn2hw.compress(dense_network(16, 3), memory="new/hex", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_failure_half_way_leaves_earlier_memories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bnn2hw.compress(dense_network(16, 3), 2, memory=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 2

    def fail(self: CodebookMemory) -> dict[str, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CodebookMemory, "texts", fail)
    with pytest.raises(BuildError, match="cannot write memories: No space left"):
        bnn2hw.compress(dense_network(16, 3, seed=1), 2, memory=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
