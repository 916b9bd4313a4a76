"""Columns that are counted in a neighbouring class."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bnn2hw.plan.class_moves import moved_columns
from bnn2hw.plan.heap_moves import compression_moves
from bnn2hw.plan.row_blocks import class_codes
from bnn2hw.plan.targets import ICE40, LUT6


def cost(held: np.ndarray, counted: np.ndarray) -> float:
    return sum(
        compression_moves(LUT6, (int(n + c), int(c), int(c)) if c else (int(n),), LUT6.left).cost
        for n, c in zip(held, counted, strict=True)
    )


@given(
    st.integers(3, 8).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.lists(st.integers(0, 2 ** (size - 1) - 1), min_size=1, max_size=150),
            st.integers(0, 2**31),
        )
    )
)
def test_moves_pay_and_leave_one_row_wrong(case: tuple[int, list[int], int]) -> None:
    size, drawn, seed = case
    codes = np.array(drawn, dtype=np.int64)
    counted = np.random.default_rng(seed).integers(0, 3, 1 << size - 1)
    held = np.bincount(codes, minlength=1 << size - 1)
    own, before = held.copy(), cost(held, counted)
    moves = moved_columns(codes, counted, size, LUT6)
    for origin, other, columns, row in moves:
        # a column of class `origin`, its sign turned in that row, is of class `other`
        signs = np.array([[0], *([origin >> k & 1] for k in range(size - 1))], dtype=np.bool_)
        signs[row] ^= True
        assert class_codes(signs, range(size)).tolist() == [other]
        own[origin] -= columns
        held[origin] -= columns
        held[other] += columns
    assert (own >= 0).all()
    wrong = sum(columns for _, _, columns, _ in moves)
    assert cost(held, counted) + LUT6.wrong * wrong <= before - 1e-9 * len(moves)


def test_a_column_fills_a_counter() -> None:
    codes = np.array([0] * 7 + [1] * 5)
    assert moved_columns(codes, np.zeros(8, dtype=np.int64), 4, LUT6) == [(0, 1, 1, 1)]
    # the class of all rows but the first is the neighbour by the first row
    codes = np.array([0] * 7 + [7] * 5)
    assert moved_columns(codes, np.zeros(8, dtype=np.int64), 4, LUT6) == [(0, 7, 1, 0)]


def test_no_column_moves_where_it_is_not_worth_it() -> None:
    codes = np.array([0] * 7 + [1] * 5)
    assert moved_columns(codes, np.zeros(8, dtype=np.int64), 4, ICE40) == []
    # classes two rows apart are no neighbours
    codes = np.array([0] * 7 + [3] * 5)
    assert moved_columns(codes, np.zeros(8, dtype=np.int64), 4, LUT6) == []
    # and of two rows there is one other class
    assert moved_columns(np.array([0] * 7 + [1] * 5), np.zeros(2, dtype=np.int64), 2, LUT6) == []
