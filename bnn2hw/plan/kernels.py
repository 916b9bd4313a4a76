"""The kernels of a layer: which binary kernels its weights are made of, and how often.

A kernel is the weights of one output and one input channel, flattened (ky, kx). Layers without a
kernel of that kind, 1x1 convolutions and dense layers, are cut into vectors of 8 consecutive
inputs (sub-bit supplement, section C); the last vector may be shorter. The code of a kernel is
the number that its bits make, the first weight at the LSB.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..model.layers import BinaryConv, LinearLayer
from .counting import VECTOR

__all__ = [
    "CODE_LIMIT",
    "Kernels",
    "break_even",
    "has_kernels",
    "kernels_of",
    "vector_of_inputs",
]

CODE_LIMIT = 62
"""Most weights of a kernel that has a code."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """The kernels of a layer.

    Attributes
    ----------
    codes
        int64 (outputs, vectors): input channels of a group, or vectors of inputs.
    length
        Weights of a kernel.
    tail
        Weights of the last vector that count; ``length`` where it is a whole one.
    groups
        Output channels of one group read the same inputs.
    """

    codes: NDArray[np.int64]
    length: int
    tail: int
    groups: int

    @property
    def whole(self) -> NDArray[np.int64]:
        """Return the codes without the shorter vectors, int64 (outputs, vectors)."""
        return self.codes if self.tail == self.length else self.codes[:, :-1]

    @property
    def short(self) -> NDArray[np.int64]:
        """Return the codes of the shorter vectors, int64 (outputs, 0 or 1)."""
        return self.codes[:, self.whole.shape[1] :]

    @property
    def folded(self) -> NDArray[np.int64]:
        """Return the codes up to negation: the lesser of a kernel and its complement."""
        lengths = np.full(self.codes.shape[1], self.length)
        lengths[self.whole.shape[1] :] = self.tail
        folded: NDArray[np.int64] = np.minimum(
            self.codes, (np.int64(1) << lengths) - 1 - self.codes
        )
        return folded

    def frequencies(self) -> dict[str, int]:
        """Return how often each kernel occurs that does, by its bits, the first weight first.

        Shorter vectors stand after the others.
        """
        found = {}
        for codes, length in ((self.whole, self.length), (self.short, self.tail)):
            kinds, counts = np.unique(codes, return_counts=True)
            for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
                found[f"{kind:0{length}b}"[::-1]] = count
        return found

    def distinct(self, *, negation: bool = False) -> int:
        """Return the number of distinct kernels, with ``negation`` up to it."""
        codes = self.folded if negation else self.codes
        vectors = self.whole.shape[1]
        return len(np.unique(codes[:, :vectors])) + len(np.unique(codes[:, vectors:]))

    def distinct_each(self, *, negation: bool = False) -> NDArray[np.int64]:
        """Return the number of distinct kernels of every input channel or vector of all groups."""
        codes = self.folded if negation else self.codes
        outputs, vectors = codes.shape
        each = np.sort(codes.reshape(self.groups, outputs // self.groups, vectors), axis=1)
        count: NDArray[np.int64] = 1 + np.count_nonzero(np.diff(each, axis=1), axis=1)
        return count.reshape(-1)


def kernels_of(layer: LinearLayer) -> Kernels | None:
    """Return the kernels of a layer; None where they have more than :data:`CODE_LIMIT` weights."""
    weights = layer.weights
    outputs, inputs = len(weights), weights.shape[-1]
    groups = layer.groups if isinstance(layer, BinaryConv) else 1
    if has_kernels(layer):
        length = tail = prod(weights.shape[1:-1])
        bits = np.moveaxis(weights, -1, 1).reshape(outputs, inputs, length)
    else:
        length, tail = VECTOR, (inputs - 1) % VECTOR + 1
        bits = np.pad(weights.reshape(outputs, inputs), ((0, 0), (0, VECTOR - tail)))
        bits = bits.reshape(outputs, -1, VECTOR)
    if length > CODE_LIMIT:
        return None
    return Kernels(bits @ (np.int64(1) << np.arange(length)), length, tail, groups)


def has_kernels(layer: LinearLayer) -> bool:
    """Return whether a layer's kernels are larger than 1x1; vectors take their place if not."""
    return isinstance(layer, BinaryConv) and layer.kernel != (1, 1)


def vector_of_inputs(layer: LinearLayer, inputs: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return which kernel or vector each of a group's inputs belongs to, int64 (inputs,).

    ``inputs`` are numbers of the flattened patch, all that the group reads, ascending.
    """
    if has_kernels(layer):
        assert isinstance(layer, BinaryConv)
        return inputs.astype(np.int64) % layer.input_channels
    return np.arange(len(inputs)) // VECTOR


def break_even(length: int, outputs: int) -> int:
    """Return the greatest tau at which sharing kernels pays by bit-ops; 0 where none does.

    A kernel costs its weights, and looking it up half an addition (half adds, the published
    count): sharing pays where ``length * 2**tau + outputs / 2 < length * outputs``, for 3x3
    kernels ``2**tau < 0.94 * outputs``.
    """
    # the greatest 2**tau that is less than (2 * length - 1) * outputs / (2 * length)
    most = ((2 * length - 1) * outputs - 1) // (2 * length)
    return min(max(most.bit_length() - 1, 0), length)
