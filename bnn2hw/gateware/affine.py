"""Weighted sums of several streams, channel by channel: shifted, rounded, saturated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from .pipeline import Pipeline, advance_stream, delayed
from .sums import SignedSum, Term, interval_shape

__all__ = ["AffineUnit", "signed_digits"]


def signed_digits(number: int) -> list[tuple[int, int]]:
    """Return the canonical signed digits of a number that are not 0, as (sign, shift).

    No two of them are neighbours, so none of the other forms has fewer (Reitwiesner 1960).
    """
    digits = []
    shift = 0
    while number:
        if number & 1:
            sign = 2 - (number & 3)
            digits.append((sign, shift))
            number -= sign
        number >>= 1
        shift += 1
    return digits


class AffineUnit(wiring.Component):
    """The join of aligned streams as ``clip((sum_k w_k x_k + offset + half) >> shift, low, high)``.

    ``half`` is ``2 ** (shift - 1)``, or 0 where shift is 0, and ``>>`` rounds down, so the whole
    rounds half up. A beat is taken when all inputs have one, and from all of them.

    Weights are canonical signed digits: a power of two is wires, and all digits of a channel are
    terms of one compressor tree, whose constant holds offset and half. No product is shared, as
    no two channels read the same element. Zeros that end all weights of a channel are left out
    with the bits of the shift that they fill. A channel saturates only on the side where its
    exact interval leaves the format, by a test of the top bits where the bound is 0 or the end of
    a two's complement interval: a ReLU costs its sign test alone.

    Throughput one beat a cycle; latency ``latency`` cycles.

    Parameters
    ----------
    intervals
        Least and greatest element of each input, as numbers: bits are 0 and 1.
    weights
        int64 (inputs, channels).
    offset
        int64 (channels,).
    shift
        Bits, 0 or more.
    low, high
        Format of the output.
    pipeline
        Adder levels between registers, or None for no register but the output's; saturation
        counts as one level.

    Attributes
    ----------
    level
        Adder levels from input to output.
    latency
        Cycles from a beat to its result, at least 1.

    Members
    -------
    i0, i1, ... : streams of all channels of a position, channel 0 at the LSB
    o : stream of all channels, in the width of the output's format, channel 0 at the LSB
    """

    def __init__(
        self,
        intervals: Sequence[tuple[int, int]],
        weights: NDArray[np.int64],
        offset: NDArray[np.int64],
        *,
        shift: int,
        low: int,
        high: int,
        pipeline: int | None = None,
    ) -> None:
        self._pipeline = Pipeline(pipeline)
        half = (1 << shift) >> 1
        self._channels = [
            _Channel(intervals, row, constant + half, shift, (low, high), pipeline)
            for row, constant in zip(weights.T.tolist(), offset.tolist(), strict=True)
        ]
        self.level = max(channel.level for channel in self._channels)
        self.latency = self._pipeline.stage(self.level) + 1
        self._elements = [interval_shape(*interval) for interval in intervals]
        self._output = interval_shape(low, high)
        count = len(self._channels)
        members = {
            f"i{k}": In(stream.Signature(unsigned(count * element.width)))
            for k, element in enumerate(self._elements)
        }
        output = stream.Signature(unsigned(count * self._output.width))
        super().__init__({**members, "o": Out(output)})

    def elaborate(self, platform: object) -> Module:
        """Return the join, one sum a channel, saturation and the output's register."""
        m = Module()
        sources = [getattr(self, f"i{k}") for k in range(len(self._elements))]
        advance = advance_stream(m, *_join(m, sources), self.o, self.latency)
        results = []
        for number, channel in enumerate(self._channels):
            result = Signal(self._output, name=f"result{number}")
            if channel.constant is None:
                elements = [
                    source.payload.word_select(number, element.width)
                    for source, element in zip(sources, self._elements, strict=True)
                ]
                total = channel.total(m, f"channel{number}", Cat(elements), advance)
                cycles = self._pipeline.registers(channel.sum_level, self.level)
                total = delayed(m, total, cycles, f"total{number}", advance)
                m.d.comb += result.eq(channel.clip(total))
            else:
                m.d.comb += result.eq(channel.constant)
            results.append(result)
        register = Signal(self.o.payload.shape(), name="register", reset_less=True)
        m.d.comb += self.o.payload.eq(register)
        with m.If(advance):
            m.d.sync += register.eq(Cat(results))
        return m


def _join(m: Module, sources: Sequence[stream.Interface]) -> tuple[Signal, Signal]:
    """Return whether all sources are valid, and what makes all of them ready when they are.

    The ready of a source does not depend on its own valid.
    """
    valid, ready = Signal(name="all_valid"), Signal(name="all_ready")
    m.d.comb += valid.eq(Cat(source.valid for source in sources).all())
    for source in sources:
        others = [other.valid for other in sources if other is not source]
        m.d.comb += source.ready.eq(ready & Cat(others).all() if others else ready)
    return valid, ready


class _Channel:
    """What is done for one channel: a sum of terms, a shift, and a clip where it is needed."""

    def __init__(
        self,
        intervals: Sequence[tuple[int, int]],
        weights: Sequence[int],
        constant: int,
        shift: int,
        form: tuple[int, int],
        pipeline: int | None,
    ) -> None:
        # floor((2**z a + c) / 2**s) = floor((a + floor(c / 2**z)) / 2**(s - z))
        zeros = min((_zeros(weight) for weight in weights if weight), default=shift)
        zeros = min(zeros, shift)
        weights, constant = [weight >> zeros for weight in weights], constant >> zeros
        ends = [
            sorted(weight * end for end in interval)
            for weight, interval in zip(weights, intervals, strict=True)
        ]
        low = constant + sum(least for least, _ in ends)
        high = constant + sum(greatest for _, greatest in ends)
        self._shift, self._form = shift - zeros, form
        self._low, self._high = low >> self._shift, high >> self._shift
        self._sum: SignedSum | None = None
        self.sum_level = self.level = 0
        if self.constant is not None:
            return
        size = sum(interval_shape(*interval).width for interval in intervals)
        terms, shape = _terms(intervals, weights), interval_shape(low, high)
        self._sum = SignedSum(
            terms, constant, shape=shape, size=size, pipeline=pipeline, shallow=True
        )
        self.sum_level = self._sum.level
        self.level = self.sum_level + int(self._low < form[0] or self._high > form[1])

    @property
    def constant(self) -> int | None:
        """Return the result where it is always the same."""
        ends = {min(max(end, self._form[0]), self._form[1]) for end in (self._low, self._high)}
        return ends.pop() if len(ends) == 1 else None

    def total(self, m: Module, name: str, elements: Value, advance: Value) -> Value:
        """Add the sum over the channel's elements, which come at level 0; return it shifted."""
        assert self._sum is not None
        m.submodules[name] = self._sum
        m.d.comb += [self._sum.data.eq(elements), self._sum.advance.eq(advance)]
        shifted = Signal(interval_shape(self._low, self._high), name=f"{name}_shifted")
        m.d.comb += shifted.eq(self._sum.o >> self._shift)
        return shifted

    def clip(self, value: Value) -> Value:
        """Return a shifted sum within the format."""
        (low, high), result = self._form, value
        if self._high > high:
            result = Mux(_above(value, high), high, result)
        if self._low < low:
            result = Mux(_below(value, low), low, result)
        return result


def _zeros(number: int) -> int:
    """Return how many zeros end a number."""
    return (number & -number).bit_length() - 1


def _terms(intervals: Sequence[tuple[int, int]], weights: Sequence[int]) -> list[Term]:
    """Return the signed digits of all weights as terms over the channel's elements."""
    terms, start = [], 0
    for interval, weight in zip(intervals, weights, strict=True):
        shape = interval_shape(*interval)
        terms += [Term(shape, sign, shift, start=start) for sign, shift in signed_digits(weight)]
        start += shape.width
    return terms


def _above(value: Value, bound: int) -> Value:
    """Return whether a value is greater, from its top bits where the bound is ``2**n - 1``."""
    if bound < 0 or bound & (bound + 1):
        return value > bound
    top = value[bound.bit_length() :].any()
    return ~value[-1] & top if value.shape().signed else top


def _below(value: Value, bound: int) -> Value:
    """Return whether a value is less, from its top bits where the bound is ``-2**n`` or 0."""
    if not value.shape().signed or bound > 0 or bound & -bound != -bound:
        return value < bound
    return value[-1] & ~value[(-bound - 1).bit_length() :].all() if bound else value[-1]
