"""Several thresholds a channel: how many levels a value passes, as a code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from .pipeline import Pipeline, advance_stream, delayed
from .sums import interval_shape

__all__ = ["QuantizeUnit"]

# Bits of a code up to which all of its levels are compared. Six-input LUTs a channel of 10 and of
# 14 bits, all compared or searched: 2 bits 6 or 6 (10); 3 bits 12 or 14, 26 or 22; 4 bits 34 or
# 24, 57 or 42; 5 bits 107 or 66 (14). At 3 bits both are as large, and a search is deeper.
_COMPARED_BITS = 3


class QuantizeUnit(wiring.Component):
    """The code of each value: the number of its channel's levels that it passes.

    A binary search over the sorted levels, one bit of the code a step from the top. Codes of up
    to three bits compare with all levels, which are constants, and each step chooses one of the
    results by the bits before. In wider ones a step chooses its level by them and compares with
    that, as a choice of constants is smaller than many comparisons. Levels out of reach cost
    nothing.

    Throughput one beat a cycle; latency ``latency`` cycles.

    Parameters
    ----------
    low, high
        Interval of an element, as a number: bits are 0 and 1.
    direction
        int8 (channels,): +1 passes ``value >= level``, -1 passes ``value <= level``.
    levels
        int64 (channels, count), from the first that is passed to the last.
    pipeline
        Adder levels between registers, or None for no register but the output's. Comparing with
        all levels is one level, a search has one for each bit.

    Attributes
    ----------
    level
        Adder levels from input to output.
    latency
        Cycles from a beat to its result, at least 1.

    Members
    -------
    i : stream of all channels of a position, channel 0 at the LSB
    o : stream of their codes, each as wide as the count, channel 0 at the LSB
    """

    def __init__(
        self,
        direction: NDArray[np.int8],
        levels: NDArray[np.int64],
        *,
        low: int,
        high: int,
        pipeline: int | None = None,
    ) -> None:
        self._pipeline = Pipeline(pipeline)
        self._interval = low, high
        self._bits = levels.shape[1].bit_length()
        self._rows = [
            (facing, self._reached(facing, row))
            for facing, row in zip(direction.tolist(), levels, strict=True)
        ]
        self._compares_all = self._bits <= _COMPARED_BITS
        self.level = 1 if self._compares_all else self._bits
        self.latency = self._pipeline.stage(self.level) + 1
        self._element = interval_shape(low, high)
        channels = len(direction)
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(channels * self._element.width))),
                "o": Out(stream.Signature(unsigned(channels * self._bits))),
            }
        )

    def _reached(self, facing: int, levels: NDArray[np.int64]) -> list[int]:
        """Return as many levels as a code can count, those out of reach as near as possible.

        No value passes those behind the last.
        """
        low, high = self._interval
        never = high + 1 if facing > 0 else low - 1
        reached = levels.clip(min(low, never), max(high, never)).tolist()
        return [*reached, *[never] * ((1 << self._bits) - 1 - len(reached))]

    def elaborate(self, platform: object) -> Module:
        """Return one search a channel and the output's register."""
        m = Module()
        advance = advance_stream(m, self.i.valid, self.i.ready, self.o, self.latency)
        codes = []
        for number, (facing, levels) in enumerate(self._rows):
            element = self.i.payload.word_select(number, self._element.width)
            value = element.as_signed() if self._element.signed else element
            codes.append(self._search(m, value, facing, levels, f"channel{number}", advance))
        register = Signal(self.o.payload.shape(), name="register", reset_less=True)
        m.d.comb += self.o.payload.eq(register)
        with m.If(advance):
            m.d.sync += register.eq(Cat(codes))
        return m

    def _search(
        self, m: Module, value: Value, facing: int, levels: Sequence[int], name: str, advance: Value
    ) -> Value:
        """Return the code of a value."""
        code: Value = Const(0, 0)
        for step in range(self._bits):
            cycles = 0 if self._compares_all else self._pipeline.registers(step, step + 1)
            value = delayed(m, value, cycles, f"{name}_step{step}", advance)
            code = delayed(m, code, cycles, f"{name}_code{step}", advance)
            half = 1 << self._bits - 1 - step
            choice = levels[half - 1 :: 2 * half]
            passes = Signal(name=f"{name}_passes{step}")
            if self._compares_all:
                compared = [self._passes(value, facing, level) for level in choice]
                m.d.comb += passes.eq(_chosen(code, compared))
            else:
                shape = interval_shape(min(*choice, 0), max(choice))
                chosen = Signal(shape, name=f"{name}_level{step}")
                m.d.comb += chosen.eq(_chosen(code, [Const(level, shape) for level in choice]))
                m.d.comb += passes.eq(value >= chosen if facing > 0 else value <= chosen)
            code = Cat(passes, code)
        return code

    def _passes(self, value: Value, facing: int, level: int) -> Value:
        """Return whether a value passes a level, which may be out of reach."""
        low, high = self._interval
        if level > high if facing > 0 else level < low:
            return Const(0, 1)
        if level <= low if facing > 0 else level >= high:
            return Const(1, 1)
        return value >= level if facing > 0 else value <= level


def _chosen(number: Value, values: Sequence[Value]) -> Value:
    """Return the value of a number; there are as many as it can count."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    lower, upper = (_chosen(number[:-1], part) for part in (values[:half], values[half:]))
    return Mux(number[-1], upper, lower)
