"""Comparisons of a heap with a level: their forms, for all inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn2hw.plan.comparison import add_comparison
from bnn2hw.plan.netlist import BitOutput, Heap, Netlist, total_weight
from bnn2hw.plan.quick_comparison import add_quick_comparison
from bnn2hw.plan.targets import TARGETS

MOST_BITS = 12
columns = st.lists(st.lists(st.integers(0, 7), max_size=9), min_size=1, max_size=6).filter(
    lambda heap: 0 < sum(map(len, heap)) <= MOST_BITS
)


def late(target: str, arrivals: Sequence[Sequence[int]]) -> tuple[Netlist, Heap]:
    """Return a netlist and a heap of its input bits, each there at some level."""
    netlist = Netlist(sum(map(len, arrivals)), TARGETS[target])
    heap, bit = [], 0
    for column in arrivals:
        literals = []
        for level in column:
            inverted = bit & 1
            literal = 2 * bit
            if level:
                (literal,) = netlist.add(None, [literal], 0b10, level)
            literals.append(literal | inverted)
            bit += 1
        heap.append(tuple(literals))
    return netlist, tuple(heap)


def check(netlist: Netlist, heap: Heap, level: int, output: BitOutput) -> None:
    """Check a comparison against the sums of all inputs, and its proof."""
    words = np.arange(1 << netlist.inputs)
    patches = (words[:, None] >> np.arange(netlist.inputs) & 1).astype(np.uint8)
    bits = netlist.evaluate(patches).astype(np.int64)
    total = np.zeros(len(words), dtype=np.int64)
    for column, literals in enumerate(heap):
        for literal in literals:
            total += (bits[literal >> 1] ^ literal & 1) << column
    compared = bits[netlist.cells[output.last].first] ^ output.inverted
    assert np.array_equal(compared, total >= level)
    netlist.prove_counters()
    netlist.prove_comparison(output)


@given(st.sampled_from(sorted(TARGETS)), columns, st.integers(0, 10_000), st.integers(1, 9))
def test_quick_comparisons_are_right_for_all_inputs(
    target: str, arrivals: list[list[int]], place: int, meanwhile: int
) -> None:
    netlist, heap = late(target, arrivals)
    level = 1 + place % total_weight(heap)
    check(netlist, heap, level, add_quick_comparison(netlist, heap, level, meanwhile))


@given(st.sampled_from(sorted(TARGETS)), columns, st.integers(0, 10_000), st.integers(1, 12))
def test_comparisons_that_may_have_few_levels_are_right_for_all_inputs(
    target: str, arrivals: list[list[int]], place: int, most: int
) -> None:
    netlist, heap = late(target, arrivals)
    level = 1 + place % total_weight(heap)
    check(netlist, heap, level, add_comparison(netlist, heap, level, most))


def levels(netlist: Netlist, output: BitOutput) -> int:
    return netlist.levels[netlist.cells[output.last].first]


@pytest.mark.parametrize(
    ("arrivals", "most", "luts"),
    [
        ([[4 + column] * 3 for column in range(6)] + [[9] * 4] * 3, 13, 5),
        (
            [[5] * 2, [0] * 11, [8] * 3, [8] * 3, [9] * 4, [9] * 3, [10] * 4, [10] * 3, [10] * 2],
            14,
            8,
        ),
    ],
)
def test_a_comparison_keeps_to_its_levels_for_a_few_luts(
    arrivals: list[list[int]], most: int, luts: int
) -> None:
    # bits that come about one level a column, as sums of a tree do
    made = {}
    for bound in (30, most):
        netlist, heap = late("lut6", arrivals)
        before = netlist.luts
        output = add_comparison(netlist, heap, total_weight(heap) // 3, bound)
        made[bound] = levels(netlist, output), netlist.luts - before
        netlist.prove_comparison(output)
    assert made[30][0] > most >= made[most][0]
    assert made[30][1] < made[most][1] <= made[30][1] + luts


def cells_left_out(output: BitOutput) -> BitOutput:
    return replace(output, steps=output.steps[:-1])


def cells_of_a_column_below(output: BitOutput) -> BitOutput:
    return replace(output, steps=(*output.steps[1:], ()))


def another_level(output: BitOutput) -> BitOutput:
    return replace(output, level=output.level + 1)


MUTANTS = [
    (cells_left_out, "x not in tuple"),
    (cells_of_a_column_below, "x not in list"),
    (another_level, "holds a cell out of place"),
]


@pytest.mark.parametrize(("mutate", "message"), MUTANTS, ids=[one.__name__ for one, _ in MUTANTS])
def test_the_proof_rejects_other_quick_comparisons(
    mutate: Callable[[BitOutput], BitOutput], message: str
) -> None:
    netlist, heap = late("lut6", [[0] * 6, [3] * 4, [3] * 4, [3] * 4])
    output = add_quick_comparison(netlist, heap, 17, 1)
    assert any(output.steps[-1])
    netlist.prove_comparison(output)
    with pytest.raises(ValueError, match=message):
        netlist.prove_comparison(mutate(output))


def test_the_proof_rejects_the_end_of_a_column_that_decides_alone() -> None:
    netlist = Netlist(2, TARGETS["lut6"])
    netlist.add(None, [], 0)  # never, where a + 2 b >= 2 is b
    output = BitOutput(0, ((0,), (2,)), 2, ((), ()), (), 0, inverted=False)
    with pytest.raises(ValueError, match="which decides alone"):
        netlist.prove_comparison(output)
