"""Plain arrays (.npz) with a description (TOML): networks of any framework.

The description tells which arrays are weights and thresholds, and in which order and convention
they are; docs/arrays.md lists its keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import Bnn2hwError, ImportFailure, ModelError
from ..model import (
    BIPOLAR,
    Affine,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Bipolar,
    ChannelArgmax,
    Format,
    Integer,
    Layer,
    LinearLayer,
    MaxPool,
    Network,
    Quantize,
    Samples,
    SumPool,
    Tensor,
    Threshold,
    Upsample,
)
from ..model.arrays import read_arrays
from ..model.limits import check_input, check_layer
from .description import Table, read_description

__all__ = ["import_arrays"]

_TOP = ("name", "input", "layers", "classes", "notes", "samples")
_COMMON = ("type", "name", "from")
_LINEAR = (*_COMMON, "weights", "layout", "encoding")
_THRESHOLD = ("threshold", "convention", "direction", "flip")
_POOL = (*_COMMON, "kernel", "stride")
_KEYS = {
    "affine": (
        *_COMMON, "quantity", "weights", "offset", "shift", "low", "high", "fraction",
    ),
    "argmax": (*_COMMON, "ties", "none"),
    "binarize": (*_COMMON, *_THRESHOLD),
    "channel_argmax": (*_COMMON, "ties"),
    "conv": (
        *_LINEAR, *_THRESHOLD, "stride", "padding", "padding_value", "dilation", "groups",
    ),
    "dense": (*_LINEAR, *_THRESHOLD, "flatten"),
    "max_pool": _POOL,
    "quantize": (*_COMMON, "levels", "direction"),
    "sum_pool": _POOL,
    "upsample": (*_COMMON, "factor"),
}  # fmt: skip
_TIES = ("first", "last")
_CONVENTIONS = ("popcount >", "popcount >=", "sum >", "sum >=")
_LIMIT = 1 << 38
_NO_POPCOUNT = "popcounts have no meaning on integer inputs and on positions padded with zero"


def import_arrays(
    path: str | Path, description_path: str | Path, *, name: str | None = None
) -> Network:
    """Return the network of an array file and its description.

    Parameters
    ----------
    path
        The ``.npz`` file.
    description_path
        The TOML file.
    name
        Name of the network; the description's own if None.

    Raises
    ------
    ImportFailure
        If a file cannot be read, the description has an unknown, missing or wrong key, or the
        arrays are not what it says; the message names file and layer.
    """
    path, description_path = Path(path), Path(description_path)
    description = read_description(description_path)
    try:
        return _Import(path, description, read_arrays(path)).network(name)
    except ImportFailure:
        raise
    except Bnn2hwError as error:
        raise ImportFailure(
            error.what, file=error.file or path, layer=error.layer, remedy=error.remedy
        ) from error


@dataclass
class _Import:
    path: Path
    description: Table
    arrays: dict[str, NDArray[Any]]
    layers: dict[str, Layer] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def network(self, name: str | None) -> Network:
        top = self.description
        top.check_keys(_TOP)
        input_ = self._input(top.table("input"))
        check_input(input_)
        self.tensors["input"] = input_
        for number, values in enumerate(top.tables("layers")):
            given = values.get("name")
            label = given if isinstance(given, str) else str(number)
            try:
                self._add(Table(values, top.path, label, "layers"), label)
            except ModelError as error:
                raise error.located(layer=label) from error
        notes = top.table("notes", {})
        return Network(
            name=name if name is not None else top.text("name"),
            input=input_,
            layers=tuple(self.layers.values()),
            classes=self._classes(),
            notes={key: notes.text(key) for key in notes.values},
            samples=self._samples(top.table("samples"), input_) if "samples" in top else None,
        )

    def array(self, table: Table, key: str, kinds: str = "iub") -> NDArray[Any]:
        """Return the array that a key names, of these kinds of data type."""
        return _array(table, key, self.arrays, self.path, kinds)

    # --------------------------------------------------------------- input and samples

    def _input(self, table: Table) -> Tensor:
        form: Format = BIPOLAR
        table.check_keys(("shape", "format", "low", "high"))
        if table.choice("format", ("bipolar", "integer")) == "integer":
            form = Integer(table.integer("low"), table.integer("high"))
        elif "low" in table or "high" in table:
            table.fail("a bipolar input has no low and high", "remove them")
        return Tensor(table.integers("shape", (1, 3)), form)

    def _classes(self) -> tuple[str, ...]:
        table = self.description
        value = table.values.get("classes", [])
        if isinstance(value, str):
            return tuple(map(str, self.array(table, "classes", "U").reshape(-1).tolist()))
        if not isinstance(value, list) or any(not isinstance(item, str) for item in value):
            table.fail("key 'classes' must be a list of names, or the name of an array of them")
        return tuple(value)

    def _samples(self, table: Table, input_: Tensor) -> Samples:
        table.check_keys(("file", "images", "packed", "encoding", "labels", "count"))
        path, arrays = self.path, self.arrays
        if "file" in table:
            path = self._sample_file(table)
            arrays = read_arrays(path)
        images = _array(table, "images", arrays, path, "iub")
        labels = _array(table, "labels", arrays, path, "iu") if "labels" in table else None
        count = table.integer("count", len(images) if images.ndim else 0)
        if images.ndim == 0 or not 0 < count <= len(images):
            table.fail(f"there are {images.shape[:1]} images, not {count}", "change 'count'")
        if labels is not None and len(np.atleast_1d(labels)) != len(images):
            table.fail(f"there are {len(images)} images and labels of shape {labels.shape}")
        images = images[:count]
        if table.flag("packed", False):
            images = _unpacked(table, images, input_.size)
        if table.choice("encoding", ("bits", "signs"), "bits") == "signs":
            images = _bits_of_signs(table, "images", images)
        if images[0].size != input_.size:
            table.fail(f"images of shape {images.shape[1:]} do not fit {input_.shape}")
        return Samples(
            images.reshape(count, *input_.shape).astype(np.int32),
            None if labels is None else labels.reshape(-1)[:count].astype(np.int64),
        )

    def _sample_file(self, table: Table) -> Path:
        name = table.text("file")
        places = [table.path.parent / name, self.path.parent / name]
        for place in places:
            if place.is_file():
                return place
        table.fail(
            f"there is no file {name!r}, neither beside the description nor beside the arrays"
        )

    # ---------------------------------------------------------------------- the layers

    def _add(self, table: Table, name: str) -> None:
        """Append what a table describes: a layer, or a layer and what it needs before it."""
        for layer in self._layers_of(table, name):
            check_layer(layer)
            sources = (self.tensors[edge] for edge in layer.inputs)
            self.tensors[layer.name] = layer.output(*sources)
            self.layers[layer.name] = layer

    def _layers_of(self, table: Table, name: str) -> list[Layer]:
        kind = table.choice("type", sorted(_KEYS))
        table.check_keys(_KEYS[kind])
        if name in self.tensors:
            table.fail("this name is used twice")
        edges = table.texts("from", [list(self.tensors)[-1]])
        for edge in edges:
            if edge not in self.tensors:
                table.fail(
                    f"key 'from' names {edge!r}, which is no layer before it",
                    f"those are {', '.join(self.tensors)}",
                )
        if kind == "affine":
            return [self.affine(table, tuple(edges))]
        if len(edges) != 1:
            table.fail(f"key 'from' must name 1 layer, not {len(edges)}", "only affine reads more")
        return _BUILDERS[kind](self, table, edges[0], self.tensors[edges[0]])

    def conv(self, table: Table, edge: str, source: Tensor) -> list[Layer]:
        """Return a convolution."""
        weights = self._weights(table, "OHWI", 4)
        padding = table.integers("padding", (1, 2, 4), (0,))
        padding = {1: padding * 4, 2: padding * 2}.get(len(padding), padding)
        value = table.integer("padding_value", 0)
        layer = BinaryConv(
            table.text("name"),
            (edge,),
            weights,
            stride=_pair(table, "stride", (1, 1)),
            padding=cast("tuple[int, int, int, int]", padding),
            padding_value=cast("Literal[-1, 0, 1]", value),
            dilation=_pair(table, "dilation", (1, 1)),
            groups=table.integer("groups", 1),
        )
        zeros = any(padding) and value == 0
        threshold = self._layer_threshold(table, weights, source, zeros)
        return [replace(layer, threshold=threshold)]

    def dense(self, table: Table, edge: str, source: Tensor) -> list[Layer]:
        """Return a dense layer."""
        weights = self._weights(table, "OI", 2)
        order = table.choice("flatten", ("HWC", "CHW"), "HWC")
        if order == "CHW" and len(source.shape) == 3 and weights.shape[1] == source.size:
            height, width, channels = source.shape
            weights = weights.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
            weights = weights.reshape(len(weights), -1)
        layer = BinaryDense(table.text("name"), (edge,), weights)
        threshold = self._layer_threshold(table, weights, source, False)
        return [replace(layer, threshold=threshold)]

    def max_pool(self, table: Table, edge: str, source: Tensor) -> list[Layer]:
        """Return a max-pool; its stride is its kernel unless it is given."""
        kernel = _pair(table, "kernel")
        return [MaxPool(table.text("name"), (edge,), kernel, _pair(table, "stride", kernel))]

    def sum_pool(self, table: Table, edge: str, source: Tensor) -> list[Layer]:
        """Return a sum pool; its stride is its kernel unless it is given."""
        kernel = _pair(table, "kernel")
        return [SumPool(table.text("name"), (edge,), kernel, _pair(table, "stride", kernel))]

    def binarize(self, table: Table, edge: str, source: Tensor) -> list[Layer]:
        """Return thresholds of their own, on the values of a stream."""
        return [
            Binarize(table.text("name"), (edge,), self._threshold(table, source.channels, None))
        ]

    def quantize(self, table: Table, edge: str, source: Tensor) -> list[Layer]:
        """Return several thresholds a channel; levels are (channels, count), or (count,)."""
        levels = np.atleast_2d(self.array(table, "levels", "iu"))
        direction = np.ones(1, np.int64)
        if "direction" in table:
            direction = self._vector(table, "direction", source.channels)
        # What is no direction stays none in eight bits.
        signs = np.clip(direction, -2, 2).astype(np.int8)
        return [Quantize(table.text("name"), (edge,), signs, levels)]

    def affine(self, table: Table, edges: tuple[str, ...]) -> Layer:
        """Return a weighted sum, of popcounts where sums of layers are to count as such."""
        weights, offset = self._integers(table, "weights", 1), self._integers(table, "offset", 0)
        if weights.ndim < 2:
            weights = np.repeat(weights, len(edges) if len(weights) == 1 else 1)[:, None]
        fits = weights.ndim == 2 and len(weights) == len(edges) and offset.ndim == 1
        if not fits or len({weights.shape[1], len(offset)} - {1}) > 1:
            table.fail(
                f"weights of shape {weights.shape} and offsets of shape {offset.shape} do not fit "
                f"{len(edges)} inputs",
                "give (inputs, channels) and (channels,), or a number for each input",
            )
        shift = table.integer("shift", 0)
        if table.choice("quantity", ("sum", "popcount"), "sum") == "popcount":
            # P = (y + N) / 2: twice the sum is exact, and one more shift halves it. It is even
            # before the shift that is asked for, so the rounding stays the same.
            sizes = np.array([self._popcount_size(table, edge) for edge in edges])[:, None]
            if int(np.abs(weights).max()) * int(sizes.sum()) >= 1 << 62:
                table.fail("weights times popcounts do not fit 63 bits", "use smaller weights")
            offset = 2 * offset + (weights * sizes).sum(axis=0)
            weights = weights * np.where(sizes > 0, 1, 2)
            shift += 1
        wide = Integer(-(1 << 31), (1 << 31) - 1)
        layer = Affine(table.text("name"), edges, weights, offset, shift, wide)
        low, high = layer.sum_bounds(*(self.tensors[edge] for edge in edges))
        form = Integer(
            table.integer("low") if "low" in table else int(low.min()) >> shift,
            table.integer("high") if "high" in table else int(high.max()) >> shift,
            table.integer("fraction", 0),
        )
        return replace(layer, format=form)

    def _integers(self, table: Table, key: str, default: int) -> NDArray[np.int64]:
        """Return integers that stand in the description, or in the array that it names."""
        value: Any
        if isinstance(table.values.get(key), str):
            value = np.atleast_1d(self.array(table, key, "iu"))
            self._check_range(table, key, value)
        else:
            value = table.integers(key, range(1, 1 << 10), (default,))
        return np.array(value, dtype=np.int64)

    def _popcount_size(self, table: Table, edge: str) -> int:
        """Return N of a layer whose sums are to count as popcounts, 0 of any other edge."""
        layer = self.layers.get(edge)
        if not isinstance(layer, LinearLayer) or layer.threshold is not None:
            return 0
        source = self.tensors[layer.inputs[0]]
        if source.format != BIPOLAR or len(layer.valid_taps(source)) > 1:
            table.fail(f"{edge!r} has no popcounts: {_NO_POPCOUNT}", "use sums")
        return int(layer.weights[0].size)

    def argmax(self, table: Table, edge: str, source: Tensor) -> list[Layer]:
        """Return the head; with ``none`` also what gives that class where no bit is 1."""
        ties = cast("Literal['first', 'last']", table.choice("ties", _TIES, "first"))
        name = table.text("name")
        if "none" not in table:
            return [Argmax(name, (edge,), ties)]
        none = table.integer("none")
        end = 0 if ties == "last" else source.size - 1
        if not isinstance(source.format, Bipolar) or len(source.shape) != 1 or none != end:
            table.fail(
                f"key 'none' is {none}",
                f"it needs bits, and with ties {ties!r} it can be {end} alone",
            )
        # The class that wins only where no other bit is 1 may as well have a bit that is 1
        # always; the layer in front keeps the bit it was trained to give.
        level = np.ones(source.size, dtype=np.int64)
        direction = np.ones(source.size, dtype=np.int8)
        direction[end] = 0
        bits = Binarize(f"{name}_bits", (edge,), Threshold(direction, level))
        return [bits, Argmax(name, (bits.name,), ties)]

    def channel_argmax(self, table: Table, edge: str, source: Tensor) -> list[Layer]:
        """Return the class of every position."""
        ties = cast("Literal['first', 'last']", table.choice("ties", _TIES, "first"))
        return [ChannelArgmax(table.text("name"), (edge,), ties)]

    def upsample(self, table: Table, edge: str, source: Tensor) -> list[Layer]:
        """Return bilinear upsampling."""
        return [Upsample(table.text("name"), (edge,), table.integer("factor"))]

    def _weights(self, table: Table, layout: str, axes: int) -> NDArray[np.uint8]:
        order = table.text("layout", layout)
        weights = self.array(table, "weights")
        if sorted(order) != sorted(layout):
            table.fail(f"key 'layout' is {order!r}", f"use the letters of {layout!r}")
        if weights.ndim != axes:
            table.fail(
                f"weights {table.text('weights')!r} have shape {weights.shape}, expected the "
                f"{axes} axes {order}"
            )
        weights = weights.transpose([order.index(axis) for axis in layout])
        if table.choice("encoding", ("bits", "signs"), "bits") == "signs":
            return _bits_of_signs(table, "weights", weights)
        if weights.size and (weights.min() < 0 or weights.max() > 1):
            table.fail(
                f"weights {table.text('weights')!r} are not bits", "is their encoding 'signs'?"
            )
        return np.ascontiguousarray(weights, dtype=np.uint8)

    def _layer_threshold(
        self, table: Table, weights: NDArray[np.uint8], source: Tensor, zeros: bool
    ) -> Threshold | None:
        """Return the threshold of a layer with weights, if it has one."""
        if "threshold" not in table:
            for key in ("convention", "direction", "flip"):
                if key in table:
                    table.fail(f"key {key!r} is given without a threshold")
            return None
        size = weights[0].size if source.format == BIPOLAR and not zeros else None
        return self._threshold(table, len(weights), size)

    def _threshold(self, table: Table, channels: int, size: int | None) -> Threshold:
        """Return a threshold on sums, or on popcounts of so many inputs."""
        level = self._vector(table, "threshold", channels)
        convention = table.choice("convention", _CONVENTIONS)
        if convention.startswith("popcount") and size is None:
            table.fail(_NO_POPCOUNT, "give thresholds on sums")
        if "direction" in table and "flip" in table:
            table.fail("keys 'direction' and 'flip' are given both", "give one of them")
        direction = np.ones(channels, dtype=np.int64)
        if "direction" in table:
            direction = self._vector(table, "direction", channels)
            if not np.isin(direction, (-1, 0, 1)).all():
                table.fail("directions are not -1, 0 and +1")
        flip = np.zeros(channels, dtype=np.int64)
        if "flip" in table:
            flip = self._vector(table, "flip", channels)
            if not np.isin(flip, (0, 1)).all():
                table.fail("flips are not 0 and 1")
        return _integer_threshold(level, direction, flip, convention, size or 0)

    def _vector(self, table: Table, key: str, channels: int) -> NDArray[np.int64]:
        array = self.array(table, key)
        if array.shape != (channels,):
            table.fail(f"{key} {table.text(key)!r} has shape {array.shape}, expected ({channels},)")
        self._check_range(table, key, array)
        return array.astype(np.int64)

    def _check_range(self, table: Table, key: str, array: NDArray[Any]) -> None:
        bits = array.dtype.kind == "b"
        if not array.size or (not bits and (array.min() < -_LIMIT or array.max() > _LIMIT)):
            table.fail(f"{key} {table.text(key)!r} is empty or leaves +-2**38")


def _integer_threshold(
    level: NDArray[np.int64],
    direction: NDArray[np.int64],
    flip: NDArray[np.int64],
    convention: str,
    size: int,
) -> Threshold:
    """Return the threshold on signed sums ``y = 2 P - N`` for a comparison in any convention."""
    quantity, comparison = convention.split()
    bound = level + direction * (comparison == ">")  # of an inclusive comparison either way
    if quantity == "popcount":
        bound = 2 * bound - size
    # Not (y >= bound) is y <= bound - 1.
    bound = np.where(flip == 1, bound - 1, bound)
    direction = np.where(flip == 1, -1, direction)
    bound = np.where(direction == 0, level != 0, bound)
    return Threshold(direction.astype(np.int8), bound.astype(np.int64))


def _array(
    table: Table, key: str, arrays: dict[str, NDArray[Any]], path: Path, kinds: str
) -> NDArray[Any]:
    name = table.text(key)
    if name not in arrays:
        raise ImportFailure(
            f"there is no array {name!r}, which key {key!r} names",
            file=path,
            layer=table.layer,
            remedy=f"it has {', '.join(sorted(arrays)) or 'none'}",
        )
    array = arrays[name]
    if array.dtype.kind not in kinds:
        wanted = "text" if kinds == "U" else "integers"
        raise ImportFailure(
            f"array {name!r} holds {array.dtype}, expected {wanted}",
            file=path,
            layer=table.layer,
        )
    return array


def _pair(table: Table, key: str, default: tuple[int, int] | None = None) -> tuple[int, int]:
    value = table.integers(key, (1, 2), default)
    return (value[0], value[-1])


def _bits_of_signs(table: Table, key: str, signs: NDArray[Any]) -> NDArray[np.uint8]:
    if not np.isin(signs, (-1, 1)).all() or signs.dtype.kind != "i":
        table.fail(f"{key} {table.text(key)!r} are not signs -1 and +1", "is the encoding 'bits'?")
    return (signs > 0).astype(np.uint8)


def _unpacked(table: Table, images: NDArray[Any], size: int) -> NDArray[np.uint8]:
    if images.dtype != np.uint8 or images[0].size != -(-size // 8):
        table.fail(
            f"packed images are {images.dtype} of shape {images.shape}, expected {-(-size // 8)} "
            "bytes (uint8) each"
        )
    return np.unpackbits(images.reshape(len(images), -1), axis=1, count=size)


_BUILDERS: dict[str, Callable[[_Import, Table, str, Tensor], list[Layer]]] = {
    "argmax": _Import.argmax,
    "binarize": _Import.binarize,
    "channel_argmax": _Import.channel_argmax,
    "conv": _Import.conv,
    "dense": _Import.dense,
    "max_pool": _Import.max_pool,
    "quantize": _Import.quantize,
    "sum_pool": _Import.sum_pool,
    "upsample": _Import.upsample,
}
