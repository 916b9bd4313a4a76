"""Where input bits begin: bisection against all numbers of float16."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bnn2hw.frontends.expression import Expression, Step, arithmetic
from bnn2hw.frontends.onnx_graph import Unsupported
from bnn2hw.frontends.real_input import crossings, describe_crossings

F16 = np.dtype(np.float16)
EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
EVERY = np.sort(EVERY[np.isfinite(EVERY)])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["Add", "Sub", "Mul", "Div"]),
            st.floats(-4, 4, width=16),
            st.booleans(),
        ),
        max_size=4,
    )
)
def test_crossings_equal_those_of_all_numbers(steps: list[Any]) -> None:
    expression = Expression(F16)
    for operator, constant, swapped in steps:
        assume(not (operator == "Div" and (swapped or constant == 0)))
        step = arithmetic(operator, np.array([constant], F16), swapped=swapped)
        expression = expression.then(step)
    values = expression(EVERY[:, None])[:, 0]
    assume(not np.isnan(values).any())
    ones = values >= 0
    if ones.all() or not ones.any():
        with pytest.raises(Unsupported, match="same bit for every input in channel 0"):
            crossings(expression, 1)
        return
    rising, value = crossings(expression, 1)
    assert rising[0] == ones[-1]
    assert value[0] == (EVERY[ones].min() if ones[-1] else EVERY[ones].max())
    np.testing.assert_array_equal(ones, value[0] <= EVERY if ones[-1] else value[0] >= EVERY)


def test_channels_are_told_apart() -> None:
    expression = Expression(np.dtype(np.float32)).then(
        arithmetic("Mul", np.array([2, -4, 2], np.float32)),
        arithmetic("Sub", np.array([1, 1, 1], np.float32)),
    )
    assert describe_crossings(expression, 3, "the picture") == (
        "bit 1 where x >= 0.5 in channel 0, x <= -0.25 in channel 1, x >= 0.5 in channel 2, "
        "else 0; x is the picture"
    )


def test_zero_is_one_number() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        rising, value = crossings(Expression(np.dtype(dtype)), 1)
        assert rising[0]
        assert value[0] == 0
        assert value.dtype == dtype
        assert describe_crossings(Expression(np.dtype(dtype)), 1, "a").startswith(
            "bit 1 where x >= 0.0, else 0"
        )


@pytest.mark.parametrize(
    "step",
    [
        arithmetic("Div", np.array([1], np.float32), swapped=True),
        Step(lambda x: x * x, "{} squared", monotone=False),
    ],
)
def test_what_is_not_monotone_is_refused(step: Step) -> None:
    with pytest.raises(Unsupported, match="not monotone"):
        crossings(Expression(np.dtype(np.float32), (step,)), 1)
