"""Windows of a stream reduced channel by channel: their maximum, their sum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .sums import interval_shape
from .window import SlidingWindow

__all__ = ["MaxPool", "SumPool"]


class _Pool(wiring.Component):
    """Every window reduced to one element, each channel on its own.

    First along rows, then along columns of the narrower map, so that a line holds results of the
    first step alone. Throughput one beat a cycle in; latency from the last position of a window
    to its result: two cycles.

    Parameters
    ----------
    size
        Height and width of the map.
    channels
        Elements of a position.
    kernel, stride
        (vertical, horizontal).
    shapes
        Shape of an element before, between and behind the two steps.
    turns
        Maps that take turns, a position of each.

    Attributes
    ----------
    outputs
        Height and width of the result.

    Members
    -------
    i : stream of the elements of a position, channel 0 at the LSB
    o : stream of their results, channel 0 at the LSB
    """

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        shapes: tuple[Shape, Shape, Shape],
        turns: int,
    ) -> None:
        self._channels, self._shapes = channels, shapes
        words = [channels * shape.width for shape in shapes]
        self._rows = SlidingWindow(
            size, words[0], (1, kernel[1]), stride=(1, stride[1]), turns=turns
        )
        self._columns = SlidingWindow(
            self._rows.outputs, words[1], (kernel[0], 1), stride=(stride[0], 1), turns=turns
        )
        self.outputs = self._columns.outputs
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(words[0]))),
                "o": Out(stream.Signature(unsigned(words[2]))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return two windows and what makes one element of each."""
        m = Module()
        m.submodules.rows, m.submodules.columns = self._rows, self._columns
        sources = (self.i, self._rows.o, self._columns.o)
        sinks = (self._rows.i, self._columns.i, self.o)
        payloads = (
            self.i.payload,
            self._reduced(m, self._rows.o.p.data, 0),
            self._reduced(m, self._columns.o.p.data, 1),
        )
        for source, sink, payload in zip(sources, sinks, payloads, strict=True):
            m.d.comb += [
                sink.payload.eq(payload),
                sink.valid.eq(source.valid),
                source.ready.eq(sink.ready),
            ]
        return m

    def _reduced(self, m: Module, window: Value, step: int) -> Value:
        """Return one element a channel of the words of a window, in the shape behind the step."""
        width = self._shapes[step].width
        count = len(window) // width
        # A slice of a signal is a slice; one of a slice goes through all bits of the word again.
        words = Signal(len(window), name=f"{('row', 'column')[step]}_window")
        m.d.comb += words.eq(window)
        elements = [words.word_select(k, width) for k in range(count)]
        return Cat(
            self._reduce(m, elements[channel :: self._channels], step, channel)
            for channel in range(self._channels)
        )

    def _reduce(self, m: Module, elements: Sequence[Value], step: int, channel: int) -> Value:
        """Return one element of several, which are unsigned."""
        raise TypeError(f"{type(self).__name__} is abstract")


class MaxPool(_Pool):
    """The greatest element of every window, each channel on its own: OR where elements are bits.

    Structure, throughput, latency, attributes and members are those of :class:`_Pool`.

    Parameters
    ----------
    size
        Height and width of the map.
    channels
        Elements of a position.
    kernel, stride
        (vertical, horizontal).
    element_width, element_signed
        Format of an element.
    turns
        Maps that take turns, a position of each.
    """

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int],
        element_width: int = 1,
        element_signed: bool = False,
        turns: int = 1,
    ) -> None:
        shape = Shape(element_width, element_signed)
        super().__init__(size, channels, kernel, stride, (shape, shape, shape), turns)

    def _reduce(self, m: Module, elements: Sequence[Value], step: int, channel: int) -> Value:
        if self._shapes[step] == unsigned(1):
            return reduce(or_, elements)
        return reduce(self._maximum, elements)

    def _maximum(self, a: Value, b: Value) -> Value:
        x, y = (v.as_signed() if self._shapes[0].signed else v for v in (a, b))
        return Mux(x >= y, a, b)


class SumPool(_Pool):
    """The sum over every window, each channel on its own.

    Structure, throughput, latency, attributes and members are those of :class:`_Pool`. Sums are
    written as additions, of which Yosys makes trees itself, in the widths of their exact intervals.
    Bits that stand for +1 and -1 are counted along rows; the columns double the counts and take the
    taps away.

    Parameters
    ----------
    size
        Height and width of the map.
    channels
        Elements of a position.
    kernel, stride
        (vertical, horizontal).
    low, high
        Interval of an element as it comes; bits are 0 and 1.
    bipolar
        Whether elements are bits that stand for +1 and -1.
    turns
        Maps that take turns, a position of each.
    """

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int],
        low: int = 0,
        high: int = 1,
        bipolar: bool = False,
        turns: int = 1,
    ) -> None:
        taps = kernel[0] * kernel[1]
        self._scale, self._offset = (1, -taps) if bipolar else (0, 0)
        shapes = (
            interval_shape(low, high),
            interval_shape(kernel[1] * low, kernel[1] * high),
            interval_shape(
                (taps * low << self._scale) + self._offset,
                (taps * high << self._scale) + self._offset,
            ),
        )
        super().__init__(size, channels, kernel, stride, shapes, turns)

    def _reduce(self, m: Module, elements: Sequence[Value], step: int, channel: int) -> Value:
        numbers = [v.as_signed() if self._shapes[step].signed else v for v in elements]
        while len(numbers) > 1:
            pairs = [numbers[k : k + 2] for k in range(0, len(numbers), 2)]
            numbers = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
        total = Signal(self._shapes[step + 1], name=f"{('row', 'column')[step]}{channel}")
        m.d.comb += total.eq((numbers[0] << self._scale * step) + self._offset * step)
        return Value.cast(total)
