"""Row-class trees: counters, netlists, their proof, and what the proof must reject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.errors import PlanError
from bnn2hw.model import (
    BIPOLAR,
    BinaryDense,
    Integer,
    LinearLayer,
    Tensor,
    Threshold,
)
from bnn2hw.plan.bit_form import prove_netlist
from bnn2hw.plan.counters import Adder, Counter, Kind, ParityChain
from bnn2hw.plan.near_rows import near_rows
from bnn2hw.plan.netlist import BitOutput, Netlist, SumOutput
from bnn2hw.plan.readout import live_channels
from bnn2hw.plan.rowtree import EFFORTS, rowtree_netlist
from bnn2hw.plan.shared_counters import shared_counters
from bnn2hw.plan.targets import TARGETS
from tests.plan.strategies import conv_layers, dense, dense_layers, random_bits, vector

CASES = st.one_of(dense_layers(), conv_layers())


def kinds() -> set[Kind]:
    ends = {
        Counter(reads, constant, drop)
        for size in (1, 2, 3)
        for reads in product(range(7), repeat=size)
        for drop in range(max(size - 1, 1), size + 1)
        for constant in range(1 << drop)
        if reads[0] and reads[-1] and sum(reads) <= 6
        if sum(bits << column for column, bits in enumerate(reads)) + constant >= 1 << drop
    }
    full = {trial.kind for target in TARGETS.values() for trial in target.trials}
    adders = {Adder((3, 2, 1, 2), 4), Adder((2, 0, 1), 7, 3), Adder((3, 2, 2), 0, 3)}
    return {*ends, *full, *adders, Counter((2,), constant=1), ParityChain(1)}


@pytest.mark.parametrize("kind", sorted(kinds(), key=repr), ids=repr)
def test_counters_write_the_sum_of_what_they_read(kind: Kind) -> None:
    words = np.arange(1 << kind.inputs)
    bits = (words >> np.arange(kind.inputs)[:, None] & 1).astype(np.uint8)
    total = sum(
        (row.astype(np.int64) << column for row, column in zip(bits, kind.columns, strict=True)),
        np.full(len(words), kind.constant),
    )
    written = kind.evaluate(bits)
    assert len(written) == kind.outputs
    value = sum(row.astype(np.int64) << at for row, at in zip(written, kind.places, strict=True))
    assert np.array_equal(value, total >> kind.drop << kind.drop)
    if isinstance(kind, Counter):
        tables = [[table >> word & 1 for word in words.tolist()] for table in kind.tables]
        assert np.array_equal(tables, written)
    if kind.self_dual:
        assert np.array_equal(kind.evaluate(1 - bits), 1 - written)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Counter(()),
        lambda: Counter((0,)),
        lambda: Counter((5, 2)),
        lambda: Counter((3, 0)),
        lambda: Counter((3,), constant=2),
        lambda: Counter((1,), 0, 1),
        lambda: Counter((4,), 0, 2),
        lambda: Adder((4, 2)),
        lambda: Adder((2, 2), 1, 1),
        lambda: Adder((2, 2), 4),
        lambda: Adder((2, 2), 2),
        lambda: Adder((0, 0)),
    ],
)
def test_impossible_counters_are_refused(wrong: Callable[[], Kind]) -> None:
    with pytest.raises(ValueError, match="there is no such"):
        wrong()


def patch_bits(source: Tensor, size: int, count: int, seed: int) -> NDArray[np.uint8]:
    """Return random patches as bits, uint8 (count, bits)."""
    chance = np.random.default_rng(seed)
    low = 0 if source.format == BIPOLAR else source.format.low
    values = chance.integers(low, source.format.high, (count, size), endpoint=True)
    width = source.format.width
    return (values[:, :, None] >> np.arange(width) & 1).reshape(count, -1).astype(np.uint8)


def sums_of(layer: LinearLayer, source: Tensor, bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return W a of patches given as bits, int64 (count, channels)."""
    width = source.format.width
    if source.format == BIPOLAR:
        values = 2 * bits.astype(np.int64) - 1
    else:
        places = 1 << np.arange(width, dtype=np.int64)
        if source.format.signed:
            places[-1] *= -1
        values = bits.reshape(len(bits), -1, width) @ places
    sums: NDArray[np.int64] = values @ layer.matrix().astype(np.int64).T
    return sums


def outputs_of(netlist: Netlist, bits: NDArray[np.uint8]) -> dict[int, NDArray[np.int64]]:
    """Return by channel the bit, or the sum of the heap."""
    values = netlist.evaluate(bits)

    def read(literal: int) -> NDArray[np.int64]:
        bit: NDArray[np.int64] = (values[literal >> 1] ^ (literal & 1)).astype(np.int64)
        return bit

    found = {}
    for output in netlist.outputs:
        if isinstance(output, BitOutput):
            found[output.channel] = read(2 * netlist.cells[output.last].first + output.inverted)
        else:
            columns = enumerate(output.heap)
            found[output.channel] = sum(
                (read(one) << k for k, column in columns for one in column),
                np.zeros(len(bits), np.int64),
            )
    return found


@settings(max_examples=40, deadline=None, derandomize=True)
@given(CASES, st.sampled_from(sorted(TARGETS)), st.integers(0, 2**16))
def test_netlists_compute_layers(case: tuple[LinearLayer, Tensor], target: str, seed: int) -> None:
    layer, source = case
    netlist = rowtree_netlist(layer, source, target)
    prove_netlist(layer, source, netlist)
    bits = patch_bits(source, layer.patch_size(), 50, seed)
    sums = sums_of(layer, source, bits)
    found = outputs_of(netlist, bits)
    assert list(found) == live_channels(layer, source).tolist()
    single = layer.threshold is not None and len(layer.valid_taps(source)) == 1
    for output in netlist.outputs:
        channel = output.channel
        assert isinstance(output, BitOutput) == single
        if single:
            assert layer.threshold is not None
            direction, level = layer.threshold.direction[channel], layer.threshold.level[channel]
            assert np.array_equal(found[channel], direction * sums[:, channel] >= direction * level)
        else:
            form, constant = netlist.linear_form(output.heap)
            assert np.array_equal(found[channel], bits.astype(np.int64) @ form + constant)


def near_threshold(layer: BinaryDense, channel: int, chance: np.random.Generator) -> np.ndarray:
    """Return patches whose sum of a channel lies at and beside its level."""
    assert layer.threshold is not None
    row = layer.matrix()[channel]
    size = len(row)
    patches = []
    for step in range(-3, 4):
        agree = (size + int(layer.threshold.level[channel]) + step) // 2
        chosen = chance.permutation(size)[: min(max(agree, 0), size)]
        bits = row < 0
        bits[chosen] = row[chosen] > 0
        patches.append(bits)
    return np.array(patches, dtype=np.uint8)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("rows", "columns"), [(9, 40), (5, 200), (1, 37), (17, 64)])
def test_near_every_threshold(rows: int, columns: int, target: str) -> None:
    chance = np.random.default_rng(rows)
    levels = Threshold.at_least(chance.integers(-columns // 2, columns // 2, rows))
    layer, source = dense(random_bits(rows, columns, rows), levels), vector(columns)
    netlist = rowtree_netlist(layer, source, target)
    prove_netlist(layer, source, netlist)
    for output in netlist.outputs:
        bits = near_threshold(layer, output.channel, chance)
        expected = sums_of(layer, source, bits)[:, output.channel] >= levels.level[output.channel]
        assert np.array_equal(outputs_of(netlist, bits)[output.channel], expected)


@pytest.mark.parametrize("target", TARGETS)
def test_same_layer_same_netlist(target: str) -> None:
    layer, source = dense(random_bits(20, 90), Threshold.at_least(np.zeros(20, int))), vector(90)
    one, two = (rowtree_netlist(layer, source, target) for _ in range(2))
    assert (one.cells, one.outputs) == (two.cells, two.outputs)


def test_equal_and_complementary_rows_share_all_but_the_comparison() -> None:
    weights = random_bits(1, 120)
    once = dense(weights, Threshold.at_least(np.array([6])))
    many = np.concatenate([weights, weights, 1 - weights])
    thrice = dense(many, Threshold.at_least(np.array([6, 6, 6])))
    alone, together = (rowtree_netlist(layer, vector(120)) for layer in (once, thrice))
    assert together.luts < 1.3 * alone.luts
    assert len({output.last for output in together.outputs}) == 2


def test_near_identical_rows_cost_next_to_nothing() -> None:
    weights = np.repeat(random_bits(1, 200), 20, axis=0)
    chance = np.random.default_rng(1)
    for number, row in enumerate(weights[1:]):
        row[chance.integers(0, 200, 4)] ^= 1
        row ^= number & 1
    levels = Threshold.at_least(np.zeros(20, int))
    layer = dense(weights, levels)
    netlist = rowtree_netlist(layer, vector(200))
    prove_netlist(layer, vector(200), netlist)
    alone = rowtree_netlist(dense(weights[:1], Threshold.at_least(np.zeros(1, int))), vector(200))
    assert netlist.luts < alone.luts + 19 * 12
    form, _ = netlist.linear_form(netlist.outputs[7].heap)
    assert np.array_equal(np.abs(form), np.ones(200))


def test_levels_are_part_of_the_cost() -> None:
    layer = dense(random_bits(24, 256), Threshold.at_least(np.zeros(24, int)))
    assert max(rowtree_netlist(layer, vector(256)).levels) <= 12


def test_columns_are_ended_together_and_signs_put_right() -> None:
    layer = dense(random_bits(24, 300), Threshold.at_least(np.arange(24)))
    netlist = rowtree_netlist(layer, vector(300))
    prove_netlist(layer, vector(300), netlist)
    assert any(cell.kind is not None and cell.kind.drop > 1 for cell in netlist.cells)
    # rows that add twice a column do so by a bit of the patch itself, of weight 2
    assert any(
        literal >> 1 < 300
        for output in netlist.outputs
        if isinstance(output, BitOutput)
        for literal in output.heap[1]
    )


def test_more_effort_gives_a_smaller_netlist() -> None:
    layer = dense(random_bits(16, 100), Threshold.at_least(np.zeros(16, int)))
    found = [rowtree_netlist(layer, vector(100), "lut6", effort) for effort in EFFORTS]
    for netlist in found:
        prove_netlist(layer, vector(100), netlist)
    fast, usual, thorough = (netlist.luts for netlist in found)
    assert thorough < usual < fast


def test_a_block_that_is_too_deep_is_planned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = dense(random_bits(16, 256), Threshold.at_least(np.zeros(16, int)))
    depths = {}
    for levels in (3.0, 1.3):
        monkeypatch.setitem(TARGETS, "lut6", replace(TARGETS["lut6"], levels=levels))
        netlist = rowtree_netlist(layer, vector(256))
        prove_netlist(layer, vector(256), netlist)
        depths[levels] = max(netlist.levels)
    assert depths[1.3] < depths[3.0]


def test_rows_that_are_near_one_another_form_trees() -> None:
    distance = np.array([[0, 2, 9, 9], [2, 0, 1, 9], [9, 1, 0, 9], [9, 9, 9, 0]], dtype=np.int32)
    assert near_rows(distance, 2, 1).tolist() == [1, -1, 1, -1]
    assert near_rows(distance, 1, 2).tolist() == [-1, -1, 1, -1]
    line = np.abs(np.subtract.outer(np.arange(5), np.arange(5))).astype(np.int32)
    parent = near_rows(line, 1, 1)
    assert (parent < 0).sum() == 2
    assert all(parent[one] < 0 for one in parent[parent >= 0])


@pytest.mark.parametrize(
    "kinds",
    [
        ((Counter((6,)), 0), (Counter((5,)), 0)),
        ((ParityChain(), 0), (Counter((3,)), 0)),
        ((Counter((6,)), 2),),
    ],
)
def test_shared_counters_have_few_wrong_signs(kinds: tuple[tuple[Kind, int], ...]) -> None:
    negative = random_bits(16, 300).astype(np.bool_)
    blocks = [list(range(k, k + 4)) for k in range(0, 16, 4)]
    found = shared_counters(negative, blocks, kinds)
    assert len(found) > 10
    assert {shared.kind for shared in found} == {kind for kind, _ in kinds}
    used: set[tuple[int, int]] = set()
    for shared in found:
        columns = list(shared.columns)
        assert len(set(columns)) == shared.kind.inputs
        rows = [row for number in shared.blocks for row in blocks[number]]
        taken = np.concatenate(shared.rows)[:, None] ^ shared.turned
        assert (negative[rows][:, columns] ^ taken).sum() <= dict(kinds)[shared.kind]
        cells = {(number, column) for number in shared.blocks for column in columns}
        assert not used & cells
        used |= cells


def planned(target: str = "lut6") -> tuple[LinearLayer, Tensor, Netlist]:
    layer = dense(random_bits(8, 60, 3), Threshold.at_least(np.arange(-4, 4)))
    source = vector(60)
    return layer, source, rowtree_netlist(layer, source, target)


def swapped_literal(netlist: Netlist) -> None:
    cell = netlist.cells[0]
    netlist.cells[0] = replace(cell, literals=(cell.literals[0] ^ 1, *cell.literals[1:]))


def other_input(netlist: Netlist) -> None:
    number = next(k for k, cell in enumerate(netlist.cells) if cell.literals[0] >> 1 < 60)
    cell = netlist.cells[number]
    other = next(2 * k for k in range(60) if 2 * k not in {one & ~1 for one in cell.literals})
    netlist.cells[number] = replace(cell, literals=(other, *cell.literals[1:]))


def table_off_by_one(netlist: Netlist) -> None:
    output = netlist.outputs[2]
    assert isinstance(output, BitOutput)
    cell = netlist.cells[output.last]
    netlist.cells[output.last] = replace(cell, table=cell.table ^ 1)


def dropped_bit_that_mattered(netlist: Netlist) -> None:
    """Let a counter of a comparison write carries alone, with the wrong constant."""
    output = netlist.outputs[0]
    assert isinstance(output, BitOutput)
    number = next(numbers[-1] for numbers in output.steps if numbers)
    cell = netlist.cells[number]
    assert isinstance(cell.kind, Counter) and cell.kind.drop
    kind = replace(cell.kind, constant=cell.kind.constant ^ 1)
    netlist.cells[number] = replace(cell, kind=kind)


def ends_a_column_too_many(netlist: Netlist) -> None:
    """Let a counter that ends a column, and reads bits of the next one, end that too."""
    number, kind = next(
        (k, cell.kind)
        for k, cell in enumerate(netlist.cells)
        if isinstance(cell.kind, Counter) and 0 < cell.kind.drop < len(cell.kind.reads)
    )
    kind = replace(kind, drop=kind.drop + 1)
    netlist.cells[number] = replace(netlist.cells[number], kind=kind)


def level_off_by_one(netlist: Netlist) -> None:
    output = netlist.outputs[3]
    assert isinstance(output, BitOutput)
    netlist.outputs[3] = replace(output, level=output.level + 1)


def inverted_output(netlist: Netlist) -> None:
    output = netlist.outputs[1]
    assert isinstance(output, BitOutput)
    netlist.outputs[1] = replace(output, inverted=not output.inverted)


def one_column_too_many(netlist: Netlist) -> None:
    output = netlist.outputs[0]
    heap = (*output.heap[0], output.heap[0][0] ^ 1), *output.heap[1:]
    netlist.outputs[0] = replace(output, heap=heap)


def missing_channel(netlist: Netlist) -> None:
    del netlist.outputs[4]


def parts_of_a_counter(netlist: Netlist) -> None:
    output = netlist.outputs[0]
    netlist.outputs[0] = replace(output, heap=(output.heap[0][1:], *output.heap[1:]))


MUTANTS = [
    swapped_literal,
    other_input,
    table_off_by_one,
    dropped_bit_that_mattered,
    ends_a_column_too_many,
    level_off_by_one,
    inverted_output,
    one_column_too_many,
    missing_channel,
    parts_of_a_counter,
]


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda one: one.__name__)
def test_proof_rejects_mutants(mutate: Callable[[Netlist], None]) -> None:
    layer, source, netlist = planned()
    prove_netlist(layer, source, netlist)
    mutate(netlist)
    with pytest.raises(PlanError, match="the plan is not that of the weights"):
        prove_netlist(layer, source, netlist)


def adder(netlist: Netlist, drops: bool) -> int:
    return next(
        number
        for number, cell in enumerate(netlist.cells)
        if isinstance(cell.kind, Adder) and bool(cell.kind.drop) == drops
    )


def dropped_carry(netlist: Netlist) -> None:
    """Leave the last carry of an adder out of the sum that reads it."""
    cell = netlist.cells[adder(netlist, drops=False)]
    carry = 2 * (cell.first + cell.outputs - 1)
    for number, other in enumerate(netlist.cells):
        if other.literals and {carry, carry ^ 1} & set(other.literals):
            left = tuple(0 if one >> 1 == carry >> 1 else one for one in other.literals)
            netlist.cells[number] = replace(other, literals=left)


def adder_bits_swapped(netlist: Netlist) -> None:
    """Let an adder read a bit in another column than its own."""
    number = adder(netlist, drops=False)
    one, *others, last = netlist.cells[number].literals
    netlist.cells[number] = replace(netlist.cells[number], literals=(last, *others, one))


def constant_of_another_level(netlist: Netlist) -> None:
    number = adder(netlist, drops=True)
    kind = netlist.cells[number].kind
    assert isinstance(kind, Adder)
    places = [k for k, bits in enumerate(kind.reads) if bits < 2]
    changed = replace(kind, constant=kind.constant ^ 1 << places[-1])
    netlist.cells[number] = replace(netlist.cells[number], kind=changed)


@pytest.mark.parametrize(
    "mutate",
    [dropped_carry, adder_bits_swapped, constant_of_another_level],
    ids=lambda one: one.__name__,
)
def test_proof_rejects_mutants_with_carries(mutate: Callable[[Netlist], None]) -> None:
    layer, source, netlist = planned("ice40")
    prove_netlist(layer, source, netlist)
    mutate(netlist)
    with pytest.raises(PlanError, match="the plan is not that of the weights"):
        prove_netlist(layer, source, netlist)


def test_proof_knows_a_parity_chain() -> None:
    layer, source, netlist = planned("lut4")
    prove_netlist(layer, source, netlist)
    number = next(k for k, cell in enumerate(netlist.cells) if cell.kind == ParityChain())
    cell = netlist.cells[number]
    netlist.cells[number] = replace(cell, literals=(*cell.literals[:6], cell.literals[6] ^ 1))
    with pytest.raises(PlanError, match="the plan is not that of the weights"):
        prove_netlist(layer, source, netlist)


def test_adders_on_a_chain_are_shorter_than_tables() -> None:
    layer = dense(random_bits(8, 90), Threshold.at_least(np.zeros(8, int)))
    luts = {name: rowtree_netlist(layer, vector(90), name).luts for name in TARGETS}
    assert luts["ice40"] < luts["lut4"]
    assert luts["lut6"] < luts["lut4"]


def test_sums_of_integers_come_out_whole() -> None:
    layer = BinaryDense("fc", ("input",), random_bits(6, 10))
    source = Tensor((10,), Integer(-128, 127))
    netlist = rowtree_netlist(layer, source)
    prove_netlist(layer, source, netlist)
    assert all(isinstance(output, SumOutput) for output in netlist.outputs)
