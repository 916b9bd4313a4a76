"""The bundled network trains, and its integers are those of the float network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")
pytest.importorskip("sklearn", reason="training needs scikit-learn: pip install 'bnn2hw[train]'")

import torch
import train
from export import differences, to_network
from float_model import BatchNorm, DigitsNetwork, sign

from bnn2hw import golden
from bnn2hw.model import BinaryConv, Network, Samples, Threshold, load


@pytest.fixture(scope="module")
def everything() -> train.Digits:
    return train.digits()


@pytest.fixture(scope="module")
def model(everything: train.Digits) -> DigitsNetwork:
    """Return a network after one epoch: its batch norms have moved, its weights are mixed."""
    rest, _ = everything.split(train.TEST)
    return train.train(rest, epochs=1)


@pytest.fixture(scope="module")
def network(model: DigitsNetwork, everything: train.Digits) -> Network:
    return to_network(model, {}, Samples(everything.images[:3, ..., None], everything.labels[:3]))


def test_one_epoch_writes_a_file_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "digits.npz"
    train.main(["--epochs", "1", "--out", str(path)])
    network = load(path)
    samples = network.samples
    assert samples is not None
    assert samples.labels is not None
    right, count = (int(n) for n in network.notes["accuracy"].split()[0].split("/"))
    assert count == train.TEST
    assert golden.accuracy(network, samples.images, samples.labels) == right / count
    again = tmp_path / "again.npz"
    train.main(["--epochs", "1", "--out", str(again)])
    assert path.read_bytes() == again.read_bytes(), "same seed, same bytes"


def test_integers_equal_the_float_network_on_every_image(
    model: DigitsNetwork, network: Network, everything: train.Digits
) -> None:
    assert differences(model, network, everything.images) == []


def test_thresholds_equal_the_float_network_on_every_sum(
    model: DigitsNetwork, network: Network
) -> None:
    for layer, norm in (("conv1", model.norm1), ("conv2", model.norm2), ("conv3", model.norm3)):
        conv = network.layer(layer)
        assert isinstance(conv, BinaryConv)
        assert conv.threshold is not None
        low, high = conv.sum_bounds(network.source(conv))
        # All counts of taps are even, with zeros at the border too, so that sums of bits are.
        sums = np.arange(low.min(), high.max() + 1, 1 if layer == "conv1" else 2)
        with torch.no_grad():
            values = norm(torch.from_numpy(sums.astype(np.float32))[:, None, None, None])
        expected = sign(values).numpy()[:, :, 0, 0] > 0
        for channel in range(conv.channels):
            inside = (sums >= low[:, channel].min()) & (sums <= high[:, channel].max())
            bits = compare(conv.threshold, channel, sums[inside])
            assert np.array_equal(bits, expected[inside, channel]), (layer, channel)


def compare(threshold: Threshold, channel: int, sums: np.ndarray) -> np.ndarray:
    direction, level = threshold.direction[channel], threshold.level[channel]
    if direction == 0:
        return np.full(len(sums), bool(level))
    return sums >= level if direction > 0 else sums <= level


def test_turned_and_flat_batch_norms_fold(model: DigitsNetwork, everything: train.Digits) -> None:
    """Negative, zero and tiny gamma, and a zero that sign takes as +1."""
    turned = DigitsNetwork().eval()
    turned.load_state_dict(model.state_dict())
    with torch.no_grad():
        for norm in (turned.norm1, turned.norm2, turned.norm3):
            assert isinstance(norm, BatchNorm)
            norm.weight[::3] *= -1
            norm.weight[1] = norm.bias[1] = 0  # 0 for every sum: bit 1
            norm.weight[2], norm.bias[2] = 0, -1  # always bit 0
            norm.running_mean[3], norm.bias[3] = 4, 0  # 0 at the sum 4
    network = to_network(turned, {}, Samples(everything.images[:3, ..., None]))
    assert differences(turned, network, everything.images[:200]) == []
    threshold = network.linear_layers()[0].threshold
    assert threshold is not None
    assert (threshold.direction < 0).any()
    assert threshold.direction[1] == threshold.direction[2] == 0
    assert threshold.level[1:3].tolist() == [1, 0]
    assert threshold.level[3] == 4


def mutants(network: Network) -> dict[str, Network]:
    conv1, conv2, pool, conv3, dense, head = network.layers
    flipped = conv3.weights.copy()
    flipped[0] ^= 1
    late = conv2.threshold
    late = Threshold(late.direction, late.level + 2 * late.direction)
    swapped = dense.weights.reshape(10, 16, 32).transpose(0, 2, 1).reshape(10, 512)

    def with_layers(*layers: object) -> Network:
        return replace(network, layers=layers)

    return {
        "one row of conv3 flipped": with_layers(
            conv1, conv2, pool, replace(conv3, weights=flipped), dense, head
        ),
        "thresholds of conv2 late": with_layers(
            conv1, replace(conv2, threshold=late), pool, conv3, dense, head
        ),
        "conv2 padded with -1": with_layers(
            conv1, replace(conv2, padding_value=-1), pool, conv3, dense, head
        ),
        "conv3 padded with zeros": with_layers(
            conv1, conv2, pool, replace(conv3, padding_value=0), dense, head
        ),
        "dense flattened channel first": with_layers(
            conv1, conv2, pool, conv3, replace(dense, weights=swapped), head
        ),
    }  # fmt: skip


def test_the_check_rejects_wrong_networks(
    model: DigitsNetwork, network: Network, everything: train.Digits
) -> None:
    for name, mutant in mutants(network).items():
        assert differences(model, mutant, everything.images[:100]), name


def test_nothing_is_written_when_the_integers_differ(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: DigitsNetwork, network: Network,
    everything: train.Digits,
) -> None:  # fmt: skip
    wrong = mutants(network)["conv2 padded with -1"]
    monkeypatch.setattr(train, "to_network", lambda *_: wrong)
    path = tmp_path / "digits.npz"
    with pytest.raises(
        SystemExit, match=r"the integers differ from the float network: .* of conv2"
    ):
        train.write(model, everything, everything, 1, path)
    assert not path.exists()
