"""Sub-bit weights: the kernels of a layer come from a subset of 2^tau kernels.

A 3x3 kernel of one input channel, or a vector of eight inputs of a 1x1 convolution or a dense
layer, is replaced by the nearest member of the layer's subset, so that an index of tau bits
stands for nine (eight) weights. The subset is learned (refinement) or chosen: at random, at a
uniform interval of the kernel's numbers, or the most frequent kernels of the layer.

Kernels are numbered by their bits, 1 for +1, element 0 at the least significant bit. Source:
"Sub-bit Neural Networks", supplement, Sections C and E and Table 5; refinement as in its authors'
public code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..model import Codebook
from ..plan.counting import VECTOR
from .binary import WeightBinariser, standardised

__all__ = [
    "SubbitRecipe",
    "SubsetBinariser",
    "frequent_codes",
    "kernels_of",
    "nearest",
    "random_codes",
    "uniform_codes",
]

# Kernels of more taps have more codes than it is sensible to draw from.
MOST_TAPS = 16
# Latent kernels are kept within +-3, as in the authors' code.
LATENT_LIMIT = 3.0

Method = Literal["refined", "random", "uniform", "frequent"]
End = Literal["first", "last"]


@dataclass(frozen=True)
class SubbitRecipe:
    """How a network becomes sub-bit.

    Attributes
    ----------
    tau
        Bits of an index of a kernel larger than 1x1, 1 to 9.
    tau_vectors
        Bits of an index of eight inputs of a 1x1 convolution or a dense layer, 1 to 8.
    method
        ``refined``: the subset is learned; ``random``: drawn once; ``uniform``: the same kernels
        in every layer, at a uniform interval of their numbers (the supplement's baseline A);
        ``frequent``: the most frequent sign kernels of the layer's weights (baseline B).
    closed
        Keep the subset closed under negation: the second half is the negated first half.
    update_every
        Steps between updates of the subset: 25 in the authors' refinement; 1 and 10 in the
        supplement's baselines B and B-10. Latent kernels start at +-1 and change when they cross
        0, so trainings of some hundred steps need 1.
    hysteresis
        A latent tap closer to zero than this leaves its bit as it was.
    plain
        Layers that stay plain binary: ``first``, ``last``, both or none.

    Raises
    ------
    TrainingError
        If a value is out of range; it names the key.
    """

    tau: int = 5
    tau_vectors: int = 5
    method: Method = "refined"
    closed: bool = False
    update_every: int = 25
    hysteresis: float = 1e-3
    plain: tuple[End, ...] = ("first", "last")

    def __post_init__(self) -> None:
        methods, ends = get_args(Method), get_args(End)
        for key, good, remedy in (
            ("tau", 1 <= self.tau <= 9, "choose 1 to 9"),
            ("tau_vectors", 1 <= self.tau_vectors <= VECTOR, f"choose 1 to {VECTOR}"),
            ("method", self.method in methods, f"choose one of {', '.join(methods)}"),
            ("update_every", self.update_every >= 1, "give at least 1"),
            ("hysteresis", 0 <= self.hysteresis < 1, "give a number from 0 to below 1"),
            ("plain", set(self.plain) <= set(ends), f"list none or some of {', '.join(ends)}"),
        ):
            if not good:
                raise TrainingError(f"key 'subbit.{key}' is {getattr(self, key)!r}", remedy=remedy)


def kernels_of(codes: Tensor, length: int) -> Tensor:
    """Return the kernels of these numbers, float +-1 (codes, length)."""
    bits = codes[:, None] >> torch.arange(length) & 1
    return (2 * bits - 1).to(torch.float32)


def codes_of(kernels: Tensor) -> Tensor:
    """Return the numbers of kernels by their signs, int64; the last axis is the kernel's."""
    bits = (kernels >= 0).to(torch.int64)
    return (bits << torch.arange(kernels.shape[-1])).sum(-1)


def nearest(vectors: Tensor, subset: Tensor) -> Tensor:
    """Return the index of the nearest member of the subset for every vector, int64.

    All members have the same norm, so the nearest has the largest inner product; of equal ones
    the lowest index is taken.

    Parameters
    ----------
    vectors
        float (..., length); a zero says that the place does not count.
    subset
        float +-1 (size, length).
    """
    return (vectors @ subset.T).argmax(-1)


def random_codes(
    count: int, space: int, generator: torch.Generator, used: Tensor | None = None
) -> Tensor:
    """Return ``count`` distinct numbers below ``space`` that are not used, int64, random."""
    order = torch.randperm(space, generator=generator)
    return order[:count] if used is None else order[~torch.isin(order, used)][:count]


def uniform_codes(count: int, space: int) -> Tensor:
    """Return 0, space / count, 2 space / count, ...: the same interval throughout."""
    return torch.arange(count) * space // count


def frequent_codes(codes: Tensor, count: int, space: int) -> Tensor:
    """Return the ``count`` most frequent numbers, ascending; of equal ones the lowest."""
    counts = torch.bincount(codes.reshape(-1), minlength=space)
    return counts.argsort(descending=True, stable=True)[:count].sort().values


class SubsetBinariser(WeightBinariser):
    """Binarises weights to the nearest kernels of a subset of 2^tau.

    The gradient passes straight through to latent weights within [-1, +1]; these are the weights
    before they are standardised, or a third of all would be stuck beyond. With refinement, every
    ``update_every``-th step the gradient of a kernel of the subset is the sum of the gradients of
    all weights that it stands for; then kernels that have become equal to an earlier one are
    replaced by unused random ones.

    Parameters
    ----------
    shape
        Of the weights: (outputs, inputs of a group, ky, kx) or (outputs, inputs).
    recipe
        See :class:`SubbitRecipe`.
    standardise
        Standardise the weights of each output channel first.

    Attributes
    ----------
    memory
        float +-1 (2^tau, or 2^(tau-1) if closed, length): the kernels in use, a buffer. With
        hysteresis they are more than the signs of the latent kernels.
    latent
        float, like ``memory``: the learned kernels, a parameter; only with refinement.

    Raises
    ------
    TrainingError
        If the subset is larger than the set of all kernels, or a kernel has more than 16 taps.
    """

    def __init__(
        self, shape: tuple[int, ...], recipe: SubbitRecipe, *, standardise: bool = True
    ) -> None:
        super().__init__()
        taps = int(np.prod(shape[2:]))
        self.shape, self.recipe, self.standardise = tuple(shape), recipe, standardise
        self.length = taps if taps > 1 else VECTOR
        key, tau = ("tau", recipe.tau) if taps > 1 else ("tau_vectors", recipe.tau_vectors)
        if self.length > MOST_TAPS:
            raise TrainingError(
                f"a sub-bit kernel has at most {MOST_TAPS} taps, this one has {self.length}",
                remedy="use smaller kernels",
            )
        if tau > self.length:
            raise TrainingError(
                f"key 'subbit.{key}' is {tau}, a kernel has {self.length} bits",
                remedy=f"choose at most {self.length}",
            )
        # With closure a number stands for a kernel and its negation, whose number is the complement
        self.space, self.learned = (1 << n - recipe.closed for n in (self.length, tau))
        self.register_buffer("seed", torch.randint(1 << 31, ()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        if recipe.method in ("uniform", "frequent"):
            codes = uniform_codes(self.learned, self.space)
        else:
            codes = random_codes(self.learned, self.space, self._generator())
        kernels = kernels_of(codes, self.length)
        self.register_buffer("memory", kernels)
        if recipe.method == "refined":
            self.latent = nn.Parameter(kernels.clone())

    def _generator(self) -> torch.Generator:
        """Return a generator that depends on the layer's seed and the step alone."""
        return torch.Generator().manual_seed(int(self.seed) + int(self.steps))

    def subset(self, kernels: Tensor | None = None) -> Tensor:
        """Return float (2^tau, length): the kernels, and their negations if closed."""
        half = self.memory if kernels is None else kernels
        return torch.cat([half, -half]) if self.recipe.closed else half

    def vectors(self, weight: Tensor) -> Tensor:
        """Return the weights as kernels, (outputs, kernels of an output, length).

        Their gradient goes to the latent weights within [-1, +1]. A vector of inputs that ends
        beyond the last one is filled up with zeros.
        """
        latent = standardised(weight) if self.standardise else weight
        flat = torch.where(weight.abs() <= 1, latent, latent.detach()).flatten(1)
        return nn.functional.pad(flat, (0, -flat.shape[1] % self.length)).unflatten(
            1, (-1, self.length)
        )

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weights as +-1, of the same shape."""
        vectors = self.vectors(weight)
        updates = self.training and (int(self.steps) + 1) % self.recipe.update_every == 0
        if self.training and self.recipe.method == "frequent" and (updates or not self.steps):
            self._count(vectors)
        indices = nearest(vectors.detach(), self.subset())
        # Each difference is an exact zero: only its gradient counts.
        binary = self.subset()[indices] + (vectors - vectors.detach())
        if self.recipe.method == "refined" and updates:
            kernels = self.subset(self.latent)[indices]
            binary = binary + (kernels - kernels.detach())
        return binary.flatten(1)[:, : weight[0].numel()].reshape(weight.shape)

    @torch.no_grad()
    def _count(self, vectors: Tensor) -> None:
        codes = self._canonical(codes_of(vectors))
        chosen = frequent_codes(codes, self.learned, self.space)
        self.memory.copy_(kernels_of(chosen, self.length))

    def _canonical(self, codes: Tensor) -> Tensor:
        """Return the lesser number of a kernel and its negation if closed."""
        last = (1 << self.length) - 1
        return torch.minimum(codes, last - codes) if self.recipe.closed else codes

    @torch.no_grad()
    def after_step(self) -> None:
        """Take over the latent kernels after the optimiser's step.

        Latent kernels are clamped to [-3, +3]; a bit follows its latent tap unless that is close
        to zero; a kernel that is equal to an earlier one is replaced by an unused random one.
        """
        self.steps += 1
        if self.recipe.method != "refined" or int(self.steps) % self.recipe.update_every:
            return
        self.latent.grad = None  # so that the optimiser leaves it alone until the next update
        self.latent.clamp_(-LATENT_LIMIT, LATENT_LIMIT)
        signs = torch.where(self.latent >= 0, 1.0, -1.0)
        sure = self.latent.abs() >= self.recipe.hysteresis
        self.memory.copy_(torch.where(sure, signs, self.memory))
        codes = self._canonical(codes_of(self.memory))
        repeated = (codes[:, None] == codes).tril(-1).any(1)
        if repeated.any():
            fresh = random_codes(int(repeated.sum()), self.space, self._generator(), codes)
            self.latent[repeated] = self.memory[repeated] = kernels_of(fresh, self.length)

    @torch.no_grad()
    def codebook(self, weight: Tensor) -> Codebook:
        """Return subset and indices of the binarised weights.

        Of a convolution kernel the indices are (outputs, inputs of a group), of vectors of
        inputs (outputs, vectors).
        """
        indices = nearest(self.vectors(weight), self.subset())
        return Codebook(
            (self.subset().numpy() > 0).astype(np.uint8), indices.numpy().astype(np.int32)
        )
