"""Row sums of the sequential engine: what every kernel gives, and the adders that are there."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Elaboratable, Module
from amaranth.sim import Simulator

from bnn2hw.emit.vectors import pack_words
from bnn2hw.emit.verilog import to_rtlil
from bnn2hw.gateware.engine_delta import DeltaAccumulators
from bnn2hw.gateware.engine_lanes import Accumulators
from bnn2hw.gateware.engine_rows import KernelUnit, LastRow, RowSums
from bnn2hw.model import BIPOLAR, Format, Integer
from bnn2hw.plan.engine import EngineParameters
from bnn2hw.plan.engine_program import EngineProgram, row_sizes, table_adders
from tests.gateware.engines import engine_design

KERNELS = {2: (1, 2), 4: (2, 2), 8: (1, 1), 9: (3, 3), 10: (2, 5)}
"""A kernel for each number of elements of a word."""


def program(
    unit: int = 9, form: Format = BIPOLAR, mode: str = "subbit", closed: bool = False
) -> EngineProgram:
    """Return the program of a small engine, with words of so many elements."""
    design = engine_design(
        0, EngineParameters(lanes=2, kernel_units=2), mode, KERNELS[unit], 8, 4,
        form=form, size=(5, 5), book=(2, closed),
    )  # fmt: skip
    return design.plan.program


def adders(component: Elaboratable) -> int:
    """Return the cells of a component that add or subtract."""
    return len(re.findall(r"cell \$(?:add|sub|neg|alu|macc) ", to_rtlil(component, "top")))


@pytest.mark.parametrize("unit", KERNELS)
def test_the_adders_are_those_that_are_counted(unit: int) -> None:
    found = program(unit, Integer(-4, 3))
    shared = adders(RowSums(found)) + adders(LastRow(found))
    assert (shared, adders(KernelUnit(found))) == table_adders(unit)


def test_a_table_of_nine_takes_nineteen_adders_and_two_a_kernel() -> None:
    assert row_sizes(9) == [3, 3, 3]
    assert table_adders(9) == (19, 2)
    assert row_sizes(8) == [3, 3, 2]
    assert table_adders(8) == (14, 2)


@pytest.mark.parametrize("closed", [False, True])
def test_a_lane_is_one_adder_and_two_in_mode_delta(closed: bool) -> None:
    found = program(closed=closed)
    assert adders(Accumulators(found)) == found.lanes
    delta = program(mode="delta", closed=closed)
    assert adders(DeltaAccumulators(delta)) == 2 * delta.lanes


@pytest.mark.parametrize("unit", KERNELS)
@pytest.mark.parametrize(
    ("form", "masked"),
    [(BIPOLAR, False), (BIPOLAR, True), (Integer(0, 3), False), (Integer(-2, 1), False)],
)
def test_every_kernel_is_its_signed_sum(unit: int, form: Format, masked: bool) -> None:
    found = replace(program(unit, form), masked=masked)
    m = Module()
    m.submodules.rows = rows = RowSums(found)
    m.submodules.kernel = kernel = KernelUnit(found)
    m.submodules.last = last = LastRow(found)
    names = [name for name in rows.signature.members if name != "word"]
    for name in set(names) & set(last.signature.members):
        m.d.comb += getattr(last, name).eq(getattr(rows, name))
    others = (getattr(rows, name) for name in names if name.startswith("row"))
    m.d.comb += kernel.rows.eq(Cat(*others, *last.sums))
    rng = np.random.default_rng(unit)
    low, high = (0, 1) if form == BIPOLAR else (form.low, form.high)
    words = rng.integers(low, high, (6, unit), endpoint=True)
    words[0], words[1] = low, high
    valid = rng.integers(0, 2, words.shape) if masked else np.ones_like(words)
    values = (2 * words - 1 if form == BIPOLAR else words) * valid

    async def bench(ctx: Any) -> None:
        for word, mask, value in zip(
            pack_words(words, form.width), pack_words(valid, 1), values, strict=True
        ):
            ctx.set(rows.word.data, word)
            if masked:
                ctx.set(rows.word.valid, mask)
            for code in range(1 << unit):
                signs = 2 * (code >> np.arange(unit) & 1) - 1
                ctx.set(kernel.kernel, code)
                assert ctx.get(kernel.o) == int(signs @ value)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
