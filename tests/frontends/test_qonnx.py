"""Imported networks against the float graph, run by qonnx and onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw import golden
from bnn2hw.errors import ImportFailure
from bnn2hw.frontends.qonnx import import_qonnx
from bnn2hw.model import (
    BIPOLAR,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Integer,
    MaxPool,
    Network,
    Tensor,
)

from .graphs import QONNX, OnnxBuilder, execute

quick = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def to_network(images: NDArray[Any], network: Network) -> NDArray[Any]:
    """Return images of a file, (count, channel, y, x) or vectors, in the network's order."""
    if images.ndim == 4:
        images = images.transpose(0, 2, 3, 1)
    return images.reshape(-1, *network.input.shape)


def from_network(edge: NDArray[Any]) -> NDArray[Any]:
    return edge.transpose(0, 3, 1, 2) if edge.ndim == 4 else edge


def compare(
    network: Network, path: Path, real: NDArray[Any], integers: NDArray[Any], edges: dict[str, str]
) -> None:
    """Compare edges of the network with the signs of tensors of the file, bit for bit."""
    results = golden.run(network, to_network(integers, network))
    for number, tensors in enumerate(execute(path, real)):
        for edge, tensor in edges.items():
            got = from_network(results[edge])[number].reshape(-1)
            expected = tensors[tensor].reshape(-1)
            if network.tensors[edge].format == BIPOLAR:
                assert set(np.sign(expected).tolist()) <= {-1, 1}
                expected = expected > 0
            np.testing.assert_array_equal(got, expected)


# ------------------------------------------------------------- networks of every operator


@st.composite
def networks(draw: Any) -> tuple[OnnxBuilder, str, str, Any]:
    """Draw a network with a convolution, pools, flattening and dense layers.

    Returns the graph, its output, how scores become classes, and the format of the input.
    """
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    opset = draw(st.sampled_from([9, 11, 13]))
    channels, height, width = 2 * draw(st.integers(1, 2)), draw(st.integers(7, 9)), 8
    graph = OnnxBuilder((1, channels, height, width), opset=opset)
    if draw(st.booleans()):
        form: Any = BIPOLAR
        x = graph.node("Mul", "image", graph.constant(2.0))
        x = graph.node("Sub", x, graph.constant(1.0))
        x = graph.bipolar(x, draw(st.sampled_from([1.0, 0.5])))
    else:
        bits, signed, narrow = draw(st.tuples(st.integers(2, 8), st.booleans(), st.booleans()))
        scale = draw(st.sampled_from([1.0, 0.25, 2.0**-7]))
        constants = (graph.constant(scale), graph.constant(0.0), graph.constant(float(bits)))
        x = graph.node(
            "Quant", "image", *constants, domain=QONNX, signed=int(signed), narrow=int(narrow)
        )
        low = -(2 ** (bits - 1)) + narrow if signed else 0
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
        form = (Integer(low, high), scale)
    x, outputs = _convolution(draw, rng, graph, x, channels, form)
    x = _activation(draw, rng, graph, x, outputs)
    x = graph.node("Flatten", x) if draw(st.booleans()) else _reshape(graph, x)
    return _dense(draw, rng, graph, x, form)


def _convolution(
    draw: Any, rng: np.random.Generator, graph: OnnxBuilder, x: str, channels: int, form: Any
) -> tuple[str, int]:
    group = draw(st.sampled_from([1, 2]))
    outputs = 4
    kernel = draw(st.sampled_from([(3, 3), (1, 2), (2, 3)]))
    weight = rng.normal(size=(outputs, channels // group, *kernel))
    attributes: dict[str, Any] = {
        "strides": draw(st.sampled_from([(1, 1), (1, 2), (2, 1)])),
        "dilations": draw(st.sampled_from([(1, 1), (2, 1)])),
        "group": group,
        "kernel_shape": kernel,
    }
    padding = draw(st.sampled_from(["none", "zero", "same", "pad"]))
    if padding == "zero":
        attributes["pads"] = draw(st.sampled_from([(1, 1, 1, 1), (0, 1, 2, 0)]))
    elif padding == "same":
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
        attributes["dilations"] = (1, 1)
    elif padding == "pad":
        value = draw(st.sampled_from([-1, 0, 1]))
        if not isinstance(form, tuple):
            (scale,) = (c for c in graph.constants if c.name == graph.nodes[-1].input[1])
            value *= float(np.frombuffer(scale.raw_data, np.float32)[0])
        else:
            value = value * form[1] if form[0].low < 0 else 0
        pads = (0, 0, 1, 0, 0, 0, 2, 1)
        if graph.opset < 11:
            x = graph.node("Pad", x, pads=pads, value=float(value))
        else:
            x = graph.node("Pad", x, graph.constant(pads, np.int64), graph.constant(value))
    w = graph.weight(graph.constant(weight), draw(st.sampled_from([1.0, 0.5])))
    bias = [graph.constant(rng.normal(size=outputs))] if draw(st.booleans()) else []
    return str(graph.node("Conv", x, w, *bias, **attributes)), outputs


def _activation(draw: Any, rng: np.random.Generator, graph: OnnxBuilder, x: str, n: int) -> str:
    order = draw(st.sampled_from(["bn", "bn pool after", "pool bn", "pool affine"]))
    pool = {"kernel_shape": (2, 2), "strides": draw(st.sampled_from([(1, 1), (2, 2)]))}
    if order.startswith("pool"):
        x = graph.node("MaxPool", x, **pool)
    if order == "pool affine":
        x = graph.node("Sub", graph.constant(rng.normal(size=(n, 1, 1))), x)
        x = graph.node("Div", x, graph.constant(rng.normal(size=(1, n, 1, 1))))
    else:
        x = graph.batch_norm(x, rng, n, 18)
    x = graph.bipolar(x, draw(st.sampled_from([1.0, 2.0])))
    return str(graph.node("MaxPool", x, **pool)) if order == "bn pool after" else x


def _reshape(graph: OnnxBuilder, x: str) -> str:
    """Flatten the way PyTorch does, by the shape of the map itself."""
    shape = graph.node("Shape", x)
    batch = graph.node("Gather", shape, graph.constant(0, np.int64), axis=0)
    if graph.opset < 13:
        batch = graph.node("Unsqueeze", batch, axes=[0])
    else:
        batch = graph.node("Unsqueeze", batch, graph.constant([0], np.int64))
    shape = graph.node("Concat", batch, graph.constant([-1], np.int64), axis=0)
    return str(graph.node("Reshape", x, shape))


def _dense(
    draw: Any, rng: np.random.Generator, graph: OnnxBuilder, x: str, form: Any
) -> tuple[OnnxBuilder, str, str, Any]:
    # The size of the flattened map is known once the graph so far has run on one image.
    (tensors,) = _run_part(graph, x)
    size = tensors[x].size
    weight = rng.normal(size=(6, size))
    if draw(st.booleans()):
        w = graph.node("Transpose", graph.weight(graph.constant(weight)), perm=[1, 0])
        x = graph.node("MatMul", x, w)
    else:
        bias = graph.constant(rng.normal(size=6))
        w = graph.weight(graph.constant(weight))
        x = graph.node("Gemm", x, w, bias, transB=1, alpha=0.5, beta=2.0)
    x = graph.bipolar(graph.batch_norm(x, rng, 6, size))
    x = graph.node("Dropout", graph.node("Identity", x))
    w = graph.weight(graph.constant(rng.normal(size=(6, 5))), 0.25)
    x = graph.node("MatMul", x, w)
    head = draw(st.sampled_from(["scores", "argmax", "topk"]))
    x = graph.node("Add", x, graph.constant([0.125]))
    x = graph.node("Mul", x, graph.constant(0.3))
    if head == "argmax":
        x = graph.node("ArgMax", x, axis=1, keepdims=0)
    elif head == "topk" and graph.opset >= 10:
        _, x = graph.node("TopK", x, graph.constant([1], np.int64), outputs=2, axis=-1)
    elif head == "topk":
        _, x = graph.node("TopK", x, outputs=2, axis=-1, k=1)
    return graph, x, head, form


def _run_part(graph: OnnxBuilder, output: str) -> list[dict[str, NDArray[Any]]]:
    import tempfile

    shape = tuple(d.dim_value for d in graph.input.type.tensor_type.shape.dim)
    with tempfile.TemporaryDirectory() as folder:
        path = graph.save(Path(folder) / "part.onnx", output)
        return execute(path, np.zeros(shape, np.float32))


@quick
@given(case=networks(), seed=st.integers(0, 99))
def test_networks_equal_the_float_graph(tmp_path: Path, case: Any, seed: int) -> None:
    graph, output, head, form = case
    dtype = np.float32 if head == "scores" else np.int64
    path = graph.save(tmp_path / "a.onnx", output, dtype)
    network = import_qonnx(path)
    rng = np.random.default_rng(seed)
    shape = (3, *(d.dim_value for d in graph.input.type.tensor_type.shape.dim[1:]))
    if form == BIPOLAR:
        real = rng.normal(0.5, 0.5, shape).astype(np.float32)
        integers = (real >= 0.5).astype(np.int64)
    else:
        integers = rng.integers(form[0].low, form[0].high + 1, shape)
        real = (integers * form[1]).astype(np.float32)
        assert network.input.format == form[0]
    bits = [layer.name for layer in network.layers if network.tensors[layer.name].format == BIPOLAR]
    edges = {}
    hidden = graph.quantisers[1 if form == BIPOLAR else 0 :]
    for edge, tensor in zip((bits[0], bits[-1]), (hidden[0], hidden[-1]), strict=True):
        if not _moved(network, edge):
            edges[edge] = tensor
    if head != "scores":
        edges["class"] = output
    compare(network, path, real, integers, edges)
    if head == "scores":
        classes = golden.predict(network, to_network(integers, network))
        scores = [tensors[output][0] for tensors in execute(path, real)]
        np.testing.assert_array_equal(classes, [score.argmax() for score in scores])


def _moved(network: Network, edge: str) -> bool:
    """Return whether a pool reads the bits that were pooled as sums in the file."""
    return any(isinstance(layer, MaxPool) and edge in layer.inputs for layer in network.layers)


# ----------------------------------------------------------------------- one thing at a time


def dense_graph(scale: Any = 1.0, **options: Any) -> tuple[OnnxBuilder, str]:
    """Return a graph up to the sums of one dense layer of 5 inputs and 3 outputs."""
    rng = np.random.default_rng(5)
    graph = OnnxBuilder((1, 5), **options)
    weight = graph.constant(rng.choice([-1.0, 1.0], (5, 3)) * np.asarray(scale))
    return graph, graph.node("MatMul", graph.bipolar("image"), weight)


def all_bits(size: int) -> NDArray[np.int64]:
    return (np.arange(1 << size)[:, None] >> np.arange(size)) & 1


def imported(graph: OnnxBuilder, output: str, path: Path, dtype: Any = None) -> Network:
    return import_qonnx(graph.save(path / "net.onnx", output, dtype))


def compare_bits(graph: OnnxBuilder, output: str, tmp_path: Path) -> Network:
    """Import a graph of 5 inputs whose output is bits, and compare all 32 images."""
    network = imported(graph, output, tmp_path)
    bits = all_bits(5)
    real = (2.0 * bits - 1).astype(graph.dtype)
    last = network.layers[-1].name
    compare(network, tmp_path / "net.onnx", real, bits, {last: output})
    return network


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3, np.array([0.1, 0.7, 2.0])])
def test_weight_scales(tmp_path: Path, scale: Any) -> None:
    graph, x = dense_graph(scale)
    x = graph.node("Add", x, graph.constant([-0.2, 0.3, 0.0]))
    network = compare_bits(graph, graph.bipolar(x), tmp_path)
    assert ("scale of fc0" in network.notes) == (not np.isin(scale, (1.0, 0.5)).all())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_types(tmp_path: Path, dtype: Any) -> None:
    graph, x = dense_graph(dtype=dtype)
    x = graph.node("Sub", x, graph.constant([1.0, -1.0, 0.5]))
    network = compare_bits(graph, graph.bipolar(x), tmp_path)
    threshold = network.layer("fc0").threshold
    assert threshold.level.tolist() == [1, -1, 1]


def test_one_bit_quant_is_a_sign(tmp_path: Path) -> None:
    graph, x = dense_graph()
    constants = (graph.constant(0.5), graph.constant(0.0), graph.constant(1.0))
    x = graph.node("Quant", x, *constants, domain=QONNX, signed=1, narrow=0)
    compare_bits(graph, x, tmp_path)


def test_one_bit_quant_makes_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    graph = OnnxBuilder((1, 5))
    constants = (graph.constant(0.25), graph.constant(0.0), graph.constant(1.0))
    weight = graph.constant(rng.normal(size=(5, 3)))
    weight = graph.node("Quant", weight, *constants, domain=QONNX, signed=1, narrow=0)
    x = graph.node("MatMul", graph.bipolar("image"), weight)
    compare_bits(graph, graph.bipolar(x), tmp_path)


def test_sign_is_told_where_it_is_zero(tmp_path: Path) -> None:
    graph, x = dense_graph()
    odd = import_qonnx(graph.save(tmp_path / "a.onnx", graph.node("Sign", x)))
    assert "sign of fc0" not in odd.notes  # five bits never sum to zero
    compare_bits(graph, graph.node("Sign", x), tmp_path)
    x = graph.node("Sub", x, graph.constant([1.0, 0.0, 0.0]))
    zero = import_qonnx(graph.save(tmp_path / "a.onnx", graph.node("Sign", x)))
    assert zero.notes["sign of fc0"].endswith("sign(0) is +1 here")
    assert zero.layers[0].threshold.level[0] == 1


def test_weights_of_plus_and_minus_one_need_no_quantiser(tmp_path: Path) -> None:
    graph = OnnxBuilder((1, 5))
    weight = graph.node("Sign", graph.constant(np.linspace(-1, 1.1, 15).reshape(5, 3)))
    weight = graph.node("Mul", weight, graph.constant(1.0))
    x = graph.node("MatMul", graph.node("Sign", "image"), weight)
    network = compare_bits(graph, graph.bipolar(x), tmp_path)
    assert network.notes["sign of the input"].endswith("sign(0) is +1 here")
    assert network.notes["input"].startswith("bit 1 where x >= 0.0, else 0; x is input 'image'")


def test_two_signs_of_one_layer(tmp_path: Path) -> None:
    graph, x = dense_graph()
    first = graph.bipolar(graph.node("Sub", x, graph.constant(1.5)))
    second = graph.node("Transpose", graph.constant(np.eye(3) * 2 - 1), perm=[1, 0])
    output = graph.bipolar(graph.node("MatMul", first, second))
    assert [type(layer) for layer in imported(graph, output, tmp_path).layers] == [
        BinaryDense,
        BinaryDense,
    ]


def test_sums_with_a_falling_pool_keep_their_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    graph = OnnxBuilder((1, 1, 4, 4))
    weight = graph.weight(graph.constant(rng.normal(size=(2, 1, 2, 2))))
    x = graph.node("Conv", graph.bipolar("image"), weight)
    x = graph.node("MaxPool", x, kernel_shape=(2, 2), strides=(1, 1))
    x = graph.bipolar(graph.node("Mul", x, graph.constant(np.reshape([1.0, -1], (2, 1, 1)))))
    network = imported(graph, x, tmp_path)
    assert [type(layer) for layer in network.layers] == [BinaryConv, MaxPool, Binarize]
    images = rng.choice([-1, 1], (5, 1, 4, 4)).astype(np.float32)
    compare(network, tmp_path / "net.onnx", images, images > 0, {network.layers[-1].name: x})


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_inputs_in_both_orders(tmp_path: Path, order: str) -> None:
    rng = np.random.default_rng(1)
    shape = (1, 3, 4, 5) if order == "NCHW" else (1, 4, 5, 3)
    graph = OnnxBuilder(shape)
    x = "image" if order == "NCHW" else graph.node("Transpose", "image", perm=[0, 3, 1, 2])
    weight = graph.weight(graph.constant(rng.normal(size=(2, 3, 2, 2))))
    x = graph.bipolar(graph.node("Conv", graph.bipolar(x), weight))
    network = imported(graph, x, tmp_path)
    assert network.input.shape == (4, 5, 3)
    images = rng.choice([-1, 1], (4, *shape[1:])).astype(np.float32)
    bits = (images > 0).astype(np.int64)
    if order == "NHWC":
        bits = bits.transpose(0, 3, 1, 2)
    compare(network, tmp_path / "net.onnx", images, bits, {"conv0": x})


def test_flattening_in_channel_last_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    graph = OnnxBuilder((1, 3, 4, 5))
    x = graph.node("Transpose", graph.bipolar("image"), perm=[0, 2, 3, 1])
    x = graph.node("Flatten", graph.node("Squeeze", graph.node("Unsqueeze", x, graph.constant(
        [0], np.int64)), graph.constant([0], np.int64)))  # fmt: skip
    weight = rng.choice([-1.0, 1.0], (60, 2))
    output = graph.bipolar(graph.node("MatMul", x, graph.constant(weight)))
    network = imported(graph, output, tmp_path)
    layer = network.layer("fc0")
    assert isinstance(layer, BinaryDense)
    np.testing.assert_array_equal(layer.weights, weight.T > 0)
    images = rng.choice([-1, 1], (4, 3, 4, 5)).astype(np.float32)
    compare(network, tmp_path / "net.onnx", images, images > 0, {"fc0": output})


def test_pads_of_a_kind_add_up(tmp_path: Path) -> None:
    graph = OnnxBuilder((1, 1, 3, 3))
    pads = graph.constant([0, 0, 1, 0, 0, 0, 0, 2], np.int64)
    x = graph.node("Pad", graph.bipolar("image"), pads, graph.constant(0.0))
    weight = graph.weight(graph.constant(np.ones((1, 1, 2, 2))))
    x = graph.bipolar(graph.node("Conv", x, weight, pads=(1, 1, 1, 1)))
    network = imported(graph, x, tmp_path)
    (layer,) = network.layers
    assert isinstance(layer, BinaryConv)
    assert layer.padding == (2, 1, 1, 3)
    assert layer.padding_value == 0
    images = np.random.default_rng(3).choice([-1, 1], (6, 1, 3, 3)).astype(np.float32)
    compare(network, tmp_path / "net.onnx", images, images > 0, {"conv0": x})


def test_integer_inputs_by_annotation_and_by_type(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    weight = rng.choice([-1.0, 1.0], (5, 3))
    images = rng.integers(0, 256, (6, 5))
    for kind in ("annotation", "type"):
        graph = OnnxBuilder((1, 5), dtype=np.uint8 if kind == "type" else np.float32)
        graph.dtype = np.dtype(np.float32)
        x = graph.node("Cast", "image", to=1) if kind == "type" else "image"
        x = graph.node("MatMul", x, graph.constant(weight))
        x = graph.bipolar(graph.node("Sub", x, graph.constant([5.0, -7.0, 100.5])))
        model = graph.model(x)
        if kind == "annotation":
            note = model.graph.quantization_annotation.add(tensor_name="image")
            note.quant_parameter_tensor_names.add(key="finn_datatype", value="UINT8")
        path = tmp_path / f"{kind}.onnx"
        path.write_bytes(model.SerializeToString())
        network = import_qonnx(path)
        assert network.input == Tensor((5,), Integer(0, 255))
        real = images.astype(np.uint8 if kind == "type" else np.float32)
        compare(network, path, real, images, {"fc0": x})


@pytest.mark.parametrize(
    ("annotation", "form"),
    [("BIPOLAR", BIPOLAR), ("INT8", Integer(-128, 127)), ("TERNARY", Integer(-1, 1))],
)
def test_annotations(tmp_path: Path, annotation: str, form: Any) -> None:
    assert import_qonnx(annotated(tmp_path, annotation)).input == Tensor((5,), form)


@pytest.mark.parametrize(
    "annotation", ["FLOAT32", "INT99999999999", "INT17", "INTx", "FIXED<8,2>", "INT-3", "x" * 99]
)
def test_annotations_that_are_no_integers_do_not_count(tmp_path: Path, annotation: str) -> None:
    with pytest.raises(ImportFailure, match="reads the graph's input, which is not quantised"):
        import_qonnx(annotated(tmp_path, annotation))


def annotated(tmp_path: Path, annotation: str) -> Path:
    graph = OnnxBuilder((1, 5))
    model = graph.model(graph.node("MatMul", "image", graph.constant(np.ones((5, 3)))))
    note = model.graph.quantization_annotation.add(tensor_name="image")
    note.quant_parameter_tensor_names.add(key="finn_datatype", value=annotation)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "a.onnx"


def test_a_zero_point_moves_the_integers(tmp_path: Path) -> None:
    graph = OnnxBuilder((1, 5))
    constants = (graph.constant(0.5), graph.constant(3.0), graph.constant(4.0))
    x = graph.node("Quant", "image", *constants, domain=QONNX, signed=0, narrow=0)
    weight = graph.constant(np.random.default_rng(4).choice([-1.0, 1.0], (5, 3)))
    x = graph.bipolar(graph.node("MatMul", x, weight))
    network = imported(graph, x, tmp_path)
    assert network.input.format == Integer(-3, 12)
    images = np.random.default_rng(5).integers(-3, 13, (20, 5))
    compare(network, tmp_path / "net.onnx", (images / 2).astype(np.float32), images, {"fc0": x})


def test_the_input_quantiser_is_told(tmp_path: Path) -> None:
    graph = OnnxBuilder((1, 2, 3, 3))
    x = graph.node("Sub", "image", graph.constant(np.reshape([0.5, 0.25], (2, 1, 1))))
    x = graph.node("Div", x, graph.constant(np.reshape([0.25, -0.5], (1, 2, 1, 1))))
    x = graph.bipolar(x)
    x = graph.bipolar(graph.node("Conv", x, graph.weight(graph.constant(np.ones((1, 2, 2, 2))))))
    network = imported(graph, x, tmp_path)
    assert network.notes["input"] == (
        "bit 1 where x >= 0.5 in channel 0, x <= 0.25 in channel 1, else 0; "
        "x is input 'image' of shape 1x2x3x3"
    )
    assert network.name == "net"


def test_dead_nodes_do_not_matter(tmp_path: Path) -> None:
    graph, x = dense_graph()
    graph.node("Softmax", x)
    compare_bits(graph, graph.bipolar(x), tmp_path)


def test_scores_get_an_argmax_and_say_why(tmp_path: Path) -> None:
    graph, x = dense_graph()
    x = graph.node("Mul", x, graph.constant([0.5, 0.5, 0.5]))
    network = imported(graph, x, tmp_path)
    assert isinstance(network.layers[-1], Argmax)
    assert network.notes["head"].startswith("scores are sum * 0.5, the same increasing function")
    assert network.notes["class"] == "the index of the greatest score, the first of equal ones"
