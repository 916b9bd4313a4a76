"""Building a network from the signals of a float graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..model import (
    BIPOLAR,
    Argmax,
    Binarize,
    Bipolar,
    Format,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Tensor,
)
from ..model.limits import check_input, check_layer
from .expression import Expression, scale
from .fold import (
    ReachableSums,
    check_exact,
    fold,
    format_values,
    is_nondecreasing,
    is_order_preserving,
    reachable_sums,
)
from .fuse import fuse_thresholds
from .onnx_graph import Unsupported
from .real_input import crossings, describe_crossings

__all__ = [
    "INPUT",
    "REAL_INPUT",
    "NetworkBuilder",
    "PaddingValue",
    "Signal",
    "channel_first",
    "padding_code",
    "padding_of_code",
]

_ELEMENT_LIMIT = 1 << 26
INPUT = "input"
"""Name of the network's input."""

REAL_INPUT = "real input"
"""What a signal calls the graph's input before it is quantised; no edge of the network."""


@dataclass(frozen=True, eq=False)
class Signal:
    """A tensor of the float graph: an edge of the network, seen through a float expression.

    Attributes
    ----------
    edge
        Name of the edge, or :data:`REAL_INPUT`.
    index
        int64, in the shape of the tensor: which element of the edge, flattened (y, x, channel),
        stands there. Transposing and reshaping is done to this array and to nothing else.
        Negative numbers are padding, see :func:`padding_code`.
    expression
        The value of an element in the float graph, from its integer on the edge.
    """

    edge: str
    index: NDArray[np.int64]
    expression: Expression

    @property
    def padded(self) -> bool:
        """Return whether some elements are padding."""
        return bool((self.index < 0).any())

    def moved(self, index: NDArray[np.int64]) -> Signal:
        """Return the signal with its elements in other places."""
        return Signal(self.edge, index, self.expression)

    def then(self, expression: Expression) -> Signal:
        """Return the signal with another expression."""
        return Signal(self.edge, self.index, expression)


PaddingValue = Literal[-1, 0, 1]

_PADDING: dict[int, PaddingValue] = {-3: -1, -2: 0, -1: 1}


def padding_code(value: PaddingValue) -> int:
    """Return what stands in an index for a padded position of value -1, 0 or +1."""
    return value - 2


def padding_of_code(code: int) -> PaddingValue:
    """Return the value that a code stands for."""
    return _PADDING[code]


def channel_first(shape: Sequence[int]) -> NDArray[np.int64]:
    """Return the index of an edge in ONNX order: (1, channels, height, width) or (1, size)."""
    index = np.arange(math.prod(shape), dtype=np.int64).reshape(tuple(shape))
    return index.transpose(2, 0, 1)[None] if len(shape) == 3 else index[None]


class NetworkBuilder:
    """Layers and facts of a network that grows node by node.

    Parameters
    ----------
    shape
        Shape of the network's input.
    dtype
        Data type of the graph's input.
    variable
        What notes call the real input.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], variable: str) -> None:
        self.shape = shape
        self.dtype = dtype
        self.variable = variable
        self.layers: list[Layer] = []
        self.tensors: dict[str, Tensor] = {}
        self.sums: dict[str, ReachableSums] = {}
        self.notes: dict[str, str] = {}
        self.linear_count = 0
        self.head: str | None = None

    def shape_of(self, edge: str) -> tuple[int, ...]:
        """Return the shape of an edge."""
        return self.shape if edge == REAL_INPUT else self.tensors[edge].shape

    def channels(self, edge: str) -> int:
        """Return the number of channels of an edge."""
        return self.shape_of(edge)[-1]

    def is_real(self, signal: Signal) -> bool:
        """Return whether a signal is the graph's input before it is quantised."""
        return signal.edge == REAL_INPUT

    def check_whole(self, signal: Signal) -> None:
        """Check that a signal is a quantised edge without padding."""
        if self.is_real(signal):
            raise Unsupported(
                "reads the graph's input, which is not quantised",
                "put BipolarQuant (one bit) or Quant (integers) behind the input",
            )
        if signal.padded:
            raise Unsupported(
                "reads a padded map, which only Conv can", "move Pad to the front of a Conv"
            )

    # ------------------------------------------------------------------------ the input

    def quantise_input(self, form: Format, note: str) -> None:
        """Fix the format of the network's input, with a note that tells how it is made."""
        tensor = Tensor(self.shape, form)
        check_input(tensor)
        if self.tensors.get(INPUT, tensor) != tensor or self.notes.get(INPUT, note) != note:
            raise Unsupported("quantises the input in a second way", "quantise the input once")
        self.tensors[INPUT] = tensor
        self.sums[INPUT] = format_values(form)
        self.notes[INPUT] = note

    # ----------------------------------------------------------------------- the layers

    def add(self, layer: Layer, sums: ReachableSums) -> Tensor:
        """Append a layer and return its output."""
        check_layer(layer)
        tensor = layer.output(*(self.tensors[edge] for edge in layer.inputs))
        if tensor.size > _ELEMENT_LIMIT:
            raise Unsupported(f"makes a map of {tensor.size} elements, more than {_ELEMENT_LIMIT}")
        self.layers.append(layer)
        self.tensors[layer.name] = tensor
        self.sums[layer.name] = sums
        return tensor

    def linear_name(self, kind: str) -> str:
        """Return the name of the next layer with weights: conv0, fc1, ..."""
        return f"{kind}{self.linear_count}"

    def linear(
        self, layer: LinearLayer, factor: NDArray[np.float64], dtype: np.dtype[Any]
    ) -> Signal:
        """Append a layer whose sums mean ``sum * factor`` in the float graph.

        Parameters
        ----------
        layer
            Without a threshold.
        factor
            float64 (channels,).
        dtype
            Float type of the graph.
        """
        sums = reachable_sums(layer, self.tensors[layer.inputs[0]])
        check_exact(sums, dtype, layer=layer.name)
        tensor = self.add(layer, sums)
        self.linear_count += 1
        expression = Expression(dtype)
        if (factor != 1).any():
            expression = expression.then(scale(factor, dtype))
        if (np.frexp(np.abs(factor))[0] != 0.5).any():
            self.notes[f"scale of {layer.name}"] = (
                "not a power of two: sums are exact integers here and then scaled, while a float "
                "run rounds every term"
            )
        return Signal(layer.name, channel_first(tensor.shape), expression)

    def uniform_scale(self, signal: Signal) -> float:
        """Return s where a signal means s times the value of its edge, for all channels.

        Raises
        ------
        Unsupported
            If it means anything else, such as bits 0 and 1, or a scale for each channel.
        """
        if signal.edge != INPUT and self.tensors[signal.edge].format != BIPOLAR:
            raise Unsupported(
                "reads sums that are not binarised", "put BipolarQuant between the layers"
            )
        form = self.tensors[signal.edge].format
        values = format_values(form)
        unit = 1 if form.high >= 1 else form.low or 1
        factor = float(signal.expression(np.array([[unit]])).flat[0]) / unit
        if not np.isfinite(factor) or factor == 0:
            raise Unsupported("reads a map whose values are zero or not finite")
        # Integers may be scaled by a quotient, which rounds twice; bits may not.
        tolerance = 0.0 if form == BIPOLAR else float(np.finfo(signal.expression.dtype).eps)
        for chunk in values.chunks():
            meant = signal.expression(chunk).astype(np.float64)
            if (np.abs(meant - factor * chunk) > tolerance * np.abs(factor * chunk)).any():
                raise Unsupported(
                    f"reads values that are not one scale times {form} numbers",
                    "use one scale and no offset between quantiser and layer",
                )
        return factor

    def pool(self, signal: Signal, kernel: tuple[int, int], stride: tuple[int, int]) -> Signal:
        """Append a max-pool; the maximum of a nondecreasing expression is that of the maximum."""
        self.check_whole(signal)
        tensor, sums = self.tensors[signal.edge], self.sums[signal.edge]
        if not np.array_equal(signal.index, channel_first(tensor.shape)):
            raise Unsupported("pools a map that is not in (batch, channel, y, x) order")
        if not is_nondecreasing(signal.expression, sums, tensor.channels):
            raise Unsupported(
                "pools values that fall where their sum rises",
                "move MaxPool behind BipolarQuant, or make gamma positive",
            )
        name = self._free_name(f"pool{max(self.linear_count - 1, 0)}")
        pooled = self.add(MaxPool(name, (signal.edge,), kernel, stride), sums)
        return Signal(name, channel_first(pooled.shape), signal.expression)

    def binarise(self, signal: Signal) -> Signal:
        """Take the sign of a signal, sign(0) being +1; the result is +1 and -1."""
        if self.is_real(signal):
            if signal.padded:
                raise Unsupported("quantises a padded input", "move Pad behind the quantiser")
            note = describe_crossings(signal.expression, self.shape[-1], self.variable)
            self.quantise_input(BIPOLAR, note)
            return Signal(INPUT, signal.index, Expression(self.dtype))
        self.check_whole(signal)
        plain = signal.then(Expression(signal.expression.dtype))
        threshold = fold(
            signal.expression,
            self.sums[signal.edge],
            self.channels(signal.edge),
            layer=signal.edge,
        )
        if isinstance(self.tensors[signal.edge].format, Bipolar):
            if (threshold.direction != 1).any():
                raise Unsupported(
                    "inverts bits or makes them constant", "remove it, and adapt the weights"
                )
            return plain
        name = self._free_name(f"sign{len(self.layers)}")
        self.add(Binarize(name, (signal.edge,), threshold), format_values(BIPOLAR))
        return Signal(name, signal.index, plain.expression)

    def reaches_zero(self, signal: Signal) -> bool:
        """Return whether a signal can be exactly 0."""
        if self.is_real(signal):
            _, values = crossings(signal.expression, self.shape[-1])
            return bool((signal.expression(values[None, :]) == 0).any())
        return any(
            bool((signal.expression(chunk) == 0).any()) for chunk in self.sums[signal.edge].chunks()
        )

    def argmax(self, signal: Signal, ties: Literal["first", "last"] = "first") -> Signal:
        """Append the head: the index of the greatest element, the first or last of equal ones."""
        self.check_whole(signal)
        tensor = self.tensors[signal.edge]
        if signal.index.size != tensor.size or (np.diff(signal.index.reshape(-1)) != 1).any():
            raise Unsupported(
                "compares scores that are a part of the layer before it, or in another order",
                "compare all outputs of the last layer as they are",
            )
        if not is_order_preserving(
            signal.expression, self.sums[signal.edge], self.channels(signal.edge)
        ):
            raise Unsupported(
                "compares scores that are not ordered as the integer sums are",
                "scale and shift all classes alike, by a scale above zero",
            )
        if signal.expression.steps:
            text = signal.expression.text("sum")
            self.notes["head"] = (
                f"scores are {text}, the same increasing function for every class (tried on every "
                "reachable sum), so the class is that of the greatest sum"
            )
        self.head = self._free_name("class")
        indices = ReachableSums(np.zeros(1, np.int64), np.arange(tensor.size))
        self.add(Argmax(self.head, (signal.edge,), ties), indices)
        return Signal(self.head, np.zeros((1, 1), np.int64), Expression(np.dtype(np.int64)))

    def _free_name(self, name: str) -> str:
        taken = {layer.name for layer in self.layers}
        names = (name, *(f"{name}_{k}" for k in range(2, len(taken) + 3)))
        return next(candidate for candidate in names if candidate not in taken)

    # -------------------------------------------------------------------------- the end

    def finish(self, signal: Signal, name: str) -> Network:
        """Return the network whose output is that signal; scores get an argmax."""
        self.check_whole(signal)
        tensor = self.tensors[signal.edge]
        if signal.edge == INPUT:
            raise Unsupported(
                "gives the graph's input: there are no layers", "export the whole network"
            )
        if isinstance(tensor.format, Bipolar):
            if not is_order_preserving(signal.expression, self.sums[signal.edge], tensor.channels):
                raise Unsupported(
                    "gives bits that are inverted or scaled by channel",
                    "end the graph in BipolarQuant",
                )
        elif signal.edge != self.head:
            if signal.index.size == max(signal.index.shape, default=1) > 1:
                self.argmax(signal)
                self.notes["class"] = "the index of the greatest score, the first of equal ones"
            elif signal.expression.steps:
                raise Unsupported(
                    "gives a map of scores that are more than integer sums",
                    "end the graph in Conv, in bits or in a vector of scores",
                )
        return Network(
            name=name,
            input=self.tensors[INPUT],
            layers=fuse_thresholds(self.layers),
            notes=self.notes,
        )
