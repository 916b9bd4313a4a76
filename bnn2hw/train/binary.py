"""Binary layers of PyTorch: sign with a choice of gradients, binary convolution and linear layer.

The forward pass is that of the hardware: signs with sign(0) = +1, weights of -1 and +1, padding
with a true -1, 0 or +1. Sums of integers are exact in float32 below 2**24.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from ..model import Codebook

__all__ = [
    "ESTIMATORS",
    "BinaryConv2d",
    "BinaryLayer",
    "BinaryLinear",
    "Sign",
    "SignBinariser",
    "WeightBinariser",
    "sign",
]

ESTIMATORS = ("clip", "bireal", "ede")
"""Gradients of the sign.

``clip`` is that of Hardtanh, 1 in [-1, 1]; ``bireal`` that of Bi-Real Net's quadratic, 2 - 2|x|
in [-1, 1]; ``ede`` the error decay estimator of IR-Net, that of k tanh(t x), which turns from
the identity to the sign while training goes on.
"""

_EDE_FIRST, _EDE_LAST = 0.1, 10.0


def _slope(x: Tensor, estimator: str, progress: float) -> Tensor:
    """Return the gradient that stands in for that of the sign."""
    if estimator == "clip":
        return (x.abs() <= 1).to(x.dtype)
    if estimator == "bireal":
        return (2 - 2 * x.abs()).clamp_min(0)
    if estimator == "ede":
        t = _EDE_FIRST * (_EDE_LAST / _EDE_FIRST) ** progress
        return max(1 / t, 1.0) * t * (1 - torch.tanh(t * x) ** 2)
    raise ValueError(f"there is no estimator {estimator!r}")


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, estimator: str, progress: float) -> Tensor:
        context.save_for_backward(x)
        context.estimator, context.progress = estimator, progress
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = context.saved_tensors
        return gradient * _slope(x, context.estimator, context.progress), None, None


def sign(x: Tensor, estimator: str = "clip", progress: float = 0.0) -> Tensor:
    """Return -1 or +1, with the gradient of an estimator; 0 gives +1.

    Parameters
    ----------
    x
        Any shape.
    estimator
        One of :data:`ESTIMATORS`.
    progress
        How far training is, 0 to 1; of use to ``ede`` alone.
    """
    return _Sign.apply(x, estimator, progress)


class Sign(nn.Module):
    """The sign as a module; who trains sets ``progress``, 0 to 1."""

    def __init__(self, estimator: str = "clip") -> None:
        super().__init__()
        self.estimator = estimator
        self.progress = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Return -1 or +1 (see :func:`sign`)."""
        return sign(x, self.estimator, self.progress)


class WeightBinariser(nn.Module):
    """How latent weights become -1 and +1; a base class.

    Attributes
    ----------
    latent_limit
        Latent weights are kept within +-this after every step; None leaves them alone.
    """

    latent_limit: float | None = None

    def forward(self, weight: Tensor) -> Tensor:
        """Return -1 and +1 of the weight's shape, with a gradient to the weight."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def codebook(self, weight: Tensor) -> Codebook | None:
        """Return the subset that the binary weights come from, or None where there is none."""
        return None

    def after_step(self) -> None:
        """Do what is due after a step of the optimiser."""


class SignBinariser(WeightBinariser):
    """The sign of latent weights, standardised first if asked to.

    Standardised weights have mean 0 and deviation 1 in every output channel, which balances the
    signs (IR-Net).
    """

    def __init__(self, standardise: bool = True, estimator: str = "clip") -> None:
        super().__init__()
        self.standardise = standardise
        self.sign = Sign(estimator)
        self.latent_limit = None if standardise else 1.0

    def forward(self, weight: Tensor) -> Tensor:
        """Return the signs."""
        return self.sign(standardised(weight) if self.standardise else weight)


def standardised(weight: Tensor) -> Tensor:
    """Return weights of mean 0 and deviation 1 in every output channel (the first axis)."""
    flat = weight.flatten(1)
    centred = flat - flat.mean(dim=1, keepdim=True)
    deviation = centred.square().mean(dim=1, keepdim=True).sqrt() + 1e-8
    return (centred / deviation).reshape(weight.shape)


class BinaryLayer(nn.Module):
    """What binary convolution and linear layer share: latent weights, signs, scales.

    Attributes
    ----------
    weight
        Latent weights, (outputs, ...).
    binariser
        What makes -1 and +1 of them.
    """

    def __init__(self, shape: tuple[int, ...], binariser: WeightBinariser | None) -> None:
        super().__init__()
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.binariser = SignBinariser() if binariser is None else binariser

    def binary_weight(self) -> Tensor:
        """Return -1 and +1 of the weight's shape, with a gradient to the latent weight."""
        return self.binariser(self.weight)

    def scale(self) -> Tensor:
        """Return the mean absolute latent weight of each output channel, without a gradient."""
        return self.weight.detach().abs().flatten(1).mean(dim=1)

    def sums(self, x: Tensor) -> Tensor:
        """Return the integer sums that the hardware computes."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def after_step(self) -> None:
        """Do what is due after a step of the optimiser."""
        self.binariser.after_step()
        if self.binariser.latent_limit is not None:
            with torch.no_grad():
                self.weight.clamp_(-self.binariser.latent_limit, self.binariser.latent_limit)


class BinaryConv2d(BinaryLayer):
    """A convolution with weights -1 and +1, a true value in the padding, and a scale a channel.

    Parameters
    ----------
    inputs, outputs
        Channels.
    kernel, stride, padding, dilation
        The same along both axes; padding counts positions on every side.
    padding_value
        -1, 0 or +1.
    groups
        As in PyTorch.
    binariser
        Signs of standardised weights if None.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        padding: int = 0,
        padding_value: Literal[-1, 0, 1] = 0,
        dilation: int = 1,
        groups: int = 1,
        binariser: WeightBinariser | None = None,
    ) -> None:
        super().__init__((outputs, inputs // groups, kernel, kernel), binariser)
        self.inputs, self.outputs, self.kernel, self.stride = inputs, outputs, kernel, stride
        self.padding, self.padding_value = padding, padding_value
        self.dilation, self.groups = dilation, groups

    def sums(self, x: Tensor) -> Tensor:
        """Return the sums, (batch, outputs, height, width)."""
        padded = functional.pad(x, (self.padding,) * 4, value=float(self.padding_value))
        return functional.conv2d(
            padded,
            self.binary_weight(),
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled sums, (batch, outputs, height, width)."""
        return self.sums(x) * self.scale()[:, None, None]


class BinaryLinear(BinaryLayer):
    """A linear layer with weights -1 and +1 and a scale an output."""

    def __init__(self, inputs: int, outputs: int, binariser: WeightBinariser | None = None) -> None:
        super().__init__((outputs, inputs), binariser)
        self.inputs, self.outputs = inputs, outputs

    def sums(self, x: Tensor) -> Tensor:
        """Return the sums, (batch, outputs)."""
        return functional.linear(x, self.binary_weight())

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled sums, (batch, outputs)."""
        return self.sums(x) * self.scale()
