"""What a network holds and what MST reuse would do for it, before any work starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from .emit.limits import compile_problem
from .model import BinaryConv, LinearLayer, Network
from .plan import plan_layer
from .plan.readout import live_channels

__all__ = ["LayerReport", "inspect"]


@dataclass(frozen=True)
class LayerReport:
    """One layer of a network; None where a figure does not apply.

    Attributes
    ----------
    name, kind
        Name and type of the layer.
    input, output
        Shapes and formats of the edges.
    channels, inputs
        Outputs, and inputs N of one output position.
    weights
        Number of binary weights.
    thresholds
        Channels with a threshold that can come out both ways.
    constant
        Channels whose output is constant: they cost nothing.
    terms_direct, terms_mst, terms_complement
        XNOR terms with one popcount a channel, along the minimum spanning tree (Eq. 3 of the MST
        paper), and with edges that reuse a complement.
    depth, depth_bound
        Depth of the tree with complements, and a lower bound for any minimum spanning tree.
    kernels, kernels_up_to_sign
        Distinct 3x3 kernels.
    problem
        Why the layer cannot be compiled, or None.
    """

    name: str
    kind: str
    input: str
    output: str
    channels: int | None = None
    inputs: int | None = None
    weights: int | None = None
    thresholds: int | None = None
    constant: int | None = None
    terms_direct: int | None = None
    terms_mst: int | None = None
    terms_complement: int | None = None
    depth: int | None = None
    depth_bound: int | None = None
    kernels: int | None = None
    kernels_up_to_sign: int | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON values."""
        return asdict(self)


def inspect(
    network: Network, progress: Callable[[str], None] = lambda text: None
) -> list[LayerReport]:
    """Return a report of every layer, in order."""
    reports = []
    for layer in network.layers:
        progress(f"inspecting {layer.name}")
        source, output = network.source(layer), network.tensors[layer.name]
        report = LayerReport(
            layer.name,
            type(layer).__name__,
            f"{'x'.join(map(str, source.shape))} {source.format}",
            f"{'x'.join(map(str, output.shape))} {output.format}",
            problem=compile_problem(network, layer.name),
        )
        if isinstance(layer, LinearLayer):
            report = LayerReport(**{**asdict(report), **_linear(network, layer)})
        reports.append(report)
    return reports


def _linear(network: Network, layer: LinearLayer) -> dict[str, int | None]:
    source = network.source(layer)
    live = live_channels(layer, source)
    plain = plan_layer(layer, source, "mst", complement=False).tree
    signed = plan_layer(layer, source, "mst", complement=True).tree
    kernels = _kernels(layer) if isinstance(layer, BinaryConv) else (None, None)
    assert plain is not None and signed is not None
    return {
        "channels": layer.channels,
        "inputs": layer.patch_size(),
        "weights": int(layer.weights.size),
        "thresholds": None if layer.threshold is None else len(live),
        "constant": layer.channels - len(live),
        "terms_direct": int(np.count_nonzero(layer.matrix()[live])),
        "terms_mst": plain.total,
        "terms_complement": signed.total,
        "depth": signed.depth,
        "depth_bound": signed.depth_bound,
        "kernels": kernels[0],
        "kernels_up_to_sign": kernels[1],
    }


def _kernels(layer: BinaryConv) -> tuple[int | None, int | None]:
    """Return the number of distinct 3x3 kernels, and of distinct ones up to negation."""
    if layer.kernel != (3, 3):
        return None, None
    codes = np.moveaxis(layer.weights, 3, 1).reshape(-1, 9) @ (1 << np.arange(9))
    return len(np.unique(codes)), len(np.unique(np.minimum(codes, 511 - codes)))
