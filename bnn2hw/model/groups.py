"""Groups of parallel bases: what the layers of a decomposed network belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ModelError
from .layers import Layer

__all__ = ["BaseGroup", "check_groups"]


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
