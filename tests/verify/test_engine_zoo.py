"""Sequential engines of layers that others trained, projected to few kernels, under Verilator."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import bnn2hw
from bnn2hw.engines import generate_engine
from bnn2hw.frontends import import_network
from bnn2hw.model import LinearLayer, Network, Samples
from bnn2hw.plan.codebooks import project
from bnn2hw.plan.engine import EngineParameters

pytestmark = [pytest.mark.zoo, pytest.mark.slow]

DESCRIPTIONS = Path(__file__).parents[2] / "examples" / "zoo"
CNV, RESNET = "cnv_w1a1_cifar10", "bmxnet_resnet18_cifar10"


@cache
def one_image(zoo: Path, name: str) -> Network:
    """Return a network whose samples are one real image."""
    network = import_network(zoo / f"{name}.npz", DESCRIPTIONS / f"{name}.toml")
    assert network.samples is not None
    return replace(network, samples=Samples(network.samples.images[:1]))


@pytest.mark.parametrize(
    ("name", "layer", "mode", "tau", "closed", "parameters"),
    [
        (CNV, "conv1", "subbit", 5, True, EngineParameters(lanes=8, kernel_units=4)),
        (CNV, "conv2", "delta", 2, False, EngineParameters(lanes=8, kernel_units=2)),
        (CNV, "conv3", "binary", 3, False, EngineParameters(lanes=8, taps=12)),
        (CNV, "conv4", "subbit", 3, False, EngineParameters(lanes=12, kernel_units=4, pixels=2)),
        (CNV, "conv5", "delta", 3, True, EngineParameters(lanes=16, kernel_units=2)),
        # stride 2, padded with +1, thresholds in both directions
        (RESNET, "stage2_unit1_conv1", "subbit", 4, True, EngineParameters(8, 2)),
        (RESNET, "stage3_unit2_conv1", "binary", 5, True, EngineParameters(lanes=16)),
        (RESNET, "stage4_unit1_conv1", "delta", 2, True, EngineParameters(16, 2)),
    ],
)
def test_a_projected_layer_on_real_feature_maps(
    zoo: Path,
    tmp_path: Path,
    name: str,
    layer: str,
    mode: str,
    tau: int,
    closed: bool,
    parameters: EngineParameters,
) -> None:
    network = one_image(zoo, name)
    trained = network.layer(layer)
    assert isinstance(trained, LinearLayer)
    projected, changed = project(trained, tau, closed=closed)
    assert changed > 0
    layers = tuple(projected if other is trained else other for other in network.layers)
    network = replace(network, layers=layers)
    build = generate_engine(network, [layer], parameters, mode=mode, out=tmp_path / "out")
    (generated,) = build.layers
    assert (generated.mode, generated.tau) == (mode, None if mode == "binary" else tau)
    (result,) = bnn2hw.simulate(build.directory, vectors=2)
    assert (result.corner, result.real, result.random) == (2, 1, 1)
    assert result.cycles == replace(generated.schedule, positions=4).cycles
