"""What a layer gives: bits by comparison with integer levels, or its signed sums.

Both read the values of an adder graph and, where there is more than one class of border
positions, the number of the class, which selects a row of constants. A class beyond the last is
read as the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

__all__ = ["SignedOutput", "Threshold", "border_width"]


def border_width(classes: int) -> int:
    """Return the width of the number of a border class; 0 where there is one class alone."""
    return (classes - 1).bit_length()


class _Border:
    """The class of the border position, as one wire a class; the last class has all the rest."""

    def __init__(self, m: Module, border: Value | None, classes: int) -> None:
        self._m = m
        self._is_class = []
        for k in range(classes - 1):
            wire = Signal(name=f"class{k}")
            m.d.comb += wire.eq(border == k)
            self._is_class.append(wire)

    def select(self, constants: Sequence[int], shape: Shape, name: str) -> Value:
        """Return the constant of the class; it is named where there is a choice."""
        value: Value = Const(constants[-1], shape)
        if len(set(constants)) == 1:
            return value
        for is_class, constant in zip(self._is_class[::-1], constants[-2::-1], strict=True):
            value = Mux(is_class, Const(constant, shape), value)
        selected = Signal(shape, name=name)
        self._m.d.comb += selected.eq(value)
        return selected


def _shape(constants: Sequence[int]) -> Shape:
    low, high = min(*constants, 0), max(*constants, 0)
    if low < 0:
        return signed(max((-low - 1).bit_length(), high.bit_length()) + 1)
    return unsigned(high.bit_length())


def _members(
    values: Sequence[Shape | None], classes: int, output: object
) -> dict[str, wiring.Member]:
    members = {f"i{k}": In(shape) for k, shape in enumerate(values) if shape is not None}
    if classes > 1:
        members["border"] = In(border_width(classes))
    return {**members, "advance": In(1, init=1), "o": Out(output)}


def _register(m: Module, output: Value, parts: Sequence[Value], advance: Value) -> None:
    """Drive an output with a register of these parts, the first at the LSB."""
    register = Signal(len(output), name="register", reset_less=True)
    m.d.comb += output.eq(register)
    with m.If(advance):
        m.d.sync += register.eq(Cat(*parts))


class Threshold(wiring.Component):
    """One bit a channel: its value compared with a level.

    The output is a register without reset: latency one cycle, throughput one word a cycle.

    Parameters
    ----------
    values
        Shape of each channel's value; None where the bit is constant in all classes, which costs
        nothing.
    direction
        int8 (classes, channels): +1 is ``value >= level``, -1 is ``value <= level``, 0 is the
        constant bit ``level``.
    level
        int64 (classes, channels).

    Attributes
    ----------
    level
        Adder levels before the register: 1, or 0 where all bits are constant.

    Members
    -------
    i0, i1, ... : ``In(values[k])``, of the channels that have a value
    border : ``In(border_width(classes))``, where there is more than one class
    advance : ``In(1)``, whether the register goes on; 1 where it is not connected
    o : ``Out(channels)``, channel 0 at the LSB
    """

    def __init__(
        self,
        values: Sequence[Shape | None],
        direction: NDArray[np.int8],
        level: NDArray[np.int64],
    ) -> None:
        self._direction, self._level = direction, level
        self.level = int(direction.any())
        super().__init__(_members(values, len(level), unsigned(len(values))))

    def elaborate(self, platform: object) -> Module:
        """Return the comparisons."""
        m = Module()
        border = _Border(m, getattr(self, "border", None), len(self._level))
        rows = zip(self._direction.T.tolist(), self._level.T.tolist(), strict=True)
        bits = [self._bit(border, k, *row) for k, row in enumerate(rows)]
        _register(m, self.o, bits, self.advance)
        return m

    def _bit(self, border: _Border, k: int, direction: list[int], level: list[int]) -> Value:
        """Return the bit of a channel; a level out of reach makes it constant."""
        facing = next((d for d in direction if d), 0)
        assert all(d in (0, facing) for d in direction)
        if facing == 0:
            return border.select(level, unsigned(1), f"constant{k}")
        value = getattr(self, f"i{k}")
        low, high = _bounds(value.shape())
        always, never = (low, high + 1) if facing > 0 else (high, low - 1)
        reached = [
            chosen if d else always if chosen else never
            for d, chosen in zip(direction, level, strict=True)
        ]
        constant = border.select(reached, _shape(reached), f"level{k}")
        return value >= constant if facing > 0 else value <= constant


def _bounds(shape: Shape) -> tuple[int, int]:
    """Return the least and greatest number of a shape."""
    if shape.signed:
        return -(1 << shape.width - 1), (1 << shape.width - 1) - 1
    return 0, (1 << shape.width) - 1


class SignedOutput(wiring.Component):
    """The signed sum of each channel, ``scale * value + offset``.

    The output is a register without reset, as that of :class:`Threshold`.

    Parameters
    ----------
    values
        Shape of each channel's value.
    scale
        int8 (channels,): -2, -1, +1 or +2.
    offset
        int64 (classes, channels).
    shape
        Shape of a sum, which must hold it.

    Attributes
    ----------
    level
        Adder levels before the register: 1, or 0 where there is nothing to add.

    Members
    -------
    i0, i1, ... : ``In(values[k])``
    border : ``In(border_width(classes))``, where there is more than one class
    advance : ``In(1)``, whether the register goes on; 1 where it is not connected
    o : ``Out(ArrayLayout(shape, channels))``, channel 0 at the LSB
    """

    def __init__(
        self,
        values: Sequence[Shape],
        scale: NDArray[np.int8],
        offset: NDArray[np.int64],
        *,
        shape: Shape,
    ) -> None:
        self._scale, self._offset, self._shape = scale, offset, shape
        self.level = int(offset.any() or (scale < 0).any())
        super().__init__(_members(values, len(offset), data.ArrayLayout(shape, len(values))))

    def elaborate(self, platform: object) -> Module:
        """Return one adder a channel, and none where there is nothing to add."""
        m = Module()
        border = _Border(m, getattr(self, "border", None), len(self._offset))
        sums = []
        for k, (scale, offset) in enumerate(
            zip(self._scale.tolist(), self._offset.T.tolist(), strict=True)
        ):
            value = getattr(self, f"i{k}")
            doubled = value << 1 if abs(scale) == 2 else value
            constant = border.select(offset, _shape(offset), f"offset{k}")
            total = Signal(self._shape, name=f"sum{k}")
            if not any(offset) and scale > 0:
                m.d.comb += total.eq(doubled)
            else:
                m.d.comb += total.eq(constant + doubled if scale > 0 else constant - doubled)
            sums.append(total)
        _register(m, Value.cast(self.o), sums, self.advance)
        return m
