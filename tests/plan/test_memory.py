"""Memories of codebooks: words read back to the indices, and every bit is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.errors import UsageError
from bnn2hw.model import BinaryConv, Codebook
from bnn2hw.plan.codebooks import project
from bnn2hw.plan.memory import codebook_memory, packed_words
from tests.plan.strategies import random_bits

EXAMPLES = settings(max_examples=200, deadline=None, derandomize=True)


def unpacked(words: tuple[int, ...], width: int, word_width: int, count: int) -> list[int]:
    """Return the first numbers of ``width`` bits that words hold, by plain arithmetic."""
    number = sum(word << (k * word_width) for k, word in enumerate(words))
    return [number >> (k * width) & ((1 << width) - 1) for k in range(count)]


@EXAMPLES
@given(st.integers(1, 12), st.integers(1, 80), st.integers(0, 50), st.integers(0, 1000))
def test_words_read_back(width: int, word_width: int, count: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 1 << width, count)
    words = packed_words(values, width, word_width)
    assert len(words) == -(-count * width // word_width)
    assert all(0 <= word < 1 << word_width for word in words)
    assert unpacked(words, width, word_width, count) == values.tolist()


def book(closed: bool) -> Codebook:
    weights = random_bits(20, 9 * 7).reshape(20, 3, 3, 7)
    layer, _ = project(BinaryConv("layer", ("input",), weights=weights), 4, closed=closed)
    assert layer.codebook is not None
    return layer.codebook


@pytest.mark.parametrize("closed", [False, True])
def test_memories_hold_the_codebook(closed: bool) -> None:
    codebook = book(closed)
    memory = codebook_memory(codebook, 24)
    indices = np.array(unpacked(memory.indices, 4, 24, 140)).reshape(7, 20).T
    assert np.array_equal(indices, codebook.indices)
    kernels = np.array([[word >> k & 1 for k in range(9)] for word in memory.subset])
    if closed:  # address and sign
        kernels = np.concatenate([kernels, 1 - kernels])
    assert np.array_equal(kernels, codebook.subset)
    # 140 indices of 4 bits fill 23 words and a part; half of a closed subset is stored
    assert memory.bits == 24 * 24 + 9 * (8 if closed else 16)


def test_a_closed_subset_is_halved_in_any_order() -> None:
    """Half the kernels, whatever the order in which they and their complements stand."""
    codebook = book(closed=True)
    rows = np.random.default_rng(0).permutation(16)
    shuffled = Codebook(codebook.subset[rows], rows.argsort()[codebook.indices])
    assert codebook_memory(shuffled, 24) == codebook_memory(codebook, 24)


def test_texts_have_a_word_a_line() -> None:
    memory = codebook_memory(book(False), 30)
    texts = memory.texts()
    for name, words, digits in (("indices", memory.indices, 8), ("subset", memory.subset, 3)):
        lines = texts[name].splitlines()
        assert [int(line, 16) for line in lines] == list(words)
        assert {len(line) for line in lines} == {digits}


@pytest.mark.parametrize("width", [0, -3, (1 << 16) + 1])
def test_word_width_is_checked(width: int) -> None:
    with pytest.raises(UsageError, match=r"memory words of -?[0-9]+ bits make no sense; give 1"):
        codebook_memory(book(False), width)
