"""Broken gateware: copies of the package in which one line is wrong."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import bnn2hw.errors
import bnn2hw.plan.graph
import bnn2hw.plan.outputs
from bnn2hw import gateware

SOURCE = Path(gateware.__file__).parent

# name: (file, right text, wrong text)
MUTANTS = {
    "ignores_back_pressure": ("core", "~self.o.valid | self.o.ready", "1"),
    "waits_for_ready_alone": ("core", "~self.o.valid | self.o.ready", "self.o.ready"),
    "output_changes_while_stalled": ("threshold", "with m.If(advance):", "with m.If(1):"),
    "stage_goes_on_while_stalled": ("pipeline", "with m.If(advance):", "with m.If(1):"),
    "delay_goes_on_while_stalled": ("core", "with self.delays.If(self._advance):",
                                    "with self.delays.If(1):"),
    "gaps_become_words": ("core", "Cat(self.i.valid, valid)", "Cat(1, valid)"),
    "latency_short_by_one": ("core", "valid[-1]", "valid[max(self.latency - 2, 0)]"),
    "carry_swapped": ("compressor", "(a & b) | (half & c)", "(a & c) | (half & b)"),
    "sum_without_third": ("compressor", '_signal(half ^ c, "sum")', '_signal(half, "sum")'),
    "columns_mixed": ("compressor", "return [ones, twos, fours]", "return [ones, fours, twos]"),
    "registers_counted_from_the_input": ("compressor", "pipeline.registers(level, after)",
                                         "pipeline.registers(0, after)"),
    "weight_inverted": ("popcount", "equal.eq(~(", "equal.eq(("),
    "sum_has_wrong_sign": ("sums", "self.parent - twice if self._subtract",
                           "self.parent + twice if self._subtract"),
    "part_not_doubled": ("sums", "self.part << 1", "self.part << 0"),
    "term_has_wrong_sign": ("sums", "top if self.sign > 0 else magnitude ^ top", "top"),
    "correction_forgotten": ("sums", "constant += sum(term.correction for term in terms)",
                             "constant += 0"),
    "threshold_off_by_one": ("threshold", "value >= constant if", "value > constant if"),
    "threshold_wrong_way": ("threshold", "constant if facing > 0", "constant if facing"),
    "constant_class_forgotten": ("threshold", "else always if chosen else never", "else chosen"),
    "border_ignored": ("threshold", "wire.eq(border == k)", "wire.eq(k == 0)"),
    "border_not_delayed": ("core", "wires.at(border, self._pipeline.stage(self.level))",
                           "self.i.p.border"),
    "offset_has_wrong_sign": ("threshold", "constant + doubled if", "doubled - constant if"),
    "sum_not_doubled": ("threshold", "value << 1 if abs(scale) == 2", "value if abs(scale) == 2"),
    "element_unsigned": ("core", "Shape(element_width, element_signed)",
                         "Shape(element_width, False)"),
}  # fmt: skip


def load_mutant(name: str, folder: Path, module: str = "core") -> ModuleType:
    """Return a module of a copy of the gateware with one line wrong, or none."""
    file, right, wrong = MUTANTS.get(name, ("", "", ""))
    package = f"mutant_{name}"
    target = folder / package / "gateware"
    target.mkdir(parents=True)
    for path in SOURCE.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.stem == file:
            assert text.count(right) >= 1, f"{file}.py has no {right!r}"
            text = text.replace(right, wrong)
        (target / path.name).write_text(text, encoding="utf-8")
    # Only the gateware is copied; the graph's classes stay the same.
    sys.modules[f"{package}.errors"] = bnn2hw.errors
    sys.modules[f"{package}.plan"] = bnn2hw.plan
    sys.modules[f"{package}.plan.graph"] = bnn2hw.plan.graph
    sys.modules[f"{package}.plan.outputs"] = bnn2hw.plan.outputs
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(f"{package}.gateware.{module}")
    finally:
        sys.path.remove(str(folder))
