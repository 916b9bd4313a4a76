"""Branches of a network joined again, as stages in Amaranth's simulator."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw.emit.stage import input_beats
from bnn2hw.emit.stages import network_stages
from bnn2hw.emit.vectors import pack_words
from bnn2hw.gateware.network_core import NetworkCore
from bnn2hw.golden import run
from bnn2hw.model import (
    BIPOLAR,
    Affine,
    Binarize,
    BinaryConv,
    Integer,
    Network,
    Quantize,
    SumPool,
    Tensor,
    Threshold,
)
from bnn2hw.plan.folding import plan_folding
from bnn2hw.plan.jobs import network_jobs
from tests.gateware.streams import send_words


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_a_join_of_streams_of_different_widths(stall: float) -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 2, (2, 3, 3, 2)).astype(np.uint8)
    conv = BinaryConv("conv", ("signs",), weights, None, padding=(1, 1, 1, 1), padding_value=0)
    gate = np.array([[5], [-9], [3]])
    layers = (
        Binarize("signs", ("input",), Threshold.at_least(np.zeros(2, np.int64))),
        conv,
        Affine("sum", ("input", "conv", "input"), gate, np.array([1, -3]), 2, Integer(-20, 31)),
        Affine("relu", ("sum",), np.array([[1]]), np.array([0]), 0, Integer(0, 15)),
        SumPool("pool", ("relu",), (2, 2), (2, 2)),
        Quantize("codes", ("pool",), np.array([-1]), np.array([[50, 30, 12, 7, 7]])),
    )
    network = Network("join", Tensor((4, 4, 2), Integer(-1, 1)), layers)
    works = {"conv": plan_folding(conv, network.tensors["signs"], 1, 9)}
    beats = input_beats(network.input)
    stages, _ = network_stages(
        network, network_jobs(network), works, beats=beats, pipeline=1, scores=False
    )
    core = NetworkCore([(stage.name, stage.component(), stage.sources) for stage in stages])
    images = rng.integers(-1, 2, (3, 4, 4, 2))
    expected = run(network, images)["codes"].reshape(-1, 2).astype(np.int64)
    words = pack_words(images.reshape(-1, 2), network.input.format.width)
    trace = send_words(core, words, len(expected), stall=stall)
    assert trace.words == pack_words(expected, network.tensors["codes"].format.width)


@pytest.mark.parametrize(("pes", "simd"), [(1, 9), (4, 2), (9, 18)])
def test_a_folded_convolution_in_groups(pes: int, simd: int) -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 2, (6, 3, 3, 2)).astype(np.uint8)
    levels = Threshold.at_least(rng.integers(-4, 5, 6))
    conv = BinaryConv("conv", ("input",), weights, levels, padding=(1, 1, 1, 1), groups=3)
    network = Network("groups", Tensor((4, 3, 6), BIPOLAR), (conv,))
    works = {"conv": plan_folding(conv, network.input, pes, simd)}
    beats = input_beats(network.input)
    stages, paces = network_stages(
        network, network_jobs(network), works, beats=beats, pipeline=None, scores=False
    )
    assert paces.interval == 12 * -(-6 // pes) * -(-18 // simd)
    core = NetworkCore([(stage.name, stage.component(), stage.sources) for stage in stages])
    images = rng.integers(0, 2, (3, 4, 3, 6))
    expected = run(network, images)["conv"].reshape(-1, 6).astype(np.int64)
    trace = send_words(core, pack_words(images.reshape(-1, 6), 1), len(expected), stall=0.3)
    assert trace.words == pack_words(expected, 1)
