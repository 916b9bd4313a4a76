"""Data sets to train on: images of integers, split once and for all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import TrainingError
from ..model import BIPOLAR, Bipolar, Integer, Tensor

__all__ = ["Dataset", "load_data", "shifted"]

_ZOO = "../shared/zoo"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with their labels and a split.

    Attributes
    ----------
    name, about, split
        What it is called, what it is, and how it is split.
    images
        int32 (count, height, width, channels) in the format of ``tensor``; bits as 0 and 1.
    labels
        int64 (count,).
    tensor
        Shape and format of an image.
    train, validation, test
        int64: which images each part has. Nothing may be chosen by the test part.
    """

    name: str
    about: str
    split: str
    images: NDArray[np.int32]
    labels: NDArray[np.int64]
    tensor: Tensor
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return int(self.labels.max()) + 1

    def inputs(self) -> torch.Tensor:
        """Return the images as float32 (count, channels, height, width), bits as -1 and +1."""
        values = self.images.transpose(0, 3, 1, 2).astype(np.float32)
        if isinstance(self.tensor.format, Bipolar):
            values = 2 * values - 1
        return torch.from_numpy(np.ascontiguousarray(values))


def load_data(name: str) -> Dataset:
    """Return a data set by name.

    ``digits``: the 1797 images of scikit-learn, 8x8 pixels 0..16; the test part is that of the
    bundled network. ``mnist``: the 10000 test images of MNIST as bits, from the folder that
    BNN2HW_ZOO names.

    Raises
    ------
    TrainingError
        If it is not known, or not there.
    """
    loaders = {"digits": _digits, "mnist": _mnist}
    if name not in loaders:
        raise TrainingError(f"data {name!r} is unknown", remedy=f"use {', '.join(loaders)}")
    return loaders[name]()


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise TrainingError(
            "the data set digits needs scikit-learn", remedy="pip install 'bnn2hw[train]'"
        ) from None
    data = load_digits()
    labels = data.target.astype(np.int64)

    def split(indices: NDArray[np.int64], count: int) -> Any:
        return train_test_split(indices, test_size=count, random_state=0, stratify=labels[indices])

    rest, test = split(np.arange(len(labels)), 360)
    train, validation = split(rest, 287)
    return Dataset(
        "digits",
        "scikit-learn's digits: 1797 images of 8x8 pixels 0..16",
        "train_test_split(random_state=0, stratify=labels): 360 test images of arange(1797), then "
        "287 validation images of the rest",
        data.images.astype(np.int32)[..., None],
        labels,
        Tensor((8, 8, 1), Integer(0, 16)),
        train,
        validation,
        test,
    )


def _mnist() -> Dataset:
    path = Path(os.environ.get("BNN2HW_ZOO", _ZOO)) / "mnist_t10k_bits.npz"
    if not path.is_file():
        raise TrainingError(
            "the data set mnist is not there",
            file=path,
            remedy="set BNN2HW_ZOO to the folder that holds mnist_t10k_bits.npz",
        )
    with np.load(path) as arrays:
        packed, labels = arrays["bits"], arrays["labels"].astype(np.int64)
    bits = np.unpackbits(packed.reshape(len(labels), -1), axis=1)[:, : 28 * 28]
    order = np.random.default_rng(0).permutation(len(labels))
    return Dataset(
        "mnist",
        "the 10000 test images of MNIST as bits, pixel >= 128",
        "numpy's default_rng(0).permutation(10000): 7000 training, 1000 validation, 2000 test",
        bits.reshape(-1, 28, 28, 1).astype(np.int32),
        labels,
        Tensor((28, 28, 1), BIPOLAR),
        order[:7000],
        order[7000:8000],
        order[8000:],
    )


def shifted(images: torch.Tensor, most: int, chance: torch.Generator) -> torch.Tensor:
    """Return images (count, channels, height, width), each moved by -most to +most pixels.

    What comes in from outside has the least value of the images.
    """
    if most == 0:
        return images
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (most,) * 4, value=float(images.min()))
    rows, columns = (
        torch.randint(0, 2 * most + 1, (count, 1), generator=chance) + torch.arange(size)
        for size in (height, width)
    )
    at = torch.arange(count)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[at, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2).contiguous()
