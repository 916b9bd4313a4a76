"""Params and bit-ops against the published tables, on shapes built from blocks and on models."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from bench import published
from bnn2hw import load_network
from bnn2hw.errors import UsageError
from bnn2hw.model import BIPOLAR, BinaryConv, BinaryDense, Tensor
from bnn2hw.plan import plan_cost, plan_layer
from bnn2hw.plan.architectures import ARCHITECTURES, architecture
from bnn2hw.plan.counting import (
    FULL_ADDS,
    HALF_ADDS,
    SUMMED_BITS,
    XNOR_TERMS,
    LayerShape,
    binary_ops,
    index_bits,
    is_shared,
    layer_shape,
    reuse_ops,
    subbit_ops,
    subset_bits,
)


def digits_of(value: float) -> int:
    """Return the decimals of a published figure as printed with four significant digits."""
    text = f"{value:.4g}"
    return len(text.partition(".")[2])


@pytest.mark.parametrize("line", published.PUBLISHED, ids=lambda p: f"{p.network}-{p.tau}")
def test_published_tables(line: published.Published) -> None:
    network = architecture(line.network)
    assert published.mbit(network, line.tau) == pytest.approx(
        line.mbit, abs=0.51 * 10 ** -digits_of(line.mbit)
    )
    # 0.8839 is printed as 0.883, 0.1915 as 0.191: the source cuts, or rounds, in the third place
    giga = published.giga(network, line.tau, line.convention)
    assert giga == pytest.approx(line.giga, abs=1e-3)
    if line.giga_32 is not None:
        assert f"{32 * giga:.4g}" == f"{line.giga_32:.4g}"


def test_conventions_are_told_apart_by_the_tables() -> None:
    """The mutant: each table in the other's convention misses by far."""
    for line in published.PUBLISHED:
        other = FULL_ADDS if line.convention is HALF_ADDS else HALF_ADDS
        ours = published.giga(architecture(line.network), line.tau, other)
        assert (abs(ours / line.giga - 1) > 0.05) == (line.tau is not None)


@pytest.mark.parametrize(
    ("network", "giga"),
    [
        ("resnet18", (1.6763, 0.8839, 0.5014, 0.2972)),
        ("resnet34", (3.526, 1.696, 0.965, 0.581)),
        ("resnet18-cifar10", (0.547, 0.289, 0.164, 0.097)),
        ("vgg-small", (0.604, 0.194, 0.114, 0.074)),
    ],
)
def test_figures_of_the_formula(network: str, giga: tuple[float, ...]) -> None:
    net = architecture(network)
    for tau, figure in zip((None, 6, 5, 4), giga, strict=True):
        decimals = len(str(figure).partition(".")[2])
        assert round(published.giga(net, tau, HALF_ADDS), decimals) == figure


def test_full_precision_lines_of_table_6() -> None:
    net = architecture("resnet50-cifar10")
    assert published.FLOAT_BITS * published.mbit(net, None) == pytest.approx(750.26, abs=0.005)
    assert published.FLOAT_OPS * published.giga(net, None, FULL_ADDS) == pytest.approx(
        78.12, abs=0.01
    )


def test_baseline_and_reductions_of_table_a1() -> None:
    net = architecture("vgg-small")
    assert published.mbit(net, None) == 4.571136
    assert published.giga(net, None, XNOR_TERMS) == 0.603979776
    _, _, less, fewer = published.TABLE_A1[0]
    assert round(published.mbit(net, None) / less, 2) == 8.39
    assert round(published.giga(net, None, XNOR_TERMS) / fewer, 2) == 5.08


def test_five_bases_cost_five_times() -> None:
    net = architecture("resnet18")
    assert round(5 * published.mbit(net, None), 1) == 54.9
    assert round(5 * published.giga(net, None, HALF_ADDS), 2) == 8.38


def test_full_precision_ends_lower_the_reductions() -> None:
    for name, taus, convention in published.FIGURE_12:
        for tau in taus:
            params, params_ends, params_all, ops, ops_ends, ops_all = published.reductions(
                architecture(name), tau, convention
            )
            assert params > params_ends >= params_all > 1
            assert ops > ops_ends >= ops_all > 1
    # Table 6's own reductions, without the ends
    published_reductions = {5: (1.7, 3.7), 4: (2.1, 5.1), 3: (2.8, 6.4)}
    for tau, (params, ops) in published_reductions.items():
        found = published.reductions(architecture("resnet50-cifar10"), tau, FULL_ADDS)
        assert (round(found[0], 1), round(found[3], 1)) == (params, ops)


def test_the_page_is_what_the_code_computes() -> None:
    assert published.PAGE.read_text(encoding="utf-8") == published.page()


@pytest.mark.parametrize(
    ("name", "layers", "binary", "first", "last"),
    [
        ("resnet18", 21, 16, (64, 112), (512, 1000)),
        ("resnet34", 37, 32, (64, 112), (512, 1000)),
        ("resnet18-cifar10", 21, 16, (64, 32), (512, 10)),
        ("resnet50-cifar10", 54, 52, (64, 32), (2048, 10)),
        ("vgg-small", 7, 5, (128, 32), (8192, 10)),
    ],
)
def test_architectures(
    name: str, layers: int, binary: int, first: tuple[int, int], last: tuple[int, int]
) -> None:
    net = architecture(name)
    assert (len(net.layers), len(net.binary)) == (layers, binary)
    start, end = net.ends
    assert (start.inputs, start.outputs, start.size[0]) == (3, *first)
    assert (end.inputs, end.outputs, end.size) == (*last, (1, 1))
    shapes = {layer.shape.name: layer.shape for layer in net.layers}
    assert len(shapes) == layers
    if name == "resnet18":
        assert shapes["layer3.0.conv1"] == LayerShape(
            "layer3.0.conv1", (3, 3), 128, 256, (14, 14), 2
        )
        assert shapes["layer4.1.conv2"].size == (7, 7)


def test_a_larger_image_has_larger_maps() -> None:
    small, large = architecture("resnet18"), architecture("resnet18", 448)
    assert sum(map(binary_ops, large.binary)) == 4 * sum(map(binary_ops, small.binary))
    assert sum(s.weights for s in large.binary) == sum(s.weights for s in small.binary)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("resnet152", None, "there is no network 'resnet152' in the tables; use resnet18, "),
        ("resnet18", 31, "resnet18 cannot read an image of 31; give 32 to 8192"),
        ("resnet18", 1 << 20, "cannot read"),
        ("vgg-small", 0, "give 8 to 8192"),
    ],
)
def test_errors(name: str, size: int | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        architecture(name, size)
    assert all(min(architecture(n, 32).layers[-2].shape.size) >= 1 for n in ARCHITECTURES)


def test_one_layer_by_hand() -> None:
    """A 3x3 layer of 2 inputs and 40 outputs on one position, tau 5: 2 tables, 80 look-ups."""
    shape = LayerShape("layer", (3, 3), 2, 40)
    assert index_bits(shape, 5) == 400
    assert subset_bits(shape, 5) == 288
    terms = 2 * 9 * 32
    assert subbit_ops(shape, 5, XNOR_TERMS) == terms
    assert subbit_ops(shape, 5, HALF_ADDS) == terms + 40
    assert subbit_ops(shape, 5, FULL_ADDS) == terms + 80
    assert subbit_ops(shape, 5, SUMMED_BITS) == terms + 4 * 80  # an entry, 0 to 9, has four bits
    assert subbit_ops(shape, 5, HALF_ADDS, closed=True) == terms // 2 + 40
    assert not is_shared(shape, 6)
    assert is_shared(shape, 6, closed=True)
    assert subbit_ops(shape, 6, HALF_ADDS, closed=True) == terms + 40
    assert subbit_ops(shape, 6, HALF_ADDS) == binary_ops(shape) == 720


def test_vectors_and_groups() -> None:
    dense = LayerShape("layer", (1, 1), 20, 40)  # vectors of 8, 8 and 4
    assert index_bits(dense, 3) == 3 * 40 * 3
    assert subbit_ops(dense, 3, FULL_ADDS) == 3 * 7 * 8 + 40 * 3
    grouped = LayerShape("layer", (3, 3), 8, 80, groups=4)  # 20 outputs read each input
    assert grouped.weights == 80 * 2 * 9
    assert index_bits(grouped, 4) == 4 * 80 * 2
    assert is_shared(grouped, 4)
    assert not is_shared(grouped, 5)
    assert subbit_ops(grouped, 4, FULL_ADDS) == 8 * 9 * 16 + 80 * 2


def test_reuse_adds_one_value_an_edge() -> None:
    shape = LayerShape("layer", (3, 3), 128, 128, (32, 32))
    assert reuse_ops(shape, 5000, 127, XNOR_TERMS) == 1024 * 5000
    assert reuse_ops(shape, 5000, 127, HALF_ADDS) == 1024 * (5000 + 64)
    assert reuse_ops(shape, 5000, 127, FULL_ADDS) == 1024 * (5000 + 127)
    assert reuse_ops(shape, 5000, 127, SUMMED_BITS) == 1024 * (5000 + 127 * 11)
    assert Fraction(0) == XNOR_TERMS.add(11)


def test_shapes_of_a_model_count_as_its_plans() -> None:
    network = load_network()
    for layer in network.linear_layers():
        source = network.source(layer)
        shape = layer_shape(layer, source)
        assert shape.weights == layer.weights.size
        assert shape.size == (*layer.output(source).shape[:-1], 1, 1)[:2]
        cost = plan_cost(plan_layer(layer, source, "mst"), layer, source)
        assert reuse_ops(shape, cost.params, 0, XNOR_TERMS) == cost.bit_ops


def test_shape_of_a_convolution() -> None:
    weights = np.ones((6, 3, 3, 2), np.uint8)
    layer = BinaryConv("conv", ("input",), weights=weights, stride=(2, 2), groups=3)
    shape = layer_shape(layer, Tensor((9, 11, 6), BIPOLAR))
    assert shape == LayerShape("conv", (3, 3), 6, 6, (4, 5), 2, 3)
    dense = BinaryDense("fc", ("input",), weights=np.ones((4, 24), np.uint8))
    assert layer_shape(dense, Tensor((2, 3, 4), BIPOLAR)) == LayerShape("fc", (1, 1), 24, 4)
