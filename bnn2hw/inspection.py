"""What a network holds and what reuse would do for it, before any work starts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

import numpy as np

from .emit.limits import compile_problem
from .gateware.affine import additions
from .model import (
    Affine,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Quantize,
    Rounding,
    SumPool,
    Tensor,
    Upsample,
    roundings,
)
from .plan import plan_layer
from .plan.codebooks import recognise
from .plan.kernels import break_even, kernels_of
from .plan.readout import live_channels

__all__ = ["KernelReport", "LayerReport", "inspect"]


@dataclass(frozen=True)
class KernelReport:
    """The kernels of a layer: the weights of one output and one input channel.

    Those of 1x1 convolutions and dense layers are of 8 consecutive inputs.

    Attributes
    ----------
    length
        Weights of a kernel.
    distinct, distinct_up_to_sign
        How many there are in the layer.
    each, each_up_to_sign
        How many one input channel has, on average over them.
    tau, closed
        Bits of an index that stands for a kernel, and whether the kernels that indices stand for
        are closed under negation; None where an index would have as many bits as a kernel.
    break_even
        The greatest tau for which evaluating kernels once for all outputs pays by bit-ops.
    frequencies
        How often each kernel occurs, by its bits, the first weight first.
    """

    length: int
    distinct: int
    distinct_up_to_sign: int
    each: float
    each_up_to_sign: float
    tau: int | None
    closed: bool | None
    break_even: int
    frequencies: dict[str, int]


@dataclass(frozen=True)
class LayerReport:
    """One layer of a network; None where a figure does not apply.

    Attributes
    ----------
    name, kind
        Name and type of the layer.
    input, output
        Shapes and formats of the edges.
    rounding
        Whether the output is exact: see :func:`bnn2hw.model.roundings`.
    detail
        What a layer without binary weights computes, where its type does not say it.
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
    kernels
        The kernels that the weights are made of; None where they are too large to be numbered.
    groups
        Names of the groups of parallel bases that the layer is in.
    problem
        Why the layer cannot be compiled, or None.
    """

    name: str
    kind: str
    input: str
    output: str
    rounding: Rounding
    detail: str | None = None
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
    kernels: KernelReport | None = None
    groups: tuple[str, ...] = ()
    problem: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON values."""
        return asdict(self)


def inspect(
    network: Network, progress: Callable[[str], None] = lambda text: None
) -> list[LayerReport]:
    """Return a report of every layer, in order."""
    reports = []
    groups_of: dict[str, list[str]] = defaultdict(list)
    for group in network.groups:
        for name in chain(*group.bases):
            groups_of[name].append(group.name)
    exactness = roundings(network)
    for layer in network.layers:
        progress(f"inspecting {layer.name}")
        output = network.tensors[layer.name]
        report = LayerReport(
            layer.name,
            type(layer).__name__,
            _edges(network.sources(layer)),
            _edges((output,)),
            exactness[layer.name],
            detail=_detail(layer),
            groups=tuple(groups_of[layer.name]),
            problem=compile_problem(network, layer.name),
        )
        if isinstance(layer, LinearLayer):
            report = LayerReport(**{**asdict(report), **_linear(network, layer)})
        reports.append(report)
    return reports


def _edges(tensors: Sequence[Tensor]) -> str:
    """Return shape and formats of edges of one shape, such as ``8x8x4 2 x integer -9..9``."""
    formats = Counter(str(tensor.format) for tensor in tensors)
    texts = (form if count == 1 else f"{count} x {form}" for form, count in formats.items())
    return f"{'x'.join(map(str, tensors[0].shape))} {' + '.join(texts)}"


def _detail(layer: Layer) -> str | None:
    match layer:
        case Affine():
            most = max(additions(row) for row in layer.weights.T.tolist())
            return f"sum >> {layer.shift} to {layer.format}, {most} additions a channel at most"
        case Upsample():
            return f"bilinear, {layer.factor} times"
        case Quantize():
            return f"codes 0..{layer.count}"
        case MaxPool() | SumPool():
            return "{}x{} windows, stride {}x{}".format(*layer.kernel, *layer.stride)
    return None


def _linear(network: Network, layer: LinearLayer) -> dict[str, object]:
    source = network.source(layer)
    live = live_channels(layer, source)
    plain = plan_layer(layer, source, "mst", complement=False).tree
    signed = plan_layer(layer, source, "mst", complement=True).tree
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
        "kernels": _kernels(layer),
    }


def _kernels(layer: LinearLayer) -> KernelReport | None:
    kernels = kernels_of(layer)
    if kernels is None:
        return None
    book = recognise(layer)
    return KernelReport(
        kernels.length,
        kernels.distinct(),
        kernels.distinct(negation=True),
        float(kernels.distinct_each().mean()),
        float(kernels.distinct_each(negation=True).mean()),
        None if book is None else book.tau,
        None if book is None else book.closed,
        break_even(kernels.length, layer.channels // kernels.groups),
        kernels.frequencies(),
    )
