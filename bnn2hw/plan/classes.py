"""The plan of column classes: the row-class tree as an adder graph, for any target.

Rows go in blocks (see :mod:`.row_blocks`), which are split in halves down to single rows. Over a
block, the columns of one sign pattern up to complement are a class, counted once for all its
rows. In a half, classes that have become equal are added, with their signs; a single row is the
sum of what is left. Signs and constants run along: a value V of the graph stands for the number
``sign * V + constant``, and the last of them goes to the output. So nothing is negated or
offset in hardware.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from .graph import AdderGraph, Count, Node, Output, Sum
from .row_blocks import class_codes, row_blocks
from .rows import DistinctRows, distinct_rows
from .targets import LUT6

__all__ = ["classes_graph"]

_BLOCK_SIZE = 8
# What a bit that a class leaves costs its block, to choose which rows go together.
_BIT_PRICE = 2.9


@dataclass(frozen=True)
class _Number:
    """A number as ``sign * value + constant``."""

    value: int
    sign: int = 1
    constant: int = 0

    def turned(self, total: int) -> _Number:
        """Return ``total`` less the number."""
        return _Number(self.value, -self.sign, total - self.constant)


@dataclass(frozen=True)
class _Class:
    """The columns of one sign pattern over a block.

    Attributes
    ----------
    pattern
        For each row of the block whether it differs from the first one.
    number
        What the first row has of them: matches, or the sum of integers.
    total
        How many bits there are; 0 for integers.
    """

    pattern: tuple[bool, ...]
    number: _Number
    total: int


def classes_graph(layer: LinearLayer, source: Tensor, complement: bool = True) -> AdderGraph:
    """Return the graph of column classes over blocks of eight rows.

    Rows that are complements share their node unless ``complement`` is False; classes are taken
    up to complement in any case. Integers are summed, bits counted.
    """
    bits = isinstance(source.format, Bipolar)
    low, high = (0, 1) if bits else (source.format.low, source.format.high)
    builder = _Builder(layer.patch_size(), bits)
    for rows in distinct_rows(layer, source, complement):
        builder.add(rows)
    outputs = sorted(builder.outputs, key=lambda output: output.channel)
    return AdderGraph(builder.inputs, low, high, tuple(builder.nodes), tuple(outputs))


class _Builder:
    """Collects the nodes and outputs of a graph."""

    def __init__(self, inputs: int, bits: bool) -> None:
        self.inputs, self._bits = inputs, bits
        self.nodes: list[Node] = []
        self.outputs: list[Output] = []

    def add(self, rows: DistinctRows) -> None:
        """Add the nodes and outputs of the rows that read the same inputs."""
        negative = rows.signs < 0
        numbers: dict[int, _Number] = {}
        for block in row_blocks(negative, _BLOCK_SIZE, LUT6, _BIT_PRICE):
            codes = class_codes(negative, block)
            classes = [
                self._leaf(rows, block, int(code), np.flatnonzero(codes == code))
                for code in np.unique(codes)
            ]
            self._split(rows, block, classes, numbers)
        total = len(rows.inputs) if self._bits else 0
        for channel, row, inverted in zip(
            rows.channels.tolist(), rows.row.tolist(), rows.inverted.tolist(), strict=True
        ):
            number = numbers[row].turned(total) if inverted else numbers[row]
            self.outputs.append(Output(channel, number.value, number.sign, number.constant))

    def _leaf(
        self, rows: DistinctRows, block: Sequence[int], code: int, columns: np.ndarray
    ) -> _Class:
        """Add the node of a class of a whole block."""
        pattern = (False, *(bool(code >> k & 1) for k in range(len(block) - 1)))
        signs, taps = rows.signs[block[0], columns], rows.inputs[columns]
        label = "class_" + "_".join(str(int(rows.first[row])) for row in block) + f"_{code}"
        if self._bits:
            node: Node = Count(taps, signs < 0, label)
        else:
            node = Sum(taps, signs, np.zeros(len(taps), np.int8), 0, label)
        return _Class(pattern, _Number(self._new(node)), len(taps) if self._bits else 0)

    def _new(self, node: Node) -> int:
        self.nodes.append(node)
        return self.inputs + len(self.nodes) - 1

    def _split(
        self,
        rows: DistinctRows,
        block: list[int],
        classes: Sequence[_Class],
        numbers: dict[int, _Number],
    ) -> None:
        """Go on with the halves of a block; the number of a single row is kept."""
        if len(block) == 1:
            (alone,) = classes
            numbers[block[0]] = alone.number
            return
        half = (len(block) + 1) // 2
        for start, stop in ((0, half), (half, len(block))):
            rows_left = block[start:stop]
            merged: dict[tuple[bool, ...], list[_Class]] = defaultdict(list)
            for one in classes:
                part = one.pattern[start:stop]
                pattern = tuple(row ^ part[0] for row in part)
                number = one.number.turned(one.total) if part[0] else one.number
                merged[pattern].append(_Class(pattern, number, one.total))
            name = "_".join(str(int(rows.first[row])) for row in rows_left)
            parts = [self._sum(parts, name) for parts in merged.values()]
            self._split(rows, rows_left, parts, numbers)

    def _sum(self, classes: Sequence[_Class], rows: str) -> _Class:
        """Add the node of some classes together, turned so that most signs are positive."""
        first = classes[0]
        if len(classes) == 1:
            return first
        signs = np.array([one.number.sign for one in classes], dtype=np.int8)
        facing = 1 if signs.sum() >= 0 else -1
        code = sum(bit << k for k, bit in enumerate(first.pattern)) >> 1
        single = len(first.pattern) == 1
        label = f"channel{rows}" if single else f"class_{rows}_{code}"
        values = np.array([one.number.value for one in classes], dtype=np.int32)
        node = Sum(values, signs * facing, np.zeros(len(classes), np.int8), 0, label)
        constant = sum(one.number.constant for one in classes)
        total = sum(one.total for one in classes)
        return _Class(first.pattern, _Number(self._new(node), facing, constant), total)
