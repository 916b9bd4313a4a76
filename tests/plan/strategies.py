"""Random layers for the tests of plans."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.model import (
    BIPOLAR,
    BinaryConv,
    BinaryDense,
    Format,
    Integer,
    LinearLayer,
    Tensor,
    Threshold,
)

FORMATS: tuple[Format, ...] = (
    BIPOLAR,
    Integer(0, 255),
    Integer(-128, 127),
    Integer(-3, 0),
    Integer(2, 5),
)


def dense(weights: NDArray[np.uint8], threshold: Threshold | None = None) -> BinaryDense:
    return BinaryDense("layer", ("input",), weights=weights, threshold=threshold)


def random_bits(rows: int, columns: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 2, (rows, columns), dtype=np.uint8)


def vector(size: int) -> Tensor:
    return Tensor((size,), BIPOLAR)


def _rows(draw: st.DrawFn, channels: int, columns: int) -> NDArray[np.uint8]:
    """Draw weight rows among which are equal and complementary ones."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = random.integers(0, 2, (channels, columns), dtype=np.uint8)
    for channel in range(1, channels):
        kind = draw(st.sampled_from(("own", "own", "own", "near", "equal", "complement")))
        other = rows[int(random.integers(channel))]
        if kind == "near":
            rows[channel] = other
            rows[channel, random.integers(columns)] ^= 1
        elif kind != "own":
            rows[channel] = other ^ (kind == "complement")
    return rows


def _threshold(draw: st.DrawFn, layer: LinearLayer, source: Tensor) -> Threshold | None:
    if draw(st.booleans()):
        return None
    low, high = layer.sum_bounds(source)
    span = int(high.max() - low.min())
    levels = st.integers(int(low.min()) - span // 4 - 1, int(high.max()) + span // 4 + 1)
    direction = [draw(st.sampled_from((-1, 1, 1, 0))) for _ in range(layer.channels)]
    level = [draw(levels) if d else draw(st.integers(0, 1)) for d in direction]
    return Threshold(np.array(direction, dtype=np.int8), np.array(level, dtype=np.int64))


@st.composite
def dense_layers(draw: st.DrawFn) -> tuple[LinearLayer, Tensor]:
    """Draw a dense layer and its input."""
    channels, columns = draw(st.integers(1, 12)), draw(st.integers(1, 24))
    source = Tensor((columns,), draw(st.sampled_from(FORMATS)))
    plain = dense(_rows(draw, channels, columns))
    return dense(plain.weights, _threshold(draw, plain, source)), source


@st.composite
def conv_layers(draw: st.DrawFn) -> tuple[LinearLayer, Tensor]:
    """Draw a convolution, with groups and padding, and its input."""
    groups, depth = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    outputs = groups * draw(st.integers(1, 4))
    ky, kx = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rows = _rows(draw, outputs, ky * kx * depth)
    pads = st.integers(0, 2)
    options: dict[str, Any] = {
        "weights": rows.reshape(outputs, ky, kx, depth),
        "stride": (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        "padding": (draw(pads), draw(pads), draw(pads), draw(pads)),
        "padding_value": draw(st.sampled_from((-1, 0, 0, 1))),
        "dilation": (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        "groups": groups,
    }
    height, width = draw(st.integers(5, 7)), draw(st.integers(5, 7))
    source = Tensor(
        (height, width, groups * depth),
        draw(st.sampled_from(FORMATS[:3:2])),
    )
    plain = BinaryConv("layer", ("input",), **options)
    threshold = _threshold(draw, plain, source)
    return BinaryConv("layer", ("input",), **options, threshold=threshold), source


layers = dense_layers() | conv_layers()
