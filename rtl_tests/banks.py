"""The hardware under test: many cores and components side by side in one top.

A build of Verilator costs seconds whatever its size, so there is one for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Module, Shape, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnn2hw.gateware.axi_stream import AxiStreamLayer
from bnn2hw.gateware.popcount import XnorPopcount
from bnn2hw.gateware.sums import ReuseAdder, SignedSum, Term
from bnn2hw.model import (
    BIPOLAR,
    BinaryConv,
    BinaryDense,
    Integer,
    LinearLayer,
    Tensor,
    Threshold,
)
from bnn2hw.plan import plan_layer
from tests.gateware.designs import Design, random_design
from tests.gateware.mutants import load_mutant

RNG = np.random.default_rng(2024)


def _planned(layer: LinearLayer, source: Tensor, method: str, pipeline: int | None) -> Design:
    plan = plan_layer(layer, source, method)
    width, signs = source.format.width, source.format.signed
    return Design(plan.graph, plan.readout, width, signs, pipeline)


def _threshold(channels: int) -> Threshold:
    facing = RNG.choice([-1, 1], channels).astype(np.int8)
    return Threshold(facing, RNG.integers(-6, 7, channels))


def _dense(channels: int, inputs: int, threshold: bool = True) -> BinaryDense:
    weights = RNG.integers(0, 2, (channels, inputs), dtype=np.uint8)
    return BinaryDense("fc", ("input",), weights, _threshold(channels) if threshold else None)


def _conv(channels: int, depth: int) -> BinaryConv:
    weights = RNG.integers(0, 2, (channels, 3, 3, depth), dtype=np.uint8)
    return BinaryConv(
        "conv", ("input",), weights, _threshold(channels), padding=(1, 1, 1, 1), padding_value=0
    )


FLAT = Tensor((60,), BIPOLAR)
MAP = Tensor((6, 6, 4), BIPOLAR)
BYTES = Tensor((6, 6, 3), Integer(-128, 127))

CORES: Mapping[str, Design] = {
    "direct": _planned(_dense(8, 60), FLAT, "direct", None),
    "mst": _planned(_dense(8, 60), FLAT, "mst", None),
    "mst_cut1": _planned(_dense(8, 60), FLAT, "mst", 1),
    "mst_cut3": _planned(_dense(8, 60), FLAT, "mst", 3),
    "sums_cut2": _planned(_dense(6, 60, threshold=False), FLAT, "mst", 2),
    "padded": _planned(_conv(6, 4), MAP, "direct", None),
    "padded_cut2": _planned(_conv(6, 4), MAP, "mst", 2),
    "bytes": _planned(_conv(3, 3), BYTES, "direct", None),
    "bytes_cut2": _planned(_conv(3, 3), BYTES, "mst", 2),
    "random_bits": random_design(5, inputs=14, nodes=12, classes=4, pipeline=2),
    "random_sums": random_design(6, inputs=8, nodes=10, sums=True, classes=2, pipeline=1),
    "random_integers": random_design(7, inputs=8, nodes=10, interval=(-8, 7), pipeline=3),
}

# Copies of one core, each with a fault that a bench with stalls must find.
MUTANT = random_design(5, inputs=8, nodes=7, classes=3, pipeline=1)
MUTANTS = (
    "border_ignored",
    "border_not_delayed",
    "carry_swapped",
    "delay_goes_on_while_stalled",
    "gaps_become_words",
    "ignores_back_pressure",
    "latency_short_by_one",
    "output_changes_while_stalled",
    "stage_goes_on_while_stalled",
    "sum_has_wrong_sign",
    "threshold_off_by_one",
    "waits_for_ready_alone",
)

POPCOUNTS = {
    f"popcount{size}_{pipeline or 0}": (size, pipeline)
    for size, pipeline in (
        (1, None), (2, None), (3, None), (5, None), (6, None), (7, 1), (12, None), (12, 2),
        (64, None), (100, 1), (288, 4),
    )
}  # fmt: skip
WEIGHTS = {name: RNG.integers(0, 2, size).tolist() for name, (size, _) in POPCOUNTS.items()}
# (shape of the parent, shape of the part, subtract, shape of the result)
REUSES: Mapping[str, tuple[Shape, Shape, bool, Shape]] = {
    "reuse_plus": (unsigned(7), unsigned(5), False, unsigned(8)),
    "reuse_minus": (unsigned(7), unsigned(5), True, signed(8)),
    "reuse_signed": (signed(7), signed(5), False, signed(8)),
}
SUMS: Mapping[str, tuple[list[Term], int, Shape, int | None]] = {
    "sum_of_bytes": ([Term(signed(8), 1 - 2 * (k % 2)) for k in range(27)], -77, signed(14), None),
    "sum_of_bytes_cut2": ([Term(signed(8))] * 27, 5, signed(13), 2),
    "sum_shifted": (
        [Term(unsigned(4), -1, 2), Term(signed(5), 1, 1), Term(unsigned(1)), Term(signed(3), -1)],
        9, signed(8), 1,
    ),
}  # fmt: skip


def axi_layer(design: Design, layer: Any = AxiStreamLayer) -> Any:
    """Return the top of a design."""
    return layer(
        design.graph,
        design.readout,
        element_width=design.element_width,
        element_signed=design.element_signed,
        pipeline=design.pipeline,
    )


def _parts() -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for name, (size, pipeline) in POPCOUNTS.items():
        parts[name] = XnorPopcount(size, range(size), WEIGHTS[name], pipeline=pipeline)
    for name, (parent, part, subtract, shape) in REUSES.items():
        parts[name] = ReuseAdder(parent, part, subtract=subtract, shape=shape)
    for name, (terms, constant, shape, pipeline) in SUMS.items():
        parts[name] = SignedSum(terms, constant, shape=shape, pipeline=pipeline)
    return parts


def units(folder: Path) -> dict[str, Any]:
    """Return cores, mutants (made in a folder) and components by name."""
    found: dict[str, Any] = {name: axi_layer(design) for name, design in CORES.items()}
    for name in MUTANTS:
        layer = load_mutant(name, folder, module="axi_stream").AxiStreamLayer
        found[f"mutant_{name}"] = axi_layer(MUTANT, layer)
    return found | _parts()


class Bank(wiring.Component):
    """Units side by side; each port is named ``<name>__<port>``."""

    def __init__(self, units: Mapping[str, Any]) -> None:
        self._units = dict(units)
        ports = {}
        for unit, component in self._units.items():
            for port, member in component.signature.members.items():
                flow = In if member.flow == In else Out
                ports[f"{unit}__{port}"] = flow(member.shape)
        super().__init__(ports)

    def latencies(self) -> dict[str, int]:
        """Return the latency of every unit that has one."""
        return {name: getattr(unit, "latency", 0) for name, unit in self._units.items()}

    def elaborate(self, platform: object) -> Module:
        """Return the units and their wires."""
        m = Module()
        for unit, component in self._units.items():
            m.submodules[unit] = component
            for port, member in component.signature.members.items():
                outer, inner = getattr(self, f"{unit}__{port}"), getattr(component, port)
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        return m
