"""Where the bits of a real input begin: the input quantiser, told in real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .expression import Expression
from .onnx_graph import Unsupported

__all__ = ["crossings", "describe_crossings"]

_INTEGERS = {2: np.int16, 4: np.int32, 8: np.int64}


def crossings(
    expression: Expression, channels: int
) -> tuple[NDArray[np.bool_], NDArray[np.floating[Any]]]:
    """Return where the sign of an expression of a real number changes, exactly.

    The floats of a data type are counted through in order, so that bisection over them ends at
    two neighbours. Steps with constants are monotone even with rounding, hence one crossing.

    Returns
    -------
    rising
        bool (channels,): whether the sign is +1 above the crossing.
    value
        In the expression's data type, (channels,): the least number of sign +1 where it rises,
        the greatest where it falls.

    Raises
    ------
    Unsupported
        If a channel is the same for all numbers, or not monotone.
    """
    if not expression.monotone or expression.dtype.kind != "f":
        raise Unsupported("binarises an input by an expression that is not monotone")
    greatest = int(_key(np.array(np.finfo(expression.dtype).max)))
    low = np.full(channels, -greatest, dtype=np.int64)
    high = np.full(channels, greatest, dtype=np.int64)
    first, last = _bits(expression, low), _bits(expression, high)
    if (first == last).any():
        channel = int(np.argmax(first == last))
        raise Unsupported(f"gives the same bit for every input in channel {channel}")
    while (low + 1 < high).any():
        middle = (low >> 1) + (high >> 1) + (low & high & 1)  # low + high would overflow
        same = _bits(expression, middle) == first
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return last, _value(np.where(last, high, low), expression.dtype)


def describe_crossings(expression: Expression, channels: int, variable: str) -> str:
    """Return a sentence that tells which inputs give bit 1; raises as :func:`crossings` does."""
    rising, values = crossings(expression, channels)
    tests = [f"{'>=' if up else '<='} {value!s}" for up, value in zip(rising, values, strict=True)]
    if len(set(tests)) == 1:
        return f"bit 1 where x {tests[0]}, else 0; x is {variable}"
    each = ", ".join(f"x {test} in channel {channel}" for channel, test in enumerate(tests))
    return f"bit 1 where {each}, else 0; x is {variable}"


def _key(value: NDArray[Any]) -> NDArray[np.int64]:
    # A positive float's bits, read as an integer, count the floats from zero up to it.
    return value.view(_INTEGERS[value.dtype.itemsize]).astype(np.int64)


def _value(key: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    magnitude = np.abs(key).astype(_INTEGERS[dtype.itemsize]).view(dtype)
    return np.where(key < 0, -magnitude, magnitude)


def _bits(expression: Expression, key: NDArray[np.int64]) -> NDArray[np.bool_]:
    result = expression(_value(key, expression.dtype)[None, :])
    if np.isnan(result).any():
        raise Unsupported("makes inputs that are not a number")
    bits: NDArray[np.bool_] = (result >= 0)[0]
    return bits
