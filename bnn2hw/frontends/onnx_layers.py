"""The ONNX operators that become layers: products with binary weights, pads and pools."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model import BinaryConv, BinaryDense
from .builder import (
    NetworkBuilder,
    PaddingValue,
    Signal,
    channel_first,
    padding_code,
    padding_of_code,
)
from .expression import arithmetic
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

__all__ = ["conv", "gemm", "matmul", "max_pool", "pad"]

Array = NDArray[Any]


# ------------------------------------------------------------------------ linear layers


def _binary_weights(weights: Array) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return bits and the magnitude of each output channel, which comes first."""
    rows = np.abs(weights.reshape(len(weights), -1).astype(np.float64))
    if not rows.size or (rows != rows[:, :1]).any() or not (rows[:, 0] > 0).all():
        raise Unsupported(
            "has weights that are not +s and -s with one s an output channel",
            "binarise the weights with BipolarQuant; full-precision layers cannot be imported",
        )
    return (weights > 0).astype(np.uint8), rows[:, 0]


def _dense(builder: NetworkBuilder, signal: Signal, weights: Array, alpha: float) -> Signal:
    """Append ``signal @ weights``; weights are (inputs, outputs) in ONNX order."""
    builder.check_whole(signal)
    _check_float(signal, weights)
    shape = signal.index.shape
    if weights.ndim != 2 or not shape or shape[-1] != signal.index.size != 0:
        raise Unsupported(
            f"multiplies shapes {shape} and {weights.shape}",
            "flatten the map to (1, inputs) in front, and multiply it by (inputs, outputs)",
        )
    edge = builder.tensors[signal.edge]
    if len(weights) != edge.size or not np.array_equal(
        np.sort(signal.index, axis=None), np.arange(edge.size)
    ):
        raise Unsupported(f"multiplies shapes {shape} and {weights.shape}")
    ordered = np.empty_like(weights)
    ordered[signal.index.reshape(-1)] = weights
    bits, magnitude = _binary_weights(np.ascontiguousarray(ordered.T))
    factor = builder.uniform_scale(signal) * magnitude * alpha
    layer = BinaryDense(builder.linear_name("fc"), (signal.edge,), bits)
    result = builder.linear(layer, factor, weights.dtype)
    return result.moved(result.index.reshape(*shape[:-1], -1))


def _check_float(signal: Signal, weights: Array) -> None:
    if weights.dtype.kind != "f" or weights.dtype != signal.expression.dtype:
        raise Unsupported(
            f"combines {signal.expression.dtype} and {weights.dtype}, expected one float type"
        )


def _biased(builder: NetworkBuilder, signal: Signal, bias: Array) -> Signal:
    step = arithmetic("Add", per_channel(builder, signal, bias))
    return signal.then(signal.expression.then(step))


def matmul(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    """Append a dense layer: signal @ weights."""
    weights = constant_of(inputs, 1, "right operand")
    return [_dense(builder, signal_of(inputs), weights, 1.0)]


def gemm(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    """Append a dense layer with factor and bias."""
    weights = constant_of(inputs, 1, "weight")
    if node.integer("transA", 0):
        raise Unsupported("transposes its input", "set transA to 0")
    if node.integer("transB", 0):
        weights = weights.T
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    if alpha == 0 or not math.isfinite(alpha) or not math.isfinite(beta):
        raise Unsupported(f"has alpha {alpha:g} and beta {beta:g}")
    result = _dense(builder, signal_of(inputs), weights, alpha)
    if is_given(inputs, 2) and beta != 0:
        bias = constant_of(inputs, 2, "bias")
        result = _biased(builder, result, bias * bias.dtype.type(beta))
    return [result]


def conv(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    """Append a convolution, with the Pad in front of it."""
    signal, weights = signal_of(inputs), constant_of(inputs, 1, "weight")
    _check_float(signal, weights)
    if weights.ndim != 4 or signal.index.ndim != 4:
        raise Unsupported("is not two-dimensional", "only Conv of (batch, channel, y, x) is known")
    if node.integers("kernel_shape", weights.shape[2:]) != weights.shape[2:]:
        raise Unsupported("has a kernel_shape other than its weights")
    stride = _pair(node, "strides")
    dilation = _pair(node, "dilations")
    bare, padding, value = _unpadded(builder, signal)
    builder.check_whole(bare)
    own = _pads(node, signal.index.shape[2:], weights.shape[2:], stride, dilation)
    if any(own) and any(padding) and value != 0:
        raise Unsupported("pads a map that is padded with +1 or -1", "pad in one place")
    top, left, bottom, right = (a + b for a, b in zip(own, padding, strict=True))
    factor = builder.uniform_scale(bare)
    bits, magnitude = _binary_weights(weights)
    layer = BinaryConv(
        builder.linear_name("conv"),
        (bare.edge,),
        np.ascontiguousarray(bits.transpose(0, 2, 3, 1)),
        stride=stride,
        padding=(top, left, bottom, right),
        padding_value=value if any(padding) else 0,
        dilation=dilation,
        groups=node.integer("group", 1),
    )
    result = builder.linear(layer, factor * magnitude, weights.dtype)
    if is_given(inputs, 2):
        bias = constant_of(inputs, 2, "bias")
        result = _biased(builder, result, bias.reshape(1, -1, 1, 1))
    return [result]


def _pair(node: Node, name: str) -> tuple[int, int]:
    value = node.integers(name, (1, 1))
    if len(value) != 2:
        raise Unsupported(f"has {name} {value}, expected two numbers")
    return value


def _pads(
    node: Node,
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """Return (top, left, bottom, right) that the node adds itself."""
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = node.integers("pads", (0, 0, 0, 0))
        if len(pads) != 4 or min(pads) < 0:
            raise Unsupported(f"has pads {pads}, expected four numbers from 0")
        return pads
    if mode == "VALID":
        return (0, 0, 0, 0)
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"has the unknown auto_pad {mode}")
    before, after = [], []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        if s < 1:
            raise Unsupported(f"has strides {tuple(stride)}")
        total = max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)
        less, more = total // 2, total - total // 2
        before.append(less if mode == "SAME_UPPER" else more)
        after.append(more if mode == "SAME_UPPER" else less)
    return (*before, *after)


def _unpadded(
    builder: NetworkBuilder, signal: Signal
) -> tuple[Signal, tuple[int, int, int, int], PaddingValue]:
    """Return the map inside, (top, left, bottom, right) around it, and the value there."""
    plane = signal.index[0, 0] >= 0
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    height, width = plane.shape
    bare = signal.moved(signal.index[:, :, top:bottom, left:right])
    codes = np.unique(signal.index[signal.index < 0])
    expected = channel_first(builder.shape_of(signal.edge))
    if not np.array_equal(bare.index, expected):
        raise Unsupported("reads a map that is not in (batch, channel, y, x) order")
    if len(codes) > 1:
        raise Unsupported("reads a map that is padded with different values", "pad with one value")
    value: PaddingValue = padding_of_code(int(codes[0])) if len(codes) else 0
    return bare, (top, left, height - bottom, width - right), value


# ----------------------------------------------------------------------- pads and pools


def pad(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    """Mark positions around a map as padding, for the Conv that reads it."""
    signal = signal_of(inputs)
    if node.text("mode", "constant") != "constant" or is_given(inputs, 3):
        raise Unsupported("pads other than by a constant along all axes", "use mode constant")
    pads = integers_of(inputs, 1, "pads") if is_given(inputs, 1) else node.integers("pads", ())
    constant = scalar_of(inputs, 2, "value") if is_given(inputs, 2) else node.real("value", 0.0)
    rank = signal.index.ndim
    if rank != 4 or len(pads) != 8 or min(pads) < 0 or any((*pads[:2], *pads[4:6])):
        raise Unsupported(f"has pads {pads}, expected some along y and x alone")
    if not any(pads):
        return [signal]
    if builder.is_real(signal):
        raise Unsupported("pads the input before it is quantised", "move Pad behind the quantiser")
    if signal.index[0, 0].size + sum(pads) > 1 << 20 or max(pads) > 1 << 15:
        raise Unsupported(f"has pads {pads}, which are too many")
    code = padding_code(_padding_value(builder, signal, constant))
    widths = tuple(zip(pads[:4], pads[4:], strict=True))
    return [signal.moved(np.pad(signal.index, widths, constant_values=code))]


def _padding_value(builder: NetworkBuilder, signal: Signal, constant: float) -> PaddingValue:
    """Return which of -1, 0 and +1 of the edge means that constant."""
    values: tuple[PaddingValue, ...] = (0, 1, -1)
    for value in values:
        if (signal.expression(np.array([[value]])) == constant).all():
            return value
    raise Unsupported(
        f"pads with {constant:g}, which is not -1, 0 or +1 times the scale of the map",
        "pad with 0 or with the values of the map",
    )


def max_pool(builder: NetworkBuilder, node: Node, inputs: Sequence[Value]) -> Outputs:
    """Append a max-pool."""
    signal = signal_of(inputs)
    kernel = node.integers("kernel_shape", ())
    if len(kernel) != 2 or signal.index.ndim != 4:
        raise Unsupported("is not two-dimensional", "only MaxPool of (batch, channel, y, x)")
    stride = _pair(node, "strides")
    if _pair(node, "dilations") != (1, 1):
        raise Unsupported("is dilated", "set dilations to 1")
    size = signal.index.shape[2:]
    if any(_pads(node, size, kernel, stride, (1, 1))):
        raise Unsupported("is padded", "set pads to 0")
    if node.integer("ceil_mode", 0) and any(
        (n - k) % s for n, k, s in zip(size, kernel, stride, strict=True)
    ):
        raise Unsupported("pools part of a window at the border", "set ceil_mode to 0")
    return [builder.pool(signal, (kernel[0], kernel[1]), stride)]
