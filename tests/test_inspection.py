"""The kernels that inspect reports."""

from __future__ import annotations

import json

import numpy as np

import bnn2hw
from bnn2hw.inspection import inspect
from bnn2hw.model import BIPOLAR, BinaryConv, Network, Tensor
from tests.plan.strategies import random_bits


def test_kernels_of_the_bundled_network() -> None:
    reports = {report.name: report for report in inspect(bnn2hw.load_network())}
    assert reports["pool"].kernels is None
    kernels = reports["conv2"].kernels
    assert kernels is not None
    assert sum(kernels.frequencies.values()) == 32 * 32
    assert len(kernels.frequencies) == kernels.distinct
    assert kernels.distinct_up_to_sign <= kernels.distinct
    assert 1 <= kernels.each_up_to_sign <= kernels.each <= 32
    assert (kernels.tau, kernels.break_even) == (None, 4)
    assert json.loads(json.dumps(reports["conv2"].to_json()))["kernels"]["length"] == 9


def test_a_sub_bit_layer_is_recognised() -> None:
    kernels = random_bits(4, 9, seed=1)
    which = np.random.default_rng(0).integers(0, 4, (16, 6))
    weights = np.moveaxis(np.concatenate([kernels, 1 - kernels])[which], 2, 1)
    layer = BinaryConv("conv", ("input",), weights.reshape(16, 3, 3, 6))
    (report,) = inspect(Network("net", Tensor((5, 5, 6), BIPOLAR), (layer,)))
    found = report.kernels
    assert found is not None
    assert (found.tau, found.closed, found.distinct, found.break_even) == (2, False, 4, 3)
    both = BinaryConv("conv", ("input",), np.concatenate([layer.weights, 1 - layer.weights]))
    (report,) = inspect(Network("net", Tensor((5, 5, 6), BIPOLAR), (both,)))
    assert report.kernels is not None
    assert (report.kernels.tau, report.kernels.closed) == (3, True)


def test_kernels_that_are_too_large_are_left_out() -> None:
    big = BinaryConv("big", ("input",), np.zeros((2, 8, 8, 3), np.uint8))
    (report,) = inspect(Network("net", Tensor((8, 8, 3), BIPOLAR), (big,)))
    assert report.kernels is None
    middle = BinaryConv("middle", ("input",), np.zeros((2, 5, 5, 3), np.uint8))
    (report,) = inspect(Network("net", Tensor((8, 8, 3), BIPOLAR), (middle,)))
    assert report.kernels is not None
    assert (report.kernels.distinct, report.kernels.tau) == (1, None)
