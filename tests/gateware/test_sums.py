"""Reuse adders and signed sums, at the ends of their operands and between."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Shape, signed, unsigned
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.gateware.sums import ReuseAdder, SignedSum, Term
from bnn2hw.plan.graph import interval_width
from tests.gateware.simulate import run_component


def ends(shape: Shape) -> tuple[int, int]:
    """Return the least and greatest number of a shape."""
    if shape.signed:
        return -(1 << shape.width - 1), (1 << shape.width - 1) - 1
    return 0, (1 << shape.width) - 1


def holding(low: int, high: int) -> Shape:
    """Return the narrowest shape of an interval."""
    return Shape(interval_width(low, high), low < 0)


shapes = st.one_of(st.integers(1, 6).map(unsigned), st.integers(1, 6).map(signed))


@given(shapes, shapes, st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_reuse_adder(parent: Shape, part: Shape, subtract: bool) -> None:
    factor = -2 if subtract else 2
    corners = [p + factor * q for p in ends(parent) for q in ends(part)]
    shape = holding(min(corners), max(corners))
    adder = ReuseAdder(parent, part, subtract=subtract, shape=shape)
    rng = random.Random(0)
    pairs = [(p, q) for p in ends(parent) for q in ends(part)]
    pairs += [(rng.randint(*ends(parent)), rng.randint(*ends(part))) for _ in range(20)]
    outputs = run_component(adder, [{"parent": p, "part": q} for p, q in pairs], 0)
    assert outputs == [p + factor * q for p, q in pairs]


@st.composite
def terms(draw: st.DrawFn, levels: int = 1) -> Term:
    return Term(
        draw(shapes),
        draw(st.sampled_from([-1, 1])),
        draw(st.integers(0, 3)),
        draw(st.integers(0, levels - 1)),
    )


def check_sum(members: list[Term], constant: int, pipeline: int | None, stall: int | None) -> None:
    weights = [term.sign << term.shift for term in members]
    lowest = [ends(t.shape)[w < 0] for t, w in zip(members, weights, strict=True)]
    highest = [ends(t.shape)[w > 0] for t, w in zip(members, weights, strict=True)]
    low, high = (
        constant + sum(w * v for w, v in zip(weights, row, strict=True))
        for row in (lowest, highest)
    )
    shape = holding(low, high)
    component = SignedSum(members, constant, shape=shape, pipeline=pipeline)
    rng = random.Random(1)
    rows = [[rng.randint(*ends(term.shape)) for term in members] for _ in range(15)]
    rows += [lowest, highest]
    inputs = [{f"i{k}": value for k, value in enumerate(row)} for row in rows]
    seed = stall if component.latency else None
    outputs = run_component(component, inputs, component.latency, seed=seed)
    sums = [constant + sum(w * v for w, v in zip(weights, row, strict=True)) for row in rows]
    assert outputs == sums
    assert sums[-2:] == [low, high]


@given(
    st.lists(terms(), min_size=1, max_size=8),
    st.integers(-100, 100),
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([None, 5]),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_signed_sum(
    members: list[Term], constant: int, pipeline: int | None, stall: int | None
) -> None:
    check_sum(members, constant, pipeline, stall)


@given(st.lists(terms(levels=9), min_size=1, max_size=8), st.integers(-9, 9))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_terms_of_several_levels(members: list[Term], constant: int) -> None:
    check_sum(members, constant, None, None)


@pytest.mark.parametrize("pipeline", [None, 1, 2])
def test_a_first_layer_of_27_signed_bytes(pipeline: int | None) -> None:
    members = [Term(signed(8), 1 if k % 3 else -1) for k in range(27)]
    check_sum(members, -13, pipeline, 2)


def test_a_base_and_kernels() -> None:
    """What a channel of a sub-bit plan adds up: widths of 1 to 4 bits, of several levels."""
    members = [Term(unsigned(9))]
    members += [Term(unsigned(1 + k % 4), -1 if k % 16 == 0 else 1, 1, k % 3) for k in range(32)]
    check_sum(members, 0, 2, None)


def test_a_sum_of_nothing_is_its_constant() -> None:
    component = SignedSum([], -5, shape=signed(4))
    assert run_component(component, [{}], 0) == [-5]


def test_one_carry_propagate_addition_suffices() -> None:
    """27 terms of 8 bits: 216 bits and a constant in six levels and an addition."""
    component = SignedSum([Term(signed(8))] * 27, 3, shape=signed(13))
    assert component.level == 7
    least = {f"i{k}": -128 for k in range(27)}
    assert run_component(component, [least], 0) == [27 * -128 + 3]
