"""Broken gateware, which the checks of these tests must reject."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.gateware.designs import Design, random_design
from tests.gateware.mutants import MUTANTS, load_mutant
from tests.gateware.simulate import check_design, check_stalls

DESIGNS = {
    "bits": random_design(1, inputs=12, nodes=8, classes=3, pipeline=1),
    "sums": random_design(2, inputs=12, nodes=8, classes=2, sums=True, pipeline=2),
    "integers": random_design(3, inputs=6, nodes=8, interval=(-4, 3), sums=True),
    "more bits": random_design(4, inputs=30, nodes=12),
}


def core_of(module: ModuleType, design: Design) -> Any:
    return module.LayerCore(
        design.graph,
        design.readout,
        element_width=design.element_width,
        element_signed=design.element_signed,
        pipeline=design.pipeline,
    )


def rejected_by(module: ModuleType) -> str | None:
    """Return the first check that a copy of the gateware fails, or None."""
    for name, design in DESIGNS.items():
        for check in (check_design, check_stalls):
            try:
                check(design, core=core_of(module, design))
            except AssertionError:
                return f"{check.__name__} of {name}"
    return None


def test_a_true_copy_passes(tmp_path: Path) -> None:
    assert rejected_by(load_mutant("none", tmp_path)) is None


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_is_rejected(name: str, tmp_path: Path) -> None:
    assert rejected_by(load_mutant(name, tmp_path)) is not None
