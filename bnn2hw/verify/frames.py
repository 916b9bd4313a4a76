"""Images that a network is tried with, and what the golden model makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..emit.frames import Frames
from ..golden import run
from ..model import Argmax, Bipolar, Network

__all__ = ["make_frames", "make_images"]


def make_images(network: Network, count: int, seed: int) -> tuple[NDArray[np.int64], int]:
    """Return so many images, int64 (count, *input shape), and how many of them are real.

    The network's own samples come first, in their order; the rest is uniformly random.
    """
    source = network.input
    real = np.zeros((0, *source.shape), np.int64)
    if network.samples is not None:
        real = network.samples.images[:count].astype(np.int64)
    low, high = (
        (0, 1) if isinstance(source.format, Bipolar) else (source.format.low, source.format.high)
    )
    rest = (count - len(real), *source.shape)
    random = np.random.default_rng(seed).integers(low, high + 1, rest)
    return np.concatenate([real, random]), len(real)


def make_frames(network: Network, images: NDArray[np.int64], bench: int) -> Frames:
    """Return images with their answers, and the values on all edges for the first of them.

    Parameters
    ----------
    network
        The network.
    images
        int64 (count, *input shape).
    bench
        For so many images the edges are kept.
    """
    last = network.layers[-1]
    names = [layer.name for layer in network.layers]
    edges = run(network, images[:bench], edges=names)
    source = last.inputs[0]
    wanted = [last.name, source] if isinstance(last, Argmax) else [last.name]
    found = run(network, images, edges=[name for name in wanted if name != "input"])
    found["input"] = images
    if isinstance(last, Argmax):
        answers = {
            "class": found[last.name].reshape(len(images), 1, 1),
            "scores": found[source].reshape(len(images), 1, -1),
        }
    else:
        edge = found[last.name]
        answers = {"elements": edge.reshape(len(images), -1, edge.shape[-1])}
    return Frames(
        images,
        {name: values.astype(np.int64) for name, values in edges.items()},
        {name: values.astype(np.int64) for name, values in answers.items()},
    )
