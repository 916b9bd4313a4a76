"""The core of a layer in the sequential style: a folded matrix-vector unit."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from .compressor import CompressorTree
from .multiplexer import selected
from .pipeline import Pipeline
from .popcount import Popcount
from .shared import SharedModules
from .threshold import border_width

__all__ = ["FoldedCore"]


class FoldedCore(wiring.Component):
    """A layer on ``pes`` processing elements that read ``simd`` inputs a cycle each.

    A patch stays at the input while the elements walk over it: ``steps`` chunks of inputs for
    each of ``folds`` rows of channels, so that a patch takes ``steps * folds`` cycles, one
    behind the other without a gap. Weights and the constants of the readout lie in memories. Any
    numbers of elements and inputs are legal: a last chunk is filled up with inputs that add
    nothing, and what a last row has too much is dropped.

    A channel may read one group of the inputs alone: elements of the same groups share their
    chunks.

    A core may have the weights of several layers, which take turns: each patch is for the next
    of them.

    Integers are added as bit planes: a bit agrees with the weight or not, so each plane is a
    popcount, and the planes are shifted and added. With ``x = sum_b 2**b x_b``, ``w x`` is
    ``sum_b 2**b xnor(x_b, w)``, less ``2**width - 1`` where w is -1; the plane of the sign of a
    signed element counts negatively, so its bits are inverted. What is left over is a constant
    of the channel. A conditional negation and an addition each would take two to three times
    the tables (docs/groupnet.md).

    Latency from the first cycle of a patch to its output word: ``latency`` cycles, which are
    ``steps * folds + 3`` and those of the popcount.

    Parameters
    ----------
    weights
        uint8 bits (channels, inputs of a group); the channels of all turns one behind the other.
    constants
        int64 (border classes, channels). The value of a channel is the number of inputs that
        agree with its weights where they are bits, else the signed sum. With thresholds the bit
        is ``value >= constant``; with sums the output is ``scale * value + constant``.
    pes, simd
        Processing elements, and inputs of each in a cycle.
    element_width, element_signed
        Format of an input element.
    bounds
        Least and greatest value of a channel.
    pipeline
        Adder levels between registers of the popcounts, or None.
    sums
        Scale and output format (width, signed) of a layer that gives sums; None for bits.
    turns
        Layers that take turns.
    groups
        Groups of channels and inputs, as of a convolution.
    taps
        Runs in which the inputs of a group come: an input word holds, for each tap, the inputs of
        all groups one behind the other.

    Attributes
    ----------
    cycles
        Cycles of a patch.
    latency
        Cycles from a patch to its output word.

    Members
    -------
    i, o
        As those of :class:`.LayerCore`.
    """

    def __init__(
        self,
        weights: NDArray[np.uint8],
        constants: NDArray[np.int64],
        *,
        pes: int,
        simd: int,
        bounds: tuple[int, int],
        element_width: int = 1,
        element_signed: bool = False,
        pipeline: int | None = None,
        sums: tuple[int, int, bool] | None = None,
        turns: int = 1,
        groups: int = 1,
        taps: int = 1,
    ) -> None:
        self._turns, self._inputs = turns, weights.shape[1]
        self._groups, self._taps = groups, taps
        self._channels = weights.shape[0] // turns
        self.classes = len(constants)
        self._pes, self._simd = pes, simd
        self._steps, self._folds = -(-self._inputs // simd), -(-self._channels // pes)
        self.cycles = self._steps * self._folds
        self._element = Shape(element_width, element_signed)
        self._pipeline = pipeline
        level = CompressorTree({0: [simd]}, simd.bit_length()).level
        self._delay = Pipeline(self._pipeline).stage(level)
        self.latency = self.cycles + 3 + self._delay
        self._scale, self._output = 1, unsigned(1)
        high = bounds[1]
        left_over = np.zeros(len(weights), np.int64)
        if bounds != (0, self._inputs):  # integers
            high = self._steps * simd * ((1 << element_width) - 1)
            left_over = self._left_over(weights)
        self._value = unsigned(high.bit_length())
        if sums is None:
            # A level out of reach is as good as the nearest one that is.
            constants = np.clip(constants + left_over, 0, high + 1)
        else:
            self._scale, self._output = sums[0], Shape(sums[1], sums[2])
            constants = constants - left_over
        self._sums = sums is not None
        self._constant = _holding(int(constants.min()), int(constants.max()))
        self._weights = self._weight_words(weights)
        self._constants = self._constant_words(constants)
        payload = {"data": unsigned(groups * self._inputs * element_width)}
        if self.classes > 1:
            payload["border"] = unsigned(border_width(self.classes))
        word = (
            data.ArrayLayout(self._output, self._channels)
            if self._sums
            else unsigned(self._channels)
        )
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(payload))),
                "o": Out(stream.Signature(word)),
            }
        )

    def _left_over(self, weights: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return what the bit planes of a channel add to its sum, int64 (channels,)."""
        negative = (weights == 0).sum(axis=1, dtype=np.int64)
        if not self._element.signed:
            return negative * ((1 << self._element.width) - 1)
        # An inverted bit of the sign, of fillings too, is half the range; the rest is negated.
        half = 1 << (self._element.width - 1)
        return negative * (half - 1) + (self._steps * self._simd - negative) * half

    def _weight_words(self, weights: NDArray[np.uint8]) -> list[int]:
        """Return the words of the weight memory: turn by turn, row by row, chunk by chunk."""
        # A filling input is 0, which disagrees with the weight 1 and adds nothing.
        shape = self._turns, self._folds * self._pes, self._steps * self._simd
        full = np.ones(shape, np.uint8)
        full[:, : self._channels, : self._inputs] = weights.reshape(self._turns, -1, self._inputs)
        parts = full.reshape(-1, self._pes, self._steps, self._simd)
        rows = parts.transpose(0, 2, 1, 3).reshape(self._turns * self.cycles, -1)
        packed = np.packbits(rows, axis=1, bitorder="little")
        return [int.from_bytes(row.tobytes(), "little") for row in packed]

    def _constant_words(self, constants: NDArray[np.int64]) -> list[int]:
        """Return the words of the memory of constants: class by class, and so on."""
        width = max(self._constant.width, 1)
        full = np.zeros((self.classes, self._turns, self._folds * self._pes), np.int64)
        full[:, :, : self._channels] = constants.reshape(self.classes, self._turns, -1)
        mask = (1 << width) - 1
        return [
            sum((int(value) & mask) << k * width for k, value in enumerate(row))
            for row in full.reshape(-1, self._pes)
        ]

    def elaborate(self, platform: object) -> Module:
        """Return schedule, memories, processing elements and the collected word."""
        m = Module()
        go, completes = Signal(), Signal()
        rows = self._turns * self._folds  # of channels, in all turns
        step, fold, row = (Signal(range(n)) for n in (self._steps, self._folds, rows))
        at = Signal(range(self._turns * self.cycles))
        last_step, last_fold, last_row = Signal(), Signal(), Signal()
        m.d.comb += [
            last_step.eq(step == self._steps - 1),
            last_fold.eq(fold == self._folds - 1),
            last_row.eq(row == rows - 1),
            go.eq(~(completes & self.o.valid & ~self.o.ready)),
            self.i.ready.eq(go & last_step & last_fold),
        ]
        with m.If(go & self.i.valid):
            m.d.sync += [
                step.eq(Mux(last_step, 0, step + 1)),
                at.eq(Mux(last_step & last_row, 0, at + 1)),
            ]
            with m.If(last_step):
                m.d.sync += [
                    fold.eq(Mux(last_fold, 0, fold + 1)),
                    row.eq(Mux(last_row, 0, row + 1)),
                ]

        # First chunk and weights, then the popcount's own registers, behind them the sums of a
        # chunk, and at last values and constants.
        summed = 1 + self._delay
        valid, last, ends = Signal(summed + 2), Signal(summed + 2), Signal(summed + 2)
        first = Signal(summed + 1)
        place = [Signal(range(self.classes * rows), name=f"place{k}") for k in range(summed + 1)]
        start: Value = row
        if self.classes > 1:
            start = row + self.i.p.border * rows
        with m.If(go):
            m.d.sync += [
                valid.eq(Cat(self.i.valid, valid)),
                first.eq(Cat(step == 0, first)),
                last.eq(Cat(last_step, last)),
                ends.eq(Cat(last_step & last_fold, ends)),
                *(late.eq(early) for late, early in zip(place, [start, *place], strict=False)),
            ]
        chunks = self._chunks(m, fold, step, go)
        weights = self._memory(m, "weights", self._weights, at, go, self._pes * self._simd)
        width = max(self._constant.width, 1)
        constants = self._memory(
            m, "constants", self._constants, place[summed], go, self._pes * width
        )
        results = []
        for k in range(self._pes):
            part = self._part(m, platform, k, chunks[k], weights.word_select(k, self._simd), go)
            held = Signal(part.shape(), name=f"part{k}", reset_less=True)
            value = Signal(self._value, name=f"value{k}", reset_less=True)
            with m.If(go):
                m.d.sync += held.eq(part)
                with m.If(valid[summed]):
                    m.d.sync += value.eq(held + Mux(first[summed], 0, value))
            constant = constants.word_select(k, width)
            results.append(
                self._result(value, constant.as_signed() if self._constant.signed else constant)
            )
        self._collect(m, go, completes, valid[-1] & last[-1], ends[-1], Cat(results))
        return m

    def _chunks(self, m: Module, fold: Value, step: Value, go: Value) -> list[Signal]:
        """Return what each processing element reads, in a register."""
        width, depth = self._element.width, self._inputs // self._taps
        runs = [
            self.i.p.data.word_select(k, depth * width) for k in range(self._taps * self._groups)
        ]
        bits = self._simd * width
        filling = Const(0, self._steps * bits - self._inputs * width)
        words = [Cat(*runs[group :: self._groups], filling) for group in range(self._groups)]
        made: dict[tuple[int, ...], Signal] = {}
        found = []
        for k in range(self._pes):
            channels = np.minimum(np.arange(self._folds) * self._pes + k, self._channels - 1)
            read = tuple((channels * self._groups // self._channels).tolist())  # fold by fold
            if read not in made:
                # A signal: each slice of an expression goes through all bits of it again.
                word = Signal(len(words[0]), name=f"inputs{k}")
                of_folds = [words[group] for group in read]
                m.d.comb += word.eq(selected(of_folds, fold) if len(set(read)) > 1 else of_folds[0])
                made[read] = chunk = Signal(bits, name=f"chunk{k}", reset_less=True)
                parts = [word[at : at + bits] for at in range(0, len(word), bits)]
                with m.If(go):
                    m.d.sync += chunk.eq(selected(parts, step))
            found.append(made[read])
        return found

    def _memory(
        self, m: Module, name: str, words: list[int], at: Value, enable: Value, width: int
    ) -> Value:
        """Return the word of a memory at the address of the cycle before."""
        if len(words) == 1:
            return Const(words[0], width)
        rom = memory.Memory(shape=unsigned(width), depth=len(words), init=words)
        m.submodules[name] = rom
        port = rom.read_port()
        m.d.comb += [port.addr.eq(at), port.en.eq(enable)]
        return port.data

    def _part(
        self, m: Module, platform: object, k: int, chunk: Value, weights: Value, go: Value
    ) -> Value:
        """Return what a processing element adds for a chunk."""
        planes: list[Value] = []
        width = self._element.width
        for bit in range(width):
            plane = Cat(chunk[n * width + bit] for n in range(self._simd))
            inverted = self._element.signed and bit == width - 1
            name = f"pe{k}" if width == 1 else f"pe{k}_plane{bit}"
            equal = Signal(self._simd, name=f"{name}_equal")
            count = Signal(self._simd.bit_length(), name=f"{name}_count")
            m.d.comb += equal.eq(plane ^ weights if inverted else ~(plane ^ weights))
            planes.append(count << bit)
            if isinstance(platform, SharedModules):
                m.submodules[name] = platform.instance(
                    self._simd, self._pipeline, i=equal, o=count,
                    advance=go if self._delay else None,
                )  # fmt: skip
            else:
                m.submodules[name] = popcount = Popcount(self._simd, pipeline=self._pipeline)
                m.d.comb += [
                    popcount.i.eq(equal),
                    popcount.advance.eq(go),
                    count.eq(popcount.o),
                ]
        while len(planes) > 1:
            pairs = [planes[n : n + 2] for n in range(0, len(planes), 2)]
            planes = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
        return planes[0]

    def _result(self, value: Value, constant: Value) -> Value:
        """Return the output of a channel."""
        if not self._sums:
            return value >= constant
        total = (value << (self._scale.bit_length() - 1)) + constant
        return total[: self._output.width]

    def _collect(
        self, m: Module, go: Value, completes: Signal, done: Value, ends: Value, row: Value
    ) -> None:
        """Put the rows of a patch side by side and hold the word."""
        held = Signal(len(row) * (self._folds - 1), name="held", reset_less=True)
        word = Signal(len(Value.cast(self.o.payload)), name="word", reset_less=True)
        full = Signal()
        m.d.comb += [
            completes.eq(done & ends),
            self.o.valid.eq(full),
            Value.cast(self.o.payload).eq(word),
        ]
        with m.If(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(go & done):
            m.d.sync += held.eq(Cat(held, row)[len(row) :])
            with m.If(ends):
                m.d.sync += [word.eq(Cat(held, row)), full.eq(1)]


def _holding(low: int, high: int) -> Shape:
    """Return the narrowest shape that holds an interval."""
    if low < 0:
        return signed(max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1)
    return unsigned(high.bit_length())
