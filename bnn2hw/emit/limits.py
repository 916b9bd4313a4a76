"""What cannot be compiled, with the reason, told before any work starts."""

from __future__ import annotations

from ..model import Affine, LinearLayer, Network, Quantize, SumPool

__all__ = ["compile_problem"]

# Amaranth's RTLIL back end and Yosys hold words of 2**16 bits at most; all top-level inputs
# together, with clock, reset and handshake, must stay below that.
_WORD_BITS = 1 << 16
_CONTROL_BITS = 64


def compile_problem(network: Network, name: str) -> str | None:
    """Return why a layer cannot be compiled on its own, or None if it can."""
    layer = network.layer(name)
    if isinstance(layer, Affine | Quantize | SumPool):
        return f"{type(layer).__name__} runs in the golden model; hardware for it is not built yet"
    if not isinstance(layer, LinearLayer):
        return f"{type(layer).__name__} has no weights: it is not compiled on its own"
    source, output = network.source(layer), network.tensors[name]
    for what, bits in (
        ("a patch", layer.patch_size() * source.format.width),
        ("an output word", layer.channels * output.format.width),
    ):
        if bits > _WORD_BITS - _CONTROL_BITS:
            return (
                f"{what} has {bits:,} bits, a word of the hardware at most "
                f"{_WORD_BITS - _CONTROL_BITS:,}"
            )
    return None
