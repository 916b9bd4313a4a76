"""Broken engines, which the checks of these tests must reject."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from bnn2hw.emit.engine_vectors import load_words
from bnn2hw.gateware.engine import SequentialEngine
from bnn2hw.gateware.engine_load import LOAD_WIDTH
from bnn2hw.model import Integer
from bnn2hw.plan.engine import EngineParameters
from tests.gateware.engines import EngineDesign, check_engine, engine_design, timing
from tests.gateware.mutants import ENGINE_MUTANTS, load_mutant

DESIGNS = {
    "bits": engine_design(
        1, EngineParameters(lanes=3, kernel_units=3), "subbit", (3, 3), 3, 7,
        book=(3, False), padding=1, positions=6,
    ),
    "sums": engine_design(
        2, EngineParameters(lanes=4, kernel_units=2, pixels=2, word_width=7), "subbit", (1, 1),
        20, 6, book=(4, True), threshold=False, positions=4,
    ),
    "binary": engine_design(
        3, EngineParameters(lanes=3, taps=5, word_width=6), "binary", None, 17, 5,
        form=Integer(-2, 1), positions=4,
    ),
    "binary, padded": engine_design(
        7, EngineParameters(lanes=3), "binary", (3, 3), 2, 4, padding=1, threshold=False,
        positions=4,
    ),
    "delta": engine_design(
        4, EngineParameters(lanes=2, kernel_units=4, pixels=2), "delta", (3, 3), 4, 9,
        book=(3, True), threshold=False, positions=6,
    ),
    "delta, one position at a time": engine_design(
        6, EngineParameters(lanes=2, kernel_units=4), "delta", (1, 1), 30, 9,
        book=(2, False), threshold=False, positions=4,
    ),
}  # fmt: skip


def rejected_by(module: ModuleType) -> str | None:
    """Return the first check that a copy of the engine fails, or None."""
    for name, design in DESIGNS.items():
        program = design.plan.program
        for loadable in (False, True):
            load = load_words(program, LOAD_WIDTH) if loadable else None
            for stall in (0.0, 0.4):
                engine = module.SequentialEngine(program, loadable=loadable)
                try:
                    cycles = check_engine(design, engine=engine, stall=stall, load=load)
                    assert stall or cycles == timing(design).cycles
                except AssertionError:
                    return f"{name}, loadable {loadable}, stall {stall}"
    return None


def test_a_true_copy_passes(tmp_path: Path) -> None:
    assert rejected_by(load_mutant("none", tmp_path, module="engine")) is None


@pytest.mark.parametrize("name", sorted(ENGINE_MUTANTS))
def test_a_mutant_is_rejected(name: str, tmp_path: Path) -> None:
    assert rejected_by(load_mutant(name, tmp_path, module="engine")) is not None


def swapped(design: EngineDesign, step: int, lanes: tuple[int, int]) -> SequentialEngine:
    """Return an engine in which the indices of two lanes are swapped in one step."""
    program = design.plan.program
    bits = program.weight_bits
    word = program.weights[step]
    difference = (word >> lanes[0] * bits ^ word >> lanes[1] * bits) & (1 << bits) - 1
    assert difference, "these are the same index"
    word ^= difference << lanes[0] * bits | difference << lanes[1] * bits
    weights = (*program.weights[:step], word, *program.weights[step + 1 :])
    return SequentialEngine(replace(program, weights=weights))


def test_a_swapped_index_is_found() -> None:
    design = engine_design(
        5, EngineParameters(lanes=4, kernel_units=4), "subbit", (3, 3), 2, 4,
        book=(4, False), threshold=False, positions=8,
    )  # fmt: skip
    check_engine(design)
    for step in range(2):
        with pytest.raises(AssertionError):
            check_engine(design, engine=swapped(design, step, (0, 3)))
