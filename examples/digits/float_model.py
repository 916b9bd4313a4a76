"""The float side of the bundled network: a small binary convolutional network in PyTorch.

Weights and activations are signs in the forward pass, with sign(0) = +1, and a straight-through
estimator in the backward pass. Batch norm is the ordinary one; in evaluation it is written out
as ``(x - mean) / sqrt(variance + eps) * gamma + beta``, so that the same expression, in the same
order and precision, can be evaluated in numpy when it is folded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 32
CLASSES = 10
SIDE = 8


class Sign(torch.autograd.Function):
    """Sign with sign(0) = +1; the gradient passes where the input lies in [-1, 1]."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return gradient * (x.abs() <= 1).to(gradient.dtype)


def sign(x: Tensor) -> Tensor:
    return Sign.apply(x)


class BatchNorm(nn.BatchNorm2d):
    """Ordinary batch norm; in evaluation, plain IEEE operations in a known order."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        mean, variance, gamma, beta = (
            p.detach()[:, None, None]
            for p in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        return (x - mean) / torch.sqrt(variance + self.eps) * gamma + beta


class BinaryConv(nn.Module):
    """A 3x3 convolution with weights +-1 and one padded position on each side."""

    def __init__(self, inputs: int, outputs: int, padding_value: int) -> None:
        super().__init__()
        self.padding_value = padding_value
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3).uniform_(-1, 1))

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (1, 1, 1, 1), value=float(self.padding_value))
        return functional.conv2d(padded, sign(self.weight))


class BinaryDense(nn.Module):
    """A dense layer with weights +-1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, sign(self.weight))


class DigitsNetwork(nn.Module):
    """conv1, conv2, pool, conv3, dense: 8x8 pixels 0..16 to the sums of ten classes.

    The pool stands before the sign, where gradients see more than ties; as the sign is
    monotone, its forward value is the maximum of the bits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = BinaryConv(1, CHANNELS, padding_value=0)
        self.norm1 = BatchNorm(CHANNELS)
        self.conv2 = BinaryConv(CHANNELS, CHANNELS, padding_value=0)
        self.norm2 = BatchNorm(CHANNELS)
        self.conv3 = BinaryConv(CHANNELS, CHANNELS, padding_value=-1)
        self.norm3 = BatchNorm(CHANNELS)
        self.dense = BinaryDense(CHANNELS * (SIDE // 2) ** 2, CLASSES)

    def edges(self, images: Tensor) -> dict[str, Tensor]:
        """Return the values +-1 of every hidden edge, and the sums of the classes.

        Parameters
        ----------
        images
            Pixels 0..16, shape (batch, 8, 8).
        """
        z1 = self.norm1(self.conv1(images[:, None]))
        z2 = self.norm2(self.conv2(sign(z1)))
        pooled = sign(functional.max_pool2d(z2, 2))
        z3 = self.norm3(self.conv3(pooled))
        bits3 = sign(z3)
        # (batch, y, x, channel), the order in which the hardware flattens
        flat = bits3.permute(0, 2, 3, 1).flatten(1)
        return {
            "conv1": sign(z1),
            "conv2": sign(z2),
            "pool": pooled,
            "conv3": bits3,
            "dense": self.dense(flat),
        }

    def forward(self, images: Tensor) -> Tensor:
        """Return logits: the sums of the classes, scaled to a size that softmax can learn from.

        One factor for all classes, so that the class is the argmax of the integer sums.
        """
        sums = self.edges(images)["dense"]
        return sums / self.dense.weight.shape[1] ** 0.5

    def clip(self) -> None:
        """Keep the latent weights in [-1, 1], where their gradient passes."""
        with torch.no_grad():
            for layer in (self.conv1, self.conv2, self.conv3, self.dense):
                layer.weight.clamp_(-1, 1)
