"""Groups of parallel bases: what the layers of a decomposed network belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from .formats import Tensor
from .layers import Layer
from .streams import Affine

__all__ = ["BaseGroup", "check_groups", "soft_connections"]


@dataclass(frozen=True)
class BaseGroup:
    """Parallel binary bases that meet in one layer (Group-Net); metadata, without a meaning.

    Attributes
    ----------
    name
        Of the group.
    bases
        For each base the names of its layers, in evaluation order.
    output
        The layer where the bases meet, part of none of them.
    """

    name: str
    bases: tuple[tuple[str, ...], ...]
    output: str


def check_groups(groups: Sequence[BaseGroup], layers: Sequence[Layer]) -> None:
    """Check that groups are well-formed.

    Raises
    ------
    ModelError
        If a name is unknown or there twice, a base is empty, bases share a layer, or a base reads
        a layer of another one.
    """
    by_name = {layer.name: layer for layer in layers}
    names: set[str] = set()
    for group in groups:
        what = f"group {group.name!r}"
        if group.name in names:
            raise ModelError(f"there are two of {what}")
        names.add(group.name)
        if not group.bases or not all(group.bases):
            raise ModelError(f"{what} has no bases, or an empty one")
        base_of: dict[str, int] = {}
        for index, base in enumerate(group.bases):
            for name in base:
                if name not in by_name:
                    raise ModelError(f"{what} names {name!r}, which is no layer")
                if name in base_of:
                    raise ModelError(f"{what} has layer {name!r} twice")
                base_of[name] = index
        if group.output not in by_name or group.output in base_of:
            raise ModelError(f"the output {group.output!r} of {what} must be a layer of no base")
        for name, index in base_of.items():
            for source in by_name[name].inputs:
                if base_of.get(source, index) != index:
                    raise ModelError(
                        f"{what} is not parallel: base {index} reads {source!r} of base "
                        f"{base_of[source]}",
                        layer=name,
                    )


def soft_connections(
    groups: Sequence[BaseGroup], layers: Sequence[Layer], tensors: Mapping[str, Tensor]
) -> dict[str, tuple[str, float]]:
    """Return the gates ``s * b_k + (1 - s) * m`` of bases, by the layer that mixes.

    Each is the last layer of the base of an earlier group that is read, b_k, and s; of several
    channels the greatest. A gate is an :class:`.Affine` of a base whose other input is the output
    of that earlier group, m.

    Raises
    ------
    ModelError
        If s or 1 - s lies outside 0 to 1, or they do not add up to 1.
    """
    of = {name: group for group in groups for base in group.bases for name in base}
    found = {}
    for layer in layers:
        if not isinstance(layer, Affine) or layer.name not in of or len(layer.inputs) != 2:
            continue
        own, *_ = sorted(layer.inputs, key=lambda name: name not in of)
        if own not in of or of[own] is of[layer.name] or of[own].output not in layer.inputs:
            continue
        scales = [
            tensors[name].format.fraction - layer.shift - layer.format.fraction
            for name in layer.inputs
        ]
        shares = np.ldexp(layer.weights.astype(np.float64), np.array(scales)[:, None])
        if shares.min() < 0 or shares.max() > 1:
            raise ModelError(
                f"mixes a base and the mean with shares from {shares.min():g} to {shares.max():g}",
                layer=layer.name,
                remedy="a gate s and 1 - s lie within 0 to 1",
            )
        # Each share was rounded on its own.
        whole = shares.sum(axis=0)
        if (np.abs(whole - 1) > np.ldexp(1.0, max(scales))).any():
            raise ModelError(
                f"mixes a base and the mean with shares that add up to {whole.max():g}",
                layer=layer.name,
                remedy="a gate s and 1 - s add up to 1",
            )
        found[layer.name] = (own, float(shares[layer.inputs.index(own)].max()))
    return found
