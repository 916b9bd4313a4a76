"""Whole images through the network, layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..model import (
    Affine,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    ChannelArgmax,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Quantize,
    SumPool,
    Tensor,
    Upsample,
)
from .streams import affine, argmax, channel_argmax, max_pool, quantize, sum_pool, upsample
from .values import (
    apply_threshold,
    check_values,
    edge_dtype,
    exact_dtype,
    magnitude,
    positions,
    signed,
    sum_dtype,
)

__all__ = ["accuracy", "predict", "run"]

_CHUNK_BYTES = 1 << 26
"""Working memory of one chunk of images: small beside a process, large beside the weights."""


def run(
    network: Network, images: NDArray[Any], *, edges: Iterable[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Return the values on the edges of the network for a batch of images.

    Layers that no wanted edge depends on are left out. Images pass in chunks, so that the memory
    beyond the result is bounded.

    Parameters
    ----------
    network
        Any network of the model.
    images
        Integers of shape (batch, *input shape); a bipolar input as bits 0 and 1.
    edges
        Names of the wanted edges (layers, or ``input``); None means all of them.

    Returns
    -------
    dict
        By edge name, shape (batch, *edge shape): uint8 bits for bipolar edges; int32 for integer
        edges (signed sums, indices), int64 where the format is wider.

    Raises
    ------
    ModelError
        If the images do not fit the network's input, or an edge is unknown.
    """
    values = check_values(images, network.input.shape, network.input.format, "images")
    wanted = list(network.tensors) if edges is None else list(dict.fromkeys(edges))
    for name in wanted:
        if name not in network.tensors:
            raise ModelError(
                f"network {network.name} has no edge {name!r}",
                remedy=f"it has {', '.join(network.tensors)}",
            )
    layers = _needed(network, wanted)
    results = {
        name: np.empty(
            (len(values), *network.tensors[name].shape), edge_dtype(network.tensors[name].format)
        )
        for name in wanted
    }
    step = max(1, _CHUNK_BYTES // _image_bytes(network, layers, wanted))
    for start in range(0, len(values), step):
        chunk = values[start : start + step]
        for name, edge in _evaluate(network, layers, chunk, wanted).items():
            results[name][start : start + step] = edge
    return results


def predict(network: Network, images: NDArray[Any]) -> NDArray[np.int64]:
    """Return the classes that the network gives the images, int64 (batch,).

    Raises
    ------
    ModelError
        If the images do not fit, or the network does not end in an Argmax.
    """
    last = network.layers[-1] if network.layers else None
    if not isinstance(last, Argmax):
        raise ModelError(
            f"network {network.name} gives no classes: its last layer is not an argmax",
            remedy="add an Argmax layer, or ask for edges with run",
        )
    return run(network, images, edges=[last.name])[last.name][:, 0].astype(np.int64)


def accuracy(network: Network, images: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the part of the images, 0 to 1, whose predicted class equals the label.

    Parameters
    ----------
    network, images
        As for :func:`run`; the network ends in an Argmax.
    labels
        Integers of shape (batch,).

    Raises
    ------
    ModelError
        If images or labels do not fit, or there are none.
    """
    truth = np.asarray(labels)
    count = len(np.atleast_1d(images))
    if truth.dtype.kind not in "iu" or truth.shape != (count,):
        raise ModelError(
            f"labels are {truth.dtype} of shape {truth.shape}, expected integers of shape "
            f"({count},)"
        )
    if count == 0:
        raise ModelError("there are no images to measure the accuracy on")
    return int((predict(network, images) == truth).sum()) / count


def _needed(network: Network, wanted: list[str]) -> list[Layer]:
    """Return the layers, in order, that the wanted edges depend on."""
    names = set(wanted)
    layers = []
    for layer in reversed(network.layers):
        if layer.name in names:
            names.update(layer.inputs)
            layers.append(layer)
    return layers[::-1]


def _image_bytes(network: Network, layers: list[Layer], wanted: Collection[str]) -> int:
    """Return a rough bound on the working memory of one image, in bytes.

    At any layer, the edges that are still to be read or returned, and what the layer works with:
    its padded input, a window of it and three arrays of its output's size, all in its own dtype.
    """
    most = 1
    for layer, live in zip(layers, _live_edges(layers, wanted), strict=True):
        kept = sum(
            tensor.size * np.dtype(edge_dtype(tensor.format)).itemsize
            for tensor in (network.tensors[name] for name in live)
        )
        source = network.source(layer)
        size, width = source.channels, 8
        padding = layer.padding if isinstance(layer, BinaryConv) else (0, 0, 0, 0)
        for n, before, after in zip(source.shape[:-1], padding[:2], padding[2:], strict=False):
            size *= n + before + after
        if isinstance(layer, LinearLayer):
            dtype = exact_dtype(layer.patch_size(), magnitude(source.format))
            width = np.dtype(dtype).itemsize
        most = max(most, kept + width * (2 * size + 3 * network.tensors[layer.name].size))
    return most


def _live_edges(layers: list[Layer], wanted: Collection[str]) -> list[set[str]]:
    """Return, for each layer, the edges to keep while it runs: to be read yet, or returned."""
    live, after = [], set(wanted)
    for layer in reversed(layers):
        after.discard(layer.name)
        after.update(layer.inputs)
        live.append(set(after))
    return live[::-1]


def _evaluate(
    network: Network, layers: list[Layer], images: NDArray[Any], wanted: list[str]
) -> dict[str, NDArray[Any]]:
    """Return the wanted edges of one chunk; other edges are dropped after their last reader."""
    last_reader = {source: layer.name for layer in layers for source in layer.inputs}
    edges = {"input": images}
    for layer in layers:
        values = [edges[name] for name in layer.inputs]
        edges[layer.name] = _apply(layer, network.sources(layer), values)
        for name in set(layer.inputs):
            if last_reader[name] == layer.name and name not in wanted:
                del edges[name]
    return {name: edges[name] for name in wanted}


def _apply(layer: Layer, sources: Sequence[Tensor], edges: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the output of a layer, shape (batch, *output shape)."""
    source, edge = sources[0], edges[0]
    match layer:
        case LinearLayer():
            sums = _sums(layer, source, edge)
            return sums if layer.threshold is None else apply_threshold(sums, layer.threshold)
        case MaxPool():
            return max_pool(layer, source, edge)
        case SumPool():
            return sum_pool(layer, source, edge)
        case Binarize():
            return apply_threshold(signed(edge, source.format, np.int64), layer.threshold)
        case Quantize():
            return quantize(layer, source, edge)
        case Affine():
            return affine(layer, sources, edges)
        case Upsample():
            return upsample(layer, source, edge)
        case Argmax():
            return argmax(layer, edge)
        case ChannelArgmax():
            return channel_argmax(layer, edge)
    raise TypeError(f"{type(layer).__name__} has no meaning here")


def _sums(layer: LinearLayer, source: Tensor, edge: NDArray[Any]) -> NDArray[Any]:
    """Return the signed sums of a linear layer, int32 or int64."""
    terms, most = layer.patch_size(), magnitude(source.format)
    dtype = exact_dtype(terms, most)
    values = signed(edge, source.format, dtype)
    match layer:
        case BinaryConv():
            sums = _convolve(layer, source, values)
        case BinaryDense():
            signs = 2 * layer.weights.astype(dtype) - 1
            sums = values.reshape(len(values), layer.patch_size()) @ signs.T
        case _:
            raise TypeError(f"{type(layer).__name__} has no meaning here")
    return sums.astype(sum_dtype(terms * most), copy=False)


def _convolve(layer: BinaryConv, source: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """Return the convolution of signed values (batch, height, width, channels).

    One product a tap of the kernel, over all positions at once: nothing is unfolded, and a
    padded position holds its true value, zero included.
    """
    top, left, bottom, right = layer.padding
    padded = np.pad(
        values,
        ((0, 0), (top, bottom), (left, right), (0, 0)),
        constant_values=values.dtype.type(layer.padding_value),
    )
    outputs, _, _, depth = layer.weights.shape
    signs = 2 * layer.weights.astype(values.dtype) - 1
    signs = signs.reshape(layer.groups, outputs // layer.groups, *layer.weights.shape[1:])
    height, width = layer.output_size(*source.shape[:2])
    count = len(values) * height * width
    total = np.zeros((layer.groups, count, outputs // layer.groups), values.dtype)
    for ky, kx in np.ndindex(*layer.kernel):
        rows = positions(ky, layer.dilation[0], layer.stride[0], height)
        columns = positions(kx, layer.dilation[1], layer.stride[1], width)
        window = padded[:, rows, columns].reshape(count, layer.groups, depth)
        total += window.transpose(1, 0, 2) @ signs[:, :, ky, kx].transpose(0, 2, 1)
    return total.transpose(1, 0, 2).reshape(len(values), height, width, outputs)
