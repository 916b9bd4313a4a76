"""The sub-bit plan: each kernel of an input channel is computed once for all output channels.

The computation sharing of sub-bit networks, in the spatial style. The kernels that the output
channels have for one input channel are few where weights come from a small subset, and at most
2 ** (ky * kx - 1) up to negation. Each of them that occurs is one count of matches, and an output
channel is one sum of counts. A negated kernel is the same count taken away: the matches that it
leaves are a constant, which goes to the output.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from .graph import AdderGraph, Count, Node, Output, Sum
from .kernels import vector_of_inputs
from .rows import DistinctRows, distinct_rows

__all__ = ["subbit_graph"]


def subbit_graph(layer: LinearLayer, source: Tensor, complement: bool = True) -> AdderGraph:
    """Return the graph of shared kernels: their counts, and one sum a distinct row.

    A kernel is the weights of one input channel; those of 1x1 convolutions and dense layers are
    of 8 consecutive inputs. Kernels, and rows, that are negations of one another share their
    node unless ``complement`` is False. Integers are summed, bits counted.
    """
    bits = isinstance(source.format, Bipolar)
    inputs = layer.patch_size()
    nodes: list[Node] = []
    outputs: list[Output] = []
    for rows in distinct_rows(layer, source, complement):
        made, sums = _sums(layer, rows, inputs + len(nodes), bits, complement)
        nodes += made
        for channel, row, inverted in zip(
            rows.channels.tolist(), rows.row.tolist(), rows.inverted.tolist(), strict=True
        ):
            value, sign, constant = sums[row]
            if inverted:
                sign, constant = -sign, (len(rows.inputs) if bits else 0) - constant
            outputs.append(Output(channel, value, sign, constant))
    low, high = (0, 1) if bits else (source.format.low, source.format.high)
    outputs.sort(key=lambda output: output.channel)
    return AdderGraph(inputs, low, high, tuple(nodes), tuple(outputs))


def _sums(
    layer: LinearLayer, rows: DistinctRows, start: int, bits: bool, complement: bool
) -> tuple[list[Node], list[tuple[int, int, int]]]:
    """Return the nodes of a group, from value ``start`` on, and (value, sign, constant) by row."""
    nodes: list[Node] = []
    vector = vector_of_inputs(layer, rows.inputs)
    numbers = np.unique(vector)
    # of each row and vector: the value of its kernel, the sign of it, and the constant beside it
    values = np.empty((len(rows.first), len(numbers)), dtype=np.int32)
    signs = np.ones(values.shape, dtype=np.int8)
    constants = np.zeros(values.shape, dtype=np.int64)
    for at, number in enumerate(numbers.tolist()):
        columns = np.flatnonzero(vector == number)
        taps, kernels = rows.inputs[columns], rows.signs[:, columns]
        if complement:
            signs[:, at] = kernels[:, 0]
            kernels = kernels * kernels[:, :1]
        kinds, kind = np.unique(kernels, axis=0, return_inverse=True)
        made = [start + len(nodes) + k for k in range(len(kinds))]
        if len(taps) == 1:  # the input itself
            made = taps.tolist() * len(kinds)
            signs[:, at] = rows.signs[:, columns[0]]
        else:
            label = f"vector{number}_kernel"
            nodes += [_kernel(taps, row, f"{label}{k}", bits) for k, row in enumerate(kinds)]
        values[:, at] = np.array(made, dtype=np.int32)[kind.reshape(-1)]
        constants[:, at] = (signs[:, at] < 0) * (len(taps) if bits else 0)

    found = []
    for row, channel in enumerate(rows.first.tolist()):
        constant = int(constants[row].sum())
        if len(numbers) == 1:
            found.append((int(values[row, 0]), int(signs[row, 0]), constant))
            continue
        found.append((start + len(nodes), 1, constant))
        shifts = np.zeros(len(numbers), dtype=np.int8)
        nodes.append(Sum(values[row], signs[row], shifts, 0, f"channel{channel}"))
    return nodes, found


def _kernel(taps: NDArray[np.int32], row: NDArray[np.int8], label: str, bits: bool) -> Node:
    """Return the count of matches of a kernel, or the signed sum of integers."""
    if bits:
        return Count(taps, row < 0, label)
    return Sum(taps, row, np.zeros(len(taps), dtype=np.int8), 0, label)
