"""The core of a layer in the sequential style by kernel indices: an engine that takes patches."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from ..plan.engine_program import EngineProgram
from .engine import SequentialEngine
from .multiplexer import selected
from .threshold import border_width
from .words import Gather

__all__ = ["EngineCore"]


class EngineCore(wiring.Component):
    """A :class:`.SequentialEngine` of one pixel that takes patches and gives output positions.

    A patch stays at the input while its words go into the engine. The groups of channels that
    come out are gathered to one word, which stops the engine's lanes while it waits.

    Parameters
    ----------
    program
        Of the engine, one pixel at a time.
    order
        int64 (words, unit): which element of the patch stands where in the words, -1 for none.
    valid
        bool (border classes, words, unit): which elements count.
    output
        Width and sign of an output element.

    Members
    -------
    i, o
        As those of :class:`.LayerCore`.
    """

    def __init__(
        self,
        program: EngineProgram,
        order: NDArray[np.int64],
        valid: NDArray[np.bool_],
        *,
        output: tuple[int, bool],
    ) -> None:
        assert program.pixels == 1
        self._program, self._order, self._valid = program, order, valid
        self._output = Shape(*output)
        self.classes = len(valid)
        payload = {"data": unsigned((int(order.max()) + 1) * program.element_width)}
        if self.classes > 1:
            payload["border"] = unsigned(border_width(self.classes))
        word = (
            unsigned(program.outputs)
            if program.thresholds
            else data.ArrayLayout(self._output, program.outputs)
        )
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(payload))),
                "o": Out(stream.Signature(word)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the engine, what cuts patches into its words, and what gathers its groups."""
        m = Module()
        program = self._program
        m.submodules.engine = engine = SequentialEngine(program)
        width = self._output.width
        m.submodules.groups = groups = Gather(
            program.lanes * width, program.groups, bits=program.outputs * width
        )
        at = Signal(range(program.words))
        last = at == program.words - 1
        m.d.comb += [
            engine.i.p.data.eq(selected([self._word(row) for row in self._order.tolist()], at)),
            engine.i.valid.eq(self.i.valid),
            self.i.ready.eq(engine.i.ready & last),
            groups.i.valid.eq(engine.o.valid),
            engine.o.ready.eq(groups.i.ready),
            self.o.valid.eq(groups.o.valid),
            Value.cast(self.o.payload).eq(groups.o.payload),
            groups.o.ready.eq(self.o.ready),
        ]
        if program.masked:
            m.d.comb += engine.i.p.valid.eq(self._mask(at))
        with m.If(self.i.valid & engine.i.ready):
            m.d.sync += at.eq(Mux(last, 0, at + 1))
        results = [Value.cast(engine.o.payload)]
        if not program.thresholds:
            results = []
            for lane in range(program.lanes):
                result = Signal(self._output, name=f"result{lane}")
                m.d.comb += result.eq(engine.o.payload[lane])
                results.append(result)
        m.d.comb += groups.i.payload.eq(Cat(results))
        return m

    def _word(self, row: list[int]) -> Value:
        """Return the elements of the patch that stand in a word."""
        width = self._program.element_width
        return Cat(self.i.p.data.word_select(k, width) if k >= 0 else Const(0, width) for k in row)

    def _mask(self, at: Value) -> Value:
        """Return which elements of a word count."""
        unit = self._program.unit
        rows = self._valid
        if (rows == rows[:, :1]).all():  # kernels: the same in all channels
            rows = rows[:, :1]
        packed = (rows * (1 << np.arange(unit))).sum(axis=2)
        words = [[Const(value, unit) for value in row] for row in packed.tolist()]
        chosen = [selected(row, at) if len(row) > 1 else row[0] for row in words]
        return selected(chosen, self.i.p.border) if len(chosen) > 1 else chosen[0]
