"""The top of an emitted layer."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.sim import Simulator

from bnn2hw.gateware.axi_stream import AxiStreamLayer
from tests.gateware.designs import Design, random_design, vectors

DESIGNS = [
    random_design(0, inputs=9, nodes=3),
    random_design(1, inputs=16, nodes=2, classes=5, pipeline=2),
    random_design(2, inputs=3, nodes=4, sums=True, interval=(-4, 3), pipeline=1),
]


def top(design: Design) -> AxiStreamLayer:
    return AxiStreamLayer(
        design.graph,
        design.readout,
        element_width=design.element_width,
        element_signed=design.element_signed,
        pipeline=design.pipeline,
    )


@pytest.mark.parametrize("design", DESIGNS)
def test_words_go_through(design: Design) -> None:
    layer = top(design)
    x, border = vectors(design, 10, 0)
    words = design.words(x)
    outputs: list[int] = []

    async def testbench(ctx: Any) -> None:
        ctx.set(layer.m_axis_tready, 1)
        ctx.set(layer.s_axis_tvalid, 1)
        for k in range(len(words) + layer.latency):
            if k < len(words):
                ctx.set(layer.s_axis_tdata, words[k])
                if design.classes > 1:
                    ctx.set(layer.s_axis_tuser, int(border[k]))
            await ctx.tick()
            if ctx.get(layer.m_axis_tvalid):
                outputs.append(ctx.get(layer.m_axis_tdata))

    simulator = Simulator(layer)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert outputs[: len(words)] == design.expected(x, border)


def test_data_are_padded_to_bytes() -> None:
    layer = top(DESIGNS[1])
    channels = len(DESIGNS[1].readout.value)
    assert channels == 18
    assert layer.port_list() == [
        ("clk", "in", 1),
        ("rst", "in", 1),
        ("s_axis_tdata", "in", 16),
        ("s_axis_tuser", "in", 3),
        ("s_axis_tvalid", "in", 1),
        ("s_axis_tready", "out", 1),
        ("m_axis_tdata", "out", 24),
        ("m_axis_tvalid", "out", 1),
        ("m_axis_tready", "in", 1),
    ]
    Simulator(layer)


def test_one_class_needs_no_user_signal() -> None:
    layer = top(DESIGNS[0])
    assert "s_axis_tuser" not in [name for name, _, _ in layer.port_list()]
    Simulator(layer)
