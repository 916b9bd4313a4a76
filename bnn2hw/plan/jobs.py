"""What one chain of stages computes: a layer, or a layer of several bases in turn or side by side.

Parallel bases (Group-Net) may share hardware in two ways. On fewer lanes than bases each lane
computes some bases in turn, position by position; and layers that read the same edge through the
same windows are rows of one layer, whose adder graph spans the channels of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import PlanError, UsageError
from ..model import (
    Affine,
    BaseGroup,
    Binarize,
    BinaryConv,
    BinaryDense,
    Bipolar,
    Integer,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Quantize,
    SumPool,
    Tensor,
    Threshold,
)

__all__ = ["Job", "joined", "linear_jobs", "network_jobs", "side_by_side", "with_joined"]


@dataclass(frozen=True, eq=False)
class Job:
    """What one chain of stages computes.

    Attributes
    ----------
    name
        Of the edge that comes out: the layer's where there is one.
    layers
        The layers that are computed, in turn if there are several.
    parts
        Names of the network's layers whose edges come out: in turn, or side by side where one
        layer with the channels of all of them is computed.
    sources
        For each input, what is read in each turn: one edge for all, or an edge a turn.
    output
        Shape and format of what comes out in a turn.
    inputs
        The same of each input.
    """

    name: str
    layers: tuple[Layer, ...]
    parts: tuple[str, ...]
    sources: tuple[tuple[str, ...], ...]
    output: Tensor
    inputs: tuple[Tensor, ...]

    @property
    def turns(self) -> int:
        """Return how many layers take turns."""
        return len(self.layers)

    @property
    def joint(self) -> bool:
        """Return whether edges of several layers come out."""
        return len(self.parts) > 1


def network_jobs(network: Network, bases_parallel: int | None = None) -> list[Job]:
    """Return the jobs of a network in an order of evaluation.

    Parameters
    ----------
    network
        The network.
    bases_parallel
        Lanes of a group of bases: each computes ``ceil(bases / lanes)`` bases in turn, or one
        less. None, and more lanes than bases, is a lane a base.

    Raises
    ------
    UsageError
        If there are to be lanes, and there is no group of bases or less than one lane.
    PlanError
        If bases that are to share a lane differ in more than numbers.
    """
    if bases_parallel is not None and bases_parallel < 1:
        raise UsageError(
            f"bases cannot be computed on {bases_parallel} lanes", remedy="give 1 or more"
        )
    if bases_parallel is not None and not network.groups:
        raise UsageError(
            f"network {network.name} has no parallel bases", remedy="leave --bases-parallel out"
        )
    parts: dict[str, tuple[str, ...]] = {layer.name: (layer.name,) for layer in network.layers}
    for group in network.groups:
        for bases in _lanes(group, bases_parallel):
            for names in _in_turn(group, bases):
                for name in names:
                    if len(parts[name]) > 1:
                        raise PlanError("is part of two groups of bases", layer=name)
                    parts[name] = names
    jobs = {
        names: _job([network.layer(name) for name in names], network)
        for names in dict.fromkeys(parts.values())
    }
    return _ordered(list(jobs.values()))


def linear_jobs(jobs: Sequence[Job]) -> list[tuple[Job, LinearLayer]]:
    """Return the jobs with weights, and the first layer of each."""
    return [(job, job.layers[0]) for job in jobs if isinstance(job.layers[0], LinearLayer)]


def side_by_side(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Yield jobs whose layers read the same edge through the same windows, two or more each."""
    found: dict[object, list[Job]] = {}
    for job in jobs:
        (layer,) = job.layers if job.turns == 1 else (None,)
        if not isinstance(layer, LinearLayer):
            continue
        geometry: tuple[object, ...] = ()
        if isinstance(layer, BinaryConv):
            if layer.groups > 1:
                continue
            geometry = (
                layer.kernel, layer.stride, layer.padding, layer.padding_value, layer.dilation,
            )  # fmt: skip
        key = (type(layer), job.sources, geometry, layer.threshold is None)
        found.setdefault(key, []).append(job)
    yield from (alike for alike in found.values() if len(alike) > 1)


def joined(jobs: Sequence[Job]) -> Job:
    """Return one job for layers of :func:`side_by_side`: the channels of one behind the other."""
    layers = [
        layer for job in jobs for layer in job.layers if isinstance(layer, BinaryConv | BinaryDense)
    ]
    first = layers[0]
    thresholds = [layer.threshold for layer in layers if layer.threshold is not None]
    threshold = (
        Threshold(
            np.concatenate([one.direction for one in thresholds]),
            np.concatenate([one.level for one in thresholds]),
        )
        if thresholds
        else None
    )
    weights = np.concatenate([layer.weights for layer in layers])
    name = f"{first.name}_joined"
    layer = replace(first, name=name, weights=weights, threshold=threshold, codebook=None)
    source = jobs[0].inputs[0]
    return Job(
        name,
        (layer,),
        tuple(job.name for job in jobs),
        jobs[0].sources,
        layer.output(source),
        jobs[0].inputs,
    )


def with_joined(jobs: Sequence[Job], chosen: Sequence[Sequence[Job]]) -> list[Job]:
    """Return the jobs with one in place of each of the chosen sets of :func:`side_by_side`."""
    gone = {job.name for alike in chosen for job in alike}
    kept = [job for job in jobs if job.name not in gone]
    return _ordered([*kept, *(joined(alike) for alike in chosen)])


def _lanes(group: BaseGroup, parallel: int | None) -> list[tuple[tuple[str, ...], ...]]:
    """Return the bases of each lane that has several."""
    count = len(group.bases)
    turns = -(-count // min(parallel or count, count))
    parts = np.array_split(np.arange(count), -(-count // turns))
    return [tuple(group.bases[k] for k in part) for part in parts if len(part) > 1]


def _in_turn(group: BaseGroup, bases: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the layers that take turns: the first of each base, the second of each, and so on."""
    if len(set(map(len, bases))) > 1:
        raise PlanError(
            f"the bases of group {group.name} differ in their number of layers",
            layer=bases[0][0],
            remedy="leave --bases-parallel out",
        )
    yield from zip(*bases, strict=True)


def _job(layers: Sequence[Layer], network: Network) -> Job:
    """Return the job of layers in turn, or of one."""
    names = tuple(layer.name for layer in layers)
    for layer in layers[1:]:
        forms = (_form(one, network) for one in (layers[0], layer))
        for what, one, other in zip(_FORM, *forms, strict=True):
            if one != other:
                raise PlanError(
                    f"takes no turns with {layer.name}: they differ in their {what}",
                    layer=layers[0].name,
                    remedy="leave --bases-parallel out",
                )
    sources = tuple(
        (edges[0],) if len(set(edges)) == 1 else edges
        for edges in zip(*(layer.inputs for layer in layers), strict=True)
    )
    return Job(
        names[0] if len(names) == 1 else f"{names[0]}_turns",
        tuple(layers),
        names,
        sources,
        _holding([network.tensors[name] for name in names]),
        tuple(_holding([network.tensors[name] for name in edges]) for edges in sources),
    )


_FORM = (
    "kind", "inputs", "weights", "windows", "border classes", "padding value", "threshold", "levels"
)  # fmt: skip


def _form(layer: Layer, network: Network) -> tuple[object, ...]:
    """Return what layers that take turns have in common, as _FORM names it."""
    if not isinstance(layer, Affine | Binarize | LinearLayer | MaxPool | Quantize | SumPool):
        # No layer of a base.
        return layer.name, *[None] * (len(_FORM) - 1)
    weights = layer.weights if isinstance(layer, BinaryConv | BinaryDense) else None
    conv = layer if isinstance(layer, BinaryConv) else None
    return (
        type(layer),
        [(source.shape, type(source.format)) for source in network.sources(layer)],
        None if weights is None else weights.shape,
        _windows(layer, network.source(layer)),
        None if conv is None else len(conv.valid_taps(network.source(conv))),
        None if conv is None else conv.padding_value,
        isinstance(layer, LinearLayer) and layer.threshold is None,
        layer.count if isinstance(layer, Quantize) else None,
    )


def _windows(layer: Layer, source: Tensor) -> object:
    """Return what windows have in common that slide over positions in turn.

    They may differ in dilation and padding, as long as padding needs no positions of its own.
    """
    if isinstance(layer, MaxPool | SumPool):
        return layer.kernel, layer.stride
    if not isinstance(layer, BinaryConv):
        return None
    size = source.shape[:2]
    outputs = layer.output_size(*size)
    masked = all((n - 1) * s < m for n, s, m in zip(outputs, layer.stride, size, strict=True))
    return layer.stride, layer.groups, outputs, masked or (layer.padding, layer.dilation)


def _holding(tensors: Sequence[Tensor]) -> Tensor:
    """Return the shape of tensors, which all of them have, and a format that holds all theirs."""
    first = tensors[0]
    if len(tensors) == 1 or isinstance(first.format, Bipolar):
        return first
    forms = [tensor.format for tensor in tensors]
    low, high = min(form.low for form in forms), max(form.high for form in forms)
    return Tensor(first.shape, Integer(low, high))


def _ordered(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs so that each comes behind those that it reads, else as they are.

    Raises
    ------
    PlanError
        If there is no such order, or what a job reads in turn does not come in turn.
    """
    by_part = {part: job for job in jobs for part in job.parts}
    found: list[Job] = []
    waiting, there = list(jobs), {"input"}
    while waiting:
        for job in waiting:
            if all(edge in there for edges in job.sources for edge in edges):
                break
        else:
            raise PlanError(
                "bases wait for each other in turn",
                layer=waiting[0].parts[0],
                remedy="leave --bases-parallel out",
            )
        for edges in job.sources:
            if len(edges) > 1 and by_part[edges[0]].parts != edges:
                raise PlanError(
                    f"reads {', '.join(edges)} in turn, and they do not come so",
                    layer=job.parts[0],
                    remedy="leave --bases-parallel out",
                )
        waiting.remove(job)
        there.update(job.parts)
        found.append(job)
    return found
