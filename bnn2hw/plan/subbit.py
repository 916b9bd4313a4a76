"""The sub-bit plan: each kernel of an input channel is computed once for all output channels.

The computation sharing of sub-bit networks, in the spatial style. The kernels that the output
channels have for one input channel are few where weights come from a small subset. Each that
occurs is a value computed once, and an output channel is one sum of such values.

What is shared is the difference of a kernel from a *base*, one of the kernels of that input
channel: P_k = P_base - d + 2 m, where m counts matches over the d weights in which k differs (Eq. 3
of the MST supplement, for kernels). The bases of all input channels together are one row, whose
count is computed once and goes into every sum. So what a sum adds for an input channel has the
width of d, mostly 3 bits or less, where a kernel's count would have 4, and nothing where the
kernel is the base. All -d of a row are a constant, which goes to the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from .graph import AdderGraph, Count, Node, Output, Sum
from .kernels import vector_of_inputs
from .rows import DistinctRows, distinct_rows

__all__ = ["subbit_graph"]

# The area of a bit of a sum to that of a weight in the difference of a kernel, in LUT6.
_BIT, _WEIGHT = 4, 3


def subbit_graph(layer: LinearLayer, source: Tensor, complement: bool = True) -> AdderGraph:
    """Return the graph of shared kernels: their differences, and one sum a distinct row.

    A kernel is the weights of one input channel; those of 1x1 convolutions and dense layers are
    of 8 consecutive inputs. Rows that are complements share their node unless ``complement`` is
    False. Integers are summed, bits counted.
    """
    bits = isinstance(source.format, Bipolar)
    inputs = layer.patch_size()
    low, high = (0, 1) if bits else (source.format.low, source.format.high)
    nodes: list[Node] = []
    outputs: list[Output] = []
    for rows in distinct_rows(layer, source, complement):
        facing, chosen = _facing(layer, rows, high - low, complement)
        start = inputs + len(nodes)
        base = np.empty(len(rows.inputs), dtype=np.int8)
        for one in chosen:
            base[one.columns] = one.kernels[0]
        nodes.append(_row_sum(rows.inputs, base, "base", bits))
        terms: list[list[_Term]] = [[] for _ in rows.first]
        for number, one in enumerate(chosen):
            made, shared = _differences(one, inputs + len(nodes), f"vector{number}", bits)
            nodes += made
            for row, kernel in enumerate(one.kernel.tolist()):
                if kernel:
                    terms[row].append(shared[kernel - 1])
        values = []
        for channel, added in zip(rows.first.tolist(), terms, strict=True):
            values.append(inputs + len(nodes) if added else start)
            if added:
                nodes.append(_sum_of(start, added, f"channel{channel}"))
        for channel, row, inverted in zip(
            rows.channels.tolist(), rows.row.tolist(), rows.inverted.tolist(), strict=True
        ):
            constant = sum(term.constant for term in terms[row])
            inverted ^= bool(facing[row] < 0)
            if inverted:
                constant = (len(rows.inputs) if bits else 0) - constant
            outputs.append(Output(channel, values[row], -1 if inverted else 1, constant))
    outputs.sort(key=lambda output: output.channel)
    return AdderGraph(inputs, low, high, tuple(nodes), tuple(outputs))


@dataclass(frozen=True, eq=False)
class _Vector:
    """The kernels of one input channel, or of one vector of inputs.

    Attributes
    ----------
    columns
        (length,): where its weights stand in a row.
    taps
        int32 (length,): the inputs that they belong to.
    kernels
        int8 (kinds, length): the distinct kernels as signs.
    kernel
        (rows,): which of them each row has.
    """

    columns: NDArray[np.int64]
    taps: NDArray[np.int32]
    kernels: NDArray[np.int8]
    kernel: NDArray[np.int64]


@dataclass(frozen=True)
class _Term:
    """What a row adds for a kernel: ``2 * sign * value + constant``."""

    value: int
    sign: int
    constant: int


def _facing(
    layer: LinearLayer, rows: DistinctRows, span: int, complement: bool
) -> tuple[NDArray[np.int8], list[_Vector]]:
    """Return which rows to negate, int8 (rows,) of +1 and -1, and what is then in each vector.

    Rows that are more alike add fewer bits, but may have more kernels: both are tried.
    """
    vector = vector_of_inputs(layer, rows.inputs)
    tried = [np.ones(len(rows.first), dtype=np.int8)]
    if complement:
        tried.append(_alike(rows.signs))
    found = []
    for facing in tried:
        signs = rows.signs * facing[:, None]
        made = [
            _with_base(np.flatnonzero(vector == number), rows.inputs, signs, span)
            for number in np.unique(vector).tolist()
        ]
        found.append((sum(area for area, _ in made), facing, [one for _, one in made]))
    _, facing, vectors = min(found, key=lambda one: one[0])
    return facing, vectors


def _alike(signs: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return +1 or -1 for each row, int8 (rows,): which of them to negate to make all alike.

    The row that is most decided next is turned to agree with those before it.
    """
    product = signs.astype(np.float64) @ signs.T  # integers, exact
    facing = np.zeros(len(signs), dtype=np.int8)
    row = int(np.abs(product).sum(axis=0).argmax())
    agreement = np.zeros(len(signs))
    for _ in facing:
        facing[row] = 1 if agreement[row] >= 0 else -1
        agreement += facing[row] * product[row]
        row = int(np.where(facing == 0, np.abs(agreement), -1).argmax())
    return facing


def _with_base(
    columns: NDArray[np.int64], inputs: NDArray[np.int32], signs: NDArray[np.int8], span: int
) -> tuple[int, _Vector]:
    """Return the estimated area of a vector, and the vector with the best base first.

    It weighs the bits that rows add, and the weights in which kernels differ from the base.
    ``span`` is the greatest difference of two values of an input.
    """
    kernels, kernel = np.unique(signs[:, columns], axis=0, return_inverse=True)
    kernel = kernel.reshape(-1)
    width = np.array([(span * d).bit_length() for d in range(len(columns) + 1)])
    product = kernels.astype(np.int64) @ kernels.T
    distance = (len(columns) - product) // 2
    count = np.bincount(kernel)
    area = _BIT * (count @ width[distance]) + _WEIGHT * width[1] * distance.sum(axis=0)
    base = int(area.argmin())
    order = np.concatenate([[base], np.delete(np.arange(len(count)), base)])
    place = np.argsort(order)
    return int(area[base]), _Vector(columns, inputs[columns], kernels[order], place[kernel])


def _differences(
    vector: _Vector, start: int, label: str, bits: bool
) -> tuple[list[Node], list[_Term]]:
    """Return the nodes of a vector, from value ``start`` on, and the term of each kernel.

    Those are the kernels after the base. A single weight needs no node: it is the input, or 1 less
    the input.
    """
    nodes: list[Node] = []
    terms = []
    for number, kernel in enumerate(vector.kernels[1:], start=1):
        at = np.flatnonzero(kernel != vector.kernels[0])
        taps, signs = vector.taps[at], kernel[at]
        constant = -len(at) if bits else 0
        if len(at) == 1:
            sign = int(signs[0])
            terms.append(_Term(int(taps[0]), sign, constant + (2 if bits and sign < 0 else 0)))
        else:
            terms.append(_Term(start + len(nodes), 1, constant))
            nodes.append(_row_sum(taps, signs, f"{label}_kernel{number}", bits))
    return nodes, terms


def _row_sum(taps: NDArray[np.int32], signs: NDArray[np.int8], label: str, bits: bool) -> Node:
    """Return the count of matches over taps, or the signed sum of integers."""
    if bits:
        return Count(taps, signs < 0, label)
    return Sum(taps, signs, np.zeros(len(taps), dtype=np.int8), 0, label)


def _sum_of(base: int, terms: list[_Term], label: str) -> Sum:
    return Sum(
        np.array([base, *(term.value for term in terms)], dtype=np.int32),
        np.array([1, *(term.sign for term in terms)], dtype=np.int8),
        np.array([0, *(1 for _ in terms)], dtype=np.int8),
        0,
        label,
    )
