"""What a layer gives for a channel: a bit or a sum, as integers on the values of its graph.

The graph computes match counts P of bits (or sums of integers); the layer is defined on signed
sums ``y = 2 P - N``. Sign, constant and border correction of a channel are folded into one
integer comparison of its value, or into ``scale * value + offset`` where the layer gives sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BitReadout", "Readout", "SumReadout"]


@dataclass(frozen=True, eq=False)
class BitReadout:
    """One bit a channel.

    Attributes
    ----------
    value
        int32 (channels,): number of the graph value compared; -1 where the bit is constant.
    direction
        int8 (classes, channels): +1 is ``value >= level``, -1 is ``value <= level``, 0 is the
        constant bit ``level``.
    level
        int64 (classes, channels).

    There is one row for each class of border positions, and one row alone where borders do not
    matter. Levels of varying channels lie inside the value's interval, so that every comparison
    can come out both ways.
    """

    value: NDArray[np.int32]
    direction: NDArray[np.int8]
    level: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SumReadout:
    """The signed sum of a channel: ``scale * value + offset``.

    Attributes
    ----------
    value
        int32 (channels,): number of the graph value.
    scale
        int8 (channels,): -2, -1, +1 or +2.
    offset
        int64 (classes, channels).
    low, high
        Interval of the sums over all channels and classes: the output format.
    """

    value: NDArray[np.int32]
    scale: NDArray[np.int8]
    offset: NDArray[np.int64]
    low: int
    high: int


Readout = BitReadout | SumReadout
