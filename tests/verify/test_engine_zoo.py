"""Sequential engines of layers that others trained, projected to few kernels, under Verilator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import bnn2hw
from bnn2hw.engines import generate_engine
from bnn2hw.frontends import import_network
from bnn2hw.plan.codebooks import project
from bnn2hw.plan.counting import layer_shape
from bnn2hw.plan.engine import EngineParameters, schedule

pytestmark = [pytest.mark.zoo, pytest.mark.slow]

DESCRIPTIONS = Path(__file__).parents[2] / "examples" / "zoo"


def test_a_projected_layer_on_real_feature_maps(zoo: Path, tmp_path: Path) -> None:
    """Stride 2, padded with +1, thresholds in both directions."""
    name, layer, mode = "bmxnet_resnet18_cifar10", "stage2_unit1_conv1", "subbit"
    network = import_network(zoo / f"{name}.npz", DESCRIPTIONS / f"{name}.toml")
    projected, changed = project(network.layer(layer), 4, closed=True)  # type: ignore[arg-type]
    assert changed > 0
    layers = tuple(projected if other.name == layer else other for other in network.layers)
    parameters = EngineParameters(lanes=16, kernel_units=2)
    build = generate_engine(
        replace(network, layers=layers), [layer], parameters, mode=mode, out=tmp_path / "out"
    )
    (result,) = bnn2hw.simulate(build.directory, vectors=12)
    assert (result.corner, result.real, result.random) == (12, 6, 6)
    timing = schedule(
        replace(parameters, tau=4, closed=True),
        layer_shape(projected, network.source(projected)),
        mode,
        positions=24,
        steps=build.layers[0].schedule.steps,
    )
    assert result.cycles == timing.cycles
