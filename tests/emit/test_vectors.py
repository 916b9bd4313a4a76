"""Words pack element 0 at the least significant end, in two's complement."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bnn2hw.emit.vectors import Vectors, pack_words, vector_text


@given(
    st.integers(1, 12).flatmap(
        lambda width: st.tuples(
            st.just(width),
            st.lists(
                st.lists(st.integers(-(1 << width - 1), (1 << width) - 1), min_size=5, max_size=5),
                min_size=1,
                max_size=4,
            ),
        )
    )
)
def test_packing_equals_shifts(case: tuple[int, list[list[int]]]) -> None:
    width, rows = case
    words = pack_words(np.array(rows, dtype=np.int64), width)
    for word, row in zip(words, rows, strict=True):
        assert word == sum((v % (1 << width)) << (k * width) for k, v in enumerate(row))


def test_a_line_is_input_border_and_output() -> None:
    vectors = Vectors(
        np.array([[1, 0, 1], [0, 1, 1]]), np.array([0, 2]), np.array([[-1], [3]]), ("corner",) * 2
    )
    lines = vector_text(vectors, 1, 4).splitlines()
    assert lines[1:] == ["5 0 f", "6 2 3"]
    assert lines[0].startswith("#")
