"""Sets of constants that take turns, one a beat of a stream."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value

from .pipeline import delayed
from .sums import interval_shape

__all__ = ["Turn"]


class Turn:
    """Whose turn it is: a counter of beats, and the choices that it makes.

    Parameters
    ----------
    m
        Module that gets the counter.
    count
        Turns; nothing is made where there is one.
    taken
        Whether a beat is taken.
    """

    def __init__(self, m: Module, count: int, taken: Value) -> None:
        self._count = count
        self._now: Value = Const(0, 0)
        self._late: dict[int, Turn] = {}
        if count > 1:
            self._now = now = Signal(range(count), name="turn")
            with m.If(taken):
                m.d.sync += now.eq(Mux(now == count - 1, 0, now + 1))

    def delayed(self, m: Module, cycles: int, advance: Value) -> Turn:
        """Return the turn of the beat so many stages on."""
        if cycles not in self._late:
            late = Turn(m, 1, Const(0))
            late._now = delayed(m, self._now, cycles, "turn", advance)
            self._late[cycles] = late
        return self._late[cycles]

    def choose(self, values: Sequence[Value]) -> Value:
        """Return the value of this turn, as a value of one shape; there is one for each turn."""
        if len(values) == 1:
            return values[0]
        chosen: Value = Array(values)[self._now]
        return chosen

    def constant(self, m: Module, name: str, numbers: Sequence[int]) -> Value:
        """Return the number of this turn."""
        shape = interval_shape(min(numbers), max(numbers))
        if len(set(numbers)) == 1:
            return Const(numbers[0], shape)
        chosen = Signal(shape, name=name)
        m.d.comb += chosen.eq(self.choose([Const(number, shape) for number in numbers]))
        return chosen
