"""cocotb bench of popcounts, reuse adders and sums: one word a cycle, with pauses."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cocotb
from amaranth.hdl import Shape
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from rtl_tests.banks import POPCOUNTS, REUSES, SUMS, WEIGHTS

SECONDS = {"timeout_time": 100, "timeout_unit": "ms"}


def ends(shape: Shape) -> tuple[int, int]:
    """Return the least and greatest number of a shape."""
    if shape.signed:
        return -(1 << shape.width - 1), (1 << shape.width - 1) - 1
    return 0, (1 << shape.width) - 1


async def outputs(
    dut: Any, name: str, rows: Sequence[dict[str, int]], latency: int, stall: float
) -> list[int]:
    """Return the output for each row of inputs; with stalls, the registers pause at random."""
    rng = random.Random(0)
    Clock(dut.clk, 10, unit="ns").start()
    output = getattr(dut, f"{name}__o")
    advance = getattr(dut, f"{name}__advance", None)
    found = []
    for row in [*rows, *rows[:1] * (latency + 1)]:
        for port, value in row.items():
            signal = getattr(dut, f"{name}__{port}")
            signal.value = value & (1 << len(signal)) - 1
        while advance is not None and rng.random() < stall:
            advance.value = 0
            await RisingEdge(dut.clk)
        if advance is not None:
            advance.value = 1
        await RisingEdge(dut.clk)
        found.append(int(output.value))
    return found[latency : latency + len(rows)]


def latency_of(name: str) -> int:
    return int(cocotb.plusargs.get(f"{name}_latency", 0))


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=list(POPCOUNTS), stall=[0.0, 0.4])
async def popcount(dut: Any, name: str, stall: float) -> None:
    """Every word of a narrow popcount; ends and random words of a wide one."""
    size, _ = POPCOUNTS[name]
    weights = sum(bit << k for k, bit in enumerate(WEIGHTS[name]))
    full = (1 << size) - 1
    rng = random.Random(1)
    words = list(range(1 << size)) if size <= 7 else [0, full, weights, weights ^ full]
    words += [rng.getrandbits(size) for _ in range(200)]
    words += [weights ^ ((1 << rng.randrange(size + 1)) - 1) for _ in range(50)]
    found = await outputs(dut, name, [{"i": word} for word in words], latency_of(name), stall)
    assert found == [(word ^ weights ^ full).bit_count() for word in words]


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=list(REUSES))
async def reuse(dut: Any, name: str) -> None:
    """All corners, and random operands whose result fits."""
    parent, part, subtract, shape = REUSES[name]
    factor = -2 if subtract else 2
    low, high = ends(shape)
    rng = random.Random(2)
    pairs = [(p, q) for p in ends(parent) for q in ends(part)]
    pairs += [(rng.randint(*ends(parent)), rng.randint(*ends(part))) for _ in range(300)]
    pairs = [(p, q) for p, q in pairs if low <= p + factor * q <= high]
    found = await outputs(dut, name, [{"parent": p, "part": q} for p, q in pairs], 0, 0)
    mask = (1 << shape.width) - 1
    assert len(pairs) > 150
    assert found == [(p + factor * q) & mask for p, q in pairs]


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=list(SUMS), stall=[0.0, 0.4])
async def signed_sum(dut: Any, name: str, stall: float) -> None:
    """Least, greatest and random sums."""
    terms, constant, shape, _ = SUMS[name]
    rng = random.Random(3)
    rows = [[rng.randint(*ends(term.shape)) for term in terms] for _ in range(300)]
    rows += [[ends(t.shape)[(t.sign > 0) == up] for t in terms] for up in (True, False)]
    inputs = [{f"i{k}": value for k, value in enumerate(row)} for row in rows]
    found = await outputs(dut, name, inputs, latency_of(name), stall)
    sums = [
        constant + sum(t.sign * v << t.shift for t, v in zip(terms, row, strict=True))
        for row in rows
    ]
    low, high = ends(shape)
    assert all(low <= value <= high for value in sums)
    assert found == [value & (1 << shape.width) - 1 for value in sums]
