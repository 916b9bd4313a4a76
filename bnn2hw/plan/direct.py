"""The direct plan: one popcount (or one sum) a distinct row."""

from __future__ import annotations

import numpy as np

from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from .graph import AdderGraph, Count, Node, Output, Sum
from .rows import DistinctRows, distinct_rows

__all__ = ["direct_graph"]


def direct_graph(layer: LinearLayer, source: Tensor, complement: bool = True) -> AdderGraph:
    """Return the graph with one node for each distinct row of the live channels.

    Rows that are equal share their node, and complementary ones too unless ``complement`` is
    False. Bits are counted, ``P = popcount(XNOR(a, w))`` (Eq. 2 of the MST supplement); integers
    are summed.
    """
    bits = isinstance(source.format, Bipolar)
    inputs = layer.patch_size()
    nodes: list[Node] = []
    outputs: list[Output] = []
    for rows in distinct_rows(layer, source, complement):
        start = inputs + len(nodes)
        nodes += _nodes(rows, bits)
        constant = len(rows.inputs) if bits else 0
        outputs += [
            Output(channel, start + row, -1, constant) if inverted else Output(channel, start + row)
            for channel, row, inverted in zip(
                rows.channels.tolist(), rows.row.tolist(), rows.inverted.tolist(), strict=True
            )
        ]
    low, high = (0, 1) if bits else (source.format.low, source.format.high)
    outputs.sort(key=lambda output: output.channel)
    return AdderGraph(inputs, low, high, tuple(nodes), tuple(outputs))


def _nodes(rows: DistinctRows, bits: bool) -> list[Node]:
    labels = [f"channel{channel}" for channel in rows.first.tolist()]
    if bits:
        return [
            Count(rows.inputs, signs < 0, label)
            for signs, label in zip(rows.signs, labels, strict=True)
        ]
    shifts = np.zeros(len(rows.inputs), dtype=np.int8)
    return [
        Sum(rows.inputs, signs, shifts, 0, label)
        for signs, label in zip(rows.signs, labels, strict=True)
    ]
