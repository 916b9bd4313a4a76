"""Reading an ONNX file: to nodes and constants, with everything checked and nothing run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, external_data_helper, helper, numpy_helper

from ..errors import ImportFailure

__all__ = ["Graph", "Node", "Unsupported", "read_graph"]

_FILE_LIMIT = 1 << 31
_INPUT_LIMIT = 1 << 26
_LEAST_OPSET = 7

_DTYPES: dict[int, np.dtype[Any]] = {
    int(kind): helper.tensor_dtype_to_np_dtype(kind)
    for kind in (
        TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL,
        TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
        TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
    )
}  # fmt: skip


class Unsupported(Exception):
    """A node that cannot be imported: the reason, and what the user can do about it."""

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the graph, with attributes read by type."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, AttributeProto]
    proto: onnx.NodeProto

    @property
    def label(self) -> str:
        """Return what to call it: its name, or its output where it has none."""
        return f"'{self.proto.name}'" if self.proto.name else f"with output '{self.outputs[0]}'"

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        return int(self._value(name, AttributeProto.INT, default))

    def integers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return an attribute that is a list of integers."""
        return tuple(int(n) for n in self._value(name, AttributeProto.INTS, default))

    def real(self, name: str, default: float) -> float:
        """Return a float attribute."""
        return float(self._value(name, AttributeProto.FLOAT, default))

    def text(self, name: str, default: str) -> str:
        """Return a text attribute."""
        value = self._value(name, AttributeProto.STRING, default.encode())
        return bytes(value).decode("ascii", "replace")

    def _value(self, name: str, kind: int, default: Any) -> Any:
        attribute = self.attributes.get(name)
        if attribute is None:
            return default
        if attribute.type != kind:
            wanted = AttributeProto.AttributeType.Name(kind)
            raise Unsupported(f"has an attribute {name} that is not of type {wanted}")
        return helper.get_attribute_value(attribute)


@dataclass(frozen=True, eq=False)
class Graph:
    """The graph of an ONNX file, as far as its one output needs it.

    Attributes
    ----------
    path
        The file.
    nodes
        In order of evaluation.
    opset
        Version of the standard operators.
    input
        Name of the one input that is no constant; ``shape`` and ``dtype`` are its own, the
        batch being 1.
    output
        Name of the one output.
    annotation
        Data type that QONNX notes for the input, such as ``INT8``; empty where there is none.
    """

    path: Path
    nodes: tuple[Node, ...]
    opset: int
    input: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    output: str
    annotation: str
    tensors: dict[str, TensorProto] = field(repr=False)

    def constant(self, name: str) -> NDArray[Any] | None:
        """Return a constant of the file by name, or None.

        Raises
        ------
        Unsupported
            If its data are damaged, of a type that is not a number, or outside the folder.
        """
        tensor = self.tensors.get(name)
        return None if tensor is None else _read_tensor(tensor, name, self.path.parent)


def read_graph(path: Path) -> Graph:
    """Read an ONNX file.

    Raises
    ------
    ImportFailure
        If the file cannot be read, is no ONNX model, or its graph is not one input to one
        output in order of evaluation.
    """
    model = _parse(path)
    try:
        return _graph(model, path)
    except Unsupported as error:
        raise ImportFailure(error.reason, file=path, remedy=error.remedy) from error


def _parse(path: Path) -> onnx.ModelProto:
    try:
        if not path.is_file():
            raise ImportFailure("there is no such file", file=path)
        if path.stat().st_size > _FILE_LIMIT:
            raise ImportFailure("is larger than 2 GiB", file=path)
        return onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ImportFailure(f"cannot be read: {error.strerror}", file=path) from error
    except ImportFailure:
        raise
    except Exception as error:  # protobuf's DecodeError has no public name of its own
        raise ImportFailure(
            "is not an ONNX file, or a damaged one",
            file=path,
            remedy="export it again, and check it with onnx.checker",
        ) from error


def _graph(model: onnx.ModelProto, path: Path) -> Graph:
    graph = model.graph
    if not graph.node:
        raise Unsupported("holds no graph, so it is not an ONNX model or a damaged one")
    if graph.sparse_initializer:
        raise Unsupported("holds sparse constants", "export dense weights")
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    if len(tensors) != len(graph.initializer):
        raise Unsupported("holds two constants of one name")
    inputs = [value for value in graph.input if value.name not in tensors]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise Unsupported(
            f"has {len(inputs)} inputs and {len(graph.output)} outputs, expected one of each",
            "export the network from one image to its scores or classes",
        )
    output = graph.output[0].name
    known = {inputs[0].name, *tensors}
    nodes = tuple(_nodes(graph, known))
    # A Constant with a tensor is the same as an initializer.
    given = {node.outputs[0]: node for node in nodes if _is_tensor(node)}
    tensors |= {name: node.attributes["value"].t for name, node in given.items()}
    return Graph(
        path=path,
        nodes=_needed(tuple(node for node in nodes if node.outputs[0] not in given), output),
        opset=_opset(model),
        input=inputs[0].name,
        shape=_shape(inputs[0]),
        dtype=_dtype(inputs[0].type.tensor_type.elem_type, "its input"),
        output=output,
        annotation=_annotation(graph, inputs[0].name),
        tensors=tensors,
    )


def _opset(model: onnx.ModelProto) -> int:
    versions = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")]
    if not versions or versions[0] < _LEAST_OPSET:
        raise Unsupported(
            f"is of operator set {versions[0] if versions else 'unknown'}, older than "
            f"{_LEAST_OPSET}",
            "export it with opset_version=13 or so",
        )
    return int(versions[0])


def _nodes(graph: onnx.GraphProto, known: set[str]) -> Iterator[Node]:
    for position, proto in enumerate(graph.node):
        if not any(proto.output):
            raise Unsupported(f"node {position} ({proto.op_type}) has no output")
        node = Node(
            operator=proto.op_type,
            domain=proto.domain,
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            attributes={attribute.name: attribute for attribute in proto.attribute},
            proto=proto,
        )
        for name in node.inputs:
            if name and name not in known:
                raise Unsupported(
                    f"{node.operator} {node.label} reads '{name}', which nothing before it writes",
                    "the file is damaged or its nodes are not in order of evaluation",
                )
        for name in filter(None, node.outputs):
            if name in known:
                raise Unsupported(f"'{name}' is written twice")
            known.add(name)
        yield node


def _is_tensor(node: Node) -> bool:
    value = node.attributes.get("value")
    return (node.operator, node.domain) == ("Constant", "") and (
        value is not None and value.type == AttributeProto.TENSOR
    )


def _needed(nodes: tuple[Node, ...], output: str) -> tuple[Node, ...]:
    names = {output}
    kept = []
    for node in reversed(nodes):
        if names.intersection(node.outputs):
            names.update(node.inputs)
            kept.append(node)
    if not kept:
        raise Unsupported(f"has an output '{output}' that no node writes")
    return tuple(reversed(kept))


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    dimensions = value.type.tensor_type.shape.dim
    shape = [int(item.dim_value) for item in dimensions]
    if not shape or any(n < 1 for n in shape[1:]):
        raise Unsupported(
            f"has an input '{value.name}' without a fixed shape",
            "export it with fixed height, width and channels",
        )
    if shape[0] > 1:
        raise Unsupported(f"has an input of {shape[0]} images", "export it with batch size 1")
    size = 1
    for n in shape[1:]:
        size *= n
    if size > _INPUT_LIMIT:
        raise Unsupported(f"has an input of {size} elements, more than {_INPUT_LIMIT}")
    return (1, *shape[1:])


def _dtype(kind: int, what: str) -> np.dtype[Any]:
    if kind not in _DTYPES:
        raise Unsupported(f"{what} is of data type {kind}, which is not a plain number")
    return _DTYPES[kind]


def _annotation(graph: onnx.GraphProto, name: str) -> str:
    for item in graph.quantization_annotation:
        if item.tensor_name == name:
            for entry in item.quant_parameter_tensor_names:
                if entry.key == "finn_datatype":
                    return str(entry.value)
    return ""


def _read_tensor(tensor: TensorProto, name: str, folder: Path) -> NDArray[Any]:
    what = f"constant '{name}'"
    _dtype(tensor.data_type, what)
    if tensor.data_location == TensorProto.EXTERNAL:
        tensor = _with_external_data(tensor, folder, what)
    try:
        array: NDArray[Any] = numpy_helper.to_array(tensor)
    except Exception as error:  # whatever numpy and onnx make of damaged data
        raise Unsupported(f"{what} is damaged: {str(error)[:120]}") from error
    if array.shape != tuple(tensor.dims):
        raise Unsupported(f"{what} is damaged: its data do not fill its shape")
    return array


def _with_external_data(tensor: TensorProto, folder: Path, what: str) -> TensorProto:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    root = folder.resolve()
    try:
        place = (root / location).resolve()
        inside = place.is_relative_to(root) and place.is_file()
    except (OSError, ValueError):
        inside = False
    if not location or os.path.isabs(location) or not inside:
        raise Unsupported(
            f"{what} keeps its data in '{location[:80]}', which is not a file in the folder",
            "put the file with the data beside the ONNX file",
        )
    loaded = TensorProto()
    loaded.CopyFrom(tensor)
    try:
        external_data_helper.load_external_data_for_tensor(loaded, str(root))
    except Exception as error:  # offsets and lengths that make no sense
        raise Unsupported(f"{what} cannot be read from '{location}': {str(error)[:120]}") from error
    loaded.data_location = TensorProto.DEFAULT
    return loaded
