"""Weighted sums of streams against the golden model, with every stream stalling on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.back.rtlil import convert
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.emit.streams import affine_options
from bnn2hw.emit.vectors import pack_words
from bnn2hw.gateware import affine as true_module
from bnn2hw.gateware.affine import additions, signed_digits
from bnn2hw.golden.streams import affine
from bnn2hw.model import BIPOLAR, Affine, Format, Integer, Tensor
from tests.gateware.mutants import AFFINE_MUTANTS, load_mutant
from tests.gateware.streams import send_streams

FORMATS: tuple[Format, ...] = (
    BIPOLAR,
    Integer(-5, 2),
    Integer(0, 9),
    Integer(-8, 7),
    Integer(-1, 0),
    Integer(3, 3),
)


@dataclass
class Case:
    """A layer, the formats of its inputs, and values of each of them, (count, channels)."""

    layer: Affine
    formats: Sequence[Format]
    values: list[NDArray[np.int64]]
    pipeline: int | None = None

    @property
    def sources(self) -> list[Tensor]:
        return [Tensor(self.values[0].shape[1:], form) for form in self.formats]

    def unit(self, module: Any = true_module) -> Any:
        return module.AffineUnit(**affine_options([self.layer], self.sources, self.pipeline))

    def streams(self) -> dict[str, list[int]]:
        return {
            f"i{k}": pack_words(values, form.width)
            for k, (values, form) in enumerate(zip(self.values, self.formats, strict=True))
        }

    def expected(self) -> list[int]:
        found = affine(self.layer, self.sources, self.values).astype(np.int64)
        return pack_words(found, self.layer.format.width)

    def check(self, module: Any = true_module, stalls: Sequence[float] = (0.0, 0.4)) -> int:
        """Compare a unit with the golden model; return its adder levels."""
        for stall in stalls:
            unit = self.unit(module)
            words = self.expected()
            trace = send_streams(unit, self.streams(), len(words), stall=stall, seed=len(words))
            assert trace.words == words
            steady = list(range(unit.latency, unit.latency + len(words)))
            assert stall or trace.cycles == steady, "there are gaps without stalls"
        return int(unit.level)


def make(
    formats: Sequence[Format], weights: Any, offset: Any, shift: int, output: Format,
    channels: int, count: int = 6, pipeline: int | None = None, seed: int = 0,
) -> Case:  # fmt: skip
    """Return a case whose values are the corners of all formats, and random ones."""
    names = tuple(f"edge{k}" for k in range(len(formats)))
    assert isinstance(output, Integer)
    layer = Affine("out", names, np.array(weights), np.array(offset), shift, output)
    rng = np.random.default_rng(seed)
    ends = [(0, 1) if form is BIPOLAR else (form.low, form.high) for form in formats]
    corners = np.array(list(product(*ends)))[:, :, None].repeat(channels, axis=2)
    values = []
    for k, (low, high) in enumerate(ends):
        drawn = rng.integers(low, high + 1, (count, channels))
        values.append(np.concatenate([corners[:, k], drawn]))
    return Case(layer, formats, values, pipeline)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    formats = draw(st.lists(st.sampled_from(FORMATS), min_size=1, max_size=3))
    channels = draw(st.integers(1, 3))
    columns = draw(st.sampled_from([1, channels]))
    weight = st.sampled_from([-37, -8, -3, -1, 0, 1, 2, 7, 23, 37, 64])
    weights = draw(st.lists(st.lists(weight, min_size=columns, max_size=columns),
                            min_size=len(formats), max_size=len(formats)))  # fmt: skip
    offset = draw(st.lists(st.integers(-90, 90), min_size=columns, max_size=columns))
    output = draw(st.sampled_from(
        [Integer(-100, 100), Integer(0, 15), Integer(-16, 15), Integer(-6, 5), Integer(2, 9),
         Integer(-9, -2), Integer(0, 1), Integer(-4096, 4095)]
    ))  # fmt: skip
    return make(
        formats, weights, offset, draw(st.integers(0, 5)), output, channels,
        pipeline=draw(st.sampled_from([None, 1, 2])),
    )  # fmt: skip


@given(cases())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_random_layers(case: Case) -> None:
    case.check()


@given(st.integers(-(1 << 40), 1 << 40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_signed_digits_are_canonical(number: int) -> None:
    digits = signed_digits(number)
    assert sum(sign << shift for sign, shift in digits) == number
    assert all(sign in (1, -1) for sign, _ in digits)
    assert all(b - a > 1 for (_, a), (_, b) in pairwise(digits))


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_every_value_is_rounded_half_up(shift: int) -> None:
    case = make([Integer(-16, 15)], [[1]], [0], shift, Integer(-16, 15), 1)
    case.values = [np.arange(-16, 16)[:, None]]
    words = [(value * 2 + (1 << shift)) // (2 << shift) & 31 for value in range(-16, 16)]
    assert case.expected() == words
    case.check()


@pytest.mark.parametrize("pipeline", [None, 1])
def test_relu_and_copies_are_no_adders(pipeline: int | None) -> None:
    wide = Integer(-8, 7)
    copy = make([wide], [[4]], [1], 2, wide, 2, pipeline=pipeline)
    relu = make([wide], [[1]], [0], 0, Integer(0, 7), 2, pipeline=pipeline)
    mean = make([wide, wide], [[1], [1]], [0], 1, wide, 1, pipeline=pipeline)
    assert [case.check(stalls=(0.0,)) for case in (copy, relu, mean)] == [0, 1, 1]
    assert make([wide] * 3, [[3], [-2], [5]], [7], 3, wide, 1).check(stalls=(0.0,)) == 5


@pytest.mark.parametrize(
    ("weights", "shift", "expected"),
    [
        ([[4]], 2, 0),
        ([[1], [-8]], 0, 1),
        ([[1]] * 4, 2, 3),
        # 1/3 has 9 digits: three inputs are added once, and not once for each of them
        ([[43691]] * 3, 17, 2 + 8),
        ([[43691], [-43691], [43691]], 17, 2 + 8),
        ([[5], [3], [-5]], 3, 1 + 1 + 2),
        # a gate: 0.34375 and its complement
        ([[11], [21]], 5, 3 + 3 - 1),
    ],
)
@pytest.mark.parametrize("pipeline", [None, 1])
def test_constants_are_shared_additions_and_no_multiplications(
    weights: list[list[int]], shift: int, expected: int, pipeline: int | None
) -> None:
    """As many two-operand additions as the canonical signed digits say, in each of two channels."""
    wide = Integer(-8, 7)
    case = make([wide] * len(weights), weights, [0], shift, Integer(-64, 63), 2, pipeline=pipeline)
    unit = case.unit()
    assert unit.additions == 2 * expected
    assert additions([row[0] for row in weights]) == expected
    text = convert(unit, name="top")
    assert "cell $mul" not in text
    case.check()


def test_unreachable_formats_are_constants() -> None:
    case = make([Integer(0, 3)], [[1, -1, 0]], [8, -3, 4], 0, Integer(0, 7), 3)
    assert case.check(stalls=(0.0,)) == 0


def test_the_join_takes_all_or_none() -> None:
    unit = make([BIPOLAR] * 3, [[1]] * 3, [0], 0, Integer(-3, 3), 1).unit()
    sources = [unit.i0, unit.i1, unit.i2]

    async def testbench(ctx: Any) -> None:
        for full, *valids in product((0, 1), repeat=4):
            ctx.set(unit.o.ready, not full)
            for source, valid in zip(sources, valids, strict=True):
                ctx.set(source.valid, valid)
            await ctx.delay(1e-9)
            taken = [ctx.get(source.ready & source.valid) for source in sources]
            free = not ctx.get(unit.o.valid) or not full
            assert taken == [int(free and all(valids))] * 3
            await ctx.tick()
            assert ctx.get(unit.o.valid) == (all(valids) if free else 1)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


TRIALS = (
    make([Integer(-8, 7), Integer(-5, 2)], [[3, -1], [1, 6]], [2, -1], 2, Integer(-4, 3), 2),
    make([Integer(-8, 7), BIPOLAR], [[1], [4]], [1], 0, Integer(-5, 5), 1, pipeline=1),
    make([Integer(0, 15)], [[8]], [4], 1, Integer(3, 50), 1, count=12, pipeline=1),
    make([Integer(-8, 7)], [[3]], [-1], 1, Integer(-9, 9), 1, count=16),
    make([Integer(-8, 7)] * 2, [[1], [-2]], [0], 0, Integer(-30, 30), 1, pipeline=1),
    make([Integer(-8, 7)] * 3, [[3], [-3], [3]], [1], 1, Integer(-40, 40), 1, pipeline=1),
)


def rejected(name: str, folder: Path) -> bool:
    module = load_mutant(name, folder, module="affine")
    for case in TRIALS:
        try:
            case.check(module)
        except AssertionError:
            return True
    return False


def test_a_true_copy_passes(tmp_path: Path) -> None:
    assert not rejected("none_affine", tmp_path)


@pytest.mark.parametrize("name", sorted(AFFINE_MUTANTS))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_mutant_is_rejected(name: str, tmp_path: Path) -> None:
    assert rejected(name, tmp_path)
