"""Sub-bit networks of trained ones: codebooks that are found, and lossy ones that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from .errors import UsageError
from .golden import predict
from .model import Argmax, Codebook, LinearLayer, Network
from .plan.codebooks import LONGEST, check_tau, project, recognise
from .plan.kernels import kernels_of
from .plan.memory import CodebookMemory, check_word_width, codebook_memory

__all__ = ["CompressedLayer", "Compression", "compress"]


@dataclass(frozen=True)
class CompressedLayer:
    """What became of a layer; None where it has no codebook.

    Attributes
    ----------
    name
        Name of the layer.
    kernels
        Distinct kernels before; None where they are too large to be numbered.
    weights
        Number of binary weights.
    changed
        Weights that are others than before: 0 unless the layer was projected.
    tau, closed
        Bits of an index, and whether the subset is closed under negation.
    index_bits
        Bits of the indices by the published formula, tau for each kernel.
    memory
        The memories of indices and subset; ``memory.bits`` counts all of them.
    """

    name: str
    kernels: int | None
    weights: int
    changed: int
    tau: int | None = None
    closed: bool | None = None
    index_bits: int | None = None
    memory: CodebookMemory | None = None

    def to_json(self) -> dict[str, object]:
        """Return the figures as JSON values, without the contents of memories."""
        memory = None if self.memory is None else self.memory.bits
        return {**asdict(replace(self, memory=None)), "memory": memory}


@dataclass(frozen=True)
class Compression:
    """A network with codebooks.

    Attributes
    ----------
    network
        The network; its layers have codebooks where they could be given one.
    layers
        One for each layer with weights.
    images
        The network's samples, on which the rest was measured; 0 where nothing was changed, or
        there are none, or the network gives no classes.
    accuracy_before, accuracy_after
        Part of the images whose class is right, 0 to 1; None without labels.
    agreement
        Part of the images whose class is the same as before; None without images.
    """

    network: Network
    layers: tuple[CompressedLayer, ...]
    images: int = 0
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    agreement: float | None = None

    def to_json(self) -> dict[str, object]:
        """Return the figures as JSON values."""
        return {
            "network": self.network.name,
            "layers": [layer.to_json() for layer in self.layers],
            "images": self.images,
            "accuracy_before": self.accuracy_before,
            "accuracy_after": self.accuracy_after,
            "agreement": self.agreement,
        }


def compress(
    network: Network,
    tau: int | None = None,
    *,
    layers: Sequence[str] = (),
    closed: bool = False,
    word_width: int = 32,
    progress: Callable[[str], None] = lambda text: None,
) -> Compression:
    """Return a network whose layers have codebooks.

    Without ``tau`` nothing is lost: layers whose kernels are few enough get the codebook that is
    found in them. With it, all others are projected to 2**tau kernels, which changes weights.

    Parameters
    ----------
    network
        The trained network.
    tau
        Bits of an index, or None.
    layers
        Names of the layers to compress; all that can be, if empty.
    closed
        Whether subsets are to be closed under negation. Without ``tau`` a layer gets an open one
        where no index of a closed one is shorter than a kernel.
    word_width
        Bits of a word of index memory.
    progress
        Is told what is being done.

    Raises
    ------
    UsageError
        If an option makes no sense, or tau is no width of an index of a named layer.
    ModelError, PlanError
        If there is no such layer, or it has no weights, or kernels that are too large.
    """
    check_word_width(word_width)
    wanted = _wanted(network, tau, layers)
    made: dict[str, LinearLayer] = {}
    reports = []
    for layer in network.linear_layers():
        new = layer
        if layer.name in wanted:
            progress(f"{layer.name}: kernels")
            new = _compressed(layer, tau, closed)
        made[layer.name] = new
        reports.append(_report(layer, new, word_width))
    after = replace(network, layers=tuple(made.get(layer.name, layer) for layer in network.layers))
    if not any(report.changed for report in reports):
        return Compression(after, tuple(reports))
    progress("images through the golden model")
    return _measured(network, after, tuple(reports))


def _wanted(network: Network, tau: int | None, layers: Sequence[str]) -> set[str]:
    """Return the names of the layers to compress, options checked."""
    found = {layer.name: layer for layer in network.linear_layers()}
    for name in layers:
        network.layer(name)
        if name not in found:
            raise UsageError("has no weights", layer=name, remedy=f"name {', '.join(found)}")
        if tau is not None:
            check_tau(found[name], tau)
    if layers or tau is None:
        return set(layers or found)
    kernels = {name: kernels_of(layer) for name, layer in found.items()}
    wanted = {
        name for name, one in kernels.items() if one is not None and tau < one.length <= LONGEST
    }
    if tau < 1 or not wanted:
        raise UsageError(
            f"tau {tau} is no width of an index of the kernels of network {network.name}",
            remedy="give 1 to 8 for 3x3 kernels, 1 to 7 for vectors of 1x1 and dense layers",
        )
    return wanted


def _compressed(layer: LinearLayer, tau: int | None, closed: bool) -> LinearLayer:
    """Return a layer with the codebook that it has, that is found in it, or with other weights."""
    known = (recognise(layer), recognise(layer, closed=True), layer.codebook)
    fitting = [book for book in known if book is not None and (tau is None or book.tau <= tau)]
    if closed:
        fitting = [book for book in fitting if book.closed] or ([] if tau else fitting)
    if fitting:
        return replace(layer, codebook=min(fitting, key=_memory_bits))
    return layer if tau is None else project(layer, tau, closed=closed)[0]


def _index_bits(book: Codebook) -> int:
    return book.tau * book.indices.size


def _memory_bits(book: Codebook) -> tuple[int, int]:
    """Return the bits of the indices and of the subset: the latter decides between equal ones."""
    return _index_bits(book), book.subset.size


def _report(before: LinearLayer, after: LinearLayer, word_width: int) -> CompressedLayer:
    kernels = kernels_of(before)
    report = CompressedLayer(
        before.name,
        None if kernels is None else kernels.distinct(),
        before.weights.size,
        int(np.count_nonzero(before.weights != after.weights)),
    )
    book: Codebook | None = after.codebook
    if book is None:
        return report
    return replace(
        report,
        tau=book.tau,
        closed=book.closed,
        index_bits=_index_bits(book),
        memory=codebook_memory(book, word_width),
    )


def _measured(before: Network, after: Network, reports: tuple[CompressedLayer, ...]) -> Compression:
    """Return the compression with what it does to the network's samples."""
    samples = before.samples
    if samples is None or not len(samples.images) or not isinstance(before.layers[-1], Argmax):
        return Compression(after, reports)
    old, new = (predict(network, samples.images) for network in (before, after))
    right = None if samples.labels is None else samples.labels
    return Compression(
        after,
        reports,
        len(samples.images),
        None if right is None else float((old == right).mean()),
        None if right is None else float((new == right).mean()),
        float((old == new).mean()),
    )
