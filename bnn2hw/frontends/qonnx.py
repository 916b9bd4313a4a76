"""QONNX and ONNX files: float graphs of binary networks, turned into integers.

The graph is walked once. Every tensor is either a constant, which is evaluated, or a signal: an
edge of the network seen through a float expression. Quantisers fold the expression to a
threshold, layers with binary weights take the scale out, and what only moves elements moves an
index. Everything that has no exact meaning in integers is collected and told at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.datatype import DataType

from ..errors import Bnn2hwError, ImportFailure
from ..model import BIPOLAR, Format, Integer, Network
from .builder import INPUT, REAL_INPUT, NetworkBuilder, Signal, channel_first
from .expression import Expression
from .onnx_constants import CONSTANT_OPERATORS, evaluate_constant
from .onnx_graph import Graph, Node, Unsupported, read_graph
from .onnx_inputs import Value
from .onnx_operators import OPERATORS

__all__ = ["import_qonnx"]

_DOMAINS = {
    "BipolarQuant": ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general"),
    "Quant": ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general"),
}
_STANDARD = ("", "ai.onnx")
_ANNOTATIONS = re.compile("BIPOLAR|BINARY|TERNARY|U?INT([1-9]|1[0-6])", re.ASCII)
# What a damaged or hostile graph makes numpy, onnx and qonnx raise inside one node.
_MALFORMED = (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
_REMEDIES = {
    "AveragePool": "use MaxPool, or strides",
    "GlobalAveragePool": "end in a dense layer, without an average",
    "LogSoftmax": "end the graph before it: it does not change the class",
    "Relu": "binarise instead, by BipolarQuant",
    "Softmax": "end the graph before it: it does not change the class",
}
_SHOWN = 3


def import_qonnx(path: str | Path, *, name: str | None = None) -> Network:
    """Return the network of a QONNX or ONNX file.

    Parameters
    ----------
    path
        The file. Constants may lie in further files in its folder. Nothing of it is executed
        but known operators on constants.
    name
        Name of the network; made from the file's name if None.

    Returns
    -------
    Network
        Layers are named conv0, fc1, ... in order, with pools and signs after the layer before
        them and ``class`` for the head. The notes tell how input values become bits or integers
        and what else a user of the network must know.

    Raises
    ------
    ImportFailure
        If the file cannot be read, or holds anything that cannot be imported exactly; the
        message names every such operator with its nodes.
    """
    path = Path(path)
    graph = read_graph(path)
    try:
        walk = _Walk(graph)
        walk.run()
        return walk.builder.finish(walk.output(), name or _default_name(path))
    except Unsupported as error:
        raise ImportFailure(
            f"output '{graph.output}' {error.reason}", file=path, remedy=error.remedy
        ) from error
    except Bnn2hwError as error:
        raise ImportFailure(
            error.what, file=path, layer=error.layer, remedy=error.remedy
        ) from error


def _default_name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_") or "network"


@dataclass(frozen=True)
class _Problem:
    node: Node
    reason: str
    remedy: str | None


class _Walk:
    """One pass over a graph, with the values of its tensors and what went wrong."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        shape, index = _input_layout(graph)
        dimensions = "x".join(map(str, graph.shape))
        variable = f"input '{graph.input}' of shape {dimensions}"
        self.builder = NetworkBuilder(shape, graph.dtype, variable)
        self.values: dict[str, Value] = {}
        self.problems: list[_Problem] = []
        form = _given_format(graph)
        edge = REAL_INPUT if form is None else INPUT
        self.values[graph.input] = Signal(edge, index, Expression(graph.dtype))
        if form is not None:
            self.builder.quantise_input(form, f"{form} values of {variable}")

    def run(self) -> None:
        """Visit every node; raise ImportFailure with all problems if there are any."""
        for node in self.graph.nodes:
            try:
                self._visit(node)
            except Unsupported as error:
                self.problems.append(_Problem(node, error.reason, error.remedy))
            except Bnn2hwError as error:
                place = "" if error.layer is None else f"layer {error.layer}: "
                self.problems.append(_Problem(node, f"fails: {place}{error.what}", error.remedy))
            except _MALFORMED as error:
                reason = " ".join(str(error).split())[:120] or type(error).__name__
                self.problems.append(_Problem(node, f"is malformed: {reason}", None))
        if self.problems:
            raise _failure(self.graph.path, self.problems)

    def output(self) -> Signal:
        """Return the signal that the graph gives."""
        value = self.values.get(self.graph.output)
        if not isinstance(value, Signal):
            raise Unsupported(
                "is no computed map of the input",
                "export the network from one image to its scores or classes",
            )
        return value

    def _visit(self, node: Node) -> None:
        known = node.operator in OPERATORS or node.operator in CONSTANT_OPERATORS
        if not known or node.domain not in _DOMAINS.get(node.operator, _STANDARD):
            domain = f" of domain '{node.domain}'" if node.domain not in _STANDARD else ""
            raise Unsupported(f"is not supported{domain}", _remedy(node))
        inputs = [self._input(name) for name in node.inputs]
        if any(name and name not in self.values for name in node.inputs):
            return  # it hangs on a node that is a problem already
        for name, value in zip(node.outputs, self._outputs(node, inputs), strict=False):
            if value is not None:
                self.values[name] = value

    def _input(self, name: str) -> Value:
        if name and name not in self.values:
            constant = self.graph.constant(name)
            if constant is not None:
                self.values[name] = constant
        return self.values.get(name)

    def _outputs(self, node: Node, inputs: Sequence[Value]) -> Iterable[Value]:
        constants = [value for value in inputs if not isinstance(value, Signal)]
        if len(constants) < len(inputs):
            if node.operator not in OPERATORS:
                raise Unsupported("is supported on constants alone", _remedy(node))
            return OPERATORS[node.operator](self.builder, node, inputs)
        if node.operator not in CONSTANT_OPERATORS:
            raise Unsupported("is not supported on constants", "fold constants before exporting")
        arrays: list[NDArray[Any]] = [value for value in constants if value is not None]
        return [evaluate_constant(node, arrays, self.graph.opset)]


def _remedy(node: Node) -> str:
    supported = ", ".join(sorted(OPERATORS))
    return _REMEDIES.get(node.operator, f"supported operators are {supported}")


def _failure(path: Path, problems: Sequence[_Problem]) -> ImportFailure:
    groups: dict[tuple[str, str, str | None], list[Node]] = {}
    for problem in problems:
        key = (problem.node.operator, problem.reason, problem.remedy)
        groups.setdefault(key, []).append(problem.node)
    texts = []
    for (operator, reason, _), nodes in groups.items():
        labels = ", ".join(node.label for node in nodes[:_SHOWN])
        more = f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
        texts.append(f"{operator} {labels}{more} {reason}")
    remedies = dict.fromkeys(remedy for _, _, remedy in groups if remedy is not None)
    nodes_ = "1 node" if len(problems) == 1 else f"{len(problems)} nodes"
    return ImportFailure(
        f"cannot import {nodes_}: {'; '.join(texts)}",
        file=path,
        remedy="; ".join(remedies) or "check the file with onnx.checker and export it again",
    )


# -------------------------------------------------------------------------------- input


def _input_layout(graph: Graph) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """Return the network's input shape, and the index of the graph's input over it."""
    if len(graph.shape) != 4:
        size = int(np.prod(graph.shape))
        return (size,), np.arange(size, dtype=np.int64).reshape(graph.shape)
    readers = [node for node in graph.nodes if graph.input in node.inputs]
    if all(_moves_channels_first(node) for node in readers):
        shape = graph.shape[1:]
        return shape, np.arange(np.prod(shape), dtype=np.int64).reshape(1, *shape)
    _, channels, height, width = graph.shape
    return (height, width, channels), channel_first((height, width, channels))


def _moves_channels_first(node: Node) -> bool:
    perm = node.attributes.get("perm")
    return node.operator == "Transpose" and perm is not None and perm.ints == [0, 3, 1, 2]


def _given_format(graph: Graph) -> Format | None:
    """Return the format that the file states for its input: an annotation, or an integer type."""
    # Only names that are known to be small: qonnx builds the bounds of an INT999999999999.
    if _ANNOTATIONS.fullmatch(graph.annotation):
        datatype = DataType[graph.annotation]
        if datatype.name == "BIPOLAR":
            return BIPOLAR
        return Integer(int(datatype.min()), int(datatype.max()))
    if graph.dtype.kind in "iu" and graph.dtype.itemsize <= 2:
        bounds = np.iinfo(graph.dtype)
        return Integer(int(bounds.min), int(bounds.max))
    return None
