"""Building small ONNX files, and running them with qonnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant

from bnn2hw import golden
from bnn2hw.frontends.qonnx import import_qonnx

BREVITAS = "onnx.brevitas"
QONNX = "qonnx.custom_op.general"


class OnnxBuilder:
    """A graph that grows node by node; methods return names of tensors."""

    def __init__(self, shape: tuple[Any, ...], dtype: Any = np.float32, opset: int = 13) -> None:
        self.dtype = np.dtype(dtype)
        self.opset = opset
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        self.input = helper.make_tensor_value_info("image", kind, shape)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.quantisers: list[str] = []

    def constant(self, value: Any, dtype: Any = None) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(value, dtype=dtype or self.dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{operator.lower()}{len(self.nodes)}_{k}" for k in range(outputs)]
        label = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, names, name=label, **attributes))
        return names[0] if outputs == 1 else names

    def bipolar(self, source: str, scale: Any = 1.0, domain: str = BREVITAS) -> str:
        """Binarise a computed map; it is compared with the network afterwards."""
        name = self.weight(source, scale, domain)
        self.quantisers.append(name)
        return name

    def weight(self, source: str, scale: Any = 1.0, domain: str = BREVITAS) -> str:
        return str(self.node("BipolarQuant", source, self.constant(scale), domain=domain))

    def batch_norm(self, source: str, rng: np.random.Generator, channels: int, size: int) -> str:
        """Add a batch norm that spreads thresholds over sums of so many inputs."""
        gamma = rng.normal(size=channels) * rng.choice([0, 1, 1, 1, 1], channels)
        constants = (
            gamma,
            rng.normal(size=channels) * 0.5,
            rng.normal(size=channels) * np.sqrt(size),
            rng.uniform(0.5, 2, channels) * size,
        )
        names = [self.constant(value) for value in constants]
        return str(self.node("BatchNormalization", source, *names))

    def model(self, output: str, dtype: Any = None) -> onnx.ModelProto:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype or self.dtype))
        info = helper.make_tensor_value_info(output, kind, None)
        graph = helper.make_graph(self.nodes, "graph", [self.input], [info], self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(BREVITAS, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def save(self, path: Path, output: str, dtype: Any = None) -> Path:
        path.write_bytes(self.model(output, dtype).SerializeToString())
        return path


def execute(path: Path, images: NDArray[Any]) -> list[dict[str, NDArray[Any]]]:
    """Run a file on images one by one, as floats; return all tensors of each run.

    Standard operators run in onnxruntime, quantisers in the functions of qonnx. (The executor of
    qonnx stamps the newest version of ONNX on its models, which onnxruntime may not know yet.)
    """
    model = onnx.load(path)
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    sessions: dict[str, ort.InferenceSession] = {}
    runs = []
    for image in images:
        tensors = {**constants, model.graph.input[0].name: image[None]}
        for node in model.graph.node:
            results = _run_node(model, node, tensors, sessions)
            tensors.update(zip(node.output, results, strict=True))
        runs.append(tensors)
    return runs


def _run_node(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    tensors: dict[str, NDArray[Any]],
    sessions: dict[str, ort.InferenceSession],
) -> list[NDArray[Any]]:
    inputs = [tensors[name] for name in node.input]
    if node.op_type == "BipolarQuant":
        return [np.asarray(binary_quant(*inputs))]
    if node.op_type == "Quant":
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        return [np.asarray(int_quant(*inputs, values["signed"], values["narrow"], "ROUND"))]
    if node.name not in sessions:
        kinds = {
            name: helper.np_dtype_to_tensor_dtype(array.dtype)
            for name, array in zip(node.input, inputs, strict=True)
        }
        given = [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
        made = [helper.make_empty_tensor_value_info(name) for name in node.output]
        graph = helper.make_graph([node], "node", given, made)
        one = helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        sessions[node.name] = ort.InferenceSession(one.SerializeToString(), options)
    feeds = dict(zip(node.input, inputs, strict=True))
    return list(sessions[node.name].run(None, feeds))


def small_network() -> tuple[OnnxBuilder, str]:
    """Return a network with a padded convolution, a pool, a batch norm and two dense layers."""
    rng = np.random.default_rng(11)
    graph = OnnxBuilder((1, 2, 6, 6))
    pads = graph.constant([0, 0, 1, 0, 0, 0, 0, 2], np.int64)
    x = graph.node("Pad", graph.bipolar("image"), pads, graph.constant(1.0))
    weight = graph.weight(graph.constant(rng.normal(size=(4, 2, 3, 3))))
    x = graph.node("Conv", x, weight, strides=(1, 2))
    x = graph.node("MaxPool", x, kernel_shape=(2, 2), strides=(1, 1))
    one = np.ones(4)
    constants = [graph.constant(v) for v in (one, one * 0.5, one * 2, one * 9)]
    x = graph.bipolar(graph.node("BatchNormalization", x, *constants))
    shape = graph.constant([1, -1], np.int64)
    x = graph.node("Reshape", x, shape)
    x = graph.node("MatMul", x, graph.weight(graph.constant(rng.normal(size=(32, 6)))))
    x = graph.bipolar(graph.node("Add", x, graph.constant(rng.normal(size=6))))
    x = graph.node("MatMul", x, graph.weight(graph.constant(rng.normal(size=(6, 3)))))
    return graph, graph.node("Mul", x, graph.constant(0.5))


def agrees(path: Path) -> bool:
    """Return whether :func:`small_network` is imported with the classes of the float graph."""
    network = import_qonnx(path)
    real = np.random.default_rng(0).choice([-1, 1], (40, 2, 6, 6)).astype(np.float32)
    classes = golden.predict(network, (real > 0).transpose(0, 2, 3, 1).astype(int))
    output = onnx.load(path).graph.output[0].name
    scores = [tensors[output][0] for tensors in execute(path, real)]
    return [int(score.argmax()) for score in scores] == classes.tolist()
