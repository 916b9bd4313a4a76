"""Group-Net: its integers against the float network, formats, training, and mutants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")
pytest.importorskip("sklearn", reason="training needs scikit-learn: pip install 'bnn2hw[train]'")

import torch

from bnn2hw import golden
from bnn2hw.model import (
    Affine,
    BinaryConv,
    Bipolar,
    Integer,
    Network,
    Quantize,
    Tensor,
    load,
    save,
)
from bnn2hw.train.data import Dataset
from bnn2hw.train.dataflow import Combination, Graph, Node
from bnn2hw.train.export import differences, to_network
from bnn2hw.train.fixed_point import AGREEMENT, lower
from bnn2hw.train.groupnet import Block
from bnn2hw.train.groupnet_network import build_graph
from bnn2hw.train.groupnet_stage import build_groupnet
from bnn2hw.train.loop import Trained, train
from bnn2hw.train.networks import BatchNorm
from tests.train.graphs import BLOCKS, CASES, IDS, VARIANTS, graph_of, integers, pixels, recipe

EXAMPLES = Path(__file__).parents[2] / "examples" / "networks"

# --------------------------------------------------------- integers and the float network


def last_place_errors(graph: Graph, network: Network, edges: dict[str, Any]) -> dict[str, float]:
    """Return by rounded layer how far it is from float64 arithmetic on its own inputs.

    In units of its last place; what saturates counts as far as it does not reach the limit.
    """

    def value(name: str) -> NDArray[np.float64]:
        if name in edges:
            form = network.tensors[name].format
            array: NDArray[np.float64] = edges[name] * 2.0**-form.fraction
            return 2 * array - 1 if isinstance(form, Bipolar) else array
        return meaning(graph.nodes[name])

    def meaning(node: Node) -> NDArray[np.float64]:
        inputs = [value(name) for name in node.inputs]
        if isinstance(node.operation, torch.nn.ReLU):
            return np.maximum(inputs[0], 0)
        if isinstance(node.operation, Combination):
            scales = node.operation.coefficients().detach().double().numpy()
            return sum(s * x for s, x in zip(scales, inputs, strict=True))
        assert isinstance(node.operation, BatchNorm)
        mean, variance, gamma, beta = (
            p.detach().double().numpy()
            for p in (
                node.operation.running_mean, node.operation.running_var,
                node.operation.weight, node.operation.bias,
            )
        )  # fmt: skip
        return (inputs[0] - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    errors = {}
    for layer in network.layers:
        if isinstance(layer, Affine) and layer.name != "scores":
            form = layer.format
            exact = np.clip(
                meaning(graph.nodes[layer.name]) * 2.0**form.fraction, form.low, form.high
            )
            errors[layer.name] = float(np.abs(edges[layer.name] - exact).max())
    return errors


def check_integers(graph: Graph, images: Any, fraction: int) -> tuple[Network, dict[str, Any]]:
    """Check every rounded layer against its last place, and every exact edge bit for bit."""
    lowered, network = integers(graph, images, fraction)
    edges = golden.run(network, pixels(images))
    errors = last_place_errors(graph, network, edges)
    assert max(errors.values(), default=0) < 1 + 1e-4
    with torch.no_grad():
        streams = graph.streams(images, keep=True)
    for edge, node in lowered.exact_edges.items():
        expected = streams[node].numpy()
        expected = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
        if isinstance(network.tensors[edge].format, Bipolar):
            expected = (expected + 1) / 2
        assert (edges[edge] == expected).all(), edge
    assert "stem_conv" in lowered.exact_edges
    return network, edges


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_variant_becomes_integers(images: Any, case: dict[str, Any], tmp_path: Path) -> None:
    """No layer is off by its last place; classes equal on 19 of 20 images of an untrained net."""
    graph = graph_of(images, **case)
    network, edges = check_integers(graph, images, fraction=14)
    with torch.no_grad():
        classes = graph(images).numpy().argmax(axis=1)
    assert (classes == edges["class"][:, 0]).mean() >= 0.95
    save(network, tmp_path / "small.npz")
    again = load(tmp_path / "small.npz")
    assert again.groups == network.groups
    assert (golden.predict(again, pixels(images)) == edges["class"][:, 0]).all()


@settings(deadline=None, derandomize=True, max_examples=25)
@given(data=st.data())
def test_random_networks_become_integers(images: Any, data: st.DataObject) -> None:
    bases = data.draw(st.integers(1, 4))
    side, blocks = 8, []
    for _ in range(data.draw(st.integers(1, 3))):
        channels, stride = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 2))
        side = -(-side // stride)
        rates = tuple(data.draw(st.permutations(range(1, bases + 1)))) if bases < side else ()
        blocks.append(Block(channels, stride, data.draw(st.sampled_from([(), rates]))))
    values = {
        "bases": bases,
        "variant": data.draw(st.sampled_from(VARIANTS)),
        "aggregation": data.draw(st.sampled_from(["mean", "learned"])),
        "stem": data.draw(st.integers(1, 6)),
        "blocks": tuple(blocks),
        "residual": data.draw(st.booleans()),
    }
    bits = data.draw(st.sampled_from([1, 2, 3, 4]))
    graph = graph_of(images[:60], bits, data.draw(st.integers(0, 99)), **values)
    check_integers(graph, images[:60], data.draw(st.integers(0, 12)))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("variant", ["groupnet", "lbd"])
def test_a_chain_of_integers_is_exact(images: Any, bits: int, variant: str) -> None:
    """One base without residuals, or a sum of weight bases: nothing is rounded on the way."""
    bases = 1 if variant == "groupnet" else 2
    graph = graph_of(images, bits, variant=variant, bases=bases, residual=False, blocks=BLOCKS[:2])
    lowered, network = integers(graph, images, fraction=0)
    assert lowered.exact
    assert all(tensor.format.fraction == 0 for tensor in network.tensors.values())
    quantisers = [layer for layer in network.layers if isinstance(layer, Quantize)]
    assert {layer.count for layer in quantisers} == ({2**bits - 1} if bits > 1 else set())
    with torch.no_grad():
        logits = graph(images).numpy()
    assert (golden.predict(network, pixels(images)) == logits.argmax(axis=1)).all()
    scores = golden.run(network, pixels(images), edges=["scores"])["scores"]
    scale = graph.operations["scores"].log_scale.detach().exp().numpy()
    assert (scores.astype(np.float32) * scale == logits).all()


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    bases=st.sampled_from([2, 3, 4, 5, 7]),
    fraction=st.integers(0, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_mean_is_the_exact_mean_rounded_once(bases: int, fraction: int, seed: int) -> None:
    """Half up, for odd K and powers of two, at the ends of the formats too."""
    torch.manual_seed(seed)
    values = recipe(bases=bases, variant="gbd1", blocks=(Block(4),), stem=4)
    graph = build_graph(values, (4, 4, 1), 2).eval()
    tensor = Tensor((4, 4, 1), Integer(0, 16))
    magnitudes = dict.fromkeys(graph.nodes, 3.0)
    network = Network("mean", tensor, lower(graph, tensor, magnitudes, fraction).layers)
    (layer,) = [layer for layer in network.layers if layer.name == "block1_mean"]
    assert isinstance(layer, Affine)
    forms = [source.format for source in network.sources(layer)]
    generator = np.random.default_rng(seed)
    inputs = np.stack(
        [generator.integers(form.low, form.high, 500, endpoint=True) for form in forms]
    )
    inputs[:, 0], inputs[:, 1] = [f.low for f in forms], [f.high for f in forms]
    sums = (layer.weights[:, :1] * inputs).sum(axis=0) + layer.offset[0] + layer.half
    expected = (2 * inputs.sum(axis=0) + bases) // (2 * bases)
    assert ((sums >> layer.shift) == expected).all()


# ---------------------------------------------------------------------------- mutants


def mutant(network: Network, name: str, change: Any) -> Network:
    layers = tuple(change(layer) if layer.name == name else layer for layer in network.layers)
    return Network("mutant", network.input, layers)


def without_a_base(layer: Affine) -> Affine:
    return replace(layer, inputs=layer.inputs[1:], weights=layer.weights[1:])


def swapped(layer: Affine) -> Affine:
    return replace(layer, weights=layer.weights[::-1])


def without_rounding(layer: Affine) -> Affine:
    return replace(layer, offset=layer.offset - 2 * layer.half)


def without_offset(layer: Affine) -> Affine:
    return replace(layer, offset=0 * layer.offset)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("block1_mean", without_a_base),
        ("block2_base2_gate", swapped),
        ("block1_mean", without_rounding),
        ("block1_base1_sum2", without_offset),
        ("block1_base1_sum2", swapped),
    ],
)
def test_mutants_are_off_by_more_than_a_last_place(images: Any, name: str, change: Any) -> None:
    graph = graph_of(images)
    _, network = integers(graph, images, fraction=8)
    wrong = mutant(network, name, change)
    errors = [
        last_place_errors(graph, n, golden.run(n, pixels(images)))[name] for n in (network, wrong)
    ]
    assert errors[0] < 1 + 1e-4 < errors[1]


def test_a_moved_threshold_is_found(images: Any) -> None:
    graph = graph_of(images, 2, bases=1, residual=False)
    _, network = integers(graph, images)
    wrong = mutant(
        network, "block2_activation1", lambda layer: replace(layer, levels=layer.levels + 1)
    )
    edges = [golden.run(n, pixels(images))["block2_activation1"] for n in (network, wrong)]
    assert (edges[0] != edges[1]).any()


# ----------------------------------------------------------------------- training, files


TRAINED = replace(
    recipe(
        bases=2,
        aggregation="learned",
        blocks=(Block(8, dilations=(1, 2)), Block(8, stride=2)),
        stem=8,
    ),
    epochs=3,
    learning_rate=0.03,
)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(TRAINED)


def test_training_ends_in_a_checked_fixed_point_network(trained: Trained) -> None:
    assert trained.accuracy_float.validation > 0.4  # a class at random is 0.1
    notes = trained.network.notes
    (stage,) = trained.module.stages.values()
    assert AGREEMENT <= stage.agreement <= 1
    assert f"({100 * stage.agreement:.2f} % of them)" in notes["fixed point"]
    assert notes["gates"].startswith("block2_base1_gate s = 0.")
    assert notes["scales"].count("lambda") == 2
    assert [len(group.bases) for group in trained.network.groups] == [2, 2]


def test_a_resumed_group_net_is_the_uninterrupted_one(trained: Trained, tmp_path: Path) -> None:
    checkpoint = tmp_path / "x.checkpoint.pt"

    def stop(text: str) -> None:
        if text.startswith("epoch 2/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TRAINED, progress=stop, checkpoint=checkpoint)
    resumed = train(TRAINED, checkpoint=checkpoint, resume=True)
    for path, one in (("whole.npz", trained), ("resumed.npz", resumed)):
        save(one.network, tmp_path / path)
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "resumed.npz").read_bytes()


def test_the_least_fraction_that_keeps_the_classes_is_taken(digits: Dataset) -> None:
    some = replace(digits, train=digits.train[:250], validation=digits.validation[:60])
    module = build_groupnet(recipe(bases=2, blocks=BLOCKS[:2], stem=4), some)
    (stage,) = module.stages.values()
    module.eval()
    with torch.no_grad():
        stage.settle(some)
        part = np.concatenate([some.train, some.validation])
        inputs = some.inputs()
        classes = stage.graph(inputs[part]).argmax(dim=1).numpy()
        magnitudes = stage.graph.magnitudes(inputs[some.train])
        assert differences(module, to_network(module, some, "small"), some) == []
        agreements = []
        for fraction in range(stage.fraction + 1):
            lowered = lower(stage.graph, some.tensor, magnitudes, fraction)
            network = Network("net", some.tensor, lowered.layers)
            same = golden.predict(network, some.images[part]) == classes
            agreements.append(float(same.mean()))
    kept = [agreement >= 0.995 for agreement in agreements]
    assert kept == [False] * stage.fraction + [True]
    assert stage.agreement == agreements[-1]
    assert stage.fraction > 2


def test_the_networks_of_the_project_have_bases_and_codes() -> None:
    """What they are otherwise is tested beside them."""
    soft, codes = (load(EXAMPLES / f"{name}.npz") for name in ("groupnet", "quantised"))
    assert [len(group.bases) for group in soft.groups] == [3, 3]
    gates = [layer.name for layer in soft.layers if layer.name.endswith("gate")]
    assert gates == [f"block2_base{k}_gate" for k in (1, 2, 3)]
    for network in (soft, codes):
        convs = [layer for layer in network.layers if isinstance(layer, BinaryConv)]
        assert {layer.stride for layer in convs} == {(1, 1), (2, 2)}
    assert all(tensor.format.fraction == 0 for tensor in codes.tensors.values())
    assert [layer.count for layer in codes.layers if isinstance(layer, Quantize)] == [3] * 5
