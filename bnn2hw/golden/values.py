"""Numbers on edges: dtypes, checks, signed values of bits, thresholds, exact products."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..model import Bipolar, Format, Threshold

__all__ = [
    "apply_threshold",
    "check_values",
    "edge_dtype",
    "exact_dtype",
    "magnitude",
    "positions",
    "signed",
    "sum_dtype",
]


def exact_dtype(terms: int, magnitude: int) -> type[np.float32 | np.float64 | np.int64]:
    """Return the fastest dtype in which sums of ``terms`` values within +-magnitude are exact.

    Every partial sum is an integer of at most ``terms * magnitude``. Below 2**24 float32 holds
    all of them, below 2**53 float64 does, so that nothing rounds in whatever order BLAS adds and
    whether it fuses or not. BLAS makes this faster than numpy on packed bits, and it serves
    integer inputs as well. Beyond 2**53 int64 is left, without BLAS.
    """
    bound = terms * magnitude
    if bound < 1 << 24:
        return np.float32
    if bound < 1 << 53:
        return np.float64
    assert bound < 1 << 63, "32-bit inputs of at most 2**31 terms"
    return np.int64


def sum_dtype(bound: int) -> type[np.int32 | np.int64]:
    """Return int32 where integers within +-bound fit, else int64."""
    return np.int32 if bound < 1 << 31 else np.int64


def edge_dtype(form: Format) -> type[np.uint8 | np.int32 | np.int64]:
    """Return the dtype of an edge: uint8 for bits, int32 for integers that fit, else int64."""
    if isinstance(form, Bipolar):
        return np.uint8
    return sum_dtype(max(form.high, -form.low))


def magnitude(form: Format) -> int:
    """Return the greatest absolute value of a format."""
    return max(abs(form.low), abs(form.high))


def check_values(values: Any, shape: tuple[int, ...], form: Format, what: str) -> NDArray[Any]:
    """Return values as an array of the format's dtype, after a check.

    Parameters
    ----------
    values
        Integers of shape (count, *shape); bits 0 and 1 for a bipolar format.
    shape, form
        Shape and format of one of them.
    what
        What they are called in the error.

    Raises
    ------
    ModelError
        If dtype, shape or range is wrong.
    """
    array = np.asarray(values)
    expected = f"(count, {', '.join(map(str, shape))})"
    if array.dtype.kind not in "iub" or array.ndim == 0 or array.shape[1:] != shape:
        raise ModelError(
            f"{what} are {array.dtype} of shape {array.shape}, expected integers of shape "
            f"{expected}"
        )
    bits = isinstance(form, Bipolar)
    low, high = (0, 1) if bits else (form.low, form.high)
    if array.size:
        least, most = int(array.min()), int(array.max())
        if least < low or most > high:
            raise ModelError(
                f"{what} have values from {least} to {most}, expected {low} to {high}",
                remedy="give bits, 1 for +1 and 0 for -1" if bits else None,
            )
    return array.astype(edge_dtype(form), copy=False)


def signed(values: NDArray[Any], form: Format, dtype: type) -> NDArray[Any]:
    """Return a new array of signed values: +1 and -1 of bits, integers as they are."""
    array: NDArray[Any] = values.astype(dtype)
    if isinstance(form, Bipolar):
        array *= 2
        array -= 1
    return array


def apply_threshold(sums: NDArray[Any], threshold: Threshold) -> NDArray[np.uint8]:
    """Return the bits of integer sums, uint8 of the same shape; the last axis is the channel.

    A threshold of one channel serves all channels.
    """
    direction = np.broadcast_to(threshold.direction, sums.shape[-1:])
    level = np.broadcast_to(threshold.level, sums.shape[-1:])
    bits = (sums >= level).astype(np.uint8)
    falling, constant = direction < 0, direction == 0
    bits[..., falling] = sums[..., falling] <= level[falling]
    bits[..., constant] = level[constant]
    return bits


def positions(tap: int, dilation: int, stride: int, count: int) -> slice:
    """Return where one tap of the kernel reads along an axis, for all output positions."""
    start = tap * dilation
    return slice(start, start + stride * (count - 1) + 1, stride)
