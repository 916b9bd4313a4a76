"""The picture of a network's kernels: the index of each against how often it occurs."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, sqrt
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..plan.kernels import Kernels
from .figure import new_figure, save_figure

__all__ = ["draw_kernels"]

_COLUMNS = 3
# kernels of more weights have more indices than a picture has points
_MOST_WEIGHTS = 10


def draw_kernels(layers: Mapping[str, Kernels], path: str | Path) -> None:
    """Write a picture of the kernels of layers, as Figure 11 of the sub-bit supplement.

    The index of a kernel is the number that its bits make, the first weight (ky, kx) the lowest:
    complements stand mirrored about the middle. Shorter vectors at the end of 1x1 and dense
    layers are left out. The ending of the path chooses the format.

    Raises
    ------
    UsageError
        If no layer has kernels of up to 10 weights.
    ToolError
        If matplotlib is not installed.
    BuildError
        If the picture cannot be written.
    """
    drawn = {name: one for name, one in layers.items() if one.length <= _MOST_WEIGHTS}
    if not drawn:
        raise UsageError(f"no layer has kernels of up to {_MOST_WEIGHTS} weights to draw")
    columns = min(ceil(sqrt(len(drawn))), _COLUMNS)
    rows = -(-len(drawn) // columns)
    figure = new_figure()
    figure.set_size_inches(4.4 * columns, 2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat[len(drawn) :]:
        panel.set_visible(False)
    for panel, (name, kernels) in zip(panels.flat, drawn.items(), strict=False):
        every = 1 << kernels.length
        counts = np.bincount(kernels.whole.reshape(-1), minlength=every)
        indices = np.flatnonzero(counts)
        panel.vlines(indices, 0, counts[indices], linewidth=0.8, color="#4c72b0")
        panel.set_xlim(-1 - every / 128, every + every / 128)
        panel.set_ylim(0, 1.05 * max(counts.max(), 1))
        panel.yaxis.get_major_locator().set_params(integer=True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_title(
            f"{name}: {kernels.distinct()} of {every} kernels, "
            f"{kernels.distinct(negation=True)} up to sign",
            fontsize=9,
        )
    figure.supxlabel("index of the kernel", fontsize=9)
    figure.supylabel("frequency", fontsize=9)
    save_figure(figure, path)
