"""What goes into a sequential engine and what must come out, in the order of its schedule.

Input words come block by block, in a block word by word, within a word pixel by pixel; output
words block by block, in a block group by group, within a group pixel by pixel. A last block that
is not full is filled with the last position again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..plan.engine_layer import EnginePlan
from ..plan.engine_program import EngineProgram
from .vectors import Vectors, pack_words

__all__ = ["engine_vector_text", "input_words", "load_words", "output_words"]


def _blocks(rows: NDArray[np.int64], pixels: int) -> NDArray[np.int64]:
    """Return (positions, parts, elements) as (blocks * parts * pixels, elements)."""
    filled = np.pad(rows, ((0, -len(rows) % pixels), (0, 0), (0, 0)), mode="edge")
    blocks = filled.reshape(-1, pixels, *rows.shape[1:])
    return blocks.transpose(0, 2, 1, 3).reshape(-1, rows.shape[2])


def input_words(
    plan: EnginePlan, patches: NDArray[np.int64], borders: NDArray[np.int64]
) -> tuple[list[int], list[int]]:
    """Return the input words of patches, and of each the elements that count.

    Parameters
    ----------
    plan
        Of the engine.
    patches, borders
        int64 (count, N) bits or integers, at least one, and int64 (count,) border classes.
    """
    program = plan.program
    elements = np.where(plan.order >= 0, patches[:, np.maximum(plan.order, 0)], 0)
    valid = plan.valid[borders].astype(np.int64)
    return (
        pack_words(_blocks(elements, program.pixels), program.element_width),
        pack_words(_blocks(valid, program.pixels), 1),
    )


def output_words(plan: EnginePlan, expected: NDArray[np.int64]) -> list[int]:
    """Return the output words of bits or signed sums, int64 (count, channels)."""
    words = np.where(plan.channels >= 0, expected[:, plan.channels], 0)
    return pack_words(_blocks(words, plan.program.pixels), plan.program.output_width)


def engine_vector_text(plan: EnginePlan, vectors: Vectors) -> str:
    """Return the text of an engine's vector file.

    A line ``i`` holds an input word and which of its elements count, a line ``o`` an output word,
    in hexadecimal; the inputs of each block come before its outputs.
    """
    program = plan.program
    words, valid = input_words(plan, vectors.patches, vectors.borders)
    outputs = output_words(plan, vectors.expected)
    lines = ["# i: input, elements that count; o: output; hex, element 0 at the least end\n"]
    into, out = program.words * program.pixels, program.groups * program.pixels
    for block in range(len(words) // into):
        part = slice(block * into, (block + 1) * into)
        pairs = zip(words[part], valid[part], strict=True)
        lines += [f"i {word:x} {mask:x}\n" for word, mask in pairs]
        lines += [f"o {word:x}\n" for word in outputs[block * out : (block + 1) * out]]
    return "".join(lines)


def load_words(program: EngineProgram, width: int) -> list[int]:
    """Return the words of ``width`` bits that load the engine's memories, in order."""
    mask = (1 << width) - 1
    return [
        word >> start & mask
        for bits, words in program.memories.values()
        for word in words
        for start in range(0, bits, width)
    ]
