"""The networks of the published tables as shapes, built from blocks.

Sources: ResNet (He et al., 2016), in its ImageNet form and with the 3x3 stem used for CIFAR-10;
VGG-small as in LQ-Nets. The first and the last layer are always full precision there; the 1x1
convolutions of a downsampling shortcut are in ResNet-18 and -34, and binary in ResNet-50.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from .counting import LayerShape

__all__ = ["ARCHITECTURES", "Architecture", "ArchitectureLayer", "architecture"]


@dataclass(frozen=True)
class ArchitectureLayer:
    """A layer of an architecture.

    Attributes
    ----------
    shape
        Its shape.
    stage
        Layers of one stage have outputs of one size; 0 is the stem, the last the classifier.
    binary
        Whether the source makes it binary; it keeps it full precision otherwise.
    """

    shape: LayerShape
    stage: int
    binary: bool


@dataclass(frozen=True)
class Architecture:
    """A network as shapes, in order of evaluation; ``input`` is the size of a square image."""

    name: str
    input: int
    layers: tuple[ArchitectureLayer, ...]

    @property
    def binary(self) -> tuple[LayerShape, ...]:
        """Return the shapes of the binary layers."""
        return tuple(layer.shape for layer in self.layers if layer.binary)

    @property
    def ends(self) -> tuple[LayerShape, ...]:
        """Return the shapes of the first and the last layer, which are full precision."""
        return self.layers[0].shape, self.layers[-1].shape


class _Builder:
    """Appends layers one after the other, keeping channels and size of the map."""

    def __init__(self, size: int) -> None:
        self.size, self.channels = size, 3
        self.layers: list[ArchitectureLayer] = []

    def convolution(
        self, name: str, kernel: int, outputs: int, stage: int, stride: int = 1, binary: bool = True
    ) -> None:
        """Append a convolution that reads the last map, padded to keep its size at stride 1."""
        self.shrink(stride)
        self._append(name, (kernel, self.channels, outputs, stride), stage, binary)
        self.channels = outputs

    def shortcut(self, name: str, inputs: int, stage: int, stride: int, binary: bool) -> None:
        """Append a 1x1 convolution beside those since the map of ``inputs`` channels."""
        self._append(name, (1, inputs, self.channels, stride), stage, binary)

    def shrink(self, stride: int) -> None:
        """Divide the map, rounded up, as padded convolutions and pools do."""
        self.size = -(-self.size // stride)

    def classifier(self, inputs: int, classes: int, stage: int) -> None:
        """Append the dense layer at the end."""
        self.size = 1
        self._append("fc", (1, inputs, classes, 1), stage, False)

    def _append(self, name: str, form: tuple[int, int, int, int], stage: int, binary: bool) -> None:
        kernel, inputs, outputs, stride = form
        size = (self.size, self.size)
        shape = LayerShape(name, (kernel, kernel), inputs, outputs, size, stride)
        self.layers.append(ArchitectureLayer(shape, stage, binary))


Block = Callable[[_Builder, str, int, int, int], None]


def _basic(net: _Builder, name: str, width: int, stage: int, stride: int) -> None:
    inputs = net.channels
    net.convolution(f"{name}.conv1", 3, width, stage, stride)
    net.convolution(f"{name}.conv2", 3, width, stage)
    if inputs != width or stride != 1:
        net.shortcut(f"{name}.downsample", inputs, stage, stride, binary=False)


def _bottleneck(net: _Builder, name: str, width: int, stage: int, stride: int) -> None:
    inputs = net.channels
    net.convolution(f"{name}.conv1", 1, width, stage, stride)
    net.convolution(f"{name}.conv2", 3, width, stage)
    net.convolution(f"{name}.conv3", 1, 4 * width, stage)
    if inputs != 4 * width or stride != 1:
        net.shortcut(f"{name}.downsample", inputs, stage, stride, binary=True)


def _resnet(size: int, block: Block, counts: Sequence[int], classes: int) -> _Builder:
    net = _Builder(size)
    if classes == 1000:
        net.convolution("conv1", 7, 64, 0, stride=2, binary=False)
        net.shrink(2)  # max-pool 3x3, padded
    else:
        net.convolution("conv1", 3, 64, 0, binary=False)
    for stage, count in enumerate(counts, 1):
        for k in range(count):
            stride = 2 if k == 0 and stage > 1 else 1
            block(net, f"layer{stage}.{k}", 32 << stage, stage, stride)
    net.classifier(net.channels, classes, len(counts) + 1)
    return net


def _vgg_small(size: int) -> _Builder:
    net = _Builder(size)
    net.convolution("conv1", 3, 128, 0, binary=False)
    net.convolution("conv2", 3, 128, 1)
    for stage, width in ((2, 256), (3, 512)):
        net.size //= 2  # max-pool 2x2, without padding
        net.convolution(f"conv{2 * stage - 1}", 3, width, stage)
        net.convolution(f"conv{2 * stage}", 3, width, stage)
    net.size //= 2  # max-pool 2x2, without padding
    net.classifier(net.channels * net.size**2, 10, 4)
    return net


# name: (size of the usual image, least size, builder); the least leaves a map in the last stage
_BUILDERS: dict[str, tuple[int, int, Callable[[int], _Builder]]] = {
    "resnet18": (224, 32, lambda size: _resnet(size, _basic, (2, 2, 2, 2), 1000)),
    "resnet34": (224, 32, lambda size: _resnet(size, _basic, (3, 4, 6, 3), 1000)),
    "resnet18-cifar10": (32, 8, lambda size: _resnet(size, _basic, (2, 2, 2, 2), 10)),
    "resnet50-cifar10": (32, 8, lambda size: _resnet(size, _bottleneck, (3, 4, 6, 3), 10)),
    "vgg-small": (32, 8, _vgg_small),
}
ARCHITECTURES = tuple(_BUILDERS)
"""Names of the architectures; resnet18 and resnet34 are those of ImageNet."""


def architecture(name: str, size: int | None = None) -> Architecture:
    """Return an architecture for square images of ``size``, or of its usual size.

    Raises
    ------
    UsageError
        If the name is not known, or the image is so small that a map vanishes, or beyond 8192.
    """
    if name not in _BUILDERS:
        raise UsageError(
            f"there is no network {name!r} in the tables", remedy=f"use {', '.join(ARCHITECTURES)}"
        )
    usual, least, build = _BUILDERS[name]
    size = usual if size is None else size
    if not least <= size <= 8192:
        raise UsageError(f"{name} cannot read an image of {size}", remedy=f"give {least} to 8192")
    return Architecture(name, size, tuple(build(size).layers))
