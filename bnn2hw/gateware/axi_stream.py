"""The top of an emitted layer: a layer core with the port names of AXI-Stream."""

from __future__ import annotations

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..plan.graph import AdderGraph
from ..plan.netlist import Netlist
from ..plan.outputs import Readout
from .core import LayerCore
from .threshold import border_width

__all__ = ["AxiStreamLayer", "padded", "port_list"]


class AxiStreamLayer(wiring.Component):
    """A layer with AXI-Stream ports; parameters, attributes and errors as of :class:`.LayerCore`.

    Data are padded with zeros to whole bytes; elements inside a word are not padded. The clock is
    ``clk``, the synchronous reset ``rst`` is active high.

    Members
    -------
    s_axis_tdata : ``In``, element 0 at the LSB
    s_axis_tuser : ``In``, the border class, where there is more than one
    s_axis_tvalid, s_axis_tready : handshake of the input
    m_axis_tdata : ``Out``, channel 0 at the LSB
    m_axis_tvalid, m_axis_tready : handshake of the output
    """

    def __init__(
        self,
        graph: AdderGraph | Netlist,
        readout: Readout,
        *,
        element_width: int = 1,
        element_signed: bool = False,
        pipeline: int | None = None,
    ) -> None:
        self._core = LayerCore(
            graph,
            readout,
            element_width=element_width,
            element_signed=element_signed,
            pipeline=pipeline,
        )
        self.latency = self._core.latency
        self.level = self._core.level
        self.classes = self._core.classes
        self.blocks = self._core.blocks
        members = {"s_axis_tdata": In(padded(len(self._core.i.p.data)))}
        if self.classes > 1:
            members["s_axis_tuser"] = In(border_width(self.classes))
        super().__init__(
            {
                **members,
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "m_axis_tdata": Out(padded(len(Value.cast(self._core.o.payload)))),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
            }
        )

    def port_list(self) -> list[tuple[str, str, int]]:
        """Return name, direction (``in`` or ``out``) and width of every port, clock first."""
        return port_list(self)

    def elaborate(self, platform: object) -> Module:
        """Return the core and its wires."""
        m = Module()
        m.submodules.core = core = self._core
        m.d.comb += [
            core.i.p.data.eq(self.s_axis_tdata),
            core.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(core.i.ready),
            self.m_axis_tdata.eq(core.o.payload),
            self.m_axis_tvalid.eq(core.o.valid),
            core.o.ready.eq(self.m_axis_tready),
        ]
        if self.classes > 1:
            m.d.comb += core.i.p.border.eq(self.s_axis_tuser)
        return m


def port_list(component: wiring.Component) -> list[tuple[str, str, int]]:
    """Return name, direction and width of a component's ports, behind its clock and reset."""
    ports = [("clk", "in", 1), ("rst", "in", 1)]
    for name, member in component.signature.members.items():
        direction = "in" if member.flow == In else "out"
        ports.append((name, direction, len(getattr(component, name))))
    return ports


def padded(bits: int) -> int:
    """Return the width of a word in whole bytes."""
    return -(-bits // 8) * 8
