"""A whole network: stages and their streams, and the top with the port names of AXI-Stream."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .fork import Fork
from .frame import FrameGuard
from .shared import SharedModules
from .words import Fifo

__all__ = ["AxiStreamNetwork", "NetworkCore"]


class NetworkCore(wiring.Component):
    """Stream components that read each other, each a submodule of its own name.

    The stream behind the last stage of a layer is that layer's edge of the network, one position
    a beat; a simulation finds it as the wires ``<stage>_word``, ``<stage>_valid`` and
    ``<stage>_ready``, whose names are kept in the Verilog, and as ``<stage>_refuses`` whether a
    queue has no place for a word that comes. A :class:`.Fork` stands where several stages read an
    edge.

    Parameters
    ----------
    stages
        Names, components and the names of the stages that they read, empty for the input of the
        network. A component has the streams ``i`` (or ``i0``, ``i1``, ... where it reads several)
        and ``o``; payloads of what is joined are as wide. The last stage is the output.

    Members
    -------
    i : stream of a word as wide as what the first stage reads
    o : stream of a word as wide as the last stage's
    """

    def __init__(self, stages: Sequence[tuple[str, wiring.Component, Sequence[str]]]) -> None:
        self._stages = stages
        first, last = self._sinks(0)[0], stages[-1][1].o
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(len(Value.cast(first.payload))))),
                "o": Out(stream.Signature(unsigned(len(Value.cast(last.payload))))),
            }
        )

    def _sinks(self, number: int) -> list[stream.Interface]:
        """Return the input streams of a stage."""
        _, stage, sources = self._stages[number]
        names = ["i"] if hasattr(stage, "i") else [f"i{k}" for k in range(len(sources))]
        return [getattr(stage, name) for name in names]

    def elaborate(self, platform: object) -> Module:
        """Return the stages and the wires between them."""
        m = Module()
        edges = {"": self.i}
        for name, stage, _ in self._stages:
            m.submodules[name] = (
                platform.stage(name, stage) if isinstance(platform, SharedModules) else stage
            )
            edges[name] = self._named(m, name, stage.o)
            if isinstance(stage, Fifo):
                refuses = Signal(name=f"{name}_refuses", attrs={"keep": 1})
                m.d.comb += refuses.eq(stage.i.valid & ~stage.i.ready)
        readers: dict[str, list[stream.Interface]] = {name: [] for name in edges}
        for number, (_, _, sources) in enumerate(self._stages):
            for source, sink in zip(sources, self._sinks(number), strict=True):
                readers[source].append(sink)
        readers[self._stages[-1][0]].append(self.o)
        for name, sinks in readers.items():
            if len(sinks) > 1:
                fork = Fork(len(edges[name].payload), len(sinks))
                m.submodules[f"{name or 'input'}_fork"] = fork
                m.d.comb += _joined(edges[name], fork.i)
                for k, sink in enumerate(sinks):
                    m.d.comb += _joined(getattr(fork, f"o{k}"), sink)
            else:
                m.d.comb += _joined(edges[name], sinks[0])
        return m

    @staticmethod
    def _named(m: Module, name: str, source: stream.Interface) -> stream.Interface:
        """Return a stream through wires of a stage's name."""
        payload = Value.cast(source.payload)
        edge = stream.Signature(unsigned(len(payload))).create()
        for part, wire in (("word", "payload"), ("valid", "valid"), ("ready", "ready")):
            shape = getattr(edge, wire).shape()
            setattr(edge, wire, Signal(shape, name=f"{name}_{part}", attrs={"keep": 1}))
        m.d.comb += _joined(source, edge)
        return edge


def _joined(source: stream.Interface, sink: stream.Interface) -> list[object]:
    given, taken = Value.cast(source.payload), Value.cast(sink.payload)
    assert len(given) == len(taken), f"a stream of {len(given)} bits goes to one of {len(taken)}"
    return [taken.eq(given), sink.valid.eq(source.valid), source.ready.eq(sink.ready)]


class AxiStreamNetwork(wiring.Component):
    """A network with AXI-Stream ports: frames of pixels in, an answer a frame out.

    Every frame, that is every ``tlast`` at the input, gives one answer. A frame that was too
    short or too long spoils its own answer alone, which ``m_axis_tuser`` marks. The clock is
    ``clk``, the synchronous reset ``rst`` is active high; what remains of a frame after a reset
    in its middle counts as a short frame. An answer of several beats waits in a queue until its
    frame has come in whole, as each of its beats says what was wrong with the frame.

    Parameters
    ----------
    stages
        As of :class:`NetworkCore`.
    beats
        Beats of a frame at the input.
    answers
        Beats of an answer.
    in_flight
        Frames that have come in whole and whose answers are not out, at most.

    Members
    -------
    s_axis_tdata : ``In``, the first stage's word, padded to whole bytes
    s_axis_tlast : ``In``, whether the beat is the last of its frame
    m_axis_tdata : ``Out``, the last stage's word, padded to whole bytes
    m_axis_tlast : ``Out``, whether the beat is the last of its answer
    m_axis_tuser : ``Out``, bit 0: the frame was short; bit 1: the frame was long
    s_axis_tvalid, s_axis_tready, m_axis_tvalid, m_axis_tready : handshakes
    status : ``Out``, the same two bits for one cycle as soon as the fault is found
    """

    def __init__(
        self,
        stages: Sequence[tuple[str, wiring.Component, Sequence[str]]],
        *,
        beats: int,
        answers: int = 1,
        in_flight: int = 2,
    ) -> None:
        self._core = NetworkCore(stages)
        self._guard = FrameGuard(len(self._core.i.payload), beats)
        self._verdicts = Fifo(2, max(in_flight, 2))
        self._answers = answers
        super().__init__(
            {
                "s_axis_tdata": In(_padded(len(self._core.i.payload))),
                "s_axis_tlast": In(1),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "m_axis_tdata": Out(_padded(len(self._core.o.payload))),
                "m_axis_tlast": Out(1),
                "m_axis_tuser": Out(2),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "status": Out(2),
            }
        )

    def port_list(self) -> list[tuple[str, str, int]]:
        """Return name, direction (``in`` or ``out``) and width of every port, clock first."""
        ports = [("clk", "in", 1), ("rst", "in", 1)]
        for name, member in self.signature.members.items():
            direction = "in" if member.flow == In else "out"
            ports.append((name, direction, len(getattr(self, name))))
        return ports

    def elaborate(self, platform: object) -> Module:
        """Return guard, network and the verdict beside each answer."""
        m = Module()
        m.submodules.guard = guard = self._guard
        m.submodules.core = core = self._core
        m.submodules.verdicts = verdicts = self._verdicts
        answers = core.o
        if self._answers > 1:
            m.submodules.answers = queue = Fifo(len(core.o.payload), self._answers)
            m.d.comb += _joined(core.o, queue.i)
            answers = queue.o
        answer = Signal(range(self._answers))
        goes = Signal()
        m.d.comb += [
            guard.i.p.data.eq(self.s_axis_tdata),
            guard.i.p.last.eq(self.s_axis_tlast),
            guard.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(guard.i.ready),
            *_joined(guard.o, core.i),
            *_joined(guard.verdict, verdicts.i),
            self.status.eq(
                Mux(guard.verdict.valid & guard.verdict.ready, guard.verdict.payload, 0)
            ),
            self.m_axis_tdata.eq(answers.payload),
            self.m_axis_tlast.eq(answer == self._answers - 1),
            self.m_axis_tuser.eq(verdicts.o.payload),
            self.m_axis_tvalid.eq(answers.valid & verdicts.o.valid),
            goes.eq(self.m_axis_tvalid & self.m_axis_tready),
            answers.ready.eq(verdicts.o.valid & self.m_axis_tready),
            verdicts.o.ready.eq(goes & self.m_axis_tlast),
        ]
        with m.If(goes):
            m.d.sync += answer.eq(Mux(self.m_axis_tlast, 0, answer + 1))
        return m


def _padded(bits: int) -> int:
    """Return the width of a word in whole bytes."""
    return -(-bits // 8) * 8
