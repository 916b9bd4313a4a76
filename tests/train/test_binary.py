"""Signs, their gradients, and binary layers against the golden model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")

import torch

from bnn2hw import golden
from bnn2hw.model import BIPOLAR, Integer, Network, Tensor
from bnn2hw.train.binary import (
    ESTIMATORS,
    BinaryConv2d,
    BinaryLinear,
    SignBinariser,
    sign,
    standardised,
)
from bnn2hw.train.networks import conv_layer, dense_layer, flattened


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_sign_of_zero_is_plus_one(estimator: str) -> None:
    x = torch.tensor([-2.0, -1e-30, -0.0, 0.0, 1e-30, 2.0])
    assert sign(x, estimator).tolist() == [-1, -1, 1, 1, 1, 1]


def slope(x: float, estimator: str, progress: float = 0.0) -> float:
    at = torch.tensor(x, requires_grad=True)
    sign(at, estimator, progress).backward()
    return float(at.grad)


def test_gradients_are_those_of_the_sources() -> None:
    for x in (-1.5, -1.0, -0.25, 0.0, 0.5, 1.0, 1.5):
        assert slope(x, "clip") == (abs(x) <= 1)
        assert slope(x, "bireal") == max(2 - 2 * abs(x), 0)
        # IR-Net: t from 0.1 to 10, k = max(1 / t, 1), the gradient is k t (1 - tanh^2(t x))
        for progress, t in ((0.0, 0.1), (0.5, 1.0), (1.0, 10.0)):
            expected = max(1 / t, 1) * t * (1 - math.tanh(t * x) ** 2)
            assert slope(x, "ede", progress) == pytest.approx(expected, abs=1e-6)


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match="no estimator 'magic'"):
        slope(0.0, "magic")


def test_standardised_weights_have_mean_0_and_deviation_1() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 3, 3, 3) * 7 + 2
    flat = standardised(weight).flatten(1)
    assert flat.mean(dim=1).abs().max() < 1e-5
    assert (flat.std(dim=1, unbiased=False) - 1).abs().max() < 1e-4
    assert torch.isfinite(standardised(torch.full((2, 9), 0.5))).all(), "all weights equal"


def test_latent_weights_stay_where_their_gradient_passes() -> None:
    for standardise in (False, True):
        layer = BinaryLinear(4, 3, SignBinariser(standardise))
        with torch.no_grad():
            layer.weight.fill_(5.0)
        layer.after_step()
        assert float(layer.weight.detach().max()) == (5.0 if standardise else 1.0)


def values(shape: tuple[int, ...], bits: bool, seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 2 if bits else 17, shape).astype(np.int32)


def same_sums(module: Any, network: Network, images: np.ndarray[Any, Any]) -> bool:
    """Return whether a module and a network of one layer give the same sums."""
    floats = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))
    if network.input.format == BIPOLAR:
        floats = 2 * floats - 1
    with torch.no_grad():
        if isinstance(module, BinaryLinear):
            sums = module.sums(flattened(floats)).numpy()
        else:
            sums = module.sums(floats).permute(0, 2, 3, 1).numpy()
    expected = golden.run(network, images)[network.layers[0].name]
    return np.array_equal(sums, expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, 2, 3]), st.integers(1, 2),
    st.integers(0, 2), st.sampled_from([-1, 0, 1]), st.integers(1, 2), st.integers(1, 2),
    st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_a_convolution_gives_the_sums_of_the_golden_model(
    inputs: int, outputs: int, kernel: int, stride: int, padding: int, padding_value: Any,
    dilation: int, groups: int, bits: bool, seed: int,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    module = BinaryConv2d(
        inputs * groups, outputs * groups, kernel, stride, padding,
        padding_value if bits else 0, dilation, groups,
    )  # fmt: skip
    tensor = Tensor((6, 7, inputs * groups), BIPOLAR if bits else Integer(0, 16))
    network = Network("one", tensor, (conv_layer("conv", "input", module),))
    assert same_sums(module, network, values((3, *tensor.shape), bits, seed))


def test_a_dense_layer_reads_maps_in_the_order_of_the_hardware() -> None:
    torch.manual_seed(0)
    module = BinaryLinear(3 * 4 * 5, 6)
    network = Network("one", Tensor((3, 4, 5), BIPOLAR), (dense_layer("fc", "input", module),))
    images = values((3, 3, 4, 5), True, 0)
    assert same_sums(module, network, images)
    weights = network.layers[0].weights
    channel_first = weights.reshape(6, 3, 4, 5).transpose(0, 3, 1, 2).reshape(6, -1)
    mutant = replace(network, layers=(replace(network.layers[0], weights=channel_first),))
    assert not same_sums(module, mutant, images)


def test_the_scale_is_the_mean_absolute_weight_and_has_no_gradient() -> None:
    torch.manual_seed(0)
    module = BinaryConv2d(2, 3, 3)
    x = sign(torch.randn(2, 2, 5, 5))
    scale = module.weight.detach().abs().mean(dim=(1, 2, 3))
    assert torch.equal(module(x), module.sums(x) * scale[:, None, None])
    assert not module.scale().requires_grad
    module(x).sum().backward()
    assert module.weight.grad.abs().sum() > 0
