"""From the trained network to integers, and the proof that they are the same."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .. import golden
from ..errors import TrainingError
from ..model import Bipolar, Layer, Network, Samples
from .data import Dataset
from .networks import BinaryNetwork

__all__ = ["check_equal", "differences", "scores", "to_network"]

_BATCH = 512


def to_network(module: BinaryNetwork, data: Dataset, name: str) -> Network:
    """Return the network of integers that equals the float network in evaluation.

    The test images travel with it as samples.
    """
    layers: list[Layer] = []
    tensors = {"input": data.tensor}
    source = "input"
    with torch.no_grad():
        for stage in module.stages.values():
            for layer in stage.layers(source, tensors[source]):
                layers.append(layer)
                tensors[layer.name] = layer.output(*(tensors[edge] for edge in layer.inputs))
            source = layers[-1].name
    return Network(
        name,
        data.tensor,
        tuple(layers),
        classes=tuple(map(str, range(data.classes))),
        samples=Samples(data.images[data.test], data.labels[data.test]),
        groups=tuple(group for stage in module.stages.values() for group in stage.groups()),
    )


@torch.no_grad()
def scores(module: BinaryNetwork, inputs: torch.Tensor) -> NDArray[np.float32]:
    """Return the logits of images in evaluation, float32 (count, classes)."""
    assert not module.training
    return np.concatenate([module(batch).numpy() for batch in inputs.split(_BATCH)])


@torch.no_grad()
def differences(module: BinaryNetwork, network: Network, data: Dataset) -> list[str]:
    """Return where the golden model and the float network differ on a data set; [] if nowhere.

    Every edge that the stages compute exactly is compared, bit for bit, and then the classes.
    """
    assert not module.training
    wrong: dict[str, int] = {}
    exact = all(stage.exact for stage in module.stages.values())
    inputs = data.inputs()
    for start in range(0, len(inputs), _BATCH):
        part = slice(start, start + _BATCH)
        edges = module.edges(inputs[part])
        integers = golden.run(network, data.images[part], edges=[*edges, network.layers[-1].name])
        for name, edge in edges.items():
            values = (edge.permute(0, 2, 3, 1) if edge.ndim == 4 else edge).numpy()
            if isinstance(network.tensors[name].format, Bipolar):
                values = (values + 1) / 2
            wrong[name] = wrong.get(name, 0) + int((values != integers[name]).sum())
        if exact:
            classes = module(inputs[part]).numpy().argmax(axis=1)
            found = integers[network.layers[-1].name][:, 0]
            wrong["the class"] = wrong.get("the class", 0) + int((classes != found).sum())
    return [f"{count} values of {name}" for name, count in wrong.items() if count]


def check_equal(module: BinaryNetwork, network: Network, data: Dataset) -> None:
    """Check that the golden model equals the float network on every image of a data set.

    Raises
    ------
    TrainingError
        If it does not.
    """
    wrong = differences(module, network, data)
    if wrong:
        raise TrainingError(
            f"the integers differ from the float network: {', '.join(wrong)}",
            remedy="this is a fault of the export: please report it",
        )
