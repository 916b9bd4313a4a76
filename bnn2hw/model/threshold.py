"""Integer thresholds: what is left of scale, batch norm and sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

__all__ = ["Threshold"]


@dataclass(frozen=True, eq=False)
class Threshold:
    """One comparison a channel, of integer sums with an integer level.

    ==========  =======================================
    direction   bit of the channel
    ==========  =======================================
    +1          1 iff sum >= level
    -1          1 iff sum <= level
    0           constant: the level itself, 0 or 1
    ==========  =======================================

    Parameters
    ----------
    direction
        int8, shape (channels,).
    level
        int64, shape (channels,), within +-2**40.

    Raises
    ------
    ModelError
        If shapes, dtypes or values are none of these.
    """

    direction: NDArray[np.int8]
    level: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("direction", "level"):
            array = np.asarray(getattr(self, name))
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise ModelError(
                    f"threshold {name} must be a one-dimensional array of integers, "
                    f"not {array.dtype} of shape {array.shape}"
                )
        if len(self.direction) != len(self.level):
            raise ModelError(
                f"threshold has {len(self.direction)} directions and {len(self.level)} levels"
            )
        direction = np.array(self.direction, dtype=np.int64)
        if not np.isin(direction, (-1, 0, 1)).all():
            raise ModelError("threshold directions must be -1, 0 or +1")
        level = np.array(self.level, dtype=np.int64)
        if (np.abs(level) > 1 << 40).any():
            raise ModelError("threshold levels must lie within +-2**40")
        constant = level[direction == 0]
        if not np.isin(constant, (0, 1)).all():
            raise ModelError("the level of a constant channel (direction 0) must be 0 or 1")
        direction = direction.astype(np.int8)
        direction.flags.writeable = level.flags.writeable = False
        object.__setattr__(self, "direction", direction)
        object.__setattr__(self, "level", level)

    @classmethod
    def at_least(cls, level: NDArray[np.integer]) -> Threshold:
        """Return the threshold ``sum >= level`` for every channel."""
        return cls(np.ones(len(level), dtype=np.int8), np.asarray(level, dtype=np.int64))

    @property
    def channels(self) -> int:
        """Return the number of channels."""
        return len(self.level)

    def reduced(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> Threshold:
        """Return the same threshold on sums in [low, high], channels that cannot change constant.

        Parameters
        ----------
        low, high
            int64, shape (channels,): the least and greatest sum that each channel can take.
        """
        up, down = self.direction > 0, self.direction < 0
        always = (up & (self.level <= low)) | (down & (self.level >= high))
        never = (up & (self.level > high)) | (down & (self.level < low))
        direction = np.where(always | never, 0, self.direction).astype(np.int8)
        level = np.where(always, 1, np.where(never, 0, self.level))
        return Threshold(direction, level)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Threshold)
            and np.array_equal(self.direction, other.direction)
            and np.array_equal(self.level, other.level)
        )
