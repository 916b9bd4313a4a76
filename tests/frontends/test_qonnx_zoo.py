"""A published network from its QONNX file, as others computed it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.frontends.qonnx import import_qonnx
from bnn2hw.model import BIPOLAR, Tensor


@pytest.mark.zoo
def test_tfc(zoo: Path) -> None:
    network = import_qonnx(zoo / "TFC_1W1A.onnx")
    file = np.load(zoo / "mnist_t10k_bits.npz")
    images = np.unpackbits(file["bits"], axis=1).reshape(-1, 28, 28, 1)
    expected = np.load(zoo / "expected_tfc_w1a1_mnist.npz")
    edges = golden.run(network, images)
    assert network.input == Tensor((28, 28, 1), BIPOLAR)
    assert network.notes["input"] == (
        "bit 1 where x >= 0.5, else 0; x is input '0' of shape 1x1x28x28"
    )
    for name in ("fc0", "fc1", "fc2"):
        np.testing.assert_array_equal(edges[name][:16], expected[f"{name}_out"])
    np.testing.assert_array_equal((edges["fc3"][:16] + 64) // 2, expected["fc3_popcount"])
    np.testing.assert_array_equal(edges["class"][:, 0], expected["prediction"])
    assert (edges["class"][:, 0] == file["labels"]).sum() == 9296


@pytest.mark.zoo
def test_tfc_weights_and_thresholds(zoo: Path) -> None:
    network = import_qonnx(zoo / "TFC_1W1A.onnx")
    arrays = np.load(zoo / "tfc_w1a1_mnist.npz")
    for layer in network.linear_layers():
        expected = arrays[f"{layer.name}_weight"]
        if layer.threshold is None:
            assert layer.name == "fc3"
            np.testing.assert_array_equal(layer.weights, expected)
            continue
        # The decoded rows with negative gamma are inverted; here their direction is.
        flipped = arrays[f"{layer.name}_flipped"].astype(bool)
        level = 2 * (arrays[f"{layer.name}_threshold"] + 1) - layer.patch_size()
        np.testing.assert_array_equal(layer.weights, expected ^ flipped[:, None])
        np.testing.assert_array_equal(layer.threshold.direction, np.where(flipped, -1, 1))
        np.testing.assert_array_equal(layer.threshold.level, np.where(flipped, -level, level))
        assert flipped.any()
