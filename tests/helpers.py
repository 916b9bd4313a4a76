"""Small networks and builds that several tests use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

import bnn2hw
from bnn2hw.api import Build
from bnn2hw.errors import Bnn2hwError
from bnn2hw.model import (
    BIPOLAR,
    BinaryConv,
    BinaryDense,
    Format,
    Network,
    Samples,
    Tensor,
    Threshold,
)

Read = TypeVar("Read")


def read_or_told(read: Callable[[], Read], path: Path) -> Read | None:
    """Return what was read, or None where one line told what is wrong with a file there."""
    try:
        return read()
    except Bnn2hwError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return None


def conv_network(
    *,
    name: str = "conv",
    seed: int = 0,
    fmt: Format = BIPOLAR,
    padding_value: int = 0,
    threshold: bool = True,
    groups: int = 1,
) -> Network:
    """Return a network of one padded 3x3 convolution, 8 channels of 4, and two images."""
    generator = np.random.default_rng(seed)
    layer = BinaryConv(
        name,
        ("input",),
        generator.integers(0, 2, (8, 3, 3, 4 // groups)).astype(np.uint8),
        Threshold(generator.choice([-1, 1], 8).astype(np.int8), generator.integers(-3, 4, 8))
        if threshold
        else None,
        padding=(1, 1, 1, 1),
        padding_value=padding_value,
        groups=groups,
    )
    low = 0 if fmt == BIPOLAR else fmt.low
    images = generator.integers(low, fmt.high, (2, 5, 5, 4), endpoint=True).astype(np.int32)
    return Network("net", Tensor((5, 5, 4), fmt), (layer,), samples=Samples(images))


def dense_network(inputs: int, outputs: int, *, name: str = "fc", seed: int = 0) -> Network:
    """Return a network of one dense layer with thresholds around the middle."""
    generator = np.random.default_rng(seed)
    layer = BinaryDense(
        name,
        ("input",),
        generator.integers(0, 2, (outputs, inputs)).astype(np.uint8),
        Threshold.at_least(generator.integers(-5, 6, outputs)),
    )
    return Network("net", Tensor((inputs,), BIPOLAR), (layer,))


def generate(network: Network, out: Path, **options: object) -> Build:
    """Generate every layer of a network."""
    names = [layer.name for layer in network.linear_layers()]
    return bnn2hw.generate(network, names, out=out, **options)
