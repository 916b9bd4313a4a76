"""Reading the inputs of an ONNX node by what they should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .builder import NetworkBuilder, Signal
from .onnx_graph import Unsupported

__all__ = [
    "Outputs",
    "Value",
    "constant_of",
    "integers_of",
    "is_given",
    "per_channel",
    "scalar_of",
    "signal_of",
]

Array = NDArray[Any]
Value = Signal | Array | None
Outputs = list[Value]


def signal_of(inputs: Sequence[Value], position: int = 0) -> Signal:
    """Return an input that must be a signal."""
    value = inputs[position] if position < len(inputs) else None
    if not isinstance(value, Signal):
        raise Unsupported(f"has an input {position} that is a constant or missing")
    return value


def is_given(inputs: Sequence[Value], position: int) -> bool:
    """Return whether an optional input is there."""
    return position < len(inputs) and inputs[position] is not None


def constant_of(inputs: Sequence[Value], position: int, what: str) -> Array:
    """Return an input that must be a finite constant."""
    value = inputs[position] if position < len(inputs) else None
    if isinstance(value, Signal) or value is None:
        raise Unsupported(f"has a {what} that is not a constant of the file")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise Unsupported(f"has a {what} that is not finite")
    return value


def integers_of(inputs: Sequence[Value], position: int, what: str) -> tuple[int, ...]:
    """Return an input that must be a constant list of integers."""
    value = constant_of(inputs, position, what)
    if value.dtype.kind not in "iu":
        raise Unsupported(f"has a {what} of {value.dtype}, expected integers")
    return tuple(int(n) for n in value.reshape(-1))


def scalar_of(inputs: Sequence[Value], position: int, what: str) -> float:
    """Return an input that must be one constant number."""
    value = constant_of(inputs, position, what)
    if value.size != 1:
        raise Unsupported(f"has a {what} of shape {value.shape}, expected one number")
    return float(value.reshape(()))


def per_channel(builder: NetworkBuilder, signal: Signal, constant: Array) -> Array:
    """Return a constant as (channels,) of the signal's edge, or as (1,)."""
    if constant.dtype != signal.expression.dtype or constant.dtype.kind != "f":
        raise Unsupported(
            f"combines {signal.expression.dtype} and {constant.dtype}, expected one float type"
        )
    if constant.size == 1:
        return constant.reshape(1)
    if np.broadcast_shapes(constant.shape, signal.index.shape) != signal.index.shape:
        raise Unsupported(
            f"has a constant of shape {constant.shape} for a map of shape {signal.index.shape}"
        )
    channels = builder.channels(signal.edge)
    values = np.broadcast_to(constant, signal.index.shape)
    inside = signal.index >= 0
    channel = signal.index[inside] % channels
    vector = np.zeros(channels, dtype=constant.dtype)
    vector[channel] = values[inside]
    if (vector[channel] != values[inside]).any() or (signal.padded and constant.size != channels):
        raise Unsupported(
            "has a constant that differs within a channel", "use one constant a channel"
        )
    return vector
