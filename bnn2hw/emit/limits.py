"""What cannot be compiled, with the reason, told before any work starts."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import PlanError, UsageError
from ..model import ChannelArgmax, Layer, LinearLayer, Network, Upsample
from ..plan.engine_program import EngineProgram
from .names import top_name

__all__ = ["check_layers", "check_program", "compile_problem", "unbuilt"]

# Amaranth's RTLIL back end and Yosys hold words of 2**16 bits at most; all top-level inputs
# together, with clock, reset and handshake, must stay below that.
_WORD_BITS = 1 << 16
_CONTROL_BITS = 64


def compile_problem(network: Network, name: str) -> str | None:
    """Return why a layer cannot be compiled on its own, or None if it can."""
    layer = network.layer(name)
    if not isinstance(layer, LinearLayer):
        name = type(layer).__name__
        return unbuilt(layer) or f"{name} has no weights: 'generate --network' compiles it"
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


def unbuilt(layer: Layer) -> str | None:
    """Return why a layer has no hardware, or None."""
    if isinstance(layer, ChannelArgmax | Upsample):
        return f"{type(layer).__name__} runs in the golden model alone: there is no hardware for it"
    return None


def check_layers(network: Network, layers: Sequence[str]) -> list[str]:
    """Return the names of layers to generate, each once, after a check that all of them can be.

    Raises
    ------
    UsageError
        If there are none, or two would have one folder.
    ModelError, PlanError
        If there is no such layer, or it cannot be compiled.
    """
    if not layers:
        raise UsageError("no layer is named", remedy="name one with --layer")
    names = list(dict.fromkeys(layers))
    folders = [top_name(name).casefold() for name in names]
    for name, folder in zip(names, folders, strict=True):
        if folders.count(folder) > 1:
            raise UsageError(
                f"the folder {folder} would hold more than one layer",
                layer=name,
                remedy="generate these layers apart",
            )
    for name in names:
        problem = compile_problem(network, name)
        if problem is not None:
            raise PlanError(
                problem, layer=name, remedy="'bnn2hw inspect' lists what can be compiled"
            )
    return names


def check_program(program: EngineProgram, layer: str) -> None:
    """Check that no word of an engine is wider than the hardware can have.

    Raises
    ------
    PlanError
        If one is.
    """
    lanes = program.lanes
    pixels = 1 << (program.pixels - 1).bit_length()  # banks are addressed by whole bits
    words = {
        "an input word": program.unit * program.element_width,
        "a word of weight memory": program.word_width,
        "the weights of one step": lanes * program.weight_bits,
        "the kernels of one cycle": program.kernel_units * program.unit,
        "the tables of a bank": pixels * program.entries * program.slot_width,
        "the levels of a group": lanes * program.level_width,
    }
    for what, bits in words.items():
        if bits > _WORD_BITS - _CONTROL_BITS:
            raise PlanError(
                f"{what} would have {bits:,} bits, a word of the hardware has at most "
                f"{_WORD_BITS - _CONTROL_BITS:,}",
                layer=layer,
                remedy="take fewer lanes, pixels, kernel units or taps",
            )
