"""The level model: how deep a value is, and where pipelining cuts.

Every value of a datapath has a level, the number of adder levels before it:

- inputs are level 0, and so is everything made of them by wires and inverters alone;
- one level of a compressor tree (6:3 compressors, one six-input LUT deep) counts one;
- one carry-propagate addition, subtraction or comparison counts one.

Pipelining by L cuts after every L levels: an operator whose result has level t runs in stage
``(t - 1) // L``, and its operands come to it through as many registers as they lie stages before.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Module, Signal, Value

__all__ = ["Pipeline", "delayed"]


@dataclass(frozen=True)
class Pipeline:
    """Where a datapath is cut.

    Attributes
    ----------
    levels
        Adder levels in a stage, at least 1; None for no cuts.
    """

    levels: int | None = None

    def __post_init__(self) -> None:
        assert self.levels is None or self.levels >= 1

    def stage(self, level: int) -> int:
        """Return the stage in which a value of this level is made."""
        return 0 if self.levels is None or level == 0 else (level - 1) // self.levels

    def registers(self, level: int, reader: int) -> int:
        """Return the registers from a value of a level to an operator with that level of result."""
        return self.stage(reader) - self.stage(level)


def delayed(m: Module, value: Value, cycles: int, name: str, advance: Value) -> Value:
    """Return a value some cycles later, through registers named after it.

    They have no reset, and hold what they have while ``advance`` is 0.
    """
    for cycle in range(cycles):
        register = Signal(value.shape(), name=f"{name}_d{cycle + 1}", reset_less=True)
        with m.If(advance):
            m.d.sync += register.eq(value)
        value = register
    return value
