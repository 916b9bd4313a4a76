"""Real coefficients as fixed point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.frontends.fixed_point import fixed_line, sign_planes


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 999))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_fixed_line_is_off_by_half_a_last_place_at_most(
    terms: int, channels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    most = [int(n) for n in rng.integers(1, 1000, terms)]
    slopes = [rng.normal(0, 3, channels) for _ in range(terms)]
    intercept = rng.normal(0, 100, channels)
    weights, offset, shift = fixed_line(slopes, intercept, most)
    ends = np.array(most) * np.sign(weights / 2.0**shift - np.array(slopes)).T
    exact = (ends.T * np.array(slopes)).sum(axis=0) + intercept
    fixed = ((ends.T * weights).sum(axis=0) + offset) / 2.0**shift
    assert np.abs(fixed - exact).max() <= 0.5
    if shift:
        smaller = 2.0 ** (shift - 1)
        off = np.abs(np.rint(intercept * smaller) / smaller - intercept)
        for slope, greatest in zip(slopes, most, strict=True):
            off += greatest * np.abs(np.rint(slope * smaller) / smaller - slope)
        assert off.max() > 0.5


def test_a_coefficient_too_large_for_fixed_point() -> None:
    with pytest.raises(ValueError, match="too large"):
        fixed_line([np.array([1 / 3])], np.zeros(1), [1 << 60])


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 999))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_planes_of_signs(bits: int, outputs: int, seed: int) -> None:
    weights = np.random.default_rng(seed).normal(0, 2, (outputs, 2, 3, 2))
    planes, steps = sign_planes(weights, bits)
    assert planes.shape == (bits, *weights.shape)
    signs = 2.0 * planes - 1
    near = np.tensordot(2.0 ** np.arange(bits), signs, 1) * steps[:, None, None, None]
    off = np.abs(near - weights).reshape(outputs, -1)
    assert (off <= steps[:, None] * (1 + 1e-9)).all()
    greatest = np.abs(weights.reshape(outputs, -1)).argmax(axis=1)
    assert (off[np.arange(outputs), greatest] <= 1e-9).all()


def test_weights_of_zero() -> None:
    planes, steps = sign_planes(np.zeros((1, 3), np.float32), 2)
    assert steps.tolist() == [0.0]
    assert planes.shape == (2, 1, 3)
