"""From the float network to integers: weights as bits, batch norm and sign as thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from float_model import SIDE, BatchNorm, DigitsNetwork
from float_model import BinaryConv as FloatConv
from numpy.typing import NDArray

from bnn2hw import golden
from bnn2hw.frontends.expression import Expression, batch_normalization
from bnn2hw.frontends.fold import fold, reachable_sums
from bnn2hw.model import (
    Argmax,
    BinaryConv,
    BinaryDense,
    Integer,
    MaxPool,
    Network,
    Samples,
    Tensor,
)

INPUT = Tensor((SIDE, SIDE, 1), Integer(0, 16))
FLOAT = np.dtype(np.float32)


def to_network(model: DigitsNetwork, notes: Mapping[str, str], samples: Samples) -> Network:
    """Return the network of integers that equals the float network in evaluation."""
    conv1 = convolution("conv1", "input", INPUT, model.conv1, model.norm1)
    full = conv1.output(INPUT)
    conv2 = convolution("conv2", "conv1", full, model.conv2, model.norm2)
    pool = MaxPool("pool", ("conv2",))
    half = pool.output(conv2.output(full))
    conv3 = convolution("conv3", "pool", half, model.conv3, model.norm3)
    dense = BinaryDense("dense", ("conv3",), bits(model.dense.weight))
    return Network(
        "digits",
        INPUT,
        (conv1, conv2, pool, conv3, dense, Argmax("class", ("dense",))),
        classes=tuple(str(digit) for digit in range(model.dense.weight.shape[0])),
        notes=notes,
        samples=samples,
    )


def convolution(
    name: str, source_name: str, source: Tensor, layer: FloatConv, norm: BatchNorm
) -> BinaryConv:
    """Return a convolution with its batch norm and sign folded, exactly, to a threshold."""
    plain = BinaryConv(
        name,
        (source_name,),
        bits(layer.weight.permute(0, 2, 3, 1)),
        padding=(1, 1, 1, 1),
        padding_value=layer.padding_value,
    )
    gamma, beta, mean, variance = (
        p.detach().numpy() for p in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    step = batch_normalization(gamma, beta, mean, variance, norm.eps)
    function = Expression(FLOAT, (step,))
    threshold = fold(function, reachable_sums(plain, source), plain.channels, layer=name)
    return replace(plain, threshold=threshold)


def bits(weight: torch.Tensor) -> NDArray[np.uint8]:
    """Return the bits of latent weights: 1 where sign(w), with sign(0) = +1, is +1."""
    return (weight.detach() >= 0).numpy().astype(np.uint8)


def differences(model: DigitsNetwork, network: Network, images: NDArray[np.int32]) -> list[str]:
    """Return where the integer golden model and the float network differ; nothing if nowhere.

    Every hidden bit, every sum of the last layer and every class is compared.
    """
    model.eval()
    with torch.no_grad():
        edges = model.edges(torch.from_numpy(images.astype(np.float32)))
    integers = golden.run(network, images[..., None])
    found = []
    for name, edge in edges.items():
        if edge.ndim == 4:
            edge = edge.permute(0, 2, 3, 1)
        floats = edge.numpy()
        expected = floats if name == "dense" else (floats + 1) / 2
        wrong = int((expected != integers[name]).sum())
        if wrong:
            found.append(f"{wrong} of {expected.size} values of {name}")
    classes = edges["dense"].numpy().argmax(axis=1)
    wrong = int((classes != integers["class"][:, 0]).sum())
    return [*found, f"{wrong} of {len(classes)} classes"] if wrong else found
