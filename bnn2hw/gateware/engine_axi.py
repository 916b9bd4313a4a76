"""The top of an emitted sequential engine: the engine with the port names of AXI-Stream."""

from __future__ import annotations

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..plan.engine_program import EngineProgram
from .axi_stream import padded, port_list
from .engine import SequentialEngine
from .engine_load import LOAD_WIDTH

__all__ = ["AxiStreamEngine"]


class AxiStreamEngine(wiring.Component):
    """A sequential engine with AXI-Stream ports; parameters as of :class:`.SequentialEngine`.

    Data are padded with zeros to whole bytes; elements inside a word are not padded. The clock is
    ``clk``, the synchronous reset ``rst`` is active high.

    Members
    -------
    s_axis_tdata : ``In``, element 0 at the LSB
    s_axis_tuser : ``In``, which elements count, where not all of them always do
    s_axis_tvalid, s_axis_tready : handshake of the input
    m_axis_tdata : ``Out``, lane 0 at the LSB
    m_axis_tvalid, m_axis_tready : handshake of the output
    s_load_tdata, s_load_tvalid, s_load_tready : what the memories are loaded with, if loadable
    """

    def __init__(self, program: EngineProgram, *, loadable: bool = False) -> None:
        self._engine = engine = SequentialEngine(program, loadable=loadable)
        self._masked, self._loadable = program.masked, loadable
        members = {"s_axis_tdata": In(padded(len(engine.i.p.data)))}
        if program.masked:
            members["s_axis_tuser"] = In(program.unit)
        members |= {
            "s_axis_tvalid": In(1),
            "s_axis_tready": Out(1),
            "m_axis_tdata": Out(padded(len(Value.cast(engine.o.payload)))),
            "m_axis_tvalid": Out(1),
            "m_axis_tready": In(1),
        }
        if loadable:
            members |= {
                "s_load_tdata": In(LOAD_WIDTH),
                "s_load_tvalid": In(1),
                "s_load_tready": Out(1),
            }
        super().__init__(members)

    def port_list(self) -> list[tuple[str, str, int]]:
        """Return name, direction (``in`` or ``out``) and width of every port, clock first."""
        return port_list(self)

    def elaborate(self, platform: object) -> Module:
        """Return the engine and its wires."""
        m = Module()
        m.submodules.engine = engine = self._engine
        m.d.comb += [
            engine.i.p.data.eq(self.s_axis_tdata),
            engine.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(engine.i.ready),
            self.m_axis_tdata.eq(engine.o.payload),
            self.m_axis_tvalid.eq(engine.o.valid),
            engine.o.ready.eq(self.m_axis_tready),
        ]
        if self._masked:
            m.d.comb += engine.i.p.valid.eq(self.s_axis_tuser)
        if self._loadable:
            m.d.comb += [
                engine.load.payload.eq(self.s_load_tdata),
                engine.load.valid.eq(self.s_load_tvalid),
                self.s_load_tready.eq(engine.load.ready),
            ]
        return m
