"""The plan of a layer: an adder graph that is proven equal to the weights, and its readout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import PlanError
from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from .bit_form import netlist_readout, prove_netlist
from .graph import AdderGraph
from .netlist import Netlist
from .readout import Readout, fold_readout, live_channels
from .tree import SpanningTree

__all__ = ["LayerPlan", "prove"]


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """How a layer is computed.

    Attributes
    ----------
    layer
        Name of the layer.
    method
        Name of the planner: ``direct``, ``mst``, ``subbit``, ``rowtree``.
    graph
        Computes, for every live channel, the match count P of the patch (bits at the input) or
        the sum W a (integers at the input); as a netlist a bit, or a sum with sign and constant.
    readout
        Makes the layer's outputs from the graph's values.
    tree
        The spanning tree of the channels, where the method has one.
    """

    layer: str
    method: str
    graph: AdderGraph | Netlist
    readout: Readout
    tree: SpanningTree | None = None


def prove(layer: LinearLayer, source: Tensor, graph: AdderGraph) -> None:
    """Check that the graph's linear form equals the weights: a proof for all inputs.

    Raises
    ------
    PlanError
        If a live channel is missing, or a coefficient or constant differs.
    """
    live = live_channels(layer, source)
    channels = np.array([output.channel for output in graph.outputs], dtype=np.int64)
    if not np.array_equal(channels, live):
        missing = sorted(set(live.tolist()) ^ set(channels.tolist()))
        raise PlanError(
            f"the plan computes the wrong channels: {missing[:4]}",
            layer=layer.name,
            remedy="this is a fault of the planner: please report it",
        )
    matrix = layer.matrix()[live].astype(np.int32)
    coefficients, constants = graph.linear_form()
    bits = isinstance(source.format, Bipolar)
    expected = (matrix < 0).sum(axis=1) if bits else np.zeros(len(live), dtype=np.int64)
    wrong = (coefficients != matrix).any(axis=1) | (constants != expected)
    if wrong.any():
        channel = int(live[np.flatnonzero(wrong)[0]])
        raise PlanError(
            f"the plan's linear form differs from the weights at channel {channel}",
            layer=layer.name,
            remedy="this is a fault of the planner: please report it",
        )


def make_plan(
    layer: LinearLayer,
    source: Tensor,
    method: str,
    graph: AdderGraph,
    tree: SpanningTree | None = None,
) -> LayerPlan:
    """Return the plan of a layer from its graph, after the proof."""
    prove(layer, source, graph)
    return LayerPlan(layer.name, method, graph, fold_readout(layer, source, graph.outputs), tree)


def make_netlist_plan(
    layer: LinearLayer, source: Tensor, method: str, netlist: Netlist
) -> LayerPlan:
    """Return the plan of a layer from its netlist, after the proof."""
    prove_netlist(layer, source, netlist)
    return LayerPlan(layer.name, method, netlist, netlist_readout(layer, source, netlist))
