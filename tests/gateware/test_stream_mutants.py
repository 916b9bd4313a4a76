"""Broken stream components, which the checks of these tests must reject."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw.emit.vectors import pack_words
from bnn2hw.golden import layer_outputs
from bnn2hw.model import BIPOLAR, BinaryConv, Tensor, Threshold
from bnn2hw.plan.engine import EngineParameters
from bnn2hw.plan.folding import plan_folding
from tests.gateware.engines import engine_design
from tests.gateware.mutants import STREAM_MUTANTS, load_mutant
from tests.gateware.streams import send_words
from tests.gateware.test_window import Case, make

# Component, words in, words that must come out.
Trial = tuple[Any, list[int], list[int]]
WINDOWS = (
    make((5, 20), 2, (3, 3), padding=(1, 1, 1, 1)),
    make((6, 5), 1, (2, 2), stride=(2, 2)),
    make((4, 6), 2, (3, 2), padding=(0, 0, 2, 0)),
)


def window(module: Any, case: Case) -> Trial:
    layer, images = case.layer, case.images(2, 0)
    component = module.SlidingWindow(
        case.source.shape[:2],
        case.source.channels,
        layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        border=layer.border_classes(case.source),
    )
    return component, case.words(images), case.expected(images)


def folded(module: Any, pes: int, simd: int, groups: int = 1) -> Trial:
    rng = np.random.default_rng(3)
    source = Tensor((3, 3, 3), BIPOLAR)
    channels = 7 if groups == 1 else 2 * groups
    weights = rng.integers(0, 2, (channels, 3, 3, 3 // groups)).astype(np.uint8)
    layer = BinaryConv(
        "conv", ("input",), weights, Threshold.at_least(rng.integers(-4, 5, channels)),
        padding=(1, 1, 1, 1), padding_value=0, groups=groups,
    )  # fmt: skip
    plan = plan_folding(layer, source, pes, simd)
    taps = layer.valid_taps(source)
    border = np.arange(9)
    rows = rng.integers(0, 2, (9, 27)) * taps[border]
    words = [w | int(b) << 27 for w, b in zip(pack_words(rows, 1), border, strict=True)]
    expected = layer_outputs(layer, source, rows, border).astype(np.int64)
    core = module.FoldedCore(
        plan.weights, plan.constants, pes=pes, simd=simd, bounds=plan.bounds, sums=plan.sums,
        groups=plan.groups, taps=plan.taps,
    )  # fmt: skip
    return core, words, pack_words(expected, 1)


def engine(module: Any, inputs: int) -> Trial:
    parameters = EngineParameters(lanes=3, kernel_units=3)
    design = engine_design(
        1, parameters, "subbit", (3, 3), inputs, 7, book=(3, False), padding=1, positions=6
    )
    plan = design.plan
    core = module.EngineCore(plan.program, plan.order, plan.valid, output=(1, False))
    words = pack_words(design.patches, 1)
    shift = design.layer.patch_size()
    words = [w | int(b) << shift for w, b in zip(words, design.borders, strict=True)]
    return core, words, pack_words(design.expected, 1)


def trials(name: str, modules: dict[str, Any]) -> Iterator[Trial]:
    """Yield what the components of a file are tried with."""
    module = modules[name]
    rng = np.random.default_rng(0)
    if name == "window":
        yield from (window(module, case) for case in WINDOWS)
        image = rng.integers(0, 8, (2, 3))
        padded = np.pad(image, ((1, 0), (0, 2)), constant_values=5).reshape(-1).tolist()
        yield module.Pad((2, 3), 3, (1, 0, 0, 2), filler=5), image.reshape(-1).tolist(), padded
    elif name == "pool":
        image = rng.integers(0, 8, (4, 4))
        greatest = image.reshape(2, 2, 2, 2).max(axis=(1, 3)).reshape(-1).tolist()
        pool = module.MaxPool((4, 4), 1, (2, 2), stride=(2, 2), element_width=3)
        yield pool, image.reshape(-1).tolist(), greatest
        bits = [0b11, 0b11, 0b01, 0b11]
        unit = module.SumPool((2, 2), 2, (2, 2), stride=(2, 2), bipolar=True)
        yield unit, bits, [4 | 2 << 4]
    elif name == "argmax":
        unit = module.Argmax(4, element_width=2, element_signed=False, last=True, scores=True)
        words = [0b11_00_11_01, 0b00_00_00_00, 0b01_10_10_00]
        yield unit, words, [index | w << 2 for w, index in zip(words, (3, 3, 2), strict=True)]
    elif name == "words":
        yield module.Gather(4, 3), list(range(9)), [0x210, 0x543, 0x876]
        yield module.Split(4, 2, 3), [0x21, 0x43, 0x65, 0x87], [1, 2, 3, 5, 6, 7]
        yield module.Fifo(4, 2), list(range(9)), list(range(9))
    elif name == "frame":
        words = [1, 2 | 16, 3, 4, 5, 6, 7 | 16, 8, 9, 10 | 16]
        yield module.FrameGuard(4, 3), words, [1, 2, 0, 3, 4, 5, 8, 9, 10]
    elif name == "engine_core":
        yield from (engine(module, inputs) for inputs in (3, 1))
    else:
        yield from (folded(module, *folding) for folding in ((3, 4), (7, 27), (4, 2, 3)))


def accept(guard: Any) -> Any:
    """Return a testbench that takes every verdict."""

    async def testbench(ctx: Any) -> None:
        ctx.set(guard.verdict.ready, 1)

    return testbench


def rejected(name: str, file: str, folder: Path) -> bool:
    """Return whether a check finds a fault in a copy of the gateware."""
    package = load_mutant(name, folder).__name__.rpartition(".")[0]
    modules = {file: importlib.import_module(f"{package}.{file}")}
    for stall in (0.0, 0.5):
        for component, words, expected in trials(file, modules):
            judge = accept(component) if file == "frame" else None
            try:
                trace = send_words(component, words, len(expected), stall=stall, background=judge)
            except AssertionError:
                return True
            if trace.words != expected:
                return True
    return False


FILES = sorted({file for file, _, _ in STREAM_MUTANTS.values()})


@pytest.mark.parametrize("file", FILES)
def test_a_true_copy_passes(file: str, tmp_path: Path) -> None:
    assert not rejected(f"none_{file}", file, tmp_path)


@pytest.mark.parametrize("name", sorted(STREAM_MUTANTS))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_mutant_is_rejected(name: str, tmp_path: Path) -> None:
    assert rejected(name, STREAM_MUTANTS[name][0], tmp_path)
