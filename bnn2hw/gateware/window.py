"""Sliding windows over a map that comes as a stream, one position a beat in raster order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from .threshold import border_width

__all__ = ["Pad", "SlidingWindow", "View", "Windows"]

# A delay of so many slots is a memory, a shorter one a chain of registers: LUT RAM is 16 deep.
_MEMORY_SLOTS = 16


@dataclass(frozen=True)
class Windows:
    """Where the windows of a convolution or a pool lie on a map.

    Attributes
    ----------
    size
        Height and width of the map.
    kernel, stride, dilation
        (vertical, horizontal).
    padding
        (top, left, bottom, right) positions.
    turns
        Maps that take turns: each position of all of them comes before the next one of any. They
        are one map of so many columns for each, and everything below but ``outputs`` counts these.
    """

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    turns: int = 1

    @cached_property
    def outputs(self) -> tuple[int, int]:
        """Return height and width of the map of windows."""
        found = []
        for axis in range(2):
            span = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            room = self.size[axis] + self.padding[axis] + self.padding[axis + 2] - span
            assert room >= 0
            found.append(room // self.stride[axis] + 1)
        return found[0], found[1]

    @property
    def grid(self) -> tuple[int, int]:
        """Return rows and columns of all maps together."""
        return self.size[0], self.size[1] * self.turns

    @cached_property
    def masked(self) -> bool:
        """Return whether padding needs no positions: each window has an origin on the map."""
        return all(
            (n - 1) * s < m for n, s, m in zip(self.outputs, self.stride, self.size, strict=True)
        )

    @cached_property
    def offsets(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return rows and columns of the taps, from the origin of the window."""
        rows, columns = (
            tuple((k * d - p) * turns for k in range(n))
            for n, d, p, turns in zip(
                self.kernel, self.dilation, self.padding[:2], (1, self.turns), strict=True
            )
        )
        return rows, columns

    @cached_property
    def ahead(self) -> int:
        """Return how many positions come after an origin before its window is complete."""
        return max(0, max(self.reads, default=0))

    @cached_property
    def reads(self) -> frozenset[int]:
        """Return how far behind the origin in raster order taps read that meet the map."""
        return frozenset(
            y * self.grid[1] + x
            for y, x in product(*self.offsets)
            if self.meets(0, y) and self.meets(1, x)
        )

    def origins(self, axis: int) -> list[int]:
        """Return the origins of the windows along an axis."""
        turns = self.turns if axis else 1
        firsts = range(0, self.outputs[axis] * self.stride[axis] * turns, self.stride[axis] * turns)
        return [first + turn for first in firsts for turn in range(turns)]

    def output_at(self, axis: int) -> list[int]:
        """Return for each position of an axis the row or column of the last output before."""
        step = self.stride[axis] * (self.turns if axis else 1)
        return [min(at // step, self.outputs[axis] - 1) for at in range(self.grid[axis])]

    def inside(self, axis: int, offset: int) -> list[bool]:
        """Return for each position of an axis whether a tap of a window there is on the map."""
        return [0 <= at + offset < self.grid[axis] for at in range(self.grid[axis])]

    def meets(self, axis: int, offset: int) -> bool:
        """Return whether a tap is on the map for any window."""
        return any(self.inside(axis, offset)[at] for at in self.origins(axis))

    def covers(self, axis: int, offset: int) -> list[int]:
        """Return whether a tap is inside at each origin; what lies between repeats it."""
        inside = np.array(self.inside(axis, offset))[self.origins(axis)]
        turns = self.turns if axis else 1
        at: list[int] = inside[::turns][self.output_at(axis)].astype(int).tolist()
        return at

    def due(self) -> NDArray[np.bool_]:
        """Return bool (positions,): whether a window is complete when a position has come."""
        starts = np.zeros(self.grid, np.bool_)
        starts[np.ix_(self.origins(0), self.origins(1))] = True
        return np.roll(starts.reshape(-1), self.ahead)


View = tuple[tuple[int, int], tuple[int, int, int, int], NDArray[np.int64] | None]
"""Dilation, padding and border classes of a window."""


class SlidingWindow(wiring.Component):
    """The window of every output position of a convolution or a pool.

    A delay line holds as many positions as lie between the first and the last tap of a window;
    gaps between taps are memories where they are long. Frames follow each other in the line
    without a gap, and padding takes no cycle: a tap outside of the map is masked. So the
    throughput is one beat a cycle in, and a frame of H x W positions takes H x W cycles.

    A window is complete ``ahead`` positions after the position at its origin has come; the last
    windows of a frame move on without input where no further frame follows. Latency from the
    last tap that a window reads inside of the map to the window: one cycle, where the line is
    not moved by bubbles.

    Parameters
    ----------
    size
        Height and width of the map.
    word
        Bits of a position, channel 0 at the LSB.
    kernel, stride, dilation
        (vertical, horizontal).
    padding
        (top, left, bottom, right) positions. There must be an input position for each output
        position; :class:`Pad` gives more where that is not so.
    filler
        The word of a padded position.
    border
        int64 (output height, output width): class of each output position, the sum of a class of
        its row and one of its column; None where there is one class.
    turns
        Maps that take turns, a position of each (see :class:`Windows`).
    more
        Dilation, padding and border classes of further windows on the same line; each window has
        as many outputs.

    Attributes
    ----------
    outputs
        Height and width of the map of windows.
    ahead
        Positions that come after the origin of a window before all are complete.

    Members
    -------
    i : stream of ``unsigned(word)``, H x W beats a frame
    o : stream of ``data`` (taps in (ky, kx) order, the first at the LSB) and, where there is more
        than one class, ``border``; then the same of each further window, as ``data1`` and so on;
        one beat an output position
    """

    def __init__(
        self,
        size: tuple[int, int],
        word: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        filler: int = 0,
        border: NDArray[np.int64] | None = None,
        turns: int = 1,
        more: Sequence[View] = (),
    ) -> None:
        self._views = [
            (
                Windows(size, kernel, stride, rates, around, turns),
                classes if classes is not None and classes.any() else None,
            )
            for rates, around, classes in ((dilation, padding, border), *more)
        ]
        self._windows, _ = self._views[0]
        self.outputs, self._size = self._windows.outputs, self._windows.grid
        for windows, _ in self._views:
            assert windows.masked, "a window has no origin on the map: put a Pad before it"
            assert windows.outputs == self.outputs
        self.ahead = max(windows.ahead for windows, _ in self._views)
        self._word, self._filler = word, filler
        payload = {}
        for k, (_, classes) in enumerate(self._views):
            payload[f"data{k or ''}"] = unsigned(word * kernel[0] * kernel[1])
            if classes is not None:
                payload[f"border{k or ''}"] = unsigned(border_width(int(classes.max()) + 1))
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(word))),
                "o": Out(stream.Signature(data.StructLayout(payload))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the delay line, the position of its origin, and the masks of the taps."""
        m = Module()
        height, width = self._size
        advance = Signal()
        due = Signal()
        taken = Signal()
        free = Signal()
        arrived = Signal(range(height * width))
        flushing = Signal(range(self.ahead + 1))
        bubble = Signal()
        real = Signal(self.ahead + 1)
        m.d.comb += [
            free.eq(~due | taken | self.o.ready),
            bubble.eq((arrived == 0) & (flushing != 0)),
            advance.eq(free & (self.i.valid | bubble)),
            self.i.ready.eq(free),
            self.o.valid.eq(due & ~taken),
        ]
        with m.If(advance):
            m.d.sync += [real.eq(Cat(self.i.valid, real)), taken.eq(0)]
            with m.If(flushing != 0):
                m.d.sync += flushing.eq(flushing - 1)
            with m.If(self.i.valid):
                m.d.sync += arrived.eq(arrived + 1)
                with m.If(arrived == height * width - 1):
                    m.d.sync += [arrived.eq(0), flushing.eq(self.ahead)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += taken.eq(1)

        # Row and column of the slot at the origin, if it holds a position.
        origin = real[self.ahead]
        at = [
            Signal(range(n), name=name)
            for n, name in zip(self._size, ("row", "column"), strict=True)
        ]
        with m.If(advance & origin):
            m.d.sync += at[1].eq(at[1] + 1)
            with m.If(at[1] == width - 1):
                m.d.sync += [at[1].eq(0), at[0].eq(Mux(at[0] == height - 1, 0, at[0] + 1))]
        starts = [
            _lookup(
                m,
                at[axis],
                np.isin(np.arange(self._size[axis]), self._windows.origins(axis)).tolist(),
                f"starts{axis}",
            )
            for axis in range(2)
        ]
        m.d.comb += due.eq(origin & starts[0] & starts[1])

        delays = {self.ahead - offset for windows, _ in self._views for offset in windows.reads}
        line = _DelayLine(m, self.i.payload, sorted(delays), advance)
        for k, (windows, border) in enumerate(self._views):
            view = str(k or "")
            inside = [
                {
                    o: _lookup(m, at[axis], windows.covers(axis, o), f"inside{view}_{axis}_{n}")
                    for n, o in enumerate(windows.offsets[axis])
                }
                for axis in range(2)
            ]
            words: list[Value] = []
            for y, x in product(*windows.offsets):
                if windows.meets(0, y) and windows.meets(1, x):
                    tap = line[self.ahead - (y * width + x)]
                    name = f"covers{view}_{len(words)}"
                    words.append(self._masked(m, tap, (inside[0][y], inside[1][x]), name))
                else:
                    words.append(Const(self._filler, self._word))
            m.d.comb += self.o.p[f"data{view}"].eq(Cat(*words))
            if border is not None:
                rows, columns = border[:, 0] - border[:, 0].min(), border.min(axis=0)
                assert (rows[:, None] + columns[None, :] == border).all()
                classes = [
                    _lookup(m, at[axis], values[windows.output_at(axis)].tolist(), name + view)
                    for axis, (values, name) in enumerate(
                        ((rows, "row_class"), (columns, "column_class"))
                    )
                ]
                m.d.comb += self.o.p[f"border{view}"].eq(classes[0] + classes[1])
        return m

    def _masked(self, m: Module, word: Value, masks: Sequence[Value], name: str) -> Value:
        """Return a word, or the filler outside of the map."""
        masks = [mask for mask in masks if not (isinstance(mask, Const) and mask.value)]
        if not masks:
            return word
        # A signal: an expression would be written anew for each bit of the word.
        inside = Signal(name=name)
        m.d.comb += inside.eq(Cat(masks).all())
        filler = Const(self._filler, self._word)
        if self._filler == 0:
            return word & inside.replicate(self._word)
        return Mux(inside, word, filler)


def _lookup(m: Module, at: Value, table: Sequence[int], name: str) -> Value:
    """Return the entry of a table at a position that counts up; beyond its end, the last."""
    if len(set(table)) == 1:
        return Const(table[0], max(int(table[0]).bit_length(), 1))
    result = Signal(range(max(table) + 1), name=name)
    value: Value = Const(table[-1], len(result))
    for last in range(len(table) - 2, -1, -1):
        if table[last] != table[last + 1]:
            value = Mux(at <= last, table[last], value)
    m.d.comb += result.eq(value)
    return result


class _DelayLine:
    """A line of words, read at chosen delays; delay 0 is the word of the last advance.

    Runs of equal length between taps share one memory, so that its words are wide.
    """

    def __init__(self, m: Module, word: Value, delays: Sequence[int], advance: Value) -> None:
        self._words: dict[int, Value] = {}
        runs: dict[int, list[tuple[Value, Signal]]] = {}
        before = -1
        for delay in delays:
            slots = delay - before
            if slots < _MEMORY_SLOTS:
                for k in range(slots):
                    register = Signal(word.shape(), name=f"slot{before + 1 + k}", reset_less=True)
                    with m.If(advance):
                        m.d.sync += register.eq(word)
                    word = register
            else:
                read = Signal(word.shape(), name=f"slot{delay}")
                runs.setdefault(slots, []).append((word, read))
                word = read
            self._words[delay] = word
            before = delay
        for slots, members in runs.items():
            self._memory(m, slots, members, advance)

    def __getitem__(self, delay: int) -> Value:
        return self._words[delay]

    @staticmethod
    def _memory(
        m: Module, slots: int, members: Sequence[tuple[Value, Signal]], advance: Value
    ) -> None:
        """Delay words by a ring of so many slots: what is read next is what was written first.

        Reading and writing never meet at one address.
        """
        bits = sum(len(word) for word, _ in members)
        ring = memory.Memory(shape=unsigned(bits), depth=slots, init=[])
        m.submodules[f"ring{slots}"] = ring
        write, read = ring.write_port(), ring.read_port()
        at = Signal(range(slots), name=f"at{slots}")
        following = Signal(range(slots), name=f"following{slots}")
        m.d.comb += [
            following.eq(Mux(at == slots - 1, 0, at + 1)),
            write.addr.eq(at),
            write.data.eq(Cat(word for word, _ in members)),
            write.en.eq(advance),
            read.addr.eq(following),
            read.en.eq(advance),
            Cat(out for _, out in members).eq(read.data),
        ]
        with m.If(advance):
            m.d.sync += at.eq(following)


class Pad(wiring.Component):
    """A map with padded positions around it, as a stream.

    For padding beyond what a window can mask: each padded position takes a cycle. Throughput one
    beat a cycle out; latency none.

    Parameters
    ----------
    size
        Height and width of the map.
    word
        Bits of a position.
    padding
        (top, left, bottom, right) positions.
    filler
        The word of a padded position.

    Attributes
    ----------
    outputs
        Height and width of the padded map.

    Members
    -------
    i : stream of ``unsigned(word)``
    o : stream of ``unsigned(word)``
    """

    def __init__(
        self,
        size: tuple[int, int],
        word: int,
        padding: tuple[int, int, int, int],
        *,
        filler: int = 0,
    ) -> None:
        top, left, bottom, right = padding
        self.outputs = size[0] + top + bottom, size[1] + left + right
        self._inside = [
            [int(before <= at < before + n) for at in range(out)]
            for n, before, out in zip(size, (top, left), self.outputs, strict=True)
        ]
        self._filler = filler
        shape = unsigned(word)
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        """Return the position and the choice between input and filler."""
        m = Module()
        at = [
            Signal(range(n), name=name)
            for n, name in zip(self.outputs, ("row", "column"), strict=True)
        ]
        # Nothing of a frame goes out before its first position is there.
        begun, inside = Signal(), Signal()
        m.d.comb += [
            inside.eq(
                _lookup(m, at[0], self._inside[0], "in_rows")
                & _lookup(m, at[1], self._inside[1], "in_columns")
            ),
            self.o.valid.eq(self.i.valid | (begun & ~inside)),
            self.o.payload.eq(Mux(inside, self.i.payload, self._filler)),
            self.i.ready.eq(self.o.ready & inside),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [at[1].eq(at[1] + 1), begun.eq(begun | inside)]
            with m.If(at[1] == self.outputs[1] - 1):
                m.d.sync += [at[1].eq(0), at[0].eq(at[0] + 1)]
                with m.If(at[0] == self.outputs[0] - 1):
                    m.d.sync += [at[0].eq(0), begun.eq(0)]
        return m
