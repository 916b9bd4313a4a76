"""The adder graph: an exact integer linear map as counts and sums of its inputs.

Values are numbered. Value i < ``inputs`` is input i; the nodes follow in evaluation order, so
that a node reads only values before it. There are two kinds of node:

- :class:`Count`, the popcount of chosen one-bit inputs, each plain or inverted;
- :class:`Sum`, any number of earlier values with sign and shift, and a constant.

An :class:`Output` names the value of a channel. How a ``Sum`` becomes adders is the lowering's
choice. The graph states its own linear form, so that a comparison with the weights is a proof
for all inputs; the exact interval of every node follows from it, and the widths from that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AdderGraph", "Count", "Node", "Output", "Sum", "interval_width"]


def interval_width(low: int, high: int) -> int:
    """Return the width in bits that [low, high] needs: two's complement where low < 0."""
    if low < 0:
        return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1
    return high.bit_length()


def _frozen(values: object, dtype: type[np.generic]) -> NDArray[Any]:
    array: NDArray[Any] = np.array(values, dtype=dtype).reshape(-1)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Count:
    """The number of chosen one-bit inputs that are 1 (plain) or 0 (inverted).

    Attributes
    ----------
    taps
        int32 (terms,): distinct input numbers, ascending.
    inverted
        bool (terms,).
    label
        What the node stands for; names the hardware made from it.
    """

    taps: NDArray[np.int32]
    inverted: NDArray[np.bool_]
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "taps", _frozen(self.taps, np.int32))
        object.__setattr__(self, "inverted", _frozen(self.inverted, np.bool_))
        assert len(self.taps) == len(self.inverted)
        assert (np.diff(self.taps) > 0).all(), "taps must ascend"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Count)
            and self.label == other.label
            and np.array_equal(self.taps, other.taps)
            and np.array_equal(self.inverted, other.inverted)
        )


@dataclass(frozen=True, eq=False)
class Sum:
    """``sum(sign * value << shift) + constant`` over earlier values.

    Attributes
    ----------
    sources
        int32 (terms,): value numbers.
    signs
        int8 (terms,): +1 or -1.
    shifts
        int8 (terms,): 0 or more.
    """

    sources: NDArray[np.int32]
    signs: NDArray[np.int8]
    shifts: NDArray[np.int8]
    constant: int = 0
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", _frozen(self.sources, np.int32))
        object.__setattr__(self, "signs", _frozen(self.signs, np.int8))
        object.__setattr__(self, "shifts", _frozen(self.shifts, np.int8))
        assert len(self.sources) == len(self.signs) == len(self.shifts)
        assert (np.abs(self.signs) == 1).all() and (self.shifts >= 0).all()

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sum)
            and (self.label, self.constant) == (other.label, other.constant)
            and np.array_equal(self.sources, other.sources)
            and np.array_equal(self.signs, other.signs)
            and np.array_equal(self.shifts, other.shifts)
        )


Node = Count | Sum


@dataclass(frozen=True)
class Output:
    """The value of a channel: ``sign * value + constant``; the node that reads it folds this in.

    Attributes
    ----------
    channel
        Output channel of the layer.
    value
        Value number.
    sign
        +1 or -1.
    constant
        Added after the sign.
    """

    channel: int
    value: int
    sign: int = 1
    constant: int = 0


# inputs that a value depends on, all of them as a slice, and their coefficients
_Row = tuple[NDArray[np.signedinteger] | slice, NDArray[np.int32]]


@dataclass(frozen=True)
class AdderGraph:
    """An exact recipe for an integer linear map.

    Attributes
    ----------
    inputs
        Number of inputs.
    low, high
        Interval of every input, the same for all: (0, 1) for bits.
    nodes
        In evaluation order; ``nodes[k]`` is value ``inputs + k``.
    outputs
        By ascending channel; a channel without one costs nothing.
    """

    inputs: int
    low: int
    high: int
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        for value, node in self.numbered():
            if isinstance(node, Count):
                assert (self.low, self.high) == (0, 1), "counts are of bits"
                assert node.taps.size == 0 or 0 <= node.taps[0] <= node.taps[-1] < self.inputs
            else:
                assert ((node.sources >= 0) & (node.sources < value)).all()
        channels = [output.channel for output in self.outputs]
        assert channels == sorted(set(channels)), "outputs must ascend"
        assert all(0 <= output.value < self.inputs + len(self.nodes) for output in self.outputs)

    def numbered(self) -> Iterator[tuple[int, Node]]:
        """Yield (value number, node) in evaluation order."""
        return enumerate(self.nodes, start=self.inputs)

    @cached_property
    def _forms(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """Return (output coefficients, node constants, node intervals), one pass over the nodes.

        Rows of coefficients are dropped as soon as their last reader has read them; those of
        nodes that read inputs alone hold no others, as a plan may have many nodes of few inputs.
        """
        count = self.inputs + len(self.nodes)
        last = np.arange(count)
        for value, node in self.numbered():
            if isinstance(node, Sum):
                last[node.sources] = value
        for output in self.outputs:
            last[output.value] = count
        rows: dict[int, _Row] = {}
        constants = np.zeros(len(self.nodes), dtype=np.int64)
        intervals = np.zeros((len(self.nodes), 2), dtype=np.int64)
        for value, node in self.numbered():
            k = value - self.inputs
            if isinstance(node, Count):
                rows[value] = node.taps, np.where(node.inverted, -1, 1).astype(np.int32)
                constants[k] = node.inverted.sum()
            else:
                row = np.zeros(self.inputs, dtype=np.int32)
                factors = node.signs.astype(np.int64) << node.shifts
                direct = node.sources < self.inputs
                np.add.at(row, node.sources[direct], factors[direct].astype(np.int32))
                constants[k] = node.constant
                earlier = node.sources[~direct].tolist()
                for source, factor in zip(earlier, factors[~direct].tolist(), strict=True):
                    taps, coefficients = rows[source]
                    row[taps] += np.int32(factor) * coefficients
                    constants[k] += factor * constants[source - self.inputs]
                for source in set(earlier):
                    if last[source] == value:
                        del rows[source]
                taps = slice(None) if earlier else np.flatnonzero(row)
                rows[value] = taps, row[taps]
            coefficients = rows[value][1]
            positive = int(coefficients[coefficients > 0].sum(dtype=np.int64))
            negative = int(coefficients[coefficients < 0].sum(dtype=np.int64))
            intervals[k] = (
                constants[k] + positive * self.low + negative * self.high,
                constants[k] + positive * self.high + negative * self.low,
            )
        form = np.zeros((len(self.outputs), self.inputs), dtype=np.int32)
        for k, output in enumerate(self.outputs):
            if output.value < self.inputs:
                form[k, output.value] = output.sign
            else:
                taps, coefficients = rows[output.value]
                form[k, taps] = output.sign * coefficients
        return form, constants, intervals

    def linear_form(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return coefficients (outputs, inputs) and constants (outputs,) of every output."""
        form, constants, _ = self._forms
        offset = [
            output.constant
            + (
                output.sign * int(constants[output.value - self.inputs])
                if output.value >= self.inputs
                else 0
            )
            for output in self.outputs
        ]
        return form, np.array(offset, dtype=np.int64)

    def interval(self, value: int) -> tuple[int, int]:
        """Return the exact least and greatest value that a value takes over all inputs."""
        if value < self.inputs:
            return self.low, self.high
        low, high = self._forms[2][value - self.inputs]
        return int(low), int(high)

    def width(self, value: int) -> int:
        """Return the width of a value in bits: two's complement where its interval is."""
        return interval_width(*self.interval(value))

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Return the level of every node: 1 + the greatest level among its sources, inputs 0."""
        levels = [0] * self.inputs
        for _, node in self.numbered():
            sources = node.sources.tolist() if isinstance(node, Sum) else ()
            levels.append(1 + max((levels[source] for source in sources), default=0))
        return tuple(levels[self.inputs :])

    def evaluate(self, x: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the outputs, int64 (vectors, outputs), for input vectors (vectors, inputs)."""
        inputs: NDArray[np.int64] = np.asarray(x, dtype=np.int64)
        values: dict[int, NDArray[np.int64]] = {}

        def value(number: int) -> NDArray[np.int64]:
            return inputs[:, number] if number < self.inputs else values[number]

        for number, node in self.numbered():
            if isinstance(node, Count):
                bits = inputs[:, node.taps] ^ node.inverted
                values[number] = bits.sum(axis=1, dtype=np.int64)
            else:
                total = np.full(len(inputs), node.constant, dtype=np.int64)
                for source, sign, shift in zip(
                    node.sources.tolist(), node.signs.tolist(), node.shifts.tolist(), strict=True
                ):
                    total += sign * (value(source) << shift)
                values[number] = total
        columns = [o.sign * value(o.value) + o.constant for o in self.outputs]
        return np.stack(columns, axis=1) if columns else np.zeros((len(inputs), 0), np.int64)
