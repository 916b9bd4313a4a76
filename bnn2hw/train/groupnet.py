"""What a Group-Net is made of: the section ``groupnet`` of a recipe.

:mod:`.groupnet_network` says what the variants mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import TrainingError

__all__ = ["Block", "GroupnetRecipe"]

Variant = Literal["lbd", "gbd1", "gbd2", "gbd3", "groupnet"]
Aggregation = Literal["mean", "learned"]

_MOST_BASES = 32
_MOST_CHANNELS = 4096
_MOST_BLOCKS = 64
_MOST_STRIDE = 16
_MOST_DILATION = 64


@dataclass(frozen=True)
class Block:
    """Two 3x3 convolutions.

    Attributes
    ----------
    channels
        Outputs of both.
    stride
        Of the first one.
    dilations
        One rate a base (BPAC), or empty: all 1.
    """

    channels: int
    stride: int = 1
    dilations: tuple[int, ...] = ()


@dataclass(frozen=True)
class GroupnetRecipe:
    """How a network is decomposed into bases.

    Attributes
    ----------
    bases
        K, 1 to 32. With 1 all variants are the plain binary network.
    variant
        ``lbd``: every convolution has K weight bases on one shared input; ``gbd1``, ``gbd2``,
        ``gbd3``: a base spans one block, two, all; ``groupnet``: one, with a soft connection
        before every block but the first.
    aggregation
        Where bases meet: their ``mean``, or a sum with ``learned`` scales lambda_k.
    stem
        Channels of the first convolution, 3x3 with binary weights on the integer input.
    blocks
        See :class:`Block`.
    residual
        Whether blocks have residual streams; a plain network has none.
    beta
        Where activations of more than one bit are clipped.

    Raises
    ------
    TrainingError
        If a value is out of range or does not fit another one; it names the key.
    """

    bases: int = 3
    variant: Variant = "groupnet"
    aggregation: Aggregation = "mean"
    stem: int = 16
    blocks: tuple[Block, ...] = (Block(16), Block(32, stride=2))
    residual: bool = True
    beta: float = 2.0

    def __post_init__(self) -> None:
        _check_integer("bases", self.bases, _MOST_BASES)
        _check_integer("stem", self.stem, _MOST_CHANNELS)
        for key, names in (("variant", get_args(Variant)), ("aggregation", get_args(Aggregation))):
            if getattr(self, key) not in names:
                raise TrainingError(
                    f"groupnet.{key} is {getattr(self, key)!r}",
                    remedy=f"choose one of {', '.join(names)}",
                )
        if type(self.residual) is not bool:
            raise TrainingError(
                f"groupnet.residual is {self.residual!r}", remedy="choose true or false"
            )
        if type(self.beta) not in (int, float) or not 0 < self.beta <= 1024:
            raise TrainingError(
                f"groupnet.beta is {self.beta!r}", remedy="choose a number above 0, up to 1024"
            )
        if not 1 <= len(self.blocks) <= _MOST_BLOCKS:
            raise TrainingError(
                f"groupnet.blocks has {len(self.blocks)} blocks",
                remedy=f"give 1 to {_MOST_BLOCKS} tables with channels, stride and dilations",
            )
        for n, block in enumerate(self.blocks):
            _check_integer(f"blocks[{n}].channels", block.channels, _MOST_CHANNELS)
            _check_integer(f"blocks[{n}].stride", block.stride, _MOST_STRIDE)
            for rate in block.dilations:
                _check_integer(f"blocks[{n}].dilations", rate, _MOST_DILATION)
            if block.dilations and len(block.dilations) != self.bases:
                raise TrainingError(
                    f"groupnet.blocks[{n}].dilations has {len(block.dilations)} rates for "
                    f"{self.bases} bases",
                    remedy="give one rate a base, or none",
                )

    @property
    def span(self) -> int:
        """Return how many blocks a base spans."""
        return {"gbd2": 2, "gbd3": len(self.blocks), "lbd": len(self.blocks)}.get(self.variant, 1)


def _check_integer(key: str, value: Any, greatest: int) -> None:
    if type(value) is not int or not 1 <= value <= greatest:
        raise TrainingError(
            f"groupnet.{key} is {value!r}", remedy=f"choose an integer from 1 to {greatest}"
        )
