"""What a layer costs by the published formulas, from its shape alone: params and bit-ops.

Three texts count bit-ops in three ways, and differ in one thing alone: the cost of adding a value
of several bits, against one for each one-bit product that is summed. A :class:`Convention` is that
cost; any method can be counted in any of them, and figures compare within one only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod

from ..model.formats import Tensor
from ..model.layers import BinaryConv, LinearLayer

__all__ = [
    "CONVENTIONS",
    "FULL_ADDS",
    "HALF_ADDS",
    "SUMMED_BITS",
    "VECTOR",
    "XNOR_TERMS",
    "Convention",
    "LayerShape",
    "binary_ops",
    "index_bits",
    "is_shared",
    "layer_shape",
    "reuse_ops",
    "subbit_ops",
    "subset_bits",
]

VECTOR = 8
"""Inputs in a vector of a 1x1 or dense layer (sub-bit supplement, section C)."""


@dataclass(frozen=True)
class LayerShape:
    """The shape of a convolution or dense layer: all that the published formulas read.

    Attributes
    ----------
    name
        Name of the layer.
    kernel
        (vertical, horizontal); (1, 1) for a dense layer.
    inputs, outputs
        Channels.
    size
        (height, width) of the output map; (1, 1) for a dense layer.
    stride
        Of both axes.
    groups
        An output channel reads ``inputs / groups`` channels.
    """

    name: str
    kernel: tuple[int, int]
    inputs: int
    outputs: int
    size: tuple[int, int] = (1, 1)
    stride: int = 1
    groups: int = 1

    @property
    def positions(self) -> int:
        """Return the output positions of one inference."""
        return prod(self.size)

    @property
    def weights(self) -> int:
        """Return the weights: the params of a 1-bit layer, in bits."""
        return self.outputs * (self.inputs // self.groups) * prod(self.kernel)

    @property
    def macs(self) -> int:
        """Return the products of one inference."""
        return self.positions * self.weights

    @property
    def is_vector(self) -> bool:
        """Return whether indices stand for vectors of input channels, not for kernels."""
        return self.kernel == (1, 1)

    @property
    def unit(self) -> int:
        """Return the weights that one index stands for: a kernel's, or those of a vector."""
        return VECTOR if self.is_vector else prod(self.kernel)

    @property
    def units_of_output(self) -> int:
        """Return the indices of one output channel; a last, shorter vector has one too."""
        inputs = self.inputs // self.groups
        return -(-inputs // VECTOR) if self.is_vector else inputs


def layer_shape(layer: LinearLayer, source: Tensor) -> LayerShape:
    """Return the shape of a model's layer that reads ``source``."""
    if not isinstance(layer, BinaryConv):
        return LayerShape(layer.name, (1, 1), source.size, layer.channels)
    height, width, _ = layer.output(source).shape
    return LayerShape(
        layer.name,
        layer.kernel,
        layer.input_channels,
        layer.channels,
        (height, width),
        layer.stride[0],
        layer.groups,
    )


@dataclass(frozen=True)
class Convention:
    """A way to count bit-ops, with one for each one-bit product that is summed.

    Attributes
    ----------
    name, source
        What it is called here, and where it is from.
    addition
        Cost of adding a value of several bits; None for the width of the value.
    vector_terms
        Cost of the products of one full vector; those of a kernel cost one each.
    """

    name: str
    source: str
    addition: Fraction | None
    vector_terms: int = VECTOR

    def add(self, width: int) -> Fraction:
        """Return the cost of adding a value of that many bits."""
        return Fraction(width) if self.addition is None else self.addition


XNOR_TERMS = Convention("XNOR terms", "MST-compression, Table A1", Fraction(0))
HALF_ADDS = Convention(
    "half adds", "sub-bit networks, tables of ResNet-18, ResNet-34 and VGG-small", Fraction(1, 2)
)
FULL_ADDS = Convention(
    "full adds", "sub-bit networks, Table 6 (ResNet-50); a fit to four digits", Fraction(1), 7
)
SUMMED_BITS = Convention(
    "summed bits", "the common one: every bit that enters a sum, one full adder each", None
)
CONVENTIONS: Sequence[Convention] = (XNOR_TERMS, HALF_ADDS, FULL_ADDS, SUMMED_BITS)


def index_bits(shape: LayerShape, tau: int) -> int:
    """Return the bits of a layer's indices: tau for each kernel or vector (Table 5)."""
    return tau * shape.outputs * shape.units_of_output


def subset_bits(shape: LayerShape, tau: int) -> int:
    """Return the bits of a layer's subset, which published params leave out."""
    return shape.unit << tau


def is_shared(shape: LayerShape, tau: int, *, closed: bool = False) -> bool:
    """Return whether sharing pays by the published rule: fewer table entries than look-ups.

    That is 2^tau < output channels; a subset ``closed`` under negation has half the entries.
    """
    return 1 << (tau - closed) < shape.outputs // shape.groups


def binary_ops(shape: LayerShape) -> int:
    """Return the bit-ops of a 1-bit layer: one a weight and position, in every convention."""
    return shape.macs


def reuse_ops(shape: LayerShape, params: int, reuses: int, convention: Convention) -> int:
    """Return the bit-ops of a layer that reuses channels along a spanning tree.

    ``params`` is the paper's: N for each root and the distances; ``reuses`` counts the edges,
    each of which adds its parent's match count, as wide as N is.
    """
    width = (shape.weights // shape.outputs).bit_length()
    return shape.positions * ceil(params + reuses * convention.add(width))


def subbit_ops(shape: LayerShape, tau: int, convention: Convention, *, closed: bool = False) -> int:
    """Return the bit-ops of a sub-bit layer: a table for each input unit, and its look-ups.

    A layer that the published figures do not share (:func:`is_shared`) costs as much as a 1-bit
    one. A subset that is ``closed`` under negation needs half the table. An entry is a count of
    0 to 8 or 9 matches, or as many as the kernel has taps.
    """
    if not is_shared(shape, tau, closed=closed):
        return binary_ops(shape)
    entries = 1 << (tau - closed)
    terms = convention.vector_terms if shape.is_vector else shape.unit
    # a last, shorter vector has a table of its own, as a full one
    tables = shape.units_of_output * shape.groups
    lookups = shape.outputs * shape.units_of_output * convention.add(shape.unit.bit_length())
    return shape.positions * ceil(tables * terms * entries + lookups)
