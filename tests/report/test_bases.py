"""The picture of parallel bases: its parts and arrows for every variant, and the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networkx
import numpy as np
import pytest

import bnn2hw
from bnn2hw.errors import BuildError, ModelError, UsageError
from bnn2hw.model import (
    BIPOLAR,
    Affine,
    Argmax,
    BaseGroup,
    Binarize,
    BinaryConv,
    Integer,
    Layer,
    Network,
    Tensor,
    Threshold,
)
from bnn2hw.report.bases import Part, bases_graph, draw_bases

BASES = 3
WIDE = Integer(-8, 7)


def conv(name: str, source: str) -> BinaryConv:
    weights = np.ones((2, 3, 3, 2), np.uint8)
    return BinaryConv(name, (source,), weights, padding=(1, 1, 1, 1), padding_value=1)


def sign(name: str, source: str) -> Binarize:
    return Binarize(name, (source,), Threshold.at_least(np.array([0])))


def mix(name: str, *inputs: str, shift: int = 0, weights: tuple[int, ...] = ()) -> Affine:
    row = np.array(weights or (1,) * len(inputs))[:, None]
    return Affine(name, inputs, row, np.array([0]), shift, WIDE)


def network_of(span: int, *, soft: bool = False, share: int = 3) -> Network:
    """Return four blocks of one convolution; 3 bases span so many of them, and then meet."""
    layers: list[Layer] = [sign("stem", "input")]
    groups = []
    streams = ["stem"] * BASES
    for first in range(1, 5, span):
        members: list[list[str]] = [[] for _ in range(BASES)]
        for block in range(first, first + span):
            for k, stream in enumerate(streams):
                own = f"block{block}_base{k + 1}"
                mixed = soft and block == first > 1
                if mixed:
                    mean = f"block{block - 1}_mean"
                    layers.append(
                        mix(f"{own}_gate", stream, mean, shift=2, weights=(share, 4 - share))
                    )
                    layers.append(sign(f"{own}_sign", f"{own}_gate"))
                    stream = f"{own}_sign"
                    members[k] += [f"{own}_gate", stream]
                layers.append(conv(f"{own}_conv", stream))
                layers.append(sign(f"{own}_out", f"{own}_conv"))
                members[k] += [f"{own}_conv", f"{own}_out"]
                streams[k] = f"{own}_out"
        last = first + span - 1
        layers.append(mix(f"block{last}_mean", *streams, shift=2))
        groups.append(
            BaseGroup(f"group{len(groups) + 1}", tuple(map(tuple, members)), layers[-1].name)
        )
        if not soft and last < 4:
            layers.append(sign(f"block{last + 1}_sign", layers[-1].name))
            streams = [layers[-1].name] * BASES
    layers.append(Argmax("class", (layers[-1].name,)))
    return Network("net", Tensor((4, 4, 2), BIPOLAR), tuple(layers), groups=tuple(groups))


def layerwise() -> Network:
    """Return two convolutions of three weight bases each."""
    layers: list[Layer] = [sign("stem", "input")]
    groups = []
    for n in (1, 2):
        names = tuple(f"block1_conv{n}_base{k + 1}" for k in range(BASES))
        layers += [conv(name, layers[-1].name) for name in names] if n == 1 else []
        if n == 2:
            layers.append(sign("block1_sign", layers[-1].name))
            layers += [conv(name, "block1_sign") for name in names]
        layers.append(mix(f"block1_conv{n}_sum", *names))
        groups.append(
            BaseGroup(f"block1_conv{n}", tuple((name,) for name in names), layers[-1].name)
        )
    return Network("lbd", Tensor((4, 4, 2), BIPOLAR), tuple(layers), groups=tuple(groups))


def kinds(graph: networkx.DiGraph, kind: str) -> list[Part]:
    return [part for part in graph if part.kind == kind]


@pytest.mark.parametrize("span", [1, 2, 4])
def test_hard_connections(span: int) -> None:
    """GBD v1, v2, v3: a base is a chain of blocks, and bases meet at its end alone."""
    graph = bases_graph(network_of(span))
    groups = 4 // span
    assert len(kinds(graph, "block")) == 4 * BASES
    assert len(kinds(graph, "meeting")) == groups
    assert len(kinds(graph, "common")) == groups + 1
    chain = BASES * (span - 1)
    assert graph.number_of_edges() == groups * (BASES + chain + BASES + 1)
    for part in kinds(graph, "block"):
        (after,) = graph.successors(part)
        number = int(part.name.removeprefix("block"))
        if number % span:
            assert (after.name, after.base) == (f"block{number + 1}", part.base)
        else:
            assert after.name == f"block{number}_mean"
    assert not any(gate for _, _, gate in graph.edges(data="gate"))


def test_soft_connections() -> None:
    graph = bases_graph(network_of(1, soft=True))
    gates = [(a, b, gate) for a, b, gate in graph.edges(data="gate") if gate is not None]
    assert len(gates) == 3 * BASES
    assert all(gate == 0.75 and a.base == b.base for a, b, gate in gates)
    # the mean goes to every base of the next group, nothing lies between
    assert len(kinds(graph, "common")) == 2
    first = next(part for part in graph if part.name == "block1_mean")
    assert {part.name for part in graph.successors(first)} == {"block2"}
    assert graph.out_degree(first) == BASES


def test_layer_wise_bases_meet_after_every_convolution() -> None:
    graph = bases_graph(layerwise())
    assert [part.name for part in kinds(graph, "block")] == ["block1_conv1"] * 3 + [
        "block1_conv2"
    ] * 3
    assert len(kinds(graph, "meeting")) == 2
    assert graph.number_of_edges() == 2 * (BASES + BASES) + 1


@pytest.mark.parametrize(
    "network",
    [network_of(1), network_of(2), network_of(4), network_of(1, soft=True), layerwise()],
    ids=["gbd1", "gbd2", "gbd3", "groupnet", "lbd"],
)
def test_a_picture_is_written(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "bases.png"
    draw_bases(network, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="network digits has no parallel bases to draw"):
        draw_bases(bnn2hw.load_network(), tmp_path / "bases.png")
    with pytest.raises(BuildError, match="the picture cannot be written"):
        draw_bases(layerwise(), tmp_path / "bases.unknown")


@pytest.mark.parametrize("share", [-1, 5, 8])
def test_gates_outside_of_0_to_1_are_told(share: int) -> None:
    with pytest.raises(ModelError, match=r"layer block2_base1_gate: mixes .* within 0 to 1"):
        network_of(1, soft=True, share=share)


@pytest.mark.parametrize("weights", [(3, 3), (0, 0), (4, 4)])
def test_gates_that_do_not_add_up_are_told(weights: tuple[int, int]) -> None:
    network = network_of(1, soft=True)
    gate = network.layer("block2_base1_gate")
    wrong = replace(gate, weights=np.array(weights)[:, None])
    layers = tuple(wrong if layer is gate else layer for layer in network.layers)
    with pytest.raises(ModelError, match=r"layer block2_base1_gate: .* add up to"):
        replace(network, layers=layers)


@pytest.mark.parametrize("share", [0, 4])
def test_gates_at_their_ends(share: int) -> None:
    network = network_of(1, soft=True, share=share)
    assert {gate for _, gate in network.gates.values()} == {share / 4}
    # a gate is one whatever the order of its inputs
    gate = network.layer("block2_base1_gate")
    assert isinstance(gate, Affine)
    turned = replace(gate, inputs=gate.inputs[::-1], weights=gate.weights[::-1])
    layers = tuple(turned if layer is gate else layer for layer in network.layers)
    assert replace(network, layers=layers).gates == network.gates
