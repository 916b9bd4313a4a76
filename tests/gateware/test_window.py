"""Sliding windows and pads against the golden model's patches, with random stalls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.emit.vectors import pack_words
from bnn2hw.errors import ModelError
from bnn2hw.gateware.window import Pad, SlidingWindow
from bnn2hw.golden import patches
from bnn2hw.model import BIPOLAR, BinaryConv, Bipolar, Format, Integer, Tensor
from tests.gateware.streams import send_words


@dataclass(frozen=True, eq=False)
class Case:
    """A convolution and the map that it reads."""

    layer: BinaryConv
    source: Tensor

    @property
    def filler(self) -> int:
        value, form = self.layer.padding_value, self.source.format
        element = int(value > 0) if isinstance(form, Bipolar) else value & (1 << form.width) - 1
        return sum(element << k * form.width for k in range(self.source.channels))

    @property
    def masks(self) -> bool:
        """Return whether the padding needs no positions of its own."""
        outputs = self.layer.output(self.source).shape
        return all(
            (n - 1) * s < m
            for n, s, m in zip(outputs[:2], self.layer.stride, self.source.shape[:2], strict=True)
        )

    def window(self) -> SlidingWindow:
        layer, source = self.layer, self.source
        return SlidingWindow(
            source.shape[:2],
            source.channels * source.format.width,
            layer.kernel,
            stride=layer.stride,
            dilation=layer.dilation,
            padding=layer.padding,
            filler=self.filler,
            border=layer.border_classes(source),
        )

    def images(self, count: int, seed: int) -> NDArray[np.int64]:
        form = self.source.format
        low, high = (0, 1) if isinstance(form, Bipolar) else (form.low, form.high)
        rng = np.random.default_rng(seed)
        return rng.integers(low, high + 1, (count, *self.source.shape))

    def words(self, images: NDArray[np.int64]) -> list[int]:
        return pack_words(images.reshape(-1, self.source.channels), self.source.format.width)

    def expected(self, images: NDArray[np.int64]) -> list[int]:
        """Return patches with their border classes behind them."""
        found, classes = patches(self.layer, self.source, images)
        width = self.source.format.width
        words = pack_words(found.astype(np.int64), width)
        return [w | int(c) << width * found.shape[1] for w, c in zip(words, classes, strict=True)]


def make(
    size: tuple[int, int], channels: int, kernel: tuple[int, int], *,
    stride: tuple[int, int] = (1, 1), padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    padding_value: int = 0, dilation: tuple[int, int] = (1, 1), form: Format = BIPOLAR,
) -> Case:  # fmt: skip
    layer = BinaryConv(
        "conv", ("input",), np.zeros((1, *kernel, channels), np.uint8), stride=stride,
        padding=padding, padding_value=padding_value, dilation=dilation,
    )  # fmt: skip
    return Case(layer, Tensor((*size, channels), form))


def check(case: Case, count: int, stall: float, seed: int, window: SlidingWindow) -> None:
    images = case.images(count, seed)
    expected = case.expected(images)
    trace = send_words(window, case.words(images), len(expected), stall=stall, seed=seed)
    assert trace.words == expected
    if stall == 0:
        # Frames follow each other at the rate of their positions.
        step = len(expected) // count
        firsts = np.diff(trace.cycles[::step])
        assert (firsts == case.source.shape[0] * case.source.shape[1]).all()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    size = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    form = draw(st.sampled_from([BIPOLAR, Integer(-2, 3)]))
    try:
        case = make(
            size,
            draw(st.integers(1, 3)),
            draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
            stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
            dilation=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
            padding=draw(st.tuples(*[st.integers(0, 3)] * 4)),
            padding_value=draw(st.sampled_from([-1, 0, 1])),
            form=form,
        )
        case.layer.output(case.source)
    except ModelError:
        assume(False)
    assume(case.masks)
    return case


@given(cases(), st.sampled_from([0.0, 0.4, 0.7]), st.integers(0, 99))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_windows_are_the_golden_patches(case: Case, stall: float, seed: int) -> None:
    check(case, 3, stall, seed, case.window())


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(
    "case",
    [
        make((6, 20), 4, (3, 3), padding=(1, 1, 1, 1)),  # lines in memories
        make((5, 33), 1, (5, 3), padding=(2, 1, 2, 1), padding_value=-1),
        make((9, 24), 2, (2, 2), stride=(2, 2)),
        make((7, 18), 2, (3, 3), dilation=(2, 2), padding=(2, 2, 2, 2), padding_value=1),
        make((1, 1), 5, (3, 3), padding=(1, 1, 1, 1)),
        make((1, 1), 5, (1, 1)),
    ],
    ids=str,
)
def test_long_lines_and_small_maps(case: Case, stall: float) -> None:
    check(case, 3, stall, 1, case.window())


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.sampled_from([0.0, 0.5]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_pad(size: tuple[int, int], padding: tuple[int, int, int, int], stall: float) -> None:
    top, left, bottom, right = padding
    images = np.random.default_rng(0).integers(0, 8, (2, *size))
    padded = np.pad(images, ((0, 0), (top, bottom), (left, right)), constant_values=5)
    words = padded.reshape(-1).tolist()
    pad = Pad(size, 3, padding, filler=5)
    trace = send_words(pad, images.reshape(-1).tolist(), len(words), stall=stall, patience=400)
    assert trace.words == words
    assert stall or trace.cycles == list(range(len(words)))
