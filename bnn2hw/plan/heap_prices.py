"""How far each heap of a block of rows is compressed before the block is split.

What a bit costs that a heap leaves depends on what it meets below, and so does whether one more
counter pays. So for each heap of a block some prices of a bit are tried, and those kept that make
the whole block cheaper, the rest of it being as it is. Only heights of columns matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from operator import add

from .comparison_moves import comparison_moves
from .heap_moves import Moves, compression_moves
from .netlist import frame
from .targets import Target

__all__ = ["HeapKey", "HeapPrices", "halves", "turned_part"]

HeapKey = tuple[int, tuple[bool, ...]]
"""A heap of a tree: its first row's place in the block, and which of its rows differ from it."""

_Classes = dict[tuple[bool, ...], tuple[int, ...]]
"""Heights of the columns of each class, by which of its rows differ from the first."""
# Prices tried, in parts of the one to start with.
_FACTORS = (0.6, 0.8, 1.0, 1.3, 1.7)
_ROUNDS = 2
# Blocks of more classes start with what is given, and only their halves are searched.
_CLASSES = 40


@dataclass
class _Tree:
    """The heaps of a block: the price of a bit, the heights of the columns, and the moves.

    ``twice`` holds the bits of weight 2 that each row adds on its own.
    """

    prices: dict[HeapKey, float]
    twice: Sequence[int]
    heights: dict[HeapKey, tuple[int, ...]] = field(default_factory=dict)
    moves: dict[HeapKey, Moves] = field(default_factory=dict)


@dataclass
class HeapPrices:
    """Prices of a bit, chosen block by block.

    Attributes
    ----------
    target
        What counters cost.
    prices
        What a bit costs a block of so many rows, to start with.
    search
        Whether others are tried.
    """

    target: Target
    prices: Mapping[int, float]
    search: bool

    def chosen(
        self, classes: _Classes, twice: Sequence[int], place: int = 0
    ) -> dict[HeapKey, float]:
        """Return the price of a bit for each heap of the tree of a block.

        Parameters
        ----------
        classes
            The heights of each class of the whole block.
        twice
            Bits of weight 2 that each row adds on its own.
        place
            Of its first row.
        """
        tree = _Tree({}, twice)
        best = self._cost(classes, place, tree)
        start = tree.prices
        if not self.search:
            return start
        if len(classes) > _CLASSES:
            parts = self._halves(classes, place, tree)[1]
            return start | {
                key: price
                for at, part in parts
                for key, price in self.chosen(part, twice, at).items()
            }
        for _ in range(_ROUNDS):
            before = best
            for key, factor in product(start, _FACTORS):
                price = start[key] * factor
                moves = compression_moves(self.target, tree.heights[key], price)
                if moves.left == tree.moves[key].left and moves.columns == tree.moves[key].columns:
                    continue
                tried = _Tree({**tree.prices, key: price}, twice)
                cost = self._cost(classes, place, tried)
                if cost < best:
                    best, tree = cost, tried
            if best == before:
                break
        return tree.prices

    def _cost(self, classes: _Classes, place: int, tree: _Tree) -> float:
        """Return what a block costs; heaps without a price get that to start with."""
        if len(next(iter(classes))) == 1:
            (heights,) = classes.values()
            return self._comparison_cost(_added(heights, (0, tree.twice[place])))
        cost, parts = self._halves(classes, place, tree)
        return cost + sum(self._cost(part, at, tree) for at, part in parts)

    def _halves(
        self, classes: _Classes, place: int, tree: _Tree
    ) -> tuple[float, list[tuple[int, _Classes]]]:
        """Return what the heaps of a block cost, and place and classes of its halves."""
        size, cost = len(next(iter(classes))), 0.0
        start = sum(self.prices[rows] for _, rows in halves(size))
        for pattern, heights in classes.items():
            key = place, pattern
            price = tree.prices.setdefault(key, start)
            moves = compression_moves(self.target, heights, price)
            cost += moves.cost - price * sum(moves.left)
            tree.heights[key], tree.moves[key] = heights, moves
        parts = []
        for first, rows in halves(size):
            part: _Classes = {}
            for pattern in classes:
                own, _ = turned_part(pattern, first, rows)
                part[own] = _added(part.get(own, ()), tree.moves[place, pattern].left)
            parts.append((place + first, part))
        return cost, parts

    def _comparison_cost(self, heights: tuple[int, ...]) -> float:
        """Return what a comparison costs, with some level in the middle."""
        total = sum(bits << column for column, bits in enumerate(heights))
        return comparison_moves(self.target, heights, *frame(max(total // 3, 1))).cost


def _added(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Return the heights of two heaps together."""
    if len(one) < len(other):
        one, other = other, one
    return (*map(add, one, other), *one[len(other) :])


def halves(size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return first row and number of rows of the halves of a block."""
    half = (size + 1) // 2
    return (0, half), (half, size - half)


@cache
def turned_part(pattern: tuple[bool, ...], start: int, size: int) -> tuple[tuple[bool, ...], bool]:
    """Return the pattern of a part of the rows, and whether its first row is turned."""
    part = pattern[start : start + size]
    return tuple(one ^ part[0] for one in part), part[0]
