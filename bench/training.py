"""Training: what the recipes cost and what they reach; writes docs/training.md and its pictures.

    python bench/training.py [--part mst|subbit|groupnet|all]

Every run is kept in build/training/ by its recipe, so that a second call draws the tables alone.
Two runs go on at a time, one thread each. Sections of parts that are not asked for stay as they
are.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bnn2hw.model import Network, load, save

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "build" / "training"
PAGE = ROOT / "docs" / "training.md"
IMAGES = ROOT / "docs" / "images"
PARTS = ("mst", "subbit", "groupnet")
PROCESSES = 2

Run = tuple[str, dict[str, Any], int]
"""Label, recipe as TOML values without its seed, and seed."""


@dataclass(frozen=True)
class Result:
    """A run that is done.

    Attributes
    ----------
    label, recipe, seed
        Of the run.
    figures
        ``accuracy_float`` and ``accuracy_golden`` (train, validation, test; 0 to 1), ``last``,
        the last record of the history (see :class:`bnn2hw.train.loop.Trained`), ``validation``,
        the accuracy after every epoch, and ``seconds``.
    model
        The model file.
    """

    label: str
    recipe: Mapping[str, Any]
    seed: int
    figures: Mapping[str, Any]
    model: Path

    @property
    def validation(self) -> float:
        """Return the accuracy on validation images in percent."""
        return 100 * float(self.figures["accuracy_golden"]["validation"])

    @property
    def test(self) -> float:
        """Return the accuracy on test images in percent."""
        return 100 * float(self.figures["accuracy_golden"]["test"])

    def total(self, key: str) -> int:
        """Return a figure of the spanning trees (see ``tree_figures``), over all layers."""
        return sum(layer[key] for layer in self.figures["last"]["layers"])

    def network(self) -> Network:
        """Return the trained network."""
        return load(self.model)


def path_of(values: Mapping[str, Any], seed: int) -> Path:
    text = json.dumps({**values, "seed": seed}, sort_keys=True)
    return CACHE / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def run(values: dict[str, Any], seed: int) -> None:
    """Train and keep the result."""
    from bnn2hw.train.loop import train
    from bnn2hw.train.recipe import parse_recipe

    start = time.perf_counter()
    trained = train(parse_recipe({**values, "seed": seed}))
    path = path_of(values, seed)
    save(trained.network, path.with_suffix(".npz"))
    figures = {
        "accuracy_float": asdict(trained.accuracy_float),
        "accuracy_golden": asdict(trained.accuracy_golden),
        "last": trained.history[-1],
        "validation": [record["validation"] for record in trained.history],
        "seconds": time.perf_counter() - start,
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(figures, indent=1))
    part.replace(path)


def train_all(runs: list[Run]) -> None:
    """Train what is not kept yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are about to start
    todo = {path_of(values, seed): (values, seed) for _, values, seed in runs}
    todo = {path: case for path, case in todo.items() if not path.exists()}
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        waiting = [pool.submit(run, *case) for case in todo.values()]
        for count, done in enumerate(as_completed(waiting), start=1):
            done.result()
            print(f"{count} of {len(waiting)} trained", flush=True)


def results_of(runs: list[Run]) -> list[Result]:
    return [
        Result(
            label, values, seed, json.loads(path.read_text()), path.with_suffix(".npz")
        )
        for label, values, seed in runs
        for path in (path_of(values, seed),)
    ]  # fmt: skip


def write_section(part: str, text: str) -> None:
    """Put a section into the page, in place of its earlier text."""
    start, end = (f"<!-- {word} of {part} -->" for word in ("start", "end"))
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(start)
    assert rest, f"docs/training.md has no place for {part}"
    PAGE.write_text(before + start + "\n" + text.strip() + "\n" + end + rest.partition(end)[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--part", choices=(*PARTS, "all"), default="all")
    options = parser.parse_args()
    parts = PARTS if options.part == "all" else (options.part,)
    modules = {part: importlib.import_module(f"training_{part}") for part in parts}
    train_all([run for module in modules.values() for run in module.runs()])
    for part, module in modules.items():
        write_section(part, module.render(results_of(module.runs()), IMAGES))
        print(f"{PAGE.relative_to(ROOT)}: {part}")


if __name__ == "__main__":
    main()
