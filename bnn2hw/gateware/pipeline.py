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

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream

__all__ = ["Pipeline", "Wires", "advance_stream", "delayed"]


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


def advance_stream(
    m: Module, valid: Value, ready: Value, sink: stream.Interface, latency: int
) -> Signal:
    """Drive valid of a sink and ready of its source; return when the registers between go on.

    All advance together, whenever the sink's word is not there or taken: no path through logic
    leads to payload and valid of the sink, and a waiting word does not change.
    """
    advance = Signal(name="advance")
    there = Signal(latency, name="valid")
    m.d.comb += [
        advance.eq(~sink.valid | sink.ready),
        ready.eq(advance),
        sink.valid.eq(there[-1]),
    ]
    with m.If(advance):
        m.d.sync += there.eq(Cat(valid, there))
    return advance


class Wires:
    """Numbered values in the stages where they are made, and in later ones.

    The registers between stages are shared by all readers; they lie in the module ``delays``.
    """

    def __init__(self, advance: Signal) -> None:
        self.delays = Module()
        self._advance = advance
        self._chains: dict[int, list[Value]] = {}
        self._late: dict[tuple[int, int], Value] = {}

    def add(self, number: int, wire: Value) -> None:
        """Give the wire of a value in its own stage, unless it is there."""
        self._chains.setdefault(number, [wire])

    def add_late(self, number: int, cycles: int, wire: Value) -> None:
        """Give the wire of a value as it is some cycles after its own stage."""
        self._late[number, cycles] = wire

    def at(self, number: int, cycles: int) -> Value:
        """Return a value some cycles later."""
        if (number, cycles) in self._late:
            return self._late[number, cycles]
        chain = self._chains[number]
        while len(chain) <= cycles:
            name = getattr(chain[0], "name", f"element{number}")
            register = Signal(chain[0].shape(), name=f"{name}_d{len(chain)}", reset_less=True)
            with self.delays.If(self._advance):
                self.delays.d.sync += register.eq(chain[-1])
            chain.append(register)
        return chain[cycles]
