"""Training by a recipe, up to the model file; PyTorch is loaded only when it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import TrainingError
from .model import Network, save

__all__ = ["CHECKPOINT", "TrainingResult", "train"]

CHECKPOINT = ".checkpoint.pt"
"""Stands in place of the model file's ending while a network is trained."""


@dataclass(frozen=True)
class TrainingResult:
    """A trained network that was written.

    Attributes
    ----------
    model
        The model file.
    network
        What it holds.
    accuracy
        Of test and validation images, in words.
    accuracy_float, accuracy_golden
        0 to 1 for ``train``, ``validation`` and ``test``: of the float network, and of the golden
        model on the written one.
    layers
        The figures of :func:`bnn2hw.train.loop.tree_figures`.
    """

    model: Path
    network: Network
    accuracy: str
    accuracy_float: dict[str, float]
    accuracy_golden: dict[str, float]
    layers: list[dict[str, Any]]

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return {
            "model": str(self.model),
            "network": self.network.name,
            "accuracy_float": self.accuracy_float,
            "accuracy_golden": self.accuracy_golden,
            "layers": self.layers,
        }


def train(
    recipe: str | Path,
    output: str | Path,
    *,
    settings: Sequence[str] = (),
    resume: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> TrainingResult:
    """Train a network by a recipe and write it as a model file.

    Beside ``NAME.npz`` stands ``NAME.log.jsonl``, one line an epoch, and, while training goes on,
    ``NAME.checkpoint.pt``. Nothing is written to the model file unless the integers equal the
    float network on every image; of a Group-Net, all edges that come before any rounding.

    Parameters
    ----------
    recipe
        A TOML file (see :class:`bnn2hw.train.recipe.Recipe`).
    output
        The model file.
    settings
        ``KEY=VALUE`` each, which go before the keys of the recipe.
    resume
        Whether to go on from the checkpoint of an interrupted training.
    progress
        Is told what is being done.

    Raises
    ------
    UsageError
        If a setting is not of that form.
    TrainingError
        If PyTorch is missing, the recipe makes no sense, the checkpoint is not there or is that
        of another recipe, or training diverges.
    ModelError
        If the model file cannot be written.
    """
    path = Path(output)
    if not path.parent.is_dir() or path.is_dir():
        raise TrainingError("the model file cannot be written here", file=path)
    if find_spec("torch") is None:
        raise TrainingError("training needs PyTorch", remedy="pip install 'bnn2hw[train]'")
    from .train.loop import train as run_training  # loads PyTorch
    from .train.loop import tree_figures
    from .train.recipe import read_recipe

    checkpoint = path.with_suffix(CHECKPOINT)
    try:
        trained = run_training(
            read_recipe(Path(recipe), settings),
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
            log=path.with_suffix(".log.jsonl"),
        )
    except TrainingError as error:
        raise error.located(file=recipe) from error
    save(trained.network, path)
    checkpoint.unlink(missing_ok=True)
    return TrainingResult(
        path,
        trained.network,
        trained.network.notes["accuracy"],
        asdict(trained.accuracy_float),
        asdict(trained.accuracy_golden),
        tree_figures(trained.network),
    )
