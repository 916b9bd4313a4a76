"""The picture of kernels is written, or it is told why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnn2hw.errors import BuildError, UsageError
from bnn2hw.model import BIPOLAR, BinaryConv, Network, Tensor
from bnn2hw.plan.kernels import Kernels, kernels_of
from bnn2hw.report.kernels import draw_kernels
from tests.helpers import conv_network, dense_network


def kernels_of_all(network: Network) -> dict[str, Kernels]:
    found = {layer.name: kernels_of(layer) for layer in network.linear_layers()}
    return {name: kernels for name, kernels in found.items() if kernels is not None}


@pytest.mark.parametrize("network", [conv_network(), dense_network(20, 5)])
def test_a_picture_is_written(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "kernels.png"
    draw_kernels(kernels_of_all(network), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    big = BinaryConv("big", ("input",), np.zeros((2, 5, 5, 3), np.uint8))
    network = Network("net", Tensor((8, 8, 3), BIPOLAR), (big,))
    with pytest.raises(UsageError, match="no layer has kernels of up to 10 weights to draw"):
        draw_kernels(kernels_of_all(network), tmp_path / "kernels.png")
    with pytest.raises(BuildError, match="the picture cannot be written"):
        draw_kernels(kernels_of_all(conv_network()), tmp_path / "kernels.unknown")
