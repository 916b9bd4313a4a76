"""Codebooks: the few kernels that the weights of a sub-bit layer are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .checks import checked_bits, checked_integers

__all__ = ["Codebook"]


@dataclass(frozen=True, eq=False)
class Codebook:
    """A subset of all binary kernels, and which of them stands where (sub-bit networks).

    Weights of shape (outputs, ky, kx, inputs) with a kernel larger than 1x1 take one kernel for
    every output and input; its ``length`` is ky * kx, flattened (ky, kx). Weights of a 1x1
    convolution or a dense layer, (outputs, inputs), take one vector for ``length`` consecutive
    inputs; where it does not divide the inputs, only the leading entries of the last one count.

    Attributes
    ----------
    subset
        uint8 bits (size, length), distinct rows; the size is a power of two from 2 on.
    indices
        int32, rows of the subset: (outputs, inputs) of kernels larger than 1x1, where inputs are
        those of one group; else (outputs, ceil(inputs / length)).

    Raises
    ------
    ModelError
        If shapes, dtypes or values are none of these.
    """

    subset: NDArray[np.uint8]
    indices: NDArray[np.int32]

    def __post_init__(self) -> None:
        subset = checked_bits(self.subset, 2, "codebook subset")
        indices = checked_integers(
            self.indices, 2, "codebook indices", dtype=np.int32, limit=(1 << 31) - 1
        )
        size = len(subset)
        if size < 2 or size & (size - 1):
            raise ModelError(f"a codebook of {size} kernels, expected 2, 4, 8 or a further power")
        if len(np.unique(subset, axis=0)) != size:
            raise ModelError("a codebook holds a kernel twice")
        if indices.min() < 0 or indices.max() >= size:
            raise ModelError(
                f"codebook indices go from {indices.min()} to {indices.max()}, expected 0 to "
                f"{size - 1}"
            )
        object.__setattr__(self, "subset", subset)
        object.__setattr__(self, "indices", indices)

    @property
    def tau(self) -> int:
        """Return the width of an index in bits."""
        return len(self.subset).bit_length() - 1

    @property
    def length(self) -> int:
        """Return the number of weights that an index stands for."""
        return int(self.subset.shape[1])

    @property
    def closed(self) -> bool:
        """Return whether the complement of every kernel is in the subset too."""
        rows, complements = (np.unique(bits, axis=0) for bits in (self.subset, 1 - self.subset))
        return bool(np.array_equal(rows, complements))

    def expand(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return the weight bits, uint8 of that shape.

        Parameters
        ----------
        shape
            Of the weights: (outputs, ky, kx, inputs of one group), or (outputs, inputs).

        Raises
        ------
        ModelError
            If the codebook has not the indices, or not the length, for these weights.
        """
        outputs, *kernel, inputs = shape
        taps = math.prod(kernel)
        if taps > 1 and self.length != taps:
            raise ModelError(
                f"a codebook of kernels of {self.length} weights does not fit weights of shape "
                f"{shape}"
            )
        expected = (outputs, inputs if taps > 1 else -(-inputs // self.length))
        if self.indices.shape != expected:
            raise ModelError(
                f"codebook indices have shape {self.indices.shape}, weights of shape {shape} take "
                f"{expected}"
            )
        kernels = self.subset[self.indices]
        if taps > 1:
            return np.ascontiguousarray(kernels.transpose(0, 2, 1)).reshape(shape)
        return kernels.reshape(outputs, -1)[:, :inputs].reshape(shape)
