"""Evaluating the constant parts of an ONNX graph: weights, shapes, scales.

Only operators listed here are evaluated, and only when the size of the result is known to be
bounded, so that a file cannot ask for more memory than it is worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant

from .onnx_graph import Node, Unsupported

__all__ = ["CONSTANT_OPERATORS", "evaluate_constant"]

Array = NDArray[Any]

_SIZE_LIMIT = 1 << 28
_ATTRIBUTES = (
    AttributeProto.FLOAT,
    AttributeProto.FLOATS,
    AttributeProto.INT,
    AttributeProto.INTS,
    AttributeProto.STRING,
    AttributeProto.TENSOR,
)


def _as_given(node: Node, inputs: Sequence[Array]) -> int:
    return max((array.size for array in inputs), default=0)


def _broadcast(node: Node, inputs: Sequence[Array]) -> int:
    return math.prod(np.broadcast_shapes(*(array.shape for array in inputs)))


def _concatenated(node: Node, inputs: Sequence[Array]) -> int:
    return sum(array.size for array in inputs)


def _gathered(node: Node, inputs: Sequence[Array]) -> int:
    return inputs[0].size * inputs[1].size


def _filled(node: Node, inputs: Sequence[Array]) -> int:
    return math.prod(max(int(n), 0) for n in inputs[0].reshape(-1))


# How many elements the result has at most, for every operator that is evaluated.
_SIZES: dict[str, Callable[[Node, Sequence[Array]], int]] = {
    "Abs": _as_given,
    "Add": _broadcast,
    "BipolarQuant": _broadcast,
    "Cast": _as_given,
    "Concat": _concatenated,
    "Constant": _as_given,
    "ConstantOfShape": _filled,
    "Div": _broadcast,
    "Flatten": _as_given,
    "Gather": _gathered,
    "Identity": _as_given,
    "Mul": _broadcast,
    "Neg": _as_given,
    "Pow": _broadcast,
    "Quant": _broadcast,
    "Reciprocal": _as_given,
    "Reshape": _as_given,
    "Shape": _as_given,
    "Sign": _as_given,
    "Slice": _as_given,
    "Sqrt": _as_given,
    "Squeeze": _as_given,
    "Sub": _broadcast,
    "Transpose": _as_given,
    "Unsqueeze": _as_given,
}

CONSTANT_OPERATORS = frozenset(_SIZES)
"""Operators that are evaluated where all their inputs are constants."""


def evaluate_constant(node: Node, inputs: Sequence[Array], opset: int) -> Array:
    """Return the output of a node whose inputs are all constants.

    Standard operators run in the reference evaluator of onnx, quantisers in the code of qonnx.

    Raises
    ------
    Unsupported
        If the result would be too large; other errors come as onnx and numpy raise them.
    """
    size = _SIZES[node.operator](node, inputs)
    if size > _SIZE_LIMIT:
        raise Unsupported(f"makes a constant of {size} elements, more than {_SIZE_LIMIT}")
    with np.errstate(all="ignore"):
        if node.operator == "BipolarQuant":
            array, factor = inputs
            return np.asarray(binary_quant(array, factor), dtype=array.dtype)
        if node.operator == "Quant":
            return _quantised(node, *inputs)
        return _reference(node, inputs, opset)


def _quantised(node: Node, array: Array, factor: Array, zero: Array, bits: Array) -> Array:
    if bits.size != 1 or not 1 <= float(bits.reshape(())) <= 32:
        raise Unsupported("quantises to a number of bits that is not one of 1 to 32")
    quantised = int_quant(
        array,
        factor,
        zero,
        np.asarray(bits.reshape(()), dtype=np.float64),
        bool(node.integer("signed", 1)),
        bool(node.integer("narrow", 1)),
        node.text("rounding_mode", "ROUND"),
    )
    return np.asarray(quantised, dtype=array.dtype)


def _reference(node: Node, inputs: Sequence[Array], opset: int) -> Array:
    for attribute in node.attributes.values():
        # The evaluator would look for external data wherever the program runs.
        external = attribute.t.data_location == TensorProto.EXTERNAL
        if attribute.type not in _ATTRIBUTES or external:
            raise Unsupported(f"has an attribute {attribute.name} that is no plain value")
    names = [name for name in node.inputs if name]
    feeds = dict(zip(names, inputs, strict=True))
    graph = helper.make_graph(
        [node.proto],
        "constant",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
            for name, array in feeds.items()
        ],
        [helper.make_tensor_value_info(node.outputs[0], 0, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    (result,) = ReferenceEvaluator(model).run(None, feeds)
    array = np.asarray(result)
    if array.dtype.kind not in "biuf":
        raise Unsupported("makes a constant that is not a number")
    return array
