"""Real coefficients as fixed point: lines with a shift, and weights as planes of signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["fixed_line", "sign_planes"]

_MOST_SHIFT = 48

Vector = NDArray[np.float64]


def fixed_line(
    slopes: Sequence[Vector], intercept: Vector, most: Sequence[int], *, mean: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return weights (terms, channels), offset (channels,) and shift of a line in fixed point.

    The shift is the least one for which rounding the coefficients moves no result by more than
    half of its last place, whatever the inputs.

    Parameters
    ----------
    slopes
        float64 (channels,) or (1,) of each term, in last places of the result.
    intercept
        float64 (channels,) or (1,), in last places of the result.
    most
        Greatest magnitude of each term's integers.
    mean
        Whether the line is a mean of K integers. Its results lie at least 1 / (2K) from where
        rounding changes, or on it: less than that changes nothing, where K is odd or a power of
        two.

    Raises
    ------
    ValueError
        If no shift up to 48 is enough.
    """
    channels = max(len(intercept), *(len(slope) for slope in slopes))
    rows = np.stack([np.broadcast_to(slope, channels) for slope in slopes])
    offset = np.broadcast_to(intercept, channels)
    limit = 0.5 / len(slopes) * (1 - 1e-9) if mean else 0.5
    for shift in range(_MOST_SHIFT):
        unit = 2.0**shift
        errors = np.abs(np.rint(offset * unit) / unit - offset)
        errors = errors + np.array(most) @ np.abs(np.rint(rows * unit) / unit - rows)
        if errors.max() <= limit:
            return (
                np.rint(rows * unit).astype(np.int64),
                np.rint(offset * unit).astype(np.int64),
                shift,
            )
    raise ValueError("a coefficient is too large for fixed point")


def sign_planes(weights: NDArray[np.floating], bits: int) -> tuple[NDArray[np.uint8], Vector]:
    """Return real weights as so many planes of signs, the last of which counts most.

    A weight of output o is near ``steps[o] * sum_k 2**k * s_k`` with signs s_k, so that a layer
    with real weights is ``bits`` binary layers and a weighted sum. The greatest of an output's
    weights is exact, any other one off by at most ``steps[o]``.

    Parameters
    ----------
    weights
        float (outputs, ...).
    bits
        1 or more.

    Returns
    -------
    planes
        uint8 bits (bits, outputs, ...).
    steps
        float64 (outputs,).
    """
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    most = 2**bits - 1  # sums of the planes are odd numbers from -most to most
    steps = np.abs(rows).max(axis=1) / most
    halves = rows / np.where(steps > 0, steps, 1)[:, None] + most
    codes = np.clip(np.rint(halves / 2), 0, most).astype(np.int64)
    planes = codes >> np.arange(bits)[:, None, None] & 1
    return planes.reshape(bits, *weights.shape).astype(np.uint8), steps
