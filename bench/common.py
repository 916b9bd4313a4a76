"""What the benchmarks share: the layers they measure, and a run in a process of its own."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import load_network
from bnn2hw.frontends import import_network
from bnn2hw.model import BIPOLAR, BinaryConv, Codebook, Network, Tensor, Threshold

ROOT = Path(__file__).parents[1]
ZOO = Path(os.environ.get("BNN2HW_ZOO", ROOT.parent / "shared" / "zoo"))


def network(name: str) -> Network | None:
    """Return a network: ``digits`` is bundled, others are of the zoo; None where missing."""
    if name == "digits":
        return load_network()
    arrays = ZOO / f"{name}.npz"
    if not arrays.exists():
        return None
    return import_network(arrays, ROOT / "examples" / "zoo" / f"{name}.toml")


def measured(function: Callable[[], object]) -> tuple[object, float, float]:
    """Return a function's value, seconds, and the peak of this process and its children in GiB."""
    start = time.perf_counter()
    value = function()
    seconds = time.perf_counter() - start
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return value, seconds, peak / 2**20


def apart(script: str, *arguments: str) -> Any:
    """Run a benchmark script's own case in a fresh process; None where its network is missing."""
    done = subprocess.run(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def into_page(page: Path, marker: str, table: str) -> None:
    """Put a table into a page, behind its marker and in place of the one there."""
    pattern = re.compile(re.escape(marker) + r"\n+(\|.*\n)*\n*")
    text = page.read_text(encoding="utf-8")
    page.write_text(pattern.sub(lambda _: f"{marker}\n\n{table}\n", text), encoding="utf-8")


def random_layer(channels: int, closed: bool) -> Network:
    """Return a 3x3 layer of 32 kernels with random weights: area depends on their number alone."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(256)[: 16 if closed else 32]
    if closed:
        codes = np.concatenate([codes, 511 - codes])
    subset = (codes[:, None] >> np.arange(9) & 1).astype(np.uint8)
    book = Codebook(subset, rng.integers(0, 32, (channels, channels)).astype(np.int32))
    layer = BinaryConv(
        "conv",
        ("input",),
        book.expand((channels, 3, 3, channels)),
        Threshold(np.ones(channels, np.int8), rng.integers(-20, 20, channels)),
        codebook=book,
        padding=(1, 1, 1, 1),
        padding_value=1,
    )
    return Network("net", Tensor((14, 14, channels), BIPOLAR), (layer,))
