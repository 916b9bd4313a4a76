"""Training by a recipe: deterministic, resumable, and exported with a check."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .. import golden
from ..errors import TrainingError, UsageError
from ..model import Network
from ..plan.mst import ChannelForest
from .binary import Sign
from .data import Dataset, load_data, shifted
from .export import check_equal, scores, to_network
from .groupnet_stage import build_groupnet
from .mst import CenterLoss, falling_cosine
from .networks import BinaryNetwork, build
from .recipe import Recipe

__all__ = ["Accuracy", "Trained", "train", "tree_figures"]

MOMENTUM = 0.9


@dataclass(frozen=True)
class Accuracy:
    """The part of the images, 0 to 1, whose class is right, in each part of the data."""

    train: float
    validation: float
    test: float


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training gives.

    Attributes
    ----------
    network
        The network as integers, with notes and the test images as samples.
    module
        The float network, in evaluation.
    history
        One record an epoch, of JSON values: ``epoch``, ``loss`` (all of it), ``cross_entropy``,
        ``center_distance`` (the sum that lambda weighs), ``lambda``, ``validation`` accuracy
        and ``layers`` (see :func:`tree_figures`; empty for a Group-Net).
    accuracy_float, accuracy_golden
        Of the float network, and of the golden model on the exported network.
    """

    network: Network
    module: BinaryNetwork
    history: tuple[dict[str, Any], ...]
    accuracy_float: Accuracy
    accuracy_golden: Accuracy


def tree_figures(network: Network) -> list[dict[str, Any]]:
    """Return what the spanning tree of every layer costs, in the MST paper's convention.

    Returns
    -------
    list of dict
        ``layer``; ``mst``, the sum of the distances along the tree without complements; its
        ``depth``; ``params``, the weights of the root and the distances; ``bit_ops``, params
        times output positions; ``direct``, the weights of all channels.
    """
    found = []
    for layer in network.linear_layers():
        source = network.source(layer)
        # Without thresholds no channel is constant: the paper counts them all.
        tree = ChannelForest(replace(layer, threshold=None), source, complement=False).tree()
        positions = math.prod(network.tensors[layer.name].shape[:-1])
        found.append(
            {
                "layer": layer.name,
                "mst": tree.weight,
                "depth": tree.depth,
                "params": tree.total,
                "bit_ops": positions * tree.total,
                "direct": int(np.count_nonzero(layer.matrix())),
            }
        )
    return found


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Let torch give the same numbers every time: one thread, a seed, deterministic kernels."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)


class _Run:
    """A training in progress: all that a checkpoint holds."""

    def __init__(self, recipe: Recipe, data: Dataset) -> None:
        self.recipe, self.data = recipe, data
        if recipe.shift >= min(data.images.shape[1:3]):
            raise TrainingError(
                f"shift is {recipe.shift}, images are {data.images.shape[1]} by "
                f"{data.images.shape[2]}",
                remedy="move them by less than that",
            )
        self.module = (build if recipe.groupnet is None else build_groupnet)(recipe, data)
        if recipe.groupnet is None:  # what the model cannot hold is told before work starts
            to_network(self.module.eval(), data, recipe.name)
        self.losses = torch.nn.ModuleList()
        if recipe.mst is not None:
            for name, layer in self.module.binary_layers().items():
                self.losses.append(CenterLoss(layer, recipe.mst, name))
        parameters = [*self.module.parameters(), *self.losses.parameters()]
        rate, decay = recipe.learning_rate, recipe.weight_decay
        self.optimiser: torch.optim.Optimizer = (
            torch.optim.Adam(parameters, rate, weight_decay=decay)
            if recipe.optimiser == "adam"
            else torch.optim.SGD(parameters, rate, MOMENTUM, weight_decay=decay)
        )
        self.chance = torch.Generator().manual_seed(recipe.seed)
        self.history: list[dict[str, Any]] = []
        self.inputs, self.labels = data.inputs(), torch.from_numpy(data.labels)

    def epoch(self) -> dict[str, Any]:
        """Train for one epoch and return its record."""
        recipe, done = self.recipe, len(self.history)
        progress = done / recipe.epochs
        weight = 0.0 if recipe.mst is None else recipe.mst.weight_at(progress)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * falling_cosine(progress)
        for module in self.module.modules():
            if isinstance(module, Sign):
                module.progress = progress
        for center in self.losses:
            center.reassign()
        totals = np.zeros(3)
        self.module.train()
        part = torch.from_numpy(self.data.train)
        for batch in _batches(part[torch.randperm(len(part), generator=self.chance)], recipe.batch):
            totals += np.array(self._step(batch, weight)) * len(batch) / len(part)
        self.module.eval()
        # The sign of what is not a number is -1: the loss alone would not tell.
        finite = all(bool(p.isfinite().all()) for p in self.module.state_dict().values())
        if not finite:
            raise self._diverged("weights are not finite")
        figures = []
        if recipe.groupnet is None:  # its formats are chosen at the end
            figures = tree_figures(to_network(self.module, self.data, recipe.name))
        record = {
            "epoch": done + 1,
            "loss": float(totals[0]),
            "cross_entropy": float(totals[1]),
            "center_distance": float(totals[2]),
            "lambda": weight,
            "validation": self._accuracy(self.data.validation),
            "layers": figures,
        }
        self.history.append(record)
        return record

    def _step(self, batch: torch.Tensor, weight: float) -> tuple[float, float, float]:
        """Take one step and return loss, cross-entropy and the sum of center distances."""
        images = shifted(self.inputs[batch], self.recipe.shift, self.chance)
        cross_entropy = functional.cross_entropy(self.module(images), self.labels[batch])
        distance = sum((center() for center in self.losses), torch.zeros(()))
        loss = cross_entropy + weight * distance
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        for layer in self.module.binary_layers().values():
            layer.after_step()
        for center in self.losses:
            center.after_step()
        return value, float(cross_entropy.detach()), float(distance.detach())

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what} in epoch {len(self.history) + 1}: training diverges",
            remedy="lower learning_rate or the weights of the loss",
        )

    def _accuracy(self, part: np.ndarray[Any, np.dtype[np.int64]]) -> float:
        classes = scores(self.module, self.inputs[torch.from_numpy(part)]).argmax(axis=1)
        return int((classes == self.data.labels[part]).sum()) / len(part)

    def save(self, path: Path) -> None:
        """Write a checkpoint; the file is whole at any time."""
        state = {
            "recipe": self.recipe.to_json(),
            "module": self.module.state_dict(),
            "losses": self.losses.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "chance": self.chance.get_state(),
            "torch": torch.get_rng_state(),
            "history": json.dumps(self.history),
        }
        part = path.with_name(path.name + ".part")
        try:
            torch.save(state, part)
            os.replace(part, path)
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"cannot be written: {error}", file=path) from None

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Reading one runs no code from it."""
        if not path.is_file():
            raise TrainingError(
                "there is no checkpoint to resume", file=path, remedy="train without --resume"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state = torch.load(path, weights_only=True)
            same = state["recipe"] == self.recipe.to_json()
            if same:
                self._restore(state)
        except Exception:  # damaged bytes meet all kinds of errors, asserts included
            raise TrainingError(
                "is not a whole checkpoint",
                file=path,
                remedy="remove it and train without --resume",
            ) from None
        if not same:
            raise TrainingError(
                "is the checkpoint of another recipe",
                file=path,
                remedy="train with that recipe, or without --resume",
            )

    def _restore(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.losses.load_state_dict(state["losses"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.chance.set_state(state["chance"])
        torch.set_rng_state(state["torch"])
        self.history = json.loads(state["history"])

    def finish(self) -> Trained:
        """Export the network, check it on every image, and return all."""
        data, module = self.data, self.module.eval()
        for stage in module.stages.values():
            stage.settle(data)
        network = to_network(module, data, self.recipe.name)
        check_equal(module, network, data)
        parts = {"train": data.train, "validation": data.validation, "test": data.test}
        floats = Accuracy(**{name: self._accuracy(part) for name, part in parts.items()})
        integers = Accuracy(
            **{
                name: golden.accuracy(network, data.images[part], data.labels[part])
                for name, part in parts.items()
            }
        )
        count = len(data.test)
        notes = {
            "origin": "bnn2hw train",
            "data": data.about,
            "split": f"{data.split}; the samples are the test images in that order",
            "recipe": self.recipe.to_json(),
            "training": f"torch {torch.__version__.split('+')[0]}, one thread",
            "accuracy": f"{round(integers.test * count)}/{count} held-out test images, "
            f"{100 * integers.test:.2f} % (float network {100 * floats.test:.2f} %), validation "
            f"{100 * integers.validation:.2f} %",
        }
        for stage in module.stages.values():
            notes |= stage.notes()
        network = replace(network, notes=notes)
        return Trained(network, module, tuple(self.history), floats, integers)


def _batches(images: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Return images in batches; one alone, which has no variance, joins the batch before it."""
    batches = list(images.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def train(
    recipe: Recipe,
    *,
    progress: Callable[[str], None] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    log: Path | None = None,
) -> Trained:
    """Train a network: same recipe, same bits (on one kind of machine).

    Parameters
    ----------
    recipe
        All that the training depends on.
    progress
        Is told what is being done.
    checkpoint
        Where the state is kept after every epoch; removed if training diverges, else left to who
        saves the network.
    resume
        Whether to go on from there. The result is that of an uninterrupted training.
    log
        Where the history is written while training goes on, one line of JSON an epoch.

    Raises
    ------
    UsageError
        If there is nothing to resume from.
    ModelError, TrainingError
        If the recipe does not fit its data, the data or the checkpoint is missing, a checkpoint
        is in the way, the loss diverges, or the export differs from the float network.
    """
    tell = progress or (lambda text: None)
    if resume and checkpoint is None:
        raise UsageError("there is no checkpoint to resume", remedy="name one")
    if checkpoint is not None and checkpoint.exists() and not resume:
        raise TrainingError(
            "is left of an interrupted training",
            file=checkpoint,
            remedy="go on with --resume, or remove it",
        )
    data = load_data(recipe.data)
    with _deterministic(recipe.seed):
        run = _Run(recipe, data)
        if checkpoint is not None and resume:
            run.load(checkpoint)
        if log is not None:
            log.write_text("".join(map(_line, run.history)), encoding="utf-8")
        while len(run.history) < recipe.epochs:
            _one_epoch(run, tell, checkpoint, log)
        tell("integers against the float network on every image")
        return run.finish()


def _one_epoch(
    run: _Run, tell: Callable[[str], None], checkpoint: Path | None, log: Path | None
) -> None:
    try:
        record = run.epoch()
    except TrainingError:
        if checkpoint is not None:  # it would come to the same end again
            checkpoint.unlink(missing_ok=True)
        raise
    if checkpoint is not None:
        run.save(checkpoint)
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            file.write(_line(record))
    params = sum(layer["params"] for layer in record["layers"])
    tell(
        f"epoch {record['epoch']}/{run.recipe.epochs}: loss {record['loss']:.4f}, "
        f"validation {100 * record['validation']:.2f} %" + (f", params {params}" if params else "")
    )


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"
