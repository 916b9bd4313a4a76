"""What each ONNX operator means to a signal: one function an operator.

A function takes the builder, the node and its inputs (signals, constants, or None where one is
left out) and returns the node's first outputs. It raises :class:`Unsupported` with a reason and
a remedy where the network of integers cannot hold the node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from onnx import helper
from qonnx.custom_op.general.intquant import max_int, min_int, resolve_rounding_mode

from ..model import Integer
from .builder import INPUT, REAL_INPUT, NetworkBuilder, Signal
from .expression import Expression, arithmetic, batch_normalization
from .onnx_graph import Node, Unsupported
from .onnx_inputs import (
    Outputs,
    Value,
    constant_of,
    integers_of,
    is_given,
    per_channel,
    scalar_of,
    signal_of,
)
from .onnx_layers import conv, gemm, matmul, max_pool, pad

__all__ = ["OPERATORS"]

_MOST_BITS = 16


# -------------------------------------------------------------------------- elementwise


def _arithmetic(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    if len(inputs) == 2 and all(isinstance(value, Signal) for value in inputs):
        raise Unsupported(
            "combines two computed maps", "residual connections cannot be imported yet"
        )
    swapped = not isinstance(inputs[0], Signal)
    signal = signal_of(inputs, int(swapped))
    side = "left operand" if swapped else "right operand"
    constant = per_channel(builder, signal, constant_of(inputs, int(not swapped), side))
    if node.operator in ("Add", "Mul"):
        swapped = False
    step = arithmetic(node.operator, constant, swapped=swapped)
    return [signal.then(signal.expression.then(step))]


def _batch_normalization(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    if node.integer("training_mode", 0) or not node.integer("spatial", 1):
        raise Unsupported("is in training mode or not spatial", "export the network for inference")
    shape = (1, -1, *(1,) * (signal.index.ndim - 2))
    names = ("scale", "bias", "mean", "variance")
    constants = []
    for position, name in enumerate(names, start=1):
        constant = constant_of(inputs, position, name)
        if signal.index.ndim < 2 or constant.shape != signal.index.shape[1:2]:
            raise Unsupported(
                f"has a {name} of shape {constant.shape} for a map of shape {signal.index.shape}"
            )
        constants.append(per_channel(builder, signal, constant.reshape(shape)))
    epsilon = node.real("epsilon", 1e-5)
    gamma, beta, mean, variance = constants
    if not (variance + epsilon > 0).all():
        raise Unsupported("has a variance that is not above zero")
    step = batch_normalization(gamma, beta, mean, variance, epsilon)
    return [signal.then(signal.expression.then(step))]


def _same(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    return [signal_of(inputs)]


def _dropout(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    if is_given(inputs, 2) and constant_of(inputs, 2, "training mode").any():
        raise Unsupported("is in training mode", "export the network for inference")
    return [signal_of(inputs)]


def _cast(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    dtype = helper.tensor_dtype_to_np_dtype(node.integer("to", 0))
    if signal.expression.dtype == dtype or signal.edge == builder.head:
        return [signal]
    if signal.expression.steps or builder.is_real(signal) or dtype.kind != "f":
        raise Unsupported(f"turns {signal.expression.dtype} into {dtype}", "remove the Cast")
    return [signal.then(Expression(dtype))]


# --------------------------------------------------------------------------- quantisers


def _bipolar_quant(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    bits = builder.binarise(signal_of(inputs))
    factor = per_channel(builder, bits, constant_of(inputs, 1, "scale"))
    if (factor == 1).all():
        return [bits]
    return [bits.then(bits.expression.then(arithmetic("Mul", factor)))]


def _sign(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    if builder.reaches_zero(signal):
        place = "the input" if signal.edge == REAL_INPUT else signal.edge
        builder.notes[f"sign of {place}"] = (
            "Sign gives 0 for 0, which no bit can hold: sign(0) is +1 here"
        )
    return [builder.binarise(signal)]


def _quant(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    if signal.expression.dtype.kind != "f":
        raise Unsupported(f"quantises {signal.expression.dtype}", "put a Cast to float in front")
    factor, zero, bits = (
        scalar_of(inputs, position, what)
        for position, what in ((1, "scale"), (2, "zero point"), (3, "bit width"))
    )
    if factor <= 0 or not zero.is_integer() or bits not in range(1, _MOST_BITS + 1):
        raise Unsupported(
            f"has scale {factor:g}, zero point {zero:g} and {bits:g} bits",
            f"use a scale above zero, an integer zero point and 1 to {_MOST_BITS} bits",
        )
    constant = np.array([factor], dtype=signal.expression.dtype)
    signed, narrow = bool(node.integer("signed", 1)), bool(node.integer("narrow", 1))
    if bits == 1 and signed:
        if zero != 0:
            raise Unsupported("has one bit and a zero point", "set the zero point to 0")
        scaled = signal.then(signal.expression.then(arithmetic("Div", constant)))
        result = builder.binarise(scaled)
        return [result.then(result.expression.then(arithmetic("Mul", constant)))]
    if not builder.is_real(signal):
        raise Unsupported(
            f"quantises a computed map to {bits:g} bits", "use BipolarQuant for activations"
        )
    low = min_int(signed, narrow, int(bits)) - int(zero)
    high = max_int(signed, narrow, int(bits)) - int(zero)
    rounding = node.text("rounding_mode", "ROUND")
    resolve_rounding_mode(rounding)
    text = signal.expression.then(arithmetic("Div", constant)).text("x")
    builder.quantise_input(
        Integer(low, high),
        f"integer {rounding.lower()}({text}), clipped to {low}..{high}; x is {builder.variable}",
    )
    result = Signal(INPUT, signal.index, Expression(signal.expression.dtype))
    return [result.then(result.expression.then(arithmetic("Mul", constant)))]


# -------------------------------------------------------------------------------- shapes


def _shape(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    shape = np.array(signal_of(inputs).index.shape, dtype=np.int64)
    start, end = node.integer("start", 0), node.integer("end", len(shape))
    return [shape[start:end]]


def _reshape(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    target = list(integers_of(inputs, 1, "shape"))
    if not node.integer("allowzero", 0):
        for axis, n in enumerate(target):
            if n == 0:
                target[axis] = signal.index.shape[axis]
    return [signal.moved(signal.index.reshape(target))]


def _flatten(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    axis = node.integer("axis", 1)
    rows = math.prod(signal.index.shape[:axis])
    return [signal.moved(signal.index.reshape(rows, -1))]


def _transpose(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    order = node.integers("perm", tuple(reversed(range(signal.index.ndim))))
    return [signal.moved(signal.index.transpose(order))]


def _axes(node: Node, inputs: Sequence[Value]) -> tuple[int, ...]:
    return integers_of(inputs, 1, "axes") if is_given(inputs, 1) else node.integers("axes", ())


def _squeeze(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    return [signal.moved(np.squeeze(signal.index, _axes(node, inputs) or None))]


def _unsqueeze(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    return [signal.moved(np.expand_dims(signal.index, _axes(node, inputs)))]


# --------------------------------------------------------------------------------- heads


def _check_axis(signal: Signal, axis: int) -> None:
    if signal.index.shape[axis] != signal.index.size:
        raise Unsupported(f"compares along axis {axis} of shape {signal.index.shape}")


def _argmax(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    _check_axis(signal, node.integer("axis", 0))
    return [builder.argmax(signal, "last" if node.integer("select_last_index", 0) else "first")]


def _topk(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    signal = signal_of(inputs)
    count = integers_of(inputs, 1, "k") if is_given(inputs, 1) else (node.integer("k", 0),)
    if count != (1,) or not node.integer("largest", 1):
        raise Unsupported(f"takes {count} elements, or the least", "take the greatest alone")
    _check_axis(signal, node.integer("axis", -1))
    return [None, builder.argmax(signal, "first")]


OPERATORS: dict[str, Callable[[NetworkBuilder, Node, Sequence[Value]], Outputs]] = {
    "Add": _arithmetic,
    "ArgMax": _argmax,
    "BatchNormalization": _batch_normalization,
    "BipolarQuant": _bipolar_quant,
    "Cast": _cast,
    "Conv": conv,
    "Div": _arithmetic,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gemm": gemm,
    "Identity": _same,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Mul": _arithmetic,
    "Pad": pad,
    "Quant": _quant,
    "Reshape": _reshape,
    "Shape": _shape,
    "Sign": _sign,
    "Squeeze": _squeeze,
    "Sub": _arithmetic,
    "TopK": _topk,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""The operators that are known on computed maps, and what they do."""
