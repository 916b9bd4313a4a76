"""Vectors that a layer core is tried with: corners, real patches, random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..emit.vectors import Vectors
from ..golden import layer_outputs, patches, run
from ..model import Bipolar, LinearLayer, Network, Samples, Tensor, Threshold

__all__ = ["engine_vectors", "layer_inputs", "make_vectors"]

# Of a network's samples, so many images travel with a generated layer as real inputs.
_IMAGES = 16
# A sequential engine takes many cycles a vector: it is tried with the corners of so many channels.
_CHANNELS = 8


def layer_inputs(network: Network, names: Sequence[str]) -> dict[str, Samples | None]:
    """Return what layers read when the network runs on its first samples; None without samples."""
    if network.samples is None or not len(network.samples.images):
        return dict.fromkeys(names)
    images = network.samples.images[:_IMAGES]
    edges = {name: network.layer(name).inputs[0] for name in names}
    values = run(network, images, edges=sorted(set(edges.values()) - {"input"}))
    values["input"] = images
    return {name: Samples(values[edge].astype(np.int32)) for name, edge in edges.items()}


def make_vectors(network: Network, count: int, seed: int) -> Vectors:
    """Return all corners of a single-layer network and ``count`` further vectors.

    Half of the further vectors are patches of the network's samples where it has any, the rest
    are uniformly random. Corners are: everything at its least and its greatest; each channel's
    best and worst match; the two neighbouring sums on both sides of each threshold, for every
    class of border positions.
    """
    (layer,) = network.layers
    assert isinstance(layer, LinearLayer)
    source = network.input
    generator = np.random.default_rng(seed)
    taps = layer.valid_taps(source)
    found = [
        ("corner", *_extremes(layer, source, taps)),
        ("corner", *_threshold_sides(layer, source, taps, generator)),
    ]
    real = _real(network, layer, count // 2, generator)
    if real is not None:
        found.append(("real", *real))
    rest = count - (0 if real is None else len(real[0]))
    found.append(("random", *_random(layer, source, taps, rest, generator)))
    words = np.concatenate([x for _, x, _ in found]).astype(np.int64)
    borders = np.concatenate([b for _, _, b in found]).astype(np.int64)
    kinds = tuple(kind for kind, x, _ in found for _ in range(len(x)))
    expected = layer_outputs(layer, source, words, borders).astype(np.int64)
    return Vectors(words, borders, expected, kinds)


def engine_vectors(network: Network, count: int, seed: int) -> Vectors:
    """Return vectors as :func:`make_vectors`, with at most ``count`` corners of some channels."""
    (layer,) = network.layers
    assert isinstance(layer, LinearLayer)
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(layer.channels)[:_CHANNELS]
    part = replace(
        layer,
        weights=layer.weights[chosen],
        threshold=None
        if layer.threshold is None
        else Threshold(layer.threshold.direction[chosen], layer.threshold.level[chosen]),
        codebook=None,
    )
    found = make_vectors(replace(network, layers=(part,)), count, seed)
    corners = found.kinds.count("corner")
    kept = np.sort(generator.permutation(corners)[:count])
    kept = np.concatenate([kept, np.arange(corners, len(found.kinds))])
    words, borders = found.patches[kept], found.borders[kept]
    expected = layer_outputs(layer, network.input, words, borders).astype(np.int64)
    return Vectors(words, borders, expected, tuple(found.kinds[k] for k in kept.tolist()))


def _bounds(source: Tensor) -> tuple[int, int]:
    """Return the least and greatest element as the hardware sees it: bits are 0 and 1."""
    if isinstance(source.format, Bipolar):
        return 0, 1
    return source.format.low, source.format.high


Stimulus = tuple[NDArray[np.int64], NDArray[np.int64]]


def _extremes(layer: LinearLayer, source: Tensor, taps: NDArray[np.bool_]) -> Stimulus:
    low, high = _bounds(source)
    matrix = layer.matrix()
    rows = np.concatenate(
        [
            np.full((1, matrix.shape[1]), low),
            np.full((1, matrix.shape[1]), high),
            np.where(matrix > 0, high, low),
            np.where(matrix < 0, high, low),
        ]
    ).astype(np.int64)
    borders = np.repeat(np.arange(len(taps)), len(rows))
    return _padded(np.tile(rows, (len(taps), 1)), borders, source, taps), borders


def _padded(
    rows: NDArray[np.int64], borders: NDArray[np.int64], source: Tensor, taps: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the rows with padded taps as the hardware gets them: 0 bits."""
    if isinstance(source.format, Bipolar):
        rows = rows * taps[borders]
    return rows


def _threshold_sides(
    layer: LinearLayer, source: Tensor, taps: NDArray[np.bool_], generator: np.random.Generator
) -> Stimulus:
    """Return patches whose sums are the nearest reachable ones on each side of each level.

    A channel's patch starts at its least sum; taps are raised in random order, the last of them
    in part, until the sum is reached.
    """
    matrix = layer.matrix().astype(np.int64)
    empty = np.zeros((0, matrix.shape[1]), np.int64), np.zeros(0, np.int64)
    if layer.threshold is None:
        return empty
    low, high = _bounds(source)
    bits = isinstance(source.format, Bipolar)
    step = 2 if bits else 1
    least, greatest = layer.sum_bounds(source)
    order = generator.permuted(np.tile(np.arange(matrix.shape[1]), (len(matrix), 1)), axis=1)
    words, borders = [], []
    for border in range(len(taps)):
        direction, level = layer.threshold.direction, layer.threshold.level
        # the channel's bit differs between sums `edge` and `edge - step`
        edge = np.where(direction < 0, level + 1, level)
        edge = least[border] + -((least[border] - edge) // step) * step
        varies = (direction != 0) & (edge > least[border]) & (edge <= greatest[border])
        for target in (edge, edge - step):
            usable = taps[border][order] & (np.take_along_axis(matrix, order, axis=1) != 0)
            rank = np.cumsum(usable, axis=1) - 1  # how many usable taps were raised before
            amount = (target - least[border])[:, None] // step
            raised = np.clip(amount - rank * (high - low), 0, high - low) * usable
            raised = raised[varies]
            at = order[varies]
            lift = np.zeros_like(raised)
            np.put_along_axis(lift, at, raised, axis=1)
            rows = np.where(matrix[varies] > 0, low + lift, high - lift)
            words.append(_padded(rows, np.full(len(rows), border), source, taps))
            borders.append(np.full(len(rows), border))
    return np.concatenate(words), np.concatenate(borders).astype(np.int64)


def _real(
    network: Network, layer: LinearLayer, count: int, generator: np.random.Generator
) -> Stimulus | None:
    """Return ``count`` patches chosen from the samples; None where there are no samples."""
    if network.samples is None or not len(network.samples.images) or count == 0:
        return None
    words, borders = patches(layer, network.input, network.samples.images)
    chosen = generator.choice(len(words), size=count, replace=len(words) < count)
    return words[chosen].astype(np.int64), borders[chosen]


def _random(
    layer: LinearLayer,
    source: Tensor,
    taps: NDArray[np.bool_],
    count: int,
    generator: np.random.Generator,
) -> Stimulus:
    low, high = _bounds(source)
    words = generator.integers(low, high, size=(count, layer.patch_size()), endpoint=True)
    borders = generator.integers(0, len(taps), size=count)
    return _padded(words, borders, source, taps), borders
