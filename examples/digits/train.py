"""Train the bundled network on scikit-learn's digits and write it as a model file.

    python examples/digits/train.py              writes the bundled file again
    python examples/digits/train.py --validate   trains without the validation images and tells
                                                 the accuracy on them; writes nothing

Needs PyTorch and scikit-learn (the extra ``train``).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from export import differences, to_network
from float_model import SIDE, DigitsNetwork
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional

from bnn2hw import golden
from bnn2hw.model import Samples, save
from bnn2hw.networks import bundled_path

SEED = 0
EPOCHS = 100
BATCH = 64
RATE = 0.03
TEST, VALIDATION = 360, 287


@dataclass(frozen=True)
class Digits:
    """Images int32 (count, 8, 8) of pixels 0..16, and labels int64 (count,)."""

    images: NDArray[np.int32]
    labels: NDArray[np.int64]

    def split(self, count: int) -> tuple[Digits, Digits]:
        """Return (the rest, ``count`` images), stratified, the same at every call."""
        parts = train_test_split(
            np.arange(len(self.labels)), test_size=count, random_state=SEED, stratify=self.labels
        )
        rest, taken = (Digits(self.images[part], self.labels[part]) for part in parts)
        return rest, taken


def digits() -> Digits:
    """Return all 1797 images of scikit-learn's digits."""
    data = load_digits()
    return Digits(data.images.astype(np.int32), data.target.astype(np.int64))


def train(data: Digits, epochs: int) -> DigitsNetwork:
    """Return a network trained on the data: same data, same weights (on one kind of machine)."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    chance = torch.Generator().manual_seed(SEED)
    images = torch.from_numpy(data.images.astype(np.float32))
    labels = torch.from_numpy(data.labels)
    model = DigitsNetwork()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=chance).split(BATCH):
            logits = model(shifted(images[batch], chance))
            loss = functional.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            model.clip()
        schedule.step()
    return model.eval()


def shifted(images: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Return the images, each moved by -1, 0 or +1 pixels along both axes."""
    padded = functional.pad(images, (1, 1, 1, 1))
    count = len(images)
    rows, columns = (
        torch.randint(0, 3, (count, 1), generator=chance) + torch.arange(SIDE) for _ in range(2)
    )
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def float_accuracy(model: DigitsNetwork, data: Digits) -> float:
    """Return the part of the images that the float network classifies as labelled."""
    with torch.no_grad():
        sums = model(torch.from_numpy(data.images.astype(np.float32)))
    return float((sums.argmax(dim=1).numpy() == data.labels).mean())


def write(
    model: DigitsNetwork, held_out: Digits, everything: Digits, epochs: int, path: Path
) -> str:
    """Write the integers of a trained network to a model file and return the accuracy.

    Nothing is written unless they equal the float network on every image, bit for bit.
    """
    samples = Samples(held_out.images[..., None], held_out.labels)
    network = to_network(model, {}, samples)
    wrong = differences(model, network, everything.images)
    if wrong:
        raise SystemExit(f"the integers differ from the float network: {', '.join(wrong)}")
    right = round(golden.accuracy(network, samples.images, held_out.labels) * len(held_out.labels))
    count = len(held_out.labels)
    text = f"{right}/{count} held-out test images, {100 * right / count:.2f} %"
    notes = {
        "origin": "examples/digits/train.py",
        "data": "scikit-learn's digits: 1797 images of 8x8 pixels 0..16",
        "split": (
            f"test: train_test_split(arange(1797), test_size={TEST}, random_state={SEED}, "
            "stratify=labels); the samples are the test images in that order; training on the "
            "rest"
        ),
        "training": f"seed {SEED}, {epochs} epochs, torch {torch.__version__.split('+')[0]}",
        "accuracy": text,
    }
    save(to_network(model, notes, samples), path)
    return text


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=bundled_path())
    parser.add_argument("--validate", action="store_true")
    options = parser.parse_args(arguments)
    everything = digits()
    rest, held_out = everything.split(TEST)
    if options.validate:
        rest, validation = rest.split(VALIDATION)
        accuracy = float_accuracy(train(rest, options.epochs), validation)
        print(f"{100 * accuracy:.2f} % of {VALIDATION} validation images")
        return
    text = write(train(rest, options.epochs), held_out, everything, options.epochs, options.out)
    print(f"{options.out}: {text}")


if __name__ == "__main__":
    main()
