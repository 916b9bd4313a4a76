"""Multi-threshold quantisers against the golden model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.emit.streams import quantize_options
from bnn2hw.emit.vectors import pack_words
from bnn2hw.gateware import quantize as true_module
from bnn2hw.golden import run
from bnn2hw.model import BIPOLAR, Format, Integer, Network, Quantize, Tensor
from tests.gateware.mutants import QUANTIZE_MUTANTS, load_mutant
from tests.gateware.streams import send_words

FORMATS: tuple[Format, ...] = (
    BIPOLAR, Integer(-8, 7), Integer(0, 15), Integer(-11, 6), Integer(3, 9), Integer(-7, -2),
)  # fmt: skip


@dataclass
class Case:
    """A layer, and what it reads: all values of the format in turn, shifted by channel."""

    direction: Sequence[int]
    levels: Sequence[Sequence[int]]
    form: Format
    channels: int
    pipeline: int | None = None

    def values(self) -> NDArray[np.int64]:
        low, high = (0, 1) if self.form is BIPOLAR else (self.form.low, self.form.high)
        rows = np.arange(low, high + 1)[:, None] + np.arange(self.channels)
        return (rows - low) % (high + 1 - low) + low

    def check(self, module: Any = true_module, stalls: Sequence[float] = (0.0, 0.4)) -> None:
        layer = Quantize("out", ("input",), np.array(self.direction), np.array(self.levels))
        source, values = Tensor((self.channels,), self.form), self.values()
        codes = run(Network("n", source, (layer,)), values)["out"].astype(np.int64)
        words = pack_words(values, self.form.width)
        expected = pack_words(codes, layer.output(source).format.width)
        for stall in stalls:
            unit = module.QuantizeUnit(**quantize_options([layer], source, self.pipeline))
            trace = send_words(unit, words, len(words), stall=stall)
            assert trace.words == expected
            steady = list(range(unit.latency, unit.latency + len(words)))
            assert stall or trace.cycles == steady, "there are gaps without stalls"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    channels = draw(st.integers(1, 3))
    rows = draw(st.sampled_from([1, channels]))
    count = draw(st.sampled_from([1, 2, 3, 4, 5, 7, 8, 15, 21]))
    direction = draw(st.lists(st.sampled_from([-1, 1]), min_size=rows, max_size=rows))
    reach = draw(st.sampled_from([2, 9, 24]))
    row = st.lists(st.integers(-reach, reach), min_size=count, max_size=count)
    levels = [sorted(draw(row), reverse=facing < 0) for facing in direction]
    form = draw(st.sampled_from(FORMATS))
    return Case(direction, levels, form, channels, draw(st.sampled_from([None, 1, 2])))


@given(cases())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_random_layers(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("facing", [1, -1])
def test_codes_of_eight_bits(facing: int) -> None:
    levels = sorted(range(-127, 128), reverse=facing < 0)
    Case([facing], [levels], Integer(-140, 140), 1, pipeline=2).check(stalls=(0.0,))


def test_levels_out_of_reach_and_repeated() -> None:
    far = 1 << 40
    levels = [[-far, -far, -3, -3, -3, 0, far], [far, 7, 7, 6, -8, -9, -far]]
    Case([1, -1], levels, Integer(-8, 7), 2).check(stalls=(0.0,))


WIDE = tuple(range(-7, 7))
TRIALS = (
    Case([1, -1], [[-3, 0, 0, 2, 5, 6], [4, 3, 1, -2, -2, -8]], Integer(-8, 7), 2, pipeline=1),
    Case([1, -1], [WIDE[:8], WIDE[:-9:-1]], Integer(-8, 7), 2, pipeline=1),
    Case([1], [[-8, 0, 7]], Integer(-8, 7), 1),
)


def rejected(name: str, folder: Path) -> bool:
    module = load_mutant(name, folder, module="quantize")
    for case in TRIALS:
        try:
            case.check(module)
        except AssertionError:
            return True
    return False


def test_a_true_copy_passes(tmp_path: Path) -> None:
    assert not rejected("none_quantize", tmp_path)


@pytest.mark.parametrize("name", sorted(QUANTIZE_MUTANTS))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_mutant_is_rejected(name: str, tmp_path: Path) -> None:
    assert rejected(name, tmp_path)
