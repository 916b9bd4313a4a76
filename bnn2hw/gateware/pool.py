"""The maximum over windows of a stream."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Shape, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .window import SlidingWindow

__all__ = ["MaxPool"]


class MaxPool(wiring.Component):
    """The greatest element of every window, each channel on its own: OR where elements are bits.

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
    element_width, element_signed
        Format of an element.

    Attributes
    ----------
    outputs
        Height and width of the result.

    Members
    -------
    i : stream of ``unsigned(channels * element_width)``, channel 0 at the LSB
    o : the same
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
    ) -> None:
        self._channels = channels
        self._element = Shape(element_width, element_signed)
        word = channels * element_width
        self._rows = SlidingWindow(size, word, (1, kernel[1]), stride=(1, stride[1]))
        self._columns = SlidingWindow(
            self._rows.outputs, word, (kernel[0], 1), stride=(stride[0], 1)
        )
        self.outputs = self._columns.outputs
        port = stream.Signature(unsigned(word))
        super().__init__({"i": In(port), "o": Out(port)})

    def elaborate(self, platform: object) -> Module:
        """Return two windows and the maximum of each."""
        m = Module()
        m.submodules.rows, m.submodules.columns = self._rows, self._columns
        sources = (self.i, self._rows.o, self._columns.o)
        sinks = (self._rows.i, self._columns.i, self.o)
        payloads = (
            self.i.payload,
            self._greatest(self._rows.o.p.data),
            self._greatest(self._columns.o.p.data),
        )
        for source, sink, payload in zip(sources, sinks, payloads, strict=True):
            m.d.comb += [
                sink.payload.eq(payload),
                sink.valid.eq(source.valid),
                source.ready.eq(sink.ready),
            ]
        return m

    def _greatest(self, window: Value) -> Value:
        """Return the greatest element of each channel over the words of a window."""
        word = self._channels * self._element.width
        words = [window[at : at + word] for at in range(0, len(window), word)]
        if self._element == unsigned(1):
            return reduce(or_, words)
        return Cat(
            reduce(self._maximum, column)
            for column in zip(*map(self._elements, words), strict=True)
        )

    def _elements(self, word: Value) -> list[Value]:
        parts = (word.word_select(k, self._element.width) for k in range(self._channels))
        return [part.as_signed() if self._element.signed else part for part in parts]

    def _maximum(self, a: Value, b: Value) -> Value:
        chosen = Mux(a >= b, a, b)
        return chosen.as_signed() if self._element.signed else chosen
