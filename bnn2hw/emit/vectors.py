"""The vector file: what goes into a layer core and what must come out, one patch a line.

A line holds the input word, the border class and the output word, in hexadecimal, element 0 of
each word at the least significant end. Lines that start with ``#`` are comments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Vectors", "pack_words", "vector_text"]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Stimulus and expected response of a layer core.

    Attributes
    ----------
    patches
        int64 (count, N): bits 0 and 1, or integers.
    borders
        int64 (count,): class of the border position.
    expected
        int64 (count, channels): bits, or signed sums.
    kinds
        What each vector is: ``corner``, ``real``, ``random``; its length is the count.
    """

    patches: NDArray[np.int64]
    borders: NDArray[np.int64]
    expected: NDArray[np.int64]
    kinds: tuple[str, ...]


def pack_words(values: NDArray[np.int64], width: int) -> list[int]:
    """Return one unsigned word a row: elements of ``width`` bits, element 0 at the LSB.

    Negative elements are packed in two's complement.
    """
    bits = (values[:, :, None] >> np.arange(width)) & 1
    packed = np.packbits(bits.reshape(len(values), -1).astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def _lines(vectors: Vectors, input_width: int, output_width: int) -> Iterator[str]:
    yield "# input border output, in hex, element 0 at the least significant end\n"
    inputs = pack_words(vectors.patches, input_width)
    outputs = pack_words(vectors.expected, output_width)
    for word, border, expected in zip(inputs, vectors.borders.tolist(), outputs, strict=True):
        yield f"{word:x} {border:x} {expected:x}\n"


def vector_text(vectors: Vectors, input_width: int, output_width: int) -> str:
    """Return the text of a vector file for elements of these widths in bits."""
    return "".join(_lines(vectors, input_width, output_width))
