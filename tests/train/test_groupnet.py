"""Group-Net: every variant against numpy, its integers against the float network, and mutants."""

from __future__ import annotations

import itertools
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
from bnn2hw.errors import TrainingError
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
from bnn2hw.train.binary import BinaryConv2d, Sign
from bnn2hw.train.data import Dataset, load_data
from bnn2hw.train.dataflow import Combination, Gate, Graph, Node, Quantiser, Weighted
from bnn2hw.train.export import differences
from bnn2hw.train.fixed_point import AGREEMENT, Lowered, lower
from bnn2hw.train.groupnet import Block, GroupnetRecipe
from bnn2hw.train.groupnet_network import build_graph
from bnn2hw.train.groupnet_stage import build_groupnet
from bnn2hw.train.loop import train
from bnn2hw.train.networks import BatchNorm
from bnn2hw.train.recipe import Recipe, parse_recipe

EXAMPLES = Path(__file__).parents[2] / "examples" / "networks"
VARIANTS = ("lbd", "gbd1", "gbd2", "gbd3", "groupnet")
BLOCKS = (Block(6), Block(8, stride=2), Block(8))
SHAPE = (8, 8, 1)


def recipe(bits: int = 1, **values: Any) -> Recipe:
    groupnet = GroupnetRecipe(**{"stem": 6, "blocks": BLOCKS, **values})
    return Recipe("small", groupnet=groupnet, activation_bits=bits)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits")


@pytest.fixture(scope="module")
def images(digits: Dataset) -> Any:
    return digits.inputs()[:200]


def graph_of(images: Any, bits: int = 1, seed: int = 0, **values: Any) -> Graph:
    """Return an untrained network whose statistics, gates and scales are those of no other."""
    torch.manual_seed(seed)
    graph = build_graph(recipe(bits, **values), SHAPE, 10)
    with torch.no_grad():
        graph(images)
        for module in graph.modules():
            if isinstance(module, BatchNorm):
                module.weight.uniform_(-1.5, 1.5)
                module.bias.uniform_(-0.5, 1)
            elif isinstance(module, Gate):
                module.theta.uniform_(-1, 1)
            elif isinstance(module, Weighted) and module.scales.requires_grad:
                module.scales.uniform_(0.1, 0.5)
        graph(images)
        graph.operations["scores"].offset.uniform_(-2, 2)
    return graph.eval()


def integers(graph: Graph, images: Any, fraction: int = 12) -> tuple[Lowered, Network]:
    tensor = Tensor(SHAPE, Integer(0, 16))
    lowered = lower(graph, tensor, graph.magnitudes(images), fraction)
    return lowered, Network("small", tensor, lowered.layers, groups=lowered.groups)


def pixels(images: Any) -> NDArray[np.int32]:
    array: NDArray[np.int32] = images.permute(0, 2, 3, 1).numpy().astype(np.int32)
    return array


# ---------------------------------------------------- the float network, written a second time


class Numpy:
    """The mathematics of the variants in numpy, by methods and supplement, on a graph's weights.

    Streams are float64 (batch, channels, height, width).
    """

    def __init__(self, graph: Graph, recipe: Recipe) -> None:
        assert recipe.groupnet is not None
        self.graph, self.recipe, self.bits = graph, recipe.groupnet, recipe.activation_bits

    def module(self, name: str) -> Any:
        return self.graph.nodes[name].operation

    def conv(self, name: str, x: NDArray[Any]) -> NDArray[Any]:
        module = self.module(name)
        weight = module.weight.detach().double().numpy()
        signs = np.where(weight >= weight.mean(axis=(1, 2, 3), keepdims=True), 1.0, -1.0)
        p, d, s, k = module.padding, module.dilation, module.stride, signs.shape[2]
        padded = np.pad(
            x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=float(module.padding_value)
        )
        height, width = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n in x.shape[2:])
        total = np.zeros((len(x), len(signs), height, width))
        for ky, kx in np.ndindex(k, k):
            window = padded[:, :, ky * d :, kx * d :][:, :, ::s, ::s][:, :, :height, :width]
            total += np.einsum("oc,bchw->bohw", signs[:, :, ky, kx], window)
        return total

    def bases(self, name: str, x: NDArray[Any]) -> NDArray[Any]:
        """Return one convolution, or the scaled sum of K of them."""
        if name in self.graph.nodes:
            return self.conv(name, x)
        scales = self.module(f"{name}_sum").scales.detach().double().numpy()
        return sum(scale * self.conv(f"{name}_base{k + 1}", x) for k, scale in enumerate(scales))

    def norm(self, name: str, x: NDArray[Any]) -> NDArray[Any]:
        module = self.module(name)
        mean, variance, gamma, beta = (
            p.detach().double().numpy()[:, None, None]
            for p in (module.running_mean, module.running_var, module.weight, module.bias)
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def active(self, x: NDArray[Any]) -> NDArray[Any]:
        if self.bits == 1:
            return np.where(x >= 0, 1.0, -1.0)
        most = 2**self.bits - 1
        return np.floor(np.clip(x, 0, self.recipe.beta) * most / self.recipe.beta + 0.5)

    def shortcut(self, name: str, a: NDArray[Any], x: NDArray[Any], block: Block) -> NDArray[Any]:
        if block.stride == 1 and block.channels == x.shape[1]:
            return x
        return self.norm(name, self.bases(f"{name}_conv", a))

    def block(self, own: str, shared: str, x: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return b_k of x_k; ``shared`` names what the bases have in common."""
        a, plain = self.active(x), not self.recipe.residual
        r = np.zeros(1) if plain else self.shortcut(f"{shared}_shortcut", a, x, block)
        relu = lambda y: np.maximum(y, 0)
        first, second = (lambda a, n=n: self.bases(f"{own}_conv{n}", a) for n in (1, 2))
        if self.bits > 1:
            h = self.active(relu(self.norm(f"{own}_norm1", first(a))))
            return relu(self.norm(f"{own}_norm2", second(h)) + r)
        u = self.norm(f"{own}_norm1", relu(first(a))) + r
        return self.norm(f"{own}_norm2", relu(second(self.active(u)))) + (0 if plain else u)

    def logits(self, x: NDArray[Any]) -> NDArray[Any]:
        recipe, K = self.recipe, self.recipe.bases
        m = self.norm("stem", self.conv("stem_conv", x))
        m = np.maximum(m, 0) if self.bits > 1 else m
        lanes = 1 if recipe.variant == "lbd" else K
        own = [m] * lanes
        span = {"gbd2": 2, "gbd3": len(recipe.blocks)}.get(recipe.variant, 1)
        for g, block in enumerate(recipe.blocks):
            starts, ends = g % span == 0, (g + 1) % span == 0 or g + 1 == len(recipe.blocks)
            name = f"block{g + 1}"
            results = []
            for k in range(lanes):
                base = f"{name}_base{k + 1}" if lanes > 1 else name
                x_k = m if starts else own[k]
                common = name if starts else base
                if recipe.variant == "groupnet" and g > 0 and lanes > 1:
                    theta = self.module(f"{base}_gate").theta.item()
                    s = 1 / (1 + np.exp(-theta))
                    x_k, common = s * own[k] + (1 - s) * m, base
                results.append(self.block(base, common, x_k, block))
            own = results
            if ends and lanes > 1:
                scales = self.module(f"{name}_mean").scales.detach().double().numpy()
                if recipe.aggregation == "mean":
                    scales = np.full(K, 1 / K)
                m = sum(scale * b for scale, b in zip(scales, own, strict=True))
            elif ends:
                m = own[0]
        m = m if recipe.residual else self.active(m)
        weight = self.module("classes").weight.detach().double().numpy()
        signs = np.where(weight >= weight.mean(axis=1, keepdims=True), 1.0, -1.0)
        scores = self.module("scores")
        scale = np.exp(scores.log_scale.item())
        offset = np.rint(scores.offset.detach().double().numpy() / scale)
        result: NDArray[Any] = scale * (m.sum(axis=(2, 3)) @ signs.T + offset)
        return result


CASES = [
    {"variant": variant, "bases": bases, "bits": bits}
    for variant, bases, bits in itertools.product(VARIANTS, (1, 3), (1, 2))
] + [
    {"variant": "groupnet", "bases": 2, "bits": 1, "aggregation": "learned"},
    {"variant": "lbd", "bases": 2, "bits": 1, "aggregation": "learned"},
    {"variant": "gbd2", "bases": 2, "bits": 1, "residual": False},
    {"variant": "lbd", "bases": 3, "bits": 3, "residual": False},
    {"variant": "gbd1", "bases": 2, "bits": 1, "blocks": (Block(6, dilations=(1, 3)), Block(8, 2))},
    {"variant": "lbd", "bases": 2, "bits": 2, "blocks": (Block(6, dilations=(2, 4)), Block(6))},
]  # fmt: skip
IDS = ["-".join(str(value)[:40] for value in case.values()) for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_torch_computes_what_numpy_does(images: Any, case: dict[str, Any]) -> None:
    """Signs of streams near zero may differ by a rounding, and little else."""
    graph = graph_of(images, **case)
    with torch.no_grad():
        found = graph(images[:50]).numpy()
    expected = Numpy(graph, recipe(**case)).logits(images[:50].double().numpy())
    alike = np.isclose(found, expected, rtol=1e-3, atol=1e-3).all(axis=1)
    assert alike.mean() >= 0.9, np.abs(found - expected).max()


# -------------------------------------------------------------------------- structure


def test_one_base_is_the_plain_network_in_every_variant(images: Any) -> None:
    graphs = [graph_of(images, bases=1, variant=variant) for variant in VARIANTS]
    assert len({tuple(graph.nodes) for graph in graphs}) == 1
    assert not graphs[0].meeting
    assert not any(isinstance(node.operation, Gate) for node in graphs[0].nodes.values())
    with torch.no_grad():
        logits = [graph(images[:20]).numpy() for graph in graphs]
    assert all((other == logits[0]).all() for other in logits)


@pytest.mark.parametrize(("theta", "variant"), [(-200.0, "gbd1"), (200.0, "gbd3")])
def test_gates_at_their_ends(images: Any, theta: float, variant: str) -> None:
    """With s = 0 bases meet after every block, with s = 1 after the last alone."""
    blocks = (Block(6),) * 3
    soft = graph_of(images, variant="groupnet", blocks=blocks)
    hard = graph_of(images, variant=variant, blocks=blocks, seed=1)
    state = soft.state_dict()
    hard.load_state_dict({key: state[key] for key in hard.state_dict()})
    middle = soft(images[:50])
    for module in soft.modules():
        if isinstance(module, Gate):
            module.theta.data.fill_(theta)
    with torch.no_grad():
        assert not torch.allclose(middle, hard(images[:50]), atol=1e-3)
        assert torch.equal(soft(images[:50]), hard(images[:50]))
    _, network = integers(soft, images)
    gates = [layer for layer in network.layers if layer.name.endswith("gate")]
    assert len(gates) == 6
    for layer in gates:
        assert isinstance(layer, Affine)
        assert layer.shift == 0  # a wire
        assert sorted(layer.weights[:, 0]) == [0, 1]


def test_what_bases_share(images: Any) -> None:
    """The first block of a group has one downsampling branch, later ones one a base."""
    shortcuts = {
        variant: [name for name in graph_of(images, variant=variant).nodes if "shortcut_c" in name]
        for variant in ("gbd1", "gbd2", "gbd3")
    }
    assert shortcuts["gbd1"] == ["block2_shortcut_conv"]
    assert shortcuts["gbd2"] == [f"block2_base{k}_shortcut_conv" for k in (1, 2, 3)]
    soft = graph_of(images, variant="groupnet")
    branches = [soft.nodes[f"block2_base{k}_shortcut_conv"].operation for k in (1, 2, 3)]
    assert branches[0] is branches[1] is branches[2]
    own = graph_of(images, variant="gbd3")
    assert (
        own.nodes[shortcuts["gbd3"][0]].operation is not own.nodes[shortcuts["gbd3"][1]].operation
    )


def test_groups_are_the_bases(images: Any) -> None:
    expected = {"lbd": 7, "gbd1": 3, "gbd2": 2, "gbd3": 1, "groupnet": 3}
    for variant, count in expected.items():
        _, network = integers(graph_of(images, variant=variant), images)
        assert len(network.groups) == count
        inside = set()
        for group in network.groups:
            assert len(group.bases) == 3
            kinds = {tuple(type(network.layer(name)) for name in base) for base in group.bases}
            assert len(kinds) == 1, "bases are homogeneous"
            inside |= {name for base in group.bases for name in base}
        convs = {layer.name for layer in network.layers if isinstance(layer, BinaryConv)}
        outside = {name for name in convs - inside if "shortcut" not in name}
        assert outside == {"stem_conv"}


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


def test_training_ends_in_a_checked_fixed_point_network() -> None:
    values = recipe(bases=2, aggregation="learned", blocks=(Block(8), Block(16, stride=2)), stem=8)
    trained = train(replace(values, epochs=4, learning_rate=0.03))
    assert trained.accuracy_float.validation > 0.5  # a class at random is 0.1
    notes = trained.network.notes
    (stage,) = trained.module.stages.values()
    assert AGREEMENT <= stage.agreement <= 1
    assert f"({100 * stage.agreement:.2f} % of them)" in notes["fixed point"]
    assert notes["gates"].startswith("block2_base1_gate s = 0.")
    assert notes["scales"].count("lambda") == 2
    assert [len(group.bases) for group in trained.network.groups] == [2, 2]


def test_the_least_fraction_that_keeps_the_classes_is_taken(digits: Dataset) -> None:
    module = build_groupnet(recipe(bases=2), digits)
    (stage,) = module.stages.values()
    module.eval()
    with torch.no_grad():
        stage.settle(digits)
        part = np.concatenate([digits.train, digits.validation])
        inputs = digits.inputs()
        classes = stage.graph(inputs[part]).argmax(dim=1).numpy()
        magnitudes = stage.graph.magnitudes(inputs[digits.train])
        assert differences_of(module, digits) == []
        kept = []
        for fraction in range(stage.fraction + 1):
            lowered = lower(stage.graph, digits.tensor, magnitudes, fraction)
            network = Network("net", digits.tensor, lowered.layers)
            kept.append((golden.predict(network, digits.images[part]) == classes).mean() >= 0.995)
    assert kept == [False] * stage.fraction + [True]


def test_a_resumed_group_net_is_the_uninterrupted_one(tmp_path: Path) -> None:
    plan = replace(
        recipe(bases=2, aggregation="learned", blocks=(Block(8, dilations=(1, 2)),), stem=8),
        epochs=2,
        learning_rate=0.03,
    )
    whole = train(plan)
    checkpoint = tmp_path / "x.checkpoint.pt"

    def stop(text: str) -> None:
        if text.startswith("epoch 1/2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan, progress=stop, checkpoint=checkpoint)
    resumed = train(plan, checkpoint=checkpoint, resume=True)
    for path, one in (("whole.npz", whole), ("resumed.npz", resumed)):
        save(one.network, tmp_path / path)
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "resumed.npz").read_bytes()


def differences_of(module: Any, data: Dataset) -> list[str]:
    from bnn2hw.train.export import to_network

    return differences(module, to_network(module, data, "small"), data)


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


# ------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bases": 0}, "groupnet.bases is 0; choose an integer from 1 to 32"),
        ({"bases": True}, "groupnet.bases is True"),
        ({"variant": "gbd4"}, "groupnet.variant is 'gbd4'; choose one of lbd, gbd1"),
        ({"aggregation": "max"}, "groupnet.aggregation is 'max'"),
        ({"beta": 0.0}, "groupnet.beta is 0.0; choose a number above 0"),
        ({"beta": float("nan")}, "groupnet.beta is nan"),
        ({"residual": 1}, "groupnet.residual is 1; choose true or false"),
        ({"blocks": ()}, "groupnet.blocks has 0 blocks"),
        ({"blocks": (Block(0),)}, "groupnet.blocks[0].channels is 0"),
        ({"blocks": (Block(4), Block(4, 0))}, "groupnet.blocks[1].stride is 0"),
        ({"blocks": (Block(4, 1, (1, 2)),)}, "has 2 rates for 3 bases; give one rate a base"),
        ({"blocks": (Block(4, 1, (1, 2, 0)),)}, "groupnet.blocks[0].dilations is 0"),
    ],
)
def test_a_recipe_that_makes_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError) as caught:
        GroupnetRecipe(**values)
    assert message in str(caught.value)


def test_what_the_network_cannot_have() -> None:
    for bits in (5, 6, 7, 9):
        with pytest.raises(TrainingError, match="choose one of 1, 2, 3, 4, 8"):
            build_graph(recipe(bits), SHAPE, 10)
    wide = recipe(bases=2, blocks=(Block(6, 2, (1, 4)),))
    with pytest.raises(TrainingError, match=r"rate 4 on a map of 4 positions"):
        build_graph(wide, SHAPE, 10)


def test_a_stream_beyond_32_bits_is_told(images: Any) -> None:
    graph = graph_of(images)
    magnitudes = {**graph.magnitudes(images), "block1_mean": 2.0**25}
    with pytest.raises(TrainingError, match=r"block1_mean reaches .* does not fit 32 bits"):
        lower(graph, Tensor(SHAPE, Integer(0, 16)), magnitudes, 8)


def test_a_recipe_file_has_blocks_as_tables() -> None:
    blocks = [{"channels": 4}, {"channels": 8, "stride": 2, "dilations": [1, 2]}]
    found = parse_recipe({"name": "x", "groupnet": {"bases": 2, "blocks": blocks}})
    assert found.groupnet is not None
    assert found.groupnet.blocks == (Block(4), Block(8, 2, (1, 2)))
    with pytest.raises(TrainingError, match="colour"):
        parse_recipe({"name": "x", "groupnet": {"blocks": [{"channels": 4, "colour": 1}]}})


def test_modules_that_have_no_gradient_of_their_own_pass_it_through() -> None:
    y = torch.tensor([-1.0, 0.3, 1.7, 2.5], requires_grad=True)
    codes = Quantiser(2, 2.0)(y)
    assert codes.tolist() == [0, 0, 3, 3]
    codes.sum().backward()
    assert y.grad.tolist() == [0, 1.5, 1.5, 0]
    assert isinstance(build_graph(recipe(), SHAPE, 10).nodes["block1_activation1"].operation, Sign)
    assert isinstance(build_graph(recipe(), SHAPE, 10).operations["stem_conv"], BinaryConv2d)
