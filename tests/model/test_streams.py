"""Weighted sums, quantisers and sum pools: shapes, formats, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bnn2hw.errors import ModelError
from bnn2hw.model import BIPOLAR, Affine, BinaryConv, Integer, MaxPool, Network, Quantize, SumPool
from bnn2hw.model import Tensor as T

BYTE = Integer(-128, 127)
MAP = T((4, 5, 3), BYTE)


def affine(
    weights: Any = ((1,),), offset: Any = (0,), shift: int = 0, inputs: tuple[str, ...] = ("input",)
) -> Affine:
    return Affine("sum", inputs, np.array(weights), np.array(offset), shift, BYTE)


def quantize(direction: Any, levels: Any) -> Quantize:
    return Quantize("codes", ("input",), np.array(direction), np.array(levels))


def test_formats_have_a_unit() -> None:
    assert str(Integer(-3, 4, 8)) == "integer -3..4 x 2^-8"
    assert Integer(-3, 4, 8) != Integer(-3, 4)
    assert (Integer(0, 1).fraction, BIPOLAR.fraction) == (0, 0)
    for fraction in (-1, 63):
        with pytest.raises(ModelError, match=f"a fraction of {fraction} bits is not 0 to 62"):
            Integer(0, 1, fraction)


def test_sums_keep_the_unit_of_what_they_read() -> None:
    source = T((4, 5, 3), Integer(-2, 7, 4))
    conv = BinaryConv("conv", ("input",), np.ones((2, 1, 1, 3), np.uint8))
    assert conv.output(source).format == Integer(-6, 21, 4)
    assert MaxPool("pool", ("input",)).output(source).format == source.format
    assert SumPool("pool", ("input",)).output(source) == T((2, 2, 3), Integer(-8, 28, 4))


def test_shapes_and_formats() -> None:
    assert SumPool("pool", ("input",), (4, 5), (1, 1)).output(T((4, 5, 3), BIPOLAR)) == T(
        (1, 1, 3), Integer(-20, 20)
    )
    assert affine().output(MAP) == MAP
    assert affine([[1], [2]], inputs=("input", "input")).output(MAP, T((4, 5, 3), BIPOLAR)) == MAP
    codes = quantize([1, -1, 1], [[1, 2], [2, 1], [3, 3]])
    assert codes.output(MAP) == T((4, 5, 3), Integer(0, 2))
    assert codes.count == 2


def test_one_row_of_parameters_is_a_row_for_every_channel() -> None:
    layer = affine([[1], [2]], [4, 5, 6], inputs=("input", "input"))
    assert layer.weights.tolist() == [[1, 1, 1], [2, 2, 2]]
    assert affine([[1, 2, 3]]).offset.tolist() == [0, 0, 0]
    assert quantize([-1], [[2, 1], [3, 0]]).direction.tolist() == [-1, -1]
    assert quantize([1, 1], [[1, 2]]).levels.tolist() == [[1, 2], [1, 2]]
    with pytest.raises(ValueError, match="read-only"):
        layer.weights[0, 0] = 3


def test_bounds_saturate_nowhere_by_themselves() -> None:
    low, high = affine([[2, -3, 0]], [1, 0, 7], shift=3).sum_bounds(MAP)
    assert low.tolist() == [2 * -128 + 1 + 4, -3 * 127 + 4, 11]
    assert high.tolist() == [2 * 127 + 1 + 4, 3 * 128 + 4, 11]


WRONG: dict[str, tuple[Any, str]] = {
    "no inputs": (lambda: affine(inputs=()), "sum: has 0 inputs and takes at least 1"),
    "weights of fewer inputs": (
        lambda: affine(inputs=("input", "input")),
        "sum: has weights for 1 inputs and 2 inputs",
    ),
    "real weights": (lambda: affine([[1.5]]), "sum: weights must be 2-dimensional integers"),
    "flat weights": (lambda: affine([1]), "sum: weights must be 2-dimensional integers"),
    "huge weights": (lambda: affine([[(1 << 62) + 1]]), r"sum: weights must lie within .*2\*\*62"),
    "a matrix of offsets": (lambda: affine(offset=[[1]]), "sum: offset must be 1-dimensional"),
    "a negative shift": (lambda: affine(shift=-1), "sum: shift -1 is not 0 to 62"),
    "a huge shift": (lambda: affine(shift=63), "sum: shift 63 is not 0 to 62"),
    "other channels": (
        lambda: affine([[1, 1]], [1, 2, 3]),
        "sum: has offsets for 3 channels and weights for 2",
    ),
    "channels of another edge": (
        lambda: affine([[1, 1]]).output(MAP),
        "sum: has parameters for 2 channels, the edge has 3",
    ),
    "two shapes": (
        lambda: affine([[1], [1]], inputs=("input", "input")).output(MAP, T((3,), BYTE)),
        r"sum: reads edges of different shapes, \(3,\) and \(4, 5, 3\)",
    ),
    "sums of 64 bits": (
        lambda: affine([[1 << 55]]).output(MAP),
        "sum: sums of up to .* do not fit 63 bits; give",
    ),
    "a shift of 62 bits with a weight": (
        lambda: affine([[1 << 54]], shift=62).output(MAP),
        "do not fit 63 bits",
    ),
    "no direction": (lambda: quantize([0], [[1]]), r"codes: directions must be \+1 or -1"),
    "a direction of 2": (lambda: quantize([2], [[1]]), "codes: direction must lie within"),
    "levels that fall": (lambda: quantize([1], [[2, 1]]), "codes: levels must ascend .* sort"),
    "levels that rise": (lambda: quantize([-1], [[1, 2]]), "codes: levels must ascend"),
    "levels that rise in a later channel": (
        lambda: quantize([1, -1], [[1, 2, 3], [3, 1, 2]]),
        "codes: levels must ascend",
    ),
    "no levels": (lambda: quantize([1], np.zeros((1, 0), int)), "codes: levels must be 2-dim"),
    "too many levels": (
        lambda: quantize([1], [list(range(256))]),
        "codes: has 256 levels, at most 255 are possible",
    ),
    "huge levels": (lambda: quantize([1], [[1 << 41]]), "codes: levels must lie within"),
    "levels of other channels": (
        lambda: quantize([1, 1], [[1]] * 3),
        "codes: has directions for 2 channels and levels for 3",
    ),
    "codes of other channels": (
        lambda: quantize([1, 1], [[1]]).output(MAP),
        "codes: has parameters for 2 channels, the edge has 3",
    ),
    "a sum pool that does not fit": (
        lambda: SumPool("pool", ("input",), (5, 1)).output(MAP),
        "pool: a pool of .* does not fit shape",
    ),
    "a sum pool of too many bits": (
        lambda: Network("n", T((2, 2, 1), Integer(0, (1 << 32) - 1)), (SumPool("p", ("input",)),)),
        "layer p: an integer format of 34 bits is wider than 32 bits",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_told(case: str) -> None:
    build, message = WRONG[case]
    with pytest.raises(ModelError, match=message):
        build()
