# amaranth: UnusedElaboratable=no
"""Weighted sums of several streams, channel by channel: shifted, rounded, saturated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from .pipeline import Pipeline, advance_stream, delayed
from .sums import SignedSum, Term, interval_shape
from .turns import Turn

__all__ = ["AffineUnit", "additions", "equal_weights", "signed_digits"]


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
    terms of one compressor tree, whose constant holds offset and half. Inputs of a channel whose
    weights are equal, or opposite, are added first, so that a mean has the digits of 1/K once;
    nothing else is shared, as no two channels read the same element. Zeros that end all weights
    of a channel are left out with the bits of the shift that they fill. A channel saturates only
    on the side where its exact interval leaves the format, by a test of the top bits where the
    bound is 0 or the end of a two's complement interval: a ReLU costs its sign test alone.

    Several sets of constants may take turns, one a beat. A weight that differs between them has
    digits of radix 4, -2 to 2, and the turn chooses what each adds: a lookup table a bit.

    Throughput one beat a cycle; latency ``latency`` cycles.

    Parameters
    ----------
    intervals
        Least and greatest element of each input, as numbers: bits are 0 and 1.
    weights
        int64 (turns, inputs, channels), or (inputs, channels) without turns.
    offset
        int64 (turns, channels), or (channels,).
    shift
        Bits, 0 or more.
    low, high
        Format of the output, one for all turns or one each.
    pipeline
        Adder levels between registers, or None for no register but the output's; saturation
        counts as one level.

    Attributes
    ----------
    additions
        Two-operand additions that the sums of all channels stand for, constants left out.
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
        low: int | Sequence[int],
        high: int | Sequence[int],
        pipeline: int | None = None,
    ) -> None:
        self._pipeline = Pipeline(pipeline)
        half = (1 << shift) >> 1
        weights = weights.reshape(-1, *weights.shape[-2:])
        offset = offset.reshape(len(weights), -1)
        self._turns = len(weights)
        lows, highs = (np.broadcast_to(end, self._turns).tolist() for end in (low, high))
        forms = list(zip(lows, highs, strict=True))
        self._channels = [
            _Channel(intervals, rows, constants, shift, forms, pipeline)
            for rows, constants in zip(
                weights.transpose(2, 0, 1).tolist(), (offset + half).T.tolist(), strict=True
            )
        ]
        self.additions = sum(channel.additions for channel in self._channels)
        self.level = max(channel.level for channel in self._channels)
        self.latency = self._pipeline.stage(self.level) + 1
        self._elements = [interval_shape(*interval) for interval in intervals]
        self._output = interval_shape(min(lows), max(highs))
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
        valid, ready = _join(m, sources)
        advance = advance_stream(m, valid, ready, self.o, self.latency)
        turn = Turn(m, self._turns, valid & ready)
        results = []
        for number, channel in enumerate(self._channels):
            result = Signal(self._output, name=f"result{number}")
            if channel.constant is None:
                elements = [
                    source.payload.word_select(number, element.width)
                    for source, element in zip(sources, self._elements, strict=True)
                ]
                total = channel.total(m, platform, f"channel{number}", elements, turn, advance)
                cycles = self._pipeline.registers(channel.sum_level, self.level)
                total = delayed(m, total, cycles, f"total{number}", advance)
                late = turn.delayed(m, self._pipeline.stage(self.level), advance)
                m.d.comb += result.eq(channel.clip(total, late))
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
    """What is done for one channel: a sum of terms, a shift, and a clip where it is needed.

    ``weights`` (turns, inputs), ``constants`` and ``forms`` (turns,) hold the numbers of each turn.
    """

    def __init__(
        self,
        intervals: Sequence[tuple[int, int]],
        weights: Sequence[Sequence[int]],
        constants: Sequence[int],
        shift: int,
        forms: Sequence[tuple[int, int]],
        pipeline: int | None,
    ) -> None:
        # floor((2**z a + c) / 2**s) = floor((a + floor(c / 2**z)) / 2**(s - z))
        zeros = [_zeros(weight) for row in weights for weight in row if weight]
        zero = min([shift, *zeros])
        weights = [[weight >> zero for weight in row] for row in weights]
        constants = [constant >> zero for constant in constants]
        self._shift, self._forms = shift - zero, forms
        ends = [
            [sorted(w * end for end in ends) for w, ends in zip(row, intervals, strict=True)]
            for row in weights
        ]
        lows = [c + sum(end[0] for end in row) for c, row in zip(constants, ends, strict=True)]
        highs = [c + sum(end[1] for end in row) for c, row in zip(constants, ends, strict=True)]
        low, high = min(lows), max(highs)
        # Bounds of each turn after the shift.
        self._spans = [
            (least >> self._shift, greatest >> self._shift)
            for least, greatest in zip(lows, highs, strict=True)
        ]
        self._bounds = interval_shape(low >> self._shift, high >> self._shift)
        self._sum: SignedSum | None = None
        self.sum_level = self.level = self.additions = 0
        if self.constant is not None:
            return
        shapes = [interval_shape(*interval) for interval in intervals]
        starts = [0, *accumulate(shape.width for shape in shapes)]
        self._chosen: list[_Chosen] = []
        self._shared: list[SignedSum] = []
        self._products: list[SignedSum] = []
        terms: list[Term] = []
        groups = equal_weights(weights)
        for members in groups:
            turns = [row[members[0][0]] for row in weights]
            shape, start, level = shapes[members[0][0]], starts[members[0][0]], 0
            if len(set(turns)) > 1:
                for at, row in enumerate(zip(*_radix4(turns), strict=True)):
                    if any(row):
                        self._chosen.append(_Chosen(shape, start, row, 2 * at))
                        constants = [
                            c + ((digit < 0) << 2 * at)
                            for c, digit in zip(constants, row, strict=True)
                        ]
                continue
            digits, place = signed_digits(turns[0]), start
            if len(members) > 1:
                shared = _sum_of_alike(members, intervals, starts, pipeline)
                self._shared.append(shared)
                self._products += [shared] * len(digits)
                shape, level, place = shared.o.shape(), shared.level, None
            terms += [Term(shape, sign, shift, level, place) for sign, shift in digits]
        terms += [Term(chosen.shape, 1, chosen.shift) for chosen in self._chosen]
        self.additions = len(terms) - 1 + len(intervals) - len(groups) if terms else 0
        self._constants = constants
        varies = len(set(constants)) > 1
        if varies:
            terms.append(Term(interval_shape(min(constants), max(constants))))
        self._sum = SignedSum(
            terms,
            0 if varies else constants[0],
            shape=interval_shape(low, high),
            size=starts[-1],
            pipeline=pipeline,
            shallow=True,
        )
        self.sum_level = self._sum.level
        self.level = self.sum_level + int(
            any(
                least < form[0] or greatest > form[1]
                for (least, greatest), form in zip(self._spans, forms, strict=True)
            )
        )

    @property
    def constant(self) -> int | None:
        """Return the result where it is always the same."""
        ends = {
            min(max(end, form[0]), form[1])
            for span, form in zip(self._spans, self._forms, strict=True)
            for end in span
        }
        return ends.pop() if len(ends) == 1 else None

    def total(
        self,
        m: Module,
        platform: object,
        name: str,
        elements: Sequence[Value],
        turn: Turn,
        advance: Value,
    ) -> Value:
        """Add the sum over the channel's elements, which come at level 0; return it shifted."""
        assert self._sum is not None
        m.submodules[name] = self._sum.within(platform)
        data = Cat(elements)
        for k, shared in enumerate(self._shared):
            m.submodules[f"{name}_shared{k}"] = shared.within(platform)
            m.d.comb += [shared.data.eq(data), shared.advance.eq(advance)]
        if hasattr(self._sum, "data"):
            m.d.comb += self._sum.data.eq(data)
        m.d.comb += self._sum.advance.eq(advance)
        ports = [port for port in self._sum.signature.members if port not in _FIXED]
        values: list[Value] = [product.o for product in self._products]
        values += [
            chosen.value(m, f"{name}_digit{k}", data, turn) for k, chosen in enumerate(self._chosen)
        ]
        if len(values) < len(ports):
            values.append(turn.constant(m, f"{name}_constant", self._constants))
        for port, value in zip(ports, values, strict=True):
            m.d.comb += getattr(self._sum, port).eq(value)
        shifted = Signal(self._bounds, name=f"{name}_shifted")
        m.d.comb += shifted.eq(self._sum.o >> self._shift)
        return shifted

    def clip(self, value: Value, turn: Turn) -> Value:
        """Return a shifted sum within the format."""
        return turn.choose(
            [
                _clipped(value, span, form)
                for span, form in zip(self._spans, self._forms, strict=True)
            ]
        )


_FIXED = ("data", "advance", "o")


def equal_weights(weights: Sequence[Sequence[int]]) -> list[list[tuple[int, int]]]:
    """Return the inputs in groups, each with its sign beside the first of its group.

    Those of a group are added before they are multiplied: their weights have several digits, and
    are equal or opposite, in all turns. ``weights`` are (turns, inputs).
    """
    groups: dict[object, list[tuple[int, int]]] = {}
    for number, turns in enumerate(zip(*weights, strict=True)):
        alike = len(set(turns)) == 1 and len(signed_digits(turns[0])) > 1
        members = groups.setdefault(abs(turns[0]) if alike else (number,), [])
        first = weights[0][members[0][0]] if members else turns[0]
        members.append((number, 1 if first == turns[0] else -1))
    return list(groups.values())


def _sum_of_alike(
    members: Sequence[tuple[int, int]],
    intervals: Sequence[tuple[int, int]],
    starts: Sequence[int],
    pipeline: int | None,
) -> SignedSum:
    """Return the signed sum of the inputs of a group; ``starts`` are their first bits."""
    low, high = (
        sum(end(sign * value for value in intervals[k]) for k, sign in members)
        for end in (min, max)
    )
    return SignedSum(
        [Term(interval_shape(*intervals[k]), sign, start=starts[k]) for k, sign in members],
        shape=interval_shape(low, high),
        size=starts[-1],
        pipeline=pipeline,
        shallow=True,
    )


def additions(weights: Sequence[int]) -> int:
    """Return the two-operand additions that the weighted sum of a channel stands for."""
    groups = equal_weights([weights])
    digits = sum(len(signed_digits(weights[members[0][0]])) for members in groups)
    return max(digits - 1, 0) + len(weights) - len(groups)


def _clipped(value: Value, span: tuple[int, int], form: tuple[int, int]) -> Value:
    """Return a value of an interval within a format."""
    result = value
    if span[1] > form[1]:
        result = Mux(_above(value, form[1]), form[1], result)
    if span[0] < form[0]:
        result = Mux(_below(value, form[0]), form[0], result)
    return result


@dataclass(frozen=True)
class _Chosen:
    """A digit of a weight that the turn chooses: what it adds, less 1 where it is negative.

    Attributes
    ----------
    element
        Shape of the element.
    start
        Its first bit.
    digits
        -2 to 2, of each turn.
    shift
        Of the digit.
    """

    element: Shape
    start: int
    digits: Sequence[int]
    shift: int

    @property
    def shape(self) -> Shape:
        """Return the shape of what it adds."""
        width = self.element.width + (max(map(abs, self.digits)) > 1)
        if min(self.digits) >= 0:
            return Shape(width, self.element.signed)
        return signed(width + (not self.element.signed))

    def value(self, m: Module, name: str, data: Value, turn: Turn) -> Value:
        """Return what it adds."""
        element = data[self.start : self.start + self.element.width]
        number = element.as_signed() if self.element.signed else element
        result = Signal(self.shape, name=name)
        parts = []
        for k, digit in enumerate(self.digits):
            part = Signal(self.shape, name=f"{name}_turn{k}")
            m.d.comb += part.eq((Const(0), number, number << 1)[abs(digit)])
            parts.append(~part if digit < 0 else part)
        m.d.comb += result.eq(turn.choose(parts))
        return result


def _zeros(number: int) -> int:
    """Return how many zeros end a number."""
    return (number & -number).bit_length() - 1


def _radix4(numbers: Sequence[int]) -> list[list[int]]:
    """Return the digits of numbers from -2 to 2, the least significant first, as many of each.

    They are pairs of canonical signed digits.
    """
    found = []
    for number in numbers:
        digits = dict[int, int]()
        for sign, shift in signed_digits(number):
            digits[shift // 2] = sign << shift % 2
        found.append(digits)
    length = 1 + max((at for digits in found for at in digits), default=0)
    return [[digits.get(at, 0) for at in range(length)] for digits in found]


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
