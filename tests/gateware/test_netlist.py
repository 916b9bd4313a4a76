"""Bit netlists as hardware, with and without registers, sums and bits; broken copies fail."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw.emit.verilog import to_rtlil
from bnn2hw.gateware.core import LayerCore
from bnn2hw.model import BIPOLAR, BinaryConv, Integer, LinearLayer, Tensor, Threshold
from bnn2hw.plan import netlist_parts, plan_layer
from bnn2hw.plan.netlist import Netlist
from bnn2hw.plan.netlist_cut import cut_netlist
from bnn2hw.plan.targets import TARGETS
from tests.gateware.designs import packed
from tests.gateware.mutants import NETLIST_MUTANTS, load_mutant
from tests.gateware.simulate import run_stream
from tests.plan.strategies import dense, random_bits, vector

LEVELS = Threshold(np.array([1, -1, 1, 0, 1, -1, 1], np.int8), np.array([0, 2, -4, 1, 6, -2, 3]))


def padded_conv() -> BinaryConv:
    weights = random_bits(7, 27).reshape(7, 3, 3, 3)
    return BinaryConv("conv", ("input",), weights, LEVELS, padding=(1, 1, 1, 1))


CASES: dict[str, tuple[LinearLayer, Tensor]] = {
    "bits": (dense(random_bits(7, 60), LEVELS), vector(60)),
    "sums": (dense(random_bits(7, 30)), vector(30)),
    "padded": (padded_conv(), Tensor((4, 4, 3), BIPOLAR)),
    "bytes": (dense(random_bits(7, 9), LEVELS), Tensor((9,), Integer(-128, 127))),
}


def core_of(case: str, pipeline: int | None, module: Any = None, target: str = "lut6") -> Any:
    layer, source = CASES[case]
    plan = plan_layer(layer, source, "rowtree", target=target)
    assert isinstance(plan.graph, Netlist)
    netlist = plan.graph if pipeline is None else cut_netlist(plan.graph, pipeline)
    return (module.LayerCore if module else LayerCore)(
        netlist,
        plan.readout,
        element_width=source.format.width,
        element_signed=source.format.signed,
        pipeline=pipeline,
    )


def check(case: str, core: Any, stall: float) -> None:
    """Send corners and random patches of every border class, and compare with W a."""
    layer, source = CASES[case]
    chance = np.random.default_rng(5)
    size, bits = layer.patch_size(), source.format == BIPOLAR
    low, high = (-1, 1) if bits else (source.format.low, source.format.high)
    values = chance.integers(low, high, (24, size), endpoint=True)
    if bits:
        values = np.where(values > 0, 1, -1)
    matrix = layer.matrix().astype(np.int64)
    values[0], values[1] = low, high
    for k, row in enumerate(matrix):
        values[2 + k] = np.where(row > 0, high, low)
        values[9 + k] = np.where(row > 0, low, high)
    border = np.arange(24) % len(layer.valid_taps(source))
    taps = layer.valid_taps(source)[border]
    sums = (values * taps) @ matrix.T
    if layer.threshold is None:
        expected, width = sums, layer.output(source).format.width
    else:
        direction, level = layer.threshold.direction, layer.threshold.level
        expected, width = direction * sums >= direction * level, 1
        expected = np.where(direction == 0, level, expected)
    patch = np.where(taps, values, -1)
    patch = (patch + 1) // 2 if bits else patch
    words = [packed(row, source.format.width) for row in patch.tolist()]
    outputs, cycles = run_stream(core, words, border.tolist(), stall=stall, seed=3)
    assert outputs == [packed(row, width) for row in expected.astype(np.int64).tolist()]
    assert stall or cycles == len(words) + core.latency, "there are gaps without stalls"


@pytest.mark.parametrize(
    ("case", "target", "pipeline"),
    [
        *product(CASES, ["lut6"], [None, 1, 3]),
        *product(["bits"], [name for name in TARGETS if name != "lut6"], [None, 2]),
        ("bytes", "ice40", 1),
        ("padded", "ecp5", None),
    ],
)
def test_outputs_are_those_of_the_layer(case: str, target: str, pipeline: int | None) -> None:
    for stall in (0.0, 0.4):
        core = core_of(case, pipeline, target=target)
        assert (core.latency > 1) == (pipeline is not None)
        check(case, core, stall)


@pytest.mark.parametrize(("target", "pipeline"), [("lut6", None), ("ice40", 2)])
def test_big_netlists_are_made_of_blocks(
    target: str, pipeline: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netlist_parts, "PART_LUTS", 50)
    core = core_of("bits", pipeline, target=target)
    text = to_rtlil(core, "top")
    assert all(f"cell \\top_block{k} " in text for k in range(3))
    check("bits", core_of("bits", pipeline, target=target), 0.4)


@pytest.mark.parametrize("name", sorted(NETLIST_MUTANTS))
def test_a_mutant_is_rejected(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_mutant(name, tmp_path)
    if "block" in name:
        monkeypatch.setattr(netlist_parts, "PART_LUTS", 50)
    failed = 0
    for case, target in product(CASES, ("lut6", "lut4", "ice40")):
        try:
            check(case, core_of(case, 2, module, target), 0.4)
        except AssertionError:
            failed += 1
            break
    assert failed
