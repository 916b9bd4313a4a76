"""Which streams of a network are exact, and where one is rounded or saturated.

Exact is what comes out as if all arithmetic before it were that of whole numbers without end:
sums, signs and codes of integers, ReLU. A layer's coefficients count as they are.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from .formats import Bipolar, Tensor
from .layers import Layer, LinearLayer
from .network import Network
from .streams import Affine, MaxPool, SumPool

__all__ = ["Rounding", "roundings"]

Rounding = Literal["exact", "rounded", "saturated", "rounded and saturated", "after rounding"]
"""What a layer does to the numbers that come to it."""


def roundings(network: Network) -> dict[str, Rounding]:
    """Return for every layer whether its output is exact.

    ``rounded``: a shift drops bits that can be set. ``saturated``: sums can leave the format,
    other than below 0 where it starts there, which is a ReLU. ``after rounding``: the layer is
    exact itself, and reads a stream that is not.
    """
    steps = {"input": _own_step(network.input)}
    found: dict[str, Rounding] = {}
    for layer in network.layers:
        sources = network.sources(layer)
        steps[layer.name] = _step(layer, sources, [steps[name] for name in layer.inputs])
        own: Rounding = "exact"
        if isinstance(layer, Affine):
            own = _affine(layer, sources, [steps[name] for name in layer.inputs])
        if own == "exact" and any(found.get(name, "exact") != "exact" for name in layer.inputs):
            own = "after rounding"
        found[layer.name] = own
    return found


def _step(layer: Layer, sources: tuple[Tensor, ...], steps: list[int]) -> int:
    """Return a step: all values of the edge are multiples of it above the format's lower end."""
    if isinstance(layer, MaxPool | SumPool):
        return steps[0]
    if isinstance(layer, LinearLayer) and layer.threshold is None:
        # a sum of N bits of +1 and -1 is as even as N, if no tap is ever left out
        bits = isinstance(sources[0].format, Bipolar)
        return 2 if bits and layer.valid_taps(sources[0]).all() else 1
    return _own_step(layer.output(*sources))


def _own_step(tensor: Tensor) -> int:
    return 2 if isinstance(tensor.format, Bipolar) else 1


def _affine(layer: Affine, sources: tuple[Tensor, ...], steps: list[int]) -> Rounding:
    low, high = layer.sum_bounds(*sources)
    constant = layer.offset + layer.weights.T @ [tensor.format.low for tensor in sources]
    moves = [
        row * (step if tensor.format.low < tensor.format.high else 0)
        for row, tensor, step in zip(layer.weights, sources, steps, strict=True)
    ]
    dropped = (1 << layer.shift) - 1
    rounds = any((np.asarray(part) & dropped).any() for part in (constant, *moves))
    below = layer.format.low != 0 and (low >> layer.shift < layer.format.low).any()
    saturates = bool(below or (high >> layer.shift > layer.format.high).any())
    if rounds:
        return "rounded and saturated" if saturates else "rounded"
    return "saturated" if saturates else "exact"
