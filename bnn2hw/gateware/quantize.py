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
from .turns import Turn

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
    nothing. A channel that falls counts the levels that it does not pass, and inverts the code.

    Several sets of levels may take turns, one a beat.

    Throughput one beat a cycle; latency ``latency`` cycles.

    Parameters
    ----------
    low, high
        Interval of an element, as a number: bits are 0 and 1.
    direction
        int8 (turns, channels), or (channels,) without turns: +1 passes ``value >= level``, -1
        passes ``value <= level``.
    levels
        int64 (turns, channels, count), or (channels, count), from the first that is passed to the
        last.
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
        *_, channels, count = levels.shape
        self._bits = count.bit_length()
        facing = direction.reshape(-1, channels)
        self._turns = len(facing)
        rising = facing > 0
        self._levels = self._rising_levels(rising, levels.reshape(-1, channels, count))
        self._falls = (~rising).T.astype(int).tolist()
        self._compares_all = self._bits <= _COMPARED_BITS
        self.level = 1 if self._compares_all else self._bits
        self.latency = self._pipeline.stage(self.level) + 1
        self._element = interval_shape(low, high)
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(channels * self._element.width))),
                "o": Out(stream.Signature(unsigned(channels * self._bits))),
            }
        )

    def _rising_levels(
        self, rising: NDArray[np.bool_], levels: NDArray[np.int64]
    ) -> list[list[list[int]]]:
        """Return as many ascending levels as a code can count, by channel, level and turn.

        Levels out of reach are as near as possible. No value passes those behind the last; where
        a channel falls, every value passes those before the first, which makes it the last.
        """
        low, high = self._interval
        behind = np.full((*levels.shape[:2], (1 << self._bits) - 1 - levels.shape[2]), high + 1)
        up = np.concatenate([levels.clip(low, high + 1), behind], axis=2)
        # value <= level is what value >= level + 1 is not
        down = np.concatenate([levels.clip(low - 1, high) + 1, behind - (high + 1 - low)], axis=2)
        found = np.where(rising[:, :, None], up, down[:, :, ::-1])
        return found.transpose(1, 2, 0).tolist()

    def elaborate(self, platform: object) -> Module:
        """Return one search a channel and the output's register."""
        m = Module()
        advance = advance_stream(m, self.i.valid, self.i.ready, self.o, self.latency)
        turn = Turn(m, self._turns, self.i.valid & self.i.ready)
        codes = []
        for number, (falls, levels) in enumerate(zip(self._falls, self._levels, strict=True)):
            element = self.i.payload.word_select(number, self._element.width)
            value = element.as_signed() if self._element.signed else element
            code = self._search(m, value, levels, f"channel{number}", turn, advance)
            late = turn.delayed(m, self._pipeline.stage(self.level), advance)
            fall = late.constant(m, f"channel{number}_falls", falls)
            codes.append(code ^ fall.replicate(self._bits))
        register = Signal(self.o.payload.shape(), name="register", reset_less=True)
        m.d.comb += self.o.payload.eq(register)
        with m.If(advance):
            m.d.sync += register.eq(Cat(codes))
        return m

    def _search(
        self,
        m: Module,
        value: Value,
        levels: Sequence[Sequence[int]],
        name: str,
        turn: Turn,
        advance: Value,
    ) -> Value:
        """Return how many ascending levels a value passes."""
        code: Value = Const(0, 0)
        for step in range(self._bits):
            cycles = 0 if self._compares_all else self._pipeline.registers(step, step + 1)
            value = delayed(m, value, cycles, f"{name}_step{step}", advance)
            code = delayed(m, code, cycles, f"{name}_code{step}", advance)
            half = 1 << self._bits - 1 - step
            choice = levels[half - 1 :: 2 * half]
            passes = Signal(name=f"{name}_passes{step}")
            if self._compares_all:
                compared = [
                    self._passes(m, value, level, f"{name}_level{step}_{k}", turn)
                    for k, level in enumerate(choice)
                ]
                m.d.comb += passes.eq(_chosen(code, compared))
            else:
                ends = [end for level in choice for end in (min(level), max(level))]
                shape = interval_shape(min(ends), max(ends))
                now = turn.delayed(m, self._pipeline.stage(step + 1), advance)
                constants = [
                    now.constant(m, f"{name}_level{step}_{k}", level)
                    for k, level in enumerate(choice)
                ]
                chosen = Signal(shape, name=f"{name}_level{step}")
                m.d.comb += chosen.eq(_chosen(code, constants))
                m.d.comb += passes.eq(value >= chosen)
            code = Cat(passes, code)
        return code

    def _passes(
        self, m: Module, value: Value, level: Sequence[int], name: str, turn: Turn
    ) -> Value:
        """Return whether a value passes the level of the turn, which may be out of reach."""
        low, high = self._interval
        if min(level) > high:
            return Const(0, 1)
        if max(level) <= low:
            return Const(1, 1)
        return value >= turn.constant(m, name, level)


def _chosen(number: Value, values: Sequence[Value]) -> Value:
    """Return the value of a number; there are as many as it can count."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    lower, upper = (_chosen(number[:-1], part) for part in (values[:half], values[half:]))
    return Mux(number[-1], upper, lower)
