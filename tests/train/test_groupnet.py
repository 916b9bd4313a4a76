"""Group-Net: every variant against numpy, what bases share, and recipes that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")
pytest.importorskip("sklearn", reason="training needs scikit-learn: pip install 'bnn2hw[train]'")

import torch

from bnn2hw.errors import TrainingError
from bnn2hw.model import Affine, BinaryConv, Integer, Tensor
from bnn2hw.train.binary import BinaryConv2d, Sign
from bnn2hw.train.dataflow import Gate, Graph, Quantiser
from bnn2hw.train.fixed_point import lower
from bnn2hw.train.groupnet import Block, GroupnetRecipe
from bnn2hw.train.groupnet_network import build_graph
from bnn2hw.train.recipe import Recipe, parse_recipe
from tests.train.graphs import CASES, IDS, SHAPE, VARIANTS, graph_of, integers, recipe

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
