"""Checks of arrays that the dataclasses of the model share; each returns a read-only copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

__all__ = ["checked_bits", "checked_integers"]


def checked_bits(array: Any, ndim: int, what: str, layer: str | None = None) -> NDArray[np.uint8]:
    """Return an array of bits, 1 for +1 and 0 for -1, as read-only uint8.

    Raises
    ------
    ModelError
        If it is empty, of another rank, or holds anything else.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "iub" or array.ndim != ndim or array.size == 0:
        raise ModelError(
            f"{what} must be {ndim}-dimensional bits, not {array.dtype} of shape {array.shape}",
            layer=layer,
        )
    if array.min() < 0 or array.max() > 1:
        raise ModelError(
            f"{what} must be bits, 1 for +1 and 0 for -1",
            layer=layer,
            remedy="store (sign + 1) / 2",
        )
    return _frozen(array, np.uint8)


def checked_integers(
    array: Any,
    ndim: int,
    what: str,
    *,
    dtype: type[np.int8 | np.int32 | np.int64] = np.int64,
    limit: int,
    layer: str | None = None,
) -> NDArray[Any]:
    """Return an array of integers within +-limit, read-only, in the dtype.

    Raises
    ------
    ModelError
        If it is empty, of another rank, or holds anything else.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "iu" or array.ndim != ndim or array.size == 0:
        raise ModelError(
            f"{what} must be {ndim}-dimensional integers, not {array.dtype} of shape {array.shape}",
            layer=layer,
        )
    if int(array.min()) < -limit or int(array.max()) > limit:
        raise ModelError(f"{what} must lie within +-2**{limit.bit_length() - 1}", layer=layer)
    return _frozen(array, dtype)


def _frozen(array: NDArray[Any], dtype: type[np.integer[Any]]) -> NDArray[Any]:
    array = np.array(array, dtype=dtype)
    array.flags.writeable = False
    return array
