"""What cannot be imported is told: every operator, with its node and a remedy, in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw.errors import ImportFailure
from bnn2hw.frontends.qonnx import import_qonnx

from .graphs import QONNX, OnnxBuilder


def after_sums(build: Callable[[OnnxBuilder, str], str]) -> tuple[OnnxBuilder, str]:
    graph = OnnxBuilder((1, 6))
    weight = graph.constant(np.random.default_rng(0).choice([-1.0, 1.0], (6, 4)))
    return graph, build(graph, graph.node("MatMul", graph.bipolar("image"), weight))


def after_bits(build: Callable[[OnnxBuilder, str], str]) -> tuple[OnnxBuilder, str]:
    graph = OnnxBuilder((1, 2, 6, 6))
    return graph, build(graph, graph.bipolar("image"))


def conv(graph: OnnxBuilder, x: str, **attributes: Any) -> str:
    weight = graph.constant(np.ones((2, attributes.pop("depth", 2), 3, 3)))
    return str(graph.node("Conv", x, weight, **attributes))


def bn(graph: OnnxBuilder, x: str, n: int = 4, variance: float = 1.0, **attributes: Any) -> str:
    one = np.ones(n)
    constants = [graph.constant(v) for v in (one, one, one, one * variance)]
    return str(graph.node("BatchNormalization", x, *constants, **attributes))


def quant(graph: OnnxBuilder, x: str, *values: float, **attributes: Any) -> str:
    constants = [graph.constant(v) for v in values]
    attributes = {"signed": 1, "narrow": 0, **attributes}
    return str(graph.node("Quant", x, *constants, domain=QONNX, **attributes))


def half(graph: OnnxBuilder, x: str) -> str:
    return str(graph.node("Mul", x, graph.constant(0.5)))


def ones(graph: OnnxBuilder, *shape: int) -> str:
    return graph.constant(np.ones(shape))


Graph = Callable[[], tuple[OnnxBuilder, str]]
REFUSED: dict[str, tuple[Graph, str]] = {
    "softmax": (
        lambda: after_sums(lambda g, x: g.node("Softmax", x)),
        r"1 node: Softmax 'Softmax_2' is not supported; end the graph before it",
    ),
    "relu": (
        lambda: after_sums(lambda g, x: g.bipolar(g.node("Relu", x))),
        "Relu 'Relu_2' is not supported; binarise instead",
    ),
    "other domain": (
        lambda: after_sums(lambda g, x: g.node("Gemm", x, domain="antigravity")),
        "Gemm 'Gemm_2' is not supported of domain 'antigravity'",
    ),
    "residual": (
        lambda: after_sums(lambda g, x: g.node("Add", x, x)),
        "Add 'Add_2' combines two computed maps; residual connections",
    ),
    "real weights": (
        lambda: after_bits(
            lambda g, x: g.node("Conv", x, g.constant(np.arange(36.0).reshape(2, 2, 3, 3)))
        ),
        r"has weights that are not \+s and -s",
    ),
    "zero weights": (
        lambda: after_bits(lambda g, x: g.node("Conv", x, g.constant(np.zeros((2, 2, 3, 3))))),
        r"has weights that are not \+s and -s",
    ),
    "infinite weights": (
        lambda: after_bits(
            lambda g, x: g.node("Conv", x, g.constant(np.full((2, 2, 3, 3), np.inf)))
        ),
        "has a weight that is not finite",
    ),
    "real input": (
        lambda: (g := OnnxBuilder((1, 2, 6, 6)), conv(g, "image")),
        "reads the graph's input, which is not quantised; put BipolarQuant",
    ),
    "sums into a layer": (
        lambda: after_bits(lambda g, x: conv(g, conv(g, x))),
        "reads sums that are not binarised; put BipolarQuant between",
    ),
    "offset before a layer": (
        lambda: after_bits(lambda g, x: conv(g, g.node("Add", x, g.constant(1.0)))),
        "reads values that are not one scale times bipolar numbers",
    ),
    "scales by channel before a layer": (
        lambda: after_bits(
            lambda g, x: conv(g, g.node("Mul", x, g.constant(np.reshape([1.0, 2.0], (2, 1, 1)))))
        ),
        "reads values that are not one scale times bipolar numbers",
    ),
    "channels differ": (lambda: after_bits(lambda g, x: conv(g, x, depth=3)), "reads .* and gets"),
    "groups do not divide": (
        lambda: after_bits(lambda g, x: conv(g, x, depth=1, group=3)),
        "3 groups do not divide 2 channels",
    ),
    "kernel does not fit": (
        lambda: after_bits(lambda g, x: conv(g, x, dilations=(9, 1))),
        "does not fit",
    ),
    "kernel shape": (
        lambda: after_bits(lambda g, x: conv(g, x, kernel_shape=(2, 2))),
        "has a kernel_shape other than its weights",
    ),
    "negative pads": (
        lambda: after_bits(lambda g, x: conv(g, x, pads=(-1, 0, 0, 0))),
        "has pads",
    ),
    "pads of two kinds": (
        lambda: after_bits(
            lambda g, x: conv(
                g, g.node("Pad", x, g.constant([0, 0, 1, 1] * 2, np.int64), g.constant(1.0)),
                pads=(1, 1, 1, 1),
            )
        ),
        r"pads a map that is padded with \+1 or -1",
    ),
    "pad with a value between": (
        lambda: after_bits(
            lambda g, x: g.node("Pad", x, g.constant([0, 0, 1, 1] * 2, np.int64), g.constant(0.5))
        ),
        "pads with 0.5, which is not -1, 0",
    ),
    "pad of channels": (
        lambda: after_bits(lambda g, x: g.node("Pad", x, g.constant([0, 1, 1, 1] * 2, np.int64))),
        "expected some along y and x alone",
    ),
    "pad by reflection": (
        lambda: after_bits(
            lambda g, x: g.node("Pad", x, g.constant([0, 0, 1, 1] * 2, np.int64), mode="reflect")
        ),
        "use mode constant",
    ),
    "pad before the pool": (
        lambda: after_bits(
            lambda g, x: g.node(
                "MaxPool", g.node("Pad", x, g.constant([0, 0, 1, 1] * 2, np.int64)),
                kernel_shape=(2, 2),
            )
        ),
        "reads a padded map, which only Conv can",
    ),
    "padded pool": (
        lambda: after_bits(
            lambda g, x: g.node("MaxPool", x, kernel_shape=(2, 2), pads=(1, 1, 1, 1))
        ),
        "MaxPool 'MaxPool_1' is padded",
    ),
    "dilated pool": (
        lambda: after_bits(
            lambda g, x: g.node("MaxPool", x, kernel_shape=(2, 2), dilations=(2, 2))
        ),
        "is dilated",
    ),
    "pool with a part at the border": (
        lambda: after_bits(
            lambda g, x: g.node(
                "MaxPool", x, kernel_shape=(3, 3), strides=(2, 2), ceil_mode=1
            )
        ),
        "set ceil_mode to 0",
    ),
    "pool of falling values": (
        lambda: after_bits(
            lambda g, x: g.node(
                "MaxPool", g.node("Mul", x, g.constant(-1.0)), kernel_shape=(2, 2)
            )
        ),
        "pools values that fall where their sum rises",
    ),
    "constants within a channel": (
        lambda: after_bits(
            lambda g, x: g.node("Add", conv(g, x), g.constant(np.arange(4.0)))
        ),
        "has a constant that differs within a channel",
    ),
    "constants of another shape": (
        lambda: after_sums(lambda g, x: g.node("Add", x, g.constant(np.ones((3, 4))))),
        "has a constant of shape",
    ),
    "constants of another type": (
        lambda: after_sums(lambda g, x: g.node("Add", x, g.constant(np.ones(4), np.float64))),
        "combines float32 and float64",
    ),
    "NaN": (
        lambda: after_sums(lambda g, x: g.node("Add", x, g.constant([np.nan] * 4))),
        "has a right operand that is not finite",
    ),
    "batch norm in training": (
        lambda: after_sums(lambda g, x: bn(g, x, training_mode=1)),
        "is in training mode",
    ),
    "batch norm of other size": (lambda: after_sums(lambda g, x: bn(g, x, 5)), "has a scale of"),
    "variance below zero": (
        lambda: after_sums(lambda g, x: bn(g, x, variance=-1.0)),
        "variance that is not above zero",
    ),
    "sign that turns": (
        lambda: after_sums(
            lambda g, x: g.bipolar(
                g.node("Add", g.node("Div", g.constant(1.0), x), g.constant(0.3))
            )
        ),
        "layer fc0: the (sign of channel 0 changes|expression)",
    ),
    "inverted bits": (
        lambda: after_bits(lambda g, x: g.bipolar(g.node("Mul", x, g.constant(-1.0)))),
        "inverts bits or makes them constant",
    ),
    "quantiser of whole numbers": (
        lambda: (g := OnnxBuilder((1, 6), np.uint8), quant(g, "image", 1, 0, 4)),
        "quantises uint8; put a Cast to float in front",
    ),
    "a small offset of bits": (
        lambda: after_bits(lambda g, x: conv(g, g.node("Add", x, g.constant(2.0**-23)))),
        "reads values that are not one scale times bipolar numbers",
    ),
    "one score of no axis": (
        lambda: after_sums(
            lambda g, x: g.node("Squeeze", half(g, g.node("MatMul", g.bipolar(x), ones(g, 4, 1))))
        ),
        "gives a map of scores",
    ),
    "k-bit activations": (
        lambda: after_sums(lambda g, x: quant(g, x, 1.0, 0.0, 4.0)),
        "quantises a computed map to 4 bits; use BipolarQuant",
    ),
    "too many bits": (
        lambda: (g := OnnxBuilder((1, 6)), quant(g, "image", 1.0, 0.0, 24.0)),
        "24 bits; use a scale above zero, an integer zero point and 1 to 16 bits",
    ),
    "half a zero point": (
        lambda: (g := OnnxBuilder((1, 6)), quant(g, "image", 1.0, 0.5, 4.0)),
        "zero point 0.5",
    ),
    "unknown rounding": (
        lambda: (
            g := OnnxBuilder((1, 6)),
            quant(g, "image", 1.0, 0.0, 4.0, rounding_mode="DICE"),
        ),
        "Could not resolve rounding mode called: DICE",
    ),
    "constant input bits": (
        lambda: (
            g := OnnxBuilder((1, 6)),
            g.bipolar(g.node("Mul", "image", g.constant(0.0))),
        ),
        "gives the same bit for every input in channel 0",
    ),
    "scores of different scales": (
        lambda: after_sums(lambda g, x: g.node("Mul", x, g.constant([1.0, 2.0, 1.0, 1.0]))),
        "output 'mul2_0' compares scores that are not ordered as the integer sums are; scale",
    ),
    "scores that fall": (
        lambda: after_sums(
            lambda g, x: g.node("ArgMax", g.node("Mul", x, g.constant(-1.0)), axis=1)
        ),
        "compares scores that are not ordered",
    ),
    "argmax along the batch": (
        lambda: after_sums(lambda g, x: g.node("ArgMax", x, axis=0)),
        "compares along axis 0",
    ),
    "two classes": (
        lambda: after_sums(
            lambda g, x: g.node("TopK", x, g.constant([2], np.int64), outputs=2)[1]
        ),
        r"takes \(2,\) elements, or the least",
    ),
    "the values of TopK": (
        lambda: after_sums(
            lambda g, x: g.node("TopK", x, g.constant([1], np.int64), outputs=2)[0]
        ),
        "output 'topk2_0' is no computed map of the input",
    ),
    "constant output": (
        lambda: (g := OnnxBuilder((1, 6)), g.node("Identity", g.constant(1.0))),
        "output 'identity0_0' is no computed map of the input",
    ),
    "no layers": (lambda: (g := OnnxBuilder((1, 6)), g.bipolar("image")), "there are no layers"),
    "a map of scores": (
        lambda: after_bits(lambda g, x: g.node("Mul", conv(g, x), g.constant(0.5))),
        "gives a map of scores that are more than integer sums",
    ),
    "constant times input": (
        lambda: after_bits(lambda g, x: g.node("MatMul", g.constant(np.ones((2, 6))), x)),
        "has a right operand that is not a constant",
    ),
    "dense on a map": (
        lambda: after_bits(lambda g, x: g.node("MatMul", x, g.constant(np.ones((6, 2))))),
        r"multiplies shapes \(1, 2, 6, 6\) and \(6, 2\); flatten the map",
    ),
    "reshape that does not fit": (
        lambda: after_bits(lambda g, x: g.node("Reshape", x, g.constant([1, 7], np.int64))),
        "Reshape 'Reshape_1' is malformed: cannot reshape",
    ),
    "sums beyond float16": (
        lambda: (
            g := OnnxBuilder((1, 4000), dtype=np.float16),
            g.node("MatMul", g.bipolar("image"), g.constant(np.ones((4000, 2)))),
        ),
        "layer fc0: sums reach 4000, and float16 holds integers up to 2048",
    ),
    "huge constant": (
        lambda: after_sums(
            lambda g, x: g.node(
                "Add", x, g.node("ConstantOfShape", g.constant([1 << 40], np.int64))
            )
        ),
        "makes a constant of 1099511627776 elements",
    ),
    "huge product of constants": (
        lambda: after_sums(
            lambda g, x: g.node(
                "Add", x,
                g.node("Mul", g.constant(np.ones((1, 1 << 15))), g.constant(np.ones((1 << 15, 1)))),
            )
        ),
        "makes a constant of 1073741824 elements",
    ),
    "huge pads": (
        lambda: after_bits(
            lambda g, x: conv(g, x, pads=(1 << 40, 1, 1, 1))
        ),
        "padding .* must be 4 integers",
    ),
    "attribute of another type": (
        lambda: after_bits(lambda g, x: conv(g, x, strides=2)),
        "has an attribute strides that is not of type INTS",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_imported_is_told(tmp_path: Path, case: str) -> None:
    build, message = REFUSED[case]
    path = tmp_path / "a.onnx"
    graph, output = build()
    graph.save(path, output)
    with pytest.raises(ImportFailure, match=message) as caught:
        import_qonnx(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "; " in text  # a remedy


def test_the_input_is_quantised_in_one_way(tmp_path: Path) -> None:
    graph = OnnxBuilder((1, 6))
    first = graph.bipolar("image")
    second = graph.bipolar(graph.node("Sub", "image", graph.constant(2.0)))
    output = graph.node("Add", first, second)
    with pytest.raises(ImportFailure, match="quantises the input in a second way") as caught:
        import_qonnx(graph.save(tmp_path / "a.onnx", output))
    assert "cannot import 1 node: BipolarQuant 'BipolarQuant_2'" in str(caught.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    graph = OnnxBuilder((1, 2, 6, 6))
    x = graph.bipolar("image")
    for _ in range(5):
        x = graph.node("Relu", x)
    x = graph.node(
        "GlobalAveragePool", graph.node("Conv", x, graph.constant(np.ones((1, 2, 3, 3))))
    )
    x = graph.node("Erf", graph.node("Pad", x, mode="reflect"))
    with pytest.raises(ImportFailure) as caught:
        import_qonnx(graph.save(tmp_path / "a.onnx", x))
    text = str(caught.value)
    assert "cannot import 7 nodes: " in text
    assert "Relu 'Relu_1', 'Relu_2', 'Relu_3' and 2 more is not supported" in text
    assert "GlobalAveragePool 'GlobalAveragePool_7' is not supported" in text
    assert "Erf 'Erf_9' is not supported" in text
    assert "Conv" not in text.split("supported operators")[0]  # it hangs on a problem
    assert text.count("supported operators are") == 1
