"""Sub-bit weights: nearest kernels, refinement, baselines, codebooks; and broken variants of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")

import torch

from bnn2hw.errors import TrainingError
from bnn2hw.train.binary import standardised
from bnn2hw.train.subbit import (
    SubbitRecipe,
    SubsetBinariser,
    frequent_codes,
    kernels_of,
    nearest,
    uniform_codes,
)

METHODS = ("refined", "random", "uniform", "frequent")
SHAPES = [(6, 5, 3, 3), (7, 16, 1, 1), (5, 19), (4, 3, 2, 2)]

Parts = dict[str, Any]


def binariser(
    shape: tuple[int, ...] = (6, 5, 3, 3), seed: int = 0, standardise: bool = False, **keys: Any
) -> SubsetBinariser:
    torch.manual_seed(seed)
    return SubsetBinariser(
        shape, SubbitRecipe(**{"tau": 3, "tau_vectors": 3, **keys}), standardise=standardise
    )


def weights(shape: tuple[int, ...], seed: int = 1) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).requires_grad_()


def kernels(binary: Any, length: int = 9) -> Any:
    """Return the kernels of a convolution's weights, (outputs, inputs, taps)."""
    return binary.reshape(len(binary), -1, length)


# Recipe


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tau", 0),
        ("tau", 10),
        ("tau_vectors", 0),
        ("tau_vectors", 9),
        ("method", "best"),
        ("update_every", 0),
        ("hysteresis", -0.1),
        ("hysteresis", float("nan")),
        ("plain", ("first", "middle")),
    ],
)
def test_a_value_out_of_range_names_its_key(key: str, value: object) -> None:
    with pytest.raises(TrainingError, match=rf"key 'subbit\.{key}' is .*; (choose|give|list) "):
        SubbitRecipe(**{key: value})


def test_the_ends_of_the_ranges_are_fine() -> None:
    SubbitRecipe(tau=1, tau_vectors=1, closed=True)
    SubbitRecipe(tau=9, tau_vectors=8, hysteresis=0, update_every=1, plain=())


def test_a_subset_larger_than_the_set_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"'subbit\.tau' is 5, a kernel has 4 bits"):
        binariser((4, 3, 2, 2), tau=5)


def test_a_large_kernel_is_refused() -> None:
    with pytest.raises(TrainingError, match="at most 16 taps, this one has 25"):
        binariser((4, 3, 5, 5))


# Nearest kernels


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 99))
def test_nearest_is_that_of_least_distance(tau: int, length: int, seed: int) -> None:
    size = min(1 << tau, 1 << length)
    generator = np.random.default_rng(seed)
    codes = generator.permutation(1 << length)[:size]
    subset = kernels_of(torch.from_numpy(codes), length)
    # Multiples of 1/4 are exact, and equally near members are frequent.
    vectors = torch.from_numpy(generator.integers(-4, 5, (11, length)) / 4).float()
    indices = nearest(vectors, subset)
    for vector, index in zip(vectors.tolist(), indices.tolist(), strict=True):
        distances = [
            sum((a - b) ** 2 for a, b in zip(vector, kernel, strict=True))
            for kernel in subset.tolist()
        ]
        assert index == distances.index(min(distances))


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_gives_exact_members_of_the_subset(
    shape: tuple[int, ...], method: str, closed: bool, standardise: bool
) -> None:
    module = binariser(shape, method=method, closed=closed, standardise=standardise)
    weight = weights(shape)
    binary = module(weight)
    assert binary.shape == weight.shape
    assert set(binary.unique().tolist()) <= {-1.0, 1.0}
    assert len(module.subset().unique(dim=0)) == 8
    latent = standardised(weight) if standardise else weight
    taps = 1 if len(shape) == 2 else shape[2] * shape[3]
    length = taps if taps > 1 else 8
    for row, chosen in zip(latent.flatten(1), binary.flatten(1), strict=True):
        for part, got in zip(row.split(length), chosen.split(length), strict=True):
            subset = module.subset()[:, : len(part)]
            assert (subset == got).all(1).any()
            assert torch.isclose((part * got).sum(), (subset @ part).max())


# Gradients and updates


def reference_gradient(module: SubsetBinariser, weight: Any, factor: Any) -> Any:
    """Return dL/dp of L = sum(factor * binary) with the subset's kernels as the variables."""
    variables = module.memory.clone().requires_grad_()
    subset = torch.cat([variables, -variables]) if module.recipe.closed else variables
    indices = nearest(module.vectors(weight).detach(), module.subset())
    one_hot = torch.nn.functional.one_hot(indices, len(subset)).float()
    binary = (one_hot @ subset).flatten(1)[:, : weight[0].numel()].reshape(weight.shape)
    (binary * factor).sum().backward()
    return variables.grad


def check_gradients(make: Callable[..., SubsetBinariser]) -> None:
    for shape, closed in product(SHAPES, (False, True)):
        module = make(shape, closed=closed, update_every=2)
        weight, factor = weights(shape), weights(shape, 2).detach()
        for step in (1, 2):
            weight.grad = module.latent.grad = None
            (module(weight) * factor).sum().backward()
            # Straight through where |w| <= 1; at every step.
            assert torch.equal(weight.grad, factor * (weight.abs() <= 1))
            if step == 1:
                assert module.latent.grad is None
                module.after_step()
                continue
            expected = reference_gradient(module, weight, factor)
            assert torch.allclose(module.latent.grad, expected, atol=1e-5)
            assert module.latent.grad.abs().sum() > 0


def test_the_gradient_of_a_kernel_is_the_sum_over_its_weights() -> None:
    check_gradients(binariser)


def test_evaluation_has_no_gradient_to_the_kernels() -> None:
    module = binariser(update_every=1).eval()
    module(weights((6, 5, 3, 3))).sum().backward()
    assert module.latent.grad is None


def check_hysteresis(make: Callable[..., SubsetBinariser]) -> None:
    module = make(update_every=1, hysteresis=1e-3)
    before = module.memory.clone()
    with torch.no_grad():
        module.latent[0, :4] = torch.tensor([0.0009, -0.0009, 0.0, -0.0]) * -before[0, 0]
        module.latent[1, :2] = torch.tensor([0.0011, -0.0011])
        module.latent[2, 0] = -5.0
        module.latent[3, 0] = 7.0
    module.after_step()
    assert torch.equal(module.memory[0], before[0])
    assert module.memory[1, :2].tolist() == [1, -1]
    assert module.latent[2:4, 0].tolist() == [-3, 3]
    assert module.memory[2:4, 0].tolist() == [-1, 1]


def test_hysteresis_and_clamp() -> None:
    check_hysteresis(binariser)


def test_without_hysteresis_zero_is_plus_one() -> None:
    module = binariser(update_every=1, hysteresis=0)
    with torch.no_grad():
        module.latent[0] = torch.tensor([0.0, -1, 1, -1, 1, -1, 1, -1, 1])
    module.after_step()
    assert module.memory[0].tolist() == [1, -1, 1, -1, 1, -1, 1, -1, 1]


def check_duplicates(make: Callable[..., SubsetBinariser]) -> None:
    for closed, tau in product((False, True), (3, 9)):
        module = make(update_every=1, closed=closed, tau=tau)
        with torch.no_grad():
            module.latent[2] = module.latent[0] * 0.5
            module.latent[3] = module.latent[0] * (-0.5 if closed else 0.25)
        kept = [row for row in range(len(module.memory)) if row not in (2, 3)]
        before = module.memory.clone()
        module.after_step()
        assert len(module.subset().unique(dim=0)) == 1 << tau
        assert torch.equal(module.memory[kept], before[kept])
        assert torch.equal(module.latent[[2, 3]], module.memory[[2, 3]])
        assert not torch.equal(module.memory[2], before[0])


def test_duplicates_are_replaced_by_unused_kernels() -> None:
    check_duplicates(binariser)


def check_closed(make: Callable[..., SubsetBinariser]) -> None:
    for shape, method in product(SHAPES, METHODS):
        module = make(shape, closed=True, method=method, update_every=2)
        weight = weights(shape)
        rate = torch.Generator().manual_seed(3)
        for _ in range(1, 9):
            module(weight)
            if method == "refined":
                with torch.no_grad():
                    noise = torch.randn(module.latent.shape, generator=rate)
                    module.latent.add_(noise)
            module.after_step()
            codebook = module.codebook(weight)
            assert codebook.closed
            half = len(codebook.subset) // 2
            assert (codebook.subset[:half] == 1 - codebook.subset[half:]).all()


def test_a_closed_subset_stays_closed() -> None:
    check_closed(binariser)


# Broken variants: each must fail its check.


class UpdatesAlways(SubsetBinariser):
    def forward(self, weight: Any) -> Any:
        kernels = self.subset(self.latent)[nearest(self.vectors(weight), self.subset())]
        shaped = kernels.flatten(1)[:, : weight[0].numel()].reshape(weight.shape)
        return super().forward(weight) + (shaped - shaped.detach()) / 2


class MeanGradient(SubsetBinariser):
    def subset(self, kernels: Any = None) -> Any:
        return super().subset() if kernels is None else super().subset(kernels / 2)


class UnmirroredGradient(SubsetBinariser):
    def subset(self, kernels: Any = None) -> Any:
        if kernels is None or not self.recipe.closed:
            return super().subset(kernels)
        return torch.cat([kernels, kernels])


class NoClip(SubsetBinariser):
    def forward(self, weight: Any) -> Any:
        beyond = weight - weight.clamp(-1, 1)
        return super().forward(weight) + (beyond - beyond.detach())


class Forgetful(SubsetBinariser):
    def after_step(self) -> None:
        super().after_step()
        self.memory.copy_(torch.where(self.latent >= 0, 1.0, -1.0))


class Unclamped(SubsetBinariser):
    def after_step(self) -> None:
        kept = self.latent.detach().clone()
        super().after_step()
        with torch.no_grad():
            self.latent.copy_(kept)


class KeepsDuplicates(SubsetBinariser):
    def _canonical(self, codes: Any) -> Any:
        return torch.arange(len(codes)) if codes.ndim == 1 else codes


class DuplicatesOnlyWithoutSign(SubsetBinariser):
    def _canonical(self, codes: Any) -> Any:
        return codes


class ReplacesTheFirst(SubsetBinariser):
    def after_step(self) -> None:
        self.memory.copy_(self.memory.flip(0))
        with torch.no_grad():
            self.latent.copy_(self.latent.flip(0))
        super().after_step()
        self.memory.copy_(self.memory.flip(0))
        with torch.no_grad():
            self.latent.copy_(self.latent.flip(0))


class Unmirrored(SubsetBinariser):
    def subset(self, kernels: Any = None) -> Any:
        half = super().subset(kernels)[: self.learned]
        return torch.cat([half, half.roll(1, 1)]) if self.recipe.closed else half


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (UpdatesAlways, check_gradients),
        (MeanGradient, check_gradients),
        (UnmirroredGradient, check_gradients),
        (NoClip, check_gradients),
        (Forgetful, check_hysteresis),
        (Unclamped, check_hysteresis),
        (KeepsDuplicates, check_duplicates),
        (DuplicatesOnlyWithoutSign, check_duplicates),
        (ReplacesTheFirst, check_duplicates),
        (Unmirrored, check_closed),
    ],
)
def test_a_broken_variant_is_found(
    mutant: type[SubsetBinariser], check: Callable[[Callable[..., SubsetBinariser]], None]
) -> None:
    def make(shape: tuple[int, ...] = (6, 5, 3, 3), **keys: Any) -> SubsetBinariser:
        torch.manual_seed(0)
        recipe = SubbitRecipe(**{"tau": 3, "tau_vectors": 3, **keys})
        return mutant(shape, recipe, standardise=False)

    with pytest.raises(AssertionError):
        check(make)


# Baselines


def test_uniform_kernels_are_the_same_in_every_layer() -> None:
    first, second = (binariser(seed=seed, method="uniform", tau=4) for seed in (0, 1))
    assert torch.equal(first.subset(), second.subset())
    assert uniform_codes(4, 512).tolist() == [0, 128, 256, 384]
    assert torch.equal(first.subset(), kernels_of(torch.arange(0, 512, 32), 9))


def test_random_kernels_differ_and_stay() -> None:
    first, second = (binariser(seed=seed, method="random") for seed in (0, 1))
    assert not torch.equal(first.subset(), second.subset())
    before = first.subset().clone()
    for step in range(1, 60):
        first(weights((6, 5, 3, 3), step))
        first.after_step()
    assert torch.equal(first.subset(), before)
    assert not list(first.parameters())


def test_frequent_codes_against_counting() -> None:
    codes = torch.tensor([5, 2, 5, 7, 2, 5, 0, 3])
    assert frequent_codes(codes, 4, 8).tolist() == [0, 2, 3, 5]
    assert frequent_codes(codes, 2, 8).tolist() == [2, 5]
    assert frequent_codes(codes, 8, 8).tolist() == list(range(8))


@pytest.mark.parametrize("closed", [False, True])
def test_frequent_kernels_follow_the_weights(closed: bool) -> None:
    module = binariser((32, 32, 3, 3), method="frequent", update_every=2, closed=closed)

    def expected(weight: Any) -> set[tuple[float, ...]]:
        signs = np.where(kernels(weight.detach()).numpy().reshape(-1, 9) >= 0, 1, -1)
        if closed:
            signs = signs * -signs[:, -1:]
        rows, counts = np.unique(signs, axis=0, return_counts=True)
        codes = (rows > 0) @ (1 << np.arange(9))
        chosen = rows[np.lexsort((codes, -counts))[: 4 if closed else 8]]
        return {tuple(row) for row in chosen.tolist()}

    subsets = []
    for step in range(1, 5):
        weight = weights((32, 32, 3, 3), step)
        module(weight)
        subsets.append({tuple(row) for row in module.memory.tolist()})
        if step in (1, 2, 4):
            assert subsets[-1] == expected(weight)
        else:
            assert subsets[-1] == subsets[-2]
        module.after_step()
    module.eval()
    module.steps += 1
    module(weights((32, 32, 3, 3), 9))
    assert {tuple(row) for row in module.memory.tolist()} == subsets[-1]


# Codebooks


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from([(3, 3), (2, 2), (1, 3), (1, 1), None]),
    st.integers(1, 9),
    st.integers(1, 20),
    st.integers(1, 4),
    st.booleans(),
)
def test_the_codebook_expands_to_the_weights(
    kernel: tuple[int, int] | None, outputs: int, inputs: int, tau: int, closed: bool
) -> None:
    taps = () if kernel is None else kernel
    shape = (outputs, inputs, *taps)
    tau = min(tau, 3) if kernel == (1, 3) else tau
    module = binariser(shape, tau=tau, tau_vectors=tau, closed=closed, standardise=True).eval()
    weight = weights(shape)
    codebook = module.codebook(weight)
    bits = (module(weight) > 0).numpy().astype(np.uint8)
    bits = np.moveaxis(bits, 1, -1)  # the model's order: outputs, ky, kx, inputs
    assert codebook.tau == tau
    assert codebook.closed or not closed
    assert np.array_equal(codebook.expand(bits.shape), bits)


# Resuming


def trained(steps: int, start: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the state after a training, possibly one that goes on from a state."""
    shape = (16, 8, 3, 3)
    module = binariser(shape, update_every=3, tau=4)
    weight = weights(shape)
    latent = torch.nn.ParameterDict({"weight": weight})
    optimiser = torch.optim.SGD([*latent.parameters(), *module.parameters()], 0.5, momentum=0.9)
    first = 1
    if start is not None:
        torch.manual_seed(99)
        module.load_state_dict(start["module"])
        latent.load_state_dict(start["latent"])
        optimiser.load_state_dict(start["optimiser"])
        first = start["step"] + 1
    for step in range(first, steps + 1):
        target = weights(shape, step % 5).sign()
        optimiser.zero_grad()
        (module(latent["weight"]) - target).square().mean().mul(100).backward()
        optimiser.step()
        module.after_step()
    return {
        "module": module.state_dict(),
        "latent": latent.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": steps,
    }


def test_a_resumed_training_is_the_same_bit_for_bit() -> None:
    whole = trained(40)
    stopped = trained(20)
    assert not torch.equal(stopped["module"]["memory"], whole["module"]["memory"])
    resumed = trained(40, stopped)
    assert set(resumed["module"]) == {"seed", "steps", "memory", "latent"}
    for part in ("module", "latent"):
        for key, value in whole[part].items():
            assert torch.equal(value, resumed[part][key]), key


@pytest.mark.parametrize("lost", ["seed", "steps", "memory"])
def test_each_buffer_is_needed_to_resume(lost: str) -> None:
    whole, stopped = trained(40), trained(20)
    stopped["module"][lost] = torch.ones_like(stopped["module"][lost])
    resumed = trained(40, stopped)
    assert any(
        not torch.equal(value, resumed["module"][key]) for key, value in whole["module"].items()
    )
