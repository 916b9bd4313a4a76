"""Segmentation: bilinear upsampling, the class of every position, and whole heads on BPAC bases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import bnn2hw
from bnn2hw import golden
from bnn2hw.accelerator import generate_network, simulate_network
from bnn2hw.emit.limits import compile_problem
from bnn2hw.errors import ModelError, PlanError
from bnn2hw.golden import streams
from bnn2hw.model import (
    BIPOLAR,
    Affine,
    BaseGroup,
    Binarize,
    BinaryConv,
    ChannelArgmax,
    Integer,
    Layer,
    Network,
    Tensor,
    Threshold,
    Upsample,
    load,
    save,
)
from tests.golden.golden_strategies import random_images
from tests.golden.slow_reference import slow_run

RATES = ((2, 3, 4), (4, 5, 6))
CLASSES = 5


def upsampled(images: NDArray[np.int32], factor: int) -> NDArray[np.int64]:
    source = Tensor(images.shape[1:], Integer(-128, 127))
    network = Network("net", source, (Upsample("up", ("input",), factor),))
    return golden.run(network, images)["up"]


def conv(
    name: str, source: str, shape: tuple[int, int, int], *, stride: int = 1, rate: int = 1,
    threshold: bool = True,
) -> BinaryConv:  # fmt: skip
    """Return a padded convolution with random weights, (outputs, kernel, inputs)."""
    outputs, kernel, inputs = shape
    rng = np.random.default_rng(len(name) + 31 * rate + outputs)
    padding = rate * (kernel // 2)
    return BinaryConv(
        name, (source,), rng.integers(0, 2, (outputs, kernel, kernel, inputs)),
        Threshold.at_least(rng.integers(-3, 4, outputs)) if threshold else None,
        stride=(stride, stride), padding=(padding,) * 4, padding_value=1, dilation=(rate, rate),
    )  # fmt: skip


def backbone(channels: int = 4) -> tuple[list[Layer], list[BaseGroup]]:
    """Return two stages of stride 2, and two of stride 1 whose bases have a dilation each."""
    layers: list[Layer] = [
        conv("stage1", "input", (channels, 3, 3), stride=2),
        conv("stage2", "stage1", (channels, 3, channels), stride=2),
    ]
    groups = []
    for stage, rates in enumerate(RATES, start=3):
        source = layers[-1].name
        bases = [
            conv(
                f"stage{stage}_base{k + 1}",
                source,
                (channels, 3, channels),
                rate=rate,
                threshold=False,
            )
            for k, rate in enumerate(rates)
        ]
        names = tuple(base.name for base in bases)
        mean = f"stage{stage}_mean"
        layers += bases
        layers.append(Affine(mean, names, np.full((3, 1), 85), np.array([0]), 8, Integer(-40, 40)))
        sign = Threshold.at_least(np.array([0]))
        layers.append(Binarize(f"stage{stage}", (mean,), sign))
        groups.append(BaseGroup(f"group{stage}", tuple((name,) for name in names), mean))
    return layers, groups


def fcn(skip: bool) -> Network:
    """Return a head as FCN-32s, or as FCN-16s with the scores of an earlier stage."""
    layers, groups = backbone()
    layers.append(conv("score", "stage4", (CLASSES, 1, 4), threshold=False))
    if skip:
        # stage 1 has twice the resolution; its scores join in the unit of the upsampled ones
        layers.append(Upsample("twice", ("score",), 2))
        layers.append(conv("score1", "stage1", (CLASSES, 1, 4), threshold=False))
        form = Integer(-128, 127, 4)
        weights = np.array([[1], [16]])
        layers.append(Affine("both", ("twice", "score1"), weights, np.array([0]), 0, form))
        layers.append(Upsample("scores", ("both",), 2))
    else:
        layers.append(Upsample("scores", ("score",), 4))
    layers.append(ChannelArgmax("class", ("scores",)))
    return Network("fcn", Tensor((28, 32, 3), BIPOLAR), tuple(layers), groups=tuple(groups))


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_it_is_bilinear_interpolation(factor: int) -> None:
    torch = pytest.importorskip("torch")
    images = random_images(Tensor((3, 4, 2), Integer(-128, 127)), 2, seed=factor)
    stream = torch.from_numpy(images.astype(np.float64)).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(
        stream, scale_factor=factor, mode="bilinear", align_corners=False
    )
    found = upsampled(images, factor) / (2 * factor) ** 2
    assert np.array_equal(found, expected.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("factor", [2, 8, 64])
def test_what_is_constant_stays_so_at_both_ends(factor: int) -> None:
    for value in (-128, 127):
        images = np.full((1, 2, 1, 1), value, np.int32)
        assert (upsampled(images, factor) == value * (2 * factor) ** 2).all()
    assert Upsample("up", ("input",), factor).output(Tensor((2, 1, 1), Integer(-128, 127))) == (
        Tensor(
            (2 * factor, factor, 1),
            Integer(-128 * 4 * factor**2, 127 * 4 * factor**2, 2 * factor.bit_length()),
        )
    )


@pytest.mark.parametrize("skip", [False, True], ids=["fcn32s", "fcn16s"])
def test_heads_on_dilated_bases(skip: bool, tmp_path: Path) -> None:
    """All edges against the loops, and the same after a file."""
    network = fcn(skip)
    assert network.tensors["stage4"].shape == (7, 8, 4)
    assert network.tensors["class"].shape == (28, 32, 1)
    images = random_images(network.input, 2, seed=1)
    found, expected = golden.run(network, images), slow_run(network, images)
    assert all(np.array_equal(found[name], expected[name]) for name in network.tensors)
    assert len(np.unique(found["class"])) > 1
    save(network, tmp_path / "fcn.npz")
    again = golden.run(load(tmp_path / "fcn.npz"), images)
    assert all(np.array_equal(again[name], found[name]) for name in network.tensors)


def nearest(layer: Upsample, source: Tensor, edge: NDArray[np.int32]) -> NDArray[np.int32]:
    """Repeat positions."""
    values = edge.repeat(layer.factor, axis=1).repeat(layer.factor, axis=2)
    return values * (2 * layer.factor) ** 2


def shifted(layer: Upsample, source: Tensor, edge: NDArray[np.int32]) -> NDArray[np.int32]:
    """Take outputs for one position further."""
    return np.roll(TRUE(layer, source, edge), 1, axis=2)


TRUE = streams.upsample


@pytest.mark.parametrize("mutant", [nearest, shifted])
def test_mutants_are_rejected(monkeypatch: pytest.MonkeyPatch, mutant: object) -> None:
    monkeypatch.setattr("bnn2hw.golden.images.upsample", mutant)
    network = fcn(skip=False)
    images = random_images(network.input, 1, seed=1)
    found, expected = golden.run(network, images), slow_run(network, images)
    assert not np.array_equal(found["scores"], expected["scores"])


@pytest.mark.parametrize("factor", [-2, 0, 1, 3, 12, 128])
def test_other_factors_are_told(factor: int) -> None:
    with pytest.raises(ModelError, match=f"layer up: factor {factor} is none of 2, 4, 8 to 64"):
        Upsample("up", ("input",), factor)


def test_what_cannot_be_upsampled_is_told() -> None:
    layer = Upsample("up", ("input",), 64)
    with pytest.raises(ModelError, match=r"layer up: reads a map and gets shape \(9,\)"):
        Network("net", Tensor((9,), BIPOLAR), (layer,))
    with pytest.raises(ModelError, match="layer up: an integer format of 34 bits is wider"):
        Network("net", Tensor((1, 1, 1), Integer(0, (1 << 20) - 1)), (layer,))
    with pytest.raises(ModelError, match="layer class: ties go to 'first' or 'last', not 'all'"):
        ChannelArgmax("class", ("input",), "all").output(Tensor((9,), BIPOLAR))


def test_hardware_refuses_them_in_one_line(tmp_path: Path) -> None:
    network = fcn(skip=False)
    reason = "runs in the golden model alone: there is no hardware for it"
    for name, kind in (("scores", "Upsample"), ("class", "ChannelArgmax")):
        assert compile_problem(network, name) == f"{kind} {reason}"
        with pytest.raises(PlanError, match=f"layer {name}: {kind} {reason}"):
            bnn2hw.generate(network, [name], out=tmp_path / "out")
    with pytest.raises(PlanError, match=f"layer scores: Upsample {reason}"):
        generate_network(network, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_lies_before_the_head_is_hardware(tmp_path: Path) -> None:
    network = fcn(skip=False)
    body = replace(network, layers=network.layers[:-2])
    build = generate_network(body, interval=2000, bases_parallel=1, out=tmp_path / "out")
    result = simulate_network(build.directory, images=8, bench=False)
    assert result.edge_words > 56 * 8
    assert result.least_interval == result.greatest_interval == build.interval
