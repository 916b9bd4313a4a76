"""Memory images of codebooks: indices and subset as words, and the bits that they take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..model.codebook import Codebook
from .codebooks import ordered

__all__ = ["WORD_LIMIT", "CodebookMemory", "check_word_width", "codebook_memory", "packed_words"]

WORD_LIMIT = 1 << 16
"""Greatest width of a memory word in bits."""


@dataclass(frozen=True)
class CodebookMemory:
    """The memories of a codebook.

    Attributes
    ----------
    word_width
        Bits of a word of the index memory.
    indices
        Its words. Indices lie without gaps, the first at the LSB of the first word; all outputs
        of the first input channel (or vector of inputs), then those of the next. The rest of the
        last word is 0.
    kernel_width
        Bits of a word of the subset memory: the weights of a kernel.
    subset
        Its words, a kernel each, the first weight at the LSB. Of a subset that is closed under
        negation it is half of them: the top bit of an index tells complements.
    """

    word_width: int
    indices: tuple[int, ...]
    kernel_width: int
    subset: tuple[int, ...]

    @property
    def bits(self) -> int:
        """Return the bits of both memories, those that fill up the last word included."""
        return len(self.indices) * self.word_width + len(self.subset) * self.kernel_width

    def texts(self) -> dict[str, str]:
        """Return both as text for ``$readmemh``, one word a line, by what they hold."""
        return {
            name: "".join(f"{word:0{-(-width // 4)}x}\n" for word in words)
            for name, words, width in (
                ("indices", self.indices, self.word_width),
                ("subset", self.subset, self.kernel_width),
            )
        }


def check_word_width(word_width: int) -> None:
    """Check the width of a word of index memory.

    Raises
    ------
    UsageError
        If it is not 1 to :data:`WORD_LIMIT`.
    """
    if not 1 <= word_width <= WORD_LIMIT:
        raise UsageError(
            f"memory words of {word_width} bits make no sense", remedy=f"give 1 to {WORD_LIMIT}"
        )


def codebook_memory(codebook: Codebook, word_width: int = 32) -> CodebookMemory:
    """Return the memories of a codebook, a closed one :func:`.ordered`.

    Raises
    ------
    UsageError
        As :func:`check_word_width`.
    """
    check_word_width(word_width)
    codebook = ordered(codebook)
    kernels = codebook.subset[: len(codebook.subset) >> codebook.closed]
    return CodebookMemory(
        word_width,
        packed_words(codebook.indices.T.reshape(-1), codebook.tau, word_width),
        codebook.length,
        tuple(sum(bit << k for k, bit in enumerate(row)) for row in kernels.tolist()),
    )


def packed_words(values: NDArray[np.integer], width: int, word_width: int) -> tuple[int, ...]:
    """Return numbers of ``width`` bits one behind the other in words, the first at the LSB."""
    bits = (values[:, None] >> np.arange(width) & 1).astype(np.uint8).reshape(-1)
    words = np.pad(bits, (0, -len(bits) % word_width)).reshape(-1, word_width)
    rows = np.packbits(words, axis=1, bitorder="little")
    return tuple(int.from_bytes(row.tobytes(), "little") for row in rows)
