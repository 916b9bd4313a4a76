"""The row-class tree: columns that behave alike over a block of rows are counted once for all.

Rows go in blocks, which are split in halves down to single rows. Inside a block of r rows the
columns of one sign pattern (up to complement) form a class, a heap of bits that all r rows use; a
change of sign is an inverted heap and a constant. Each heap is compressed by counters as far as
pays, at the price of what a bit costs below; in the halves, classes that have become equal are
merged and compressed again. At a single row one heap is left, and the threshold is folded into
it: only the comparison is built. A LUT spent over r rows serves r outputs: it is MST reuse seen
from the columns.

:func:`rowtree_netlist` plans for a target (see :mod:`.targets`); the netlist's ``luts`` are those
that synthesis counts there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..model.formats import Tensor
from ..model.layers import LinearLayer
from .bit_form import bit_form
from .class_moves import moved_columns
from .comparison import add_comparison
from .counters import Kind
from .heap_cells import put
from .heap_moves import compression_moves
from .heap_prices import HeapKey, HeapPrices, halves, turned_part
from .near_rows import near_rows
from .netlist import BitOutput, Heap, Netlist, SumOutput, complement
from .readout import single_thresholds
from .row_blocks import class_codes, row_blocks
from .rows import DistinctRows, distinct_rows
from .shared_counters import shared_counters
from .targets import TARGETS, Target

__all__ = ["EFFORT", "EFFORTS", "rowtree_netlist"]

EFFORTS = (1, 2, 3)
EFFORT = 2

# Rows on which choices of near rows are compared, and weights up to which block sizes are.
_SAMPLE = 64
_COMPARED = 1 << 17
# Channels up to which prices of bits are searched for: it takes about as long as all the rest.
_SEARCHED = 256
# Factors of the prices that are tried with each block size with effort 3.
_EFFORT_FACTORS = (0.9, 1.0, 1.1, 1.25)
# Weights up to which all block sizes are tried, and how much worse one may be that does not end it
# for more.
_ALL_SIZES, _WORSE = 1 << 15, 1.01
# What a level too many counts, in parts of the LUTs.
_DEEP = 1.05
# Rows that differ in a 16th or a fifth of their columns may be computed from one another, so many
# in a row after one of a block.
_NEAR = ((16, 2), (5, 2), (5, 4))
# Of a block that is too deep: factors of the prices, and what columns cost that wait for carries.
# First of the prices searched for, on the rows that are too deep; then of those to start with.
_SEARCHED_TRIES = (
    (1.0, 0.0), (1.0, 0.2), (1.0, 0.4), (0.97, 0.0), (1.03, 0.0), (0.97, 0.2), (1.03, 0.2),
    (0.93, 0.0), (1.07, 0.0), (0.93, 0.4), (1.07, 0.4),
)  # fmt: skip
_START_TRIES = (
    (1.0, 0.0), (1.0, 0.2), (1.0, 0.4), (1.15, 0.0), (0.85, 0.0), (1.3, 0.0), (0.7, 0.0),
    (1.6, 0.0), (0.5, 0.0),
)  # fmt: skip
# How much larger than the first try another one may be that is taken at once.
_ENOUGH = 1.004

_Block = tuple[int, float]
"""Rows of a block, and a factor of the prices to start with."""
_Near = tuple[int, int] | None
"""Part of the columns in which a near row may differ, and edges in a row; None for no near rows."""
_Classes = list[tuple[tuple[bool, ...], Heap]]
"""For each class whether a row differs from the block's first one, and its heap."""


def rowtree_netlist(
    layer: LinearLayer, source: Tensor, target: str = "lut6", effort: int = EFFORT
) -> Netlist:
    """Return the netlist of a layer, the best of a few block sizes.

    Parameters
    ----------
    layer, source
        The layer, and the shape and format of its input.
    target
        One of :data:`.targets.TARGETS`: what counters there are and what they cost.
    effort
        1: blocks are of one size, and prices are not searched for. 2: prices are for layers of up
        to 256 channels, and those of up to 2**17 weights are planned with smaller and smaller
        blocks, as long as that takes little more. 3: both for all layers, with more trials, which
        takes some ten times as long.

    Raises
    ------
    PlanError
        If the layer cannot be planned.
    """
    device = TARGETS[target]

    def planned(
        block: _Block, near: _Near, search: bool, most: int | None = None, thorough: bool = False
    ) -> Netlist:
        return _Planner(layer, source, device, block, near, search, thorough).build(most)

    def cost(netlist: Netlist) -> float:
        return netlist.luts * _DEEP ** (max([*netlist.levels, most]) - most)

    def sampled(block: _Block, near: _Near) -> float:
        return cost(planned(block, near, False, _SAMPLE))

    most = _most_levels(layer, source, device)
    near, *others = _near_choices(layer, source)
    if others:
        near = min(near, *others, key=lambda near: sampled(device.blocks[0], near))
    weights = layer.channels * layer.patch_size()
    whole = effort > 2 or (effort == 2 and weights <= _COMPARED)
    if not whole:
        return planned(device.blocks[0], near, effort == 2 and layer.channels <= _SEARCHED)
    best: Netlist | None = None
    for size, price in device.blocks:
        found = planned((size, price), near, True)
        for factor in _EFFORT_FACTORS if effort > 2 else ():
            more = planned((size, price * factor), near, True, thorough=True)
            found = min(found, more, key=cost)
        if best is None or cost(found) < cost(best):
            best = found
        elif weights > _ALL_SIZES and cost(found) > _WORSE * cost(best):
            break
    assert best is not None
    return best


def _most_levels(layer: LinearLayer, source: Tensor, target: Target) -> int:
    """Return the levels that an output may have."""
    weight = int(np.abs(bit_form(layer, source).matrix).sum(axis=1).max(initial=2))
    return math.ceil(target.levels * math.log2(weight))


def _near_choices(layer: LinearLayer, source: Tensor) -> list[_Near]:
    """Return those of the choices for near rows that some rows are near enough for."""
    most = 0
    for rows in distinct_rows(layer, source, complement=True):
        distance = rows.distances(complement=True)
        least = distance[np.triu_indices(len(distance), 1)].min(initial=distance.size)
        most = max(most, rows.signs.shape[1] // max(int(least), 1))
    return [None, *(near for near in _NEAR if near[0] <= most)]


class _Try(NamedTuple):
    """How a block was planned: levels (no fewer than it may have), LUTs, number, and by what."""

    levels: int
    luts: int
    number: int
    prices: Mapping[HeapKey, float]
    late: float


class _Planner:
    """Builds the netlist of a layer with blocks of one size."""

    def __init__(
        self,
        layer: LinearLayer,
        source: Tensor,
        target: Target,
        block: _Block,
        near: _Near = None,
        search: bool = False,
        thorough: bool = False,
    ) -> None:
        self._near, self._thorough = near, thorough
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        self._twice: defaultdict[int, list[int]] = defaultdict(list)
        self._layer, self._source, self._target = layer, source, target
        self._size, factor = block
        self._price = {rows: price * factor for rows, price in target.prices}
        self._prices = HeapPrices(target, self._price, search)
        self._element = source.format.width
        self._forms = bit_form(layer, source)
        self._most_levels = _most_levels(layer, source, target)
        self._thresholds = single_thresholds(layer, source)
        self._netlist = Netlist(layer.patch_size() * self._element, target)
        self._outputs: list[BitOutput | SumOutput] = []

    def build(self, most: int | None = None) -> Netlist:
        """Return the netlist of all live channels, or of those of at most so many rows."""
        for rows in distinct_rows(self._layer, self._source, complement=True):
            negative = rows.signs[:most] < 0
            roots = self._roots(rows, most)
            price = self._price[self._size]
            blocks = row_blocks(negative[roots], self._size, self._target, price, self._thorough)
            blocks = [roots[block].tolist() for block in blocks]
            for block, classes in zip(blocks, self._block_classes(rows, blocks), strict=True):
                self._add_block(rows, block, classes)
        self._netlist.outputs = sorted(self._outputs, key=lambda output: output.channel)
        return self._netlist

    def _roots(self, rows: DistinctRows, most: int | None) -> NDArray[np.int64]:
        """Return the rows that are in blocks, and note the others as children of theirs."""
        distance = rows.distances(complement=True)[:most, :most]
        part, hops = self._near or (rows.signs.shape[1] + 1, 0)
        parent = near_rows(distance, rows.signs.shape[1] // part, hops)
        self._children.clear()
        self._twice.clear()
        for row in np.flatnonzero(parent >= 0).tolist():
            self._children[int(parent[row])].append(row)
        return np.flatnonzero(parent < 0)

    def _block_classes(
        self, rows: DistinctRows, blocks: Sequence[Sequence[int]]
    ) -> Iterator[_Classes]:
        """Yield the classes of each block as heaps, counters that blocks share among them."""
        negative = rows.signs < 0
        free = np.ones((len(blocks), negative.shape[1]), dtype=np.bool_)
        extra: list[dict[int, list[Heap]]] = [defaultdict(list) for _ in blocks]
        single = self._element == 1
        shares = single and len(blocks) > 1
        for shared in shared_counters(negative, blocks, self._target.shared) if shares else ():
            columns = list(shared.columns)
            literals = (2 * rows.inputs[columns] + shared.turned).tolist()
            counted = self._counted(shared.kind, literals)
            for number, signs in zip(shared.blocks, shared.rows, strict=True):
                free[number, columns] = False
                code = int(class_codes(signs[:, None], range(len(signs)))[0])
                extra[number][code].append(complement(counted) if signs[0] else counted)
                own = negative[blocks[number]][:, columns]
                for row, column in np.argwhere(own ^ signs[:, None] ^ shared.turned):
                    self._add_twice(rows, blocks[number][row], columns[column])
        for number, block in enumerate(blocks):
            codes = class_codes(negative, block)
            first = negative[block[0]].copy()
            if single:
                self._move_columns(rows, block, codes, first, free[number], extra[number])
            classes = []
            for code in sorted({*codes.tolist(), *extra[number]}):
                members = np.flatnonzero((codes == code) & free[number])
                heap = self._raw(rows.inputs[members], first[members])
                pattern = (False, *(bool(code >> k & 1) for k in range(len(block) - 1)))
                classes.append((pattern, _merged([heap, *extra[number][code]])))
            yield classes

    def _move_columns(
        self,
        rows: DistinctRows,
        block: Sequence[int],
        codes: NDArray[np.int64],
        first: NDArray[np.bool_],
        free: NDArray[np.bool_],
        extra: Mapping[int, list[Heap]],
    ) -> None:
        """Put columns in neighbouring classes: their codes change, and signs of the first row."""
        counted = np.zeros(1 << len(block) - 1, dtype=np.int64)
        for code, heaps in extra.items():
            counted[code] = len(heaps)
        own = codes.copy()
        for code, other, count, row in moved_columns(
            codes[free], counted, len(block), self._target
        ):
            columns = np.flatnonzero((own == code) & free)[:count]
            codes[columns] = other
            own[columns] = -1
            first[columns] ^= row == 0
            for column in columns.tolist():
                self._add_twice(rows, block[row], column)

    def _add_twice(self, rows: DistinctRows, row: int, column: int) -> None:
        """Let a row add twice a column, with the sign that it has there."""
        literal = 2 * int(rows.inputs[column]) + bool(rows.signs[row, column] < 0)
        self._twice[row].append(literal)

    def _counted(self, kind: Kind, literals: list[int]) -> Heap:
        """Add a counter and return what it writes."""
        columns: list[list[int]] = [[] for _ in range(kind.places[-1] + 1)]
        for place, literal in zip(kind.places, self._netlist.add(kind, literals), strict=True):
            columns[place].append(literal)
        return tuple(tuple(column) for column in columns)

    def _raw(self, inputs: NDArray[np.int32], negative: NDArray[np.bool_]) -> Heap:
        """Return the bits of input elements as a heap; a sign bit goes in inverted."""
        width, signed = self._element, self._source.format.signed
        columns = []
        for k in range(width):
            turned = negative ^ (signed and k == width - 1)
            columns.append(tuple((2 * (inputs * width + k) + turned).tolist()))
        return tuple(columns)

    def _add_block(self, rows: DistinctRows, block: list[int], classes: _Classes) -> None:
        """Add a block; where it is too deep, the smallest try that is not, else the least deep.

        The LUTs of a try are those of its cells, without inverters.
        """
        netlist = self._netlist
        shape = {pattern: tuple(map(len, heap)) for pattern, heap in classes}
        twice = [len(self._twice[row]) for row in block]
        start, outputs = netlist.mark(), len(self._outputs)
        searched = self._prices.chosen(shape, twice)
        plain = searched
        if self._prices.search:
            plain = replace(self._prices, search=False).chosen(shape, twice)
        deep: Collection[int] = ()
        found: list[_Try] = []
        tries = [(plain, try_) for try_ in _START_TRIES]
        if self._prices.search:
            tries = [*((searched, try_) for try_ in _SEARCHED_TRIES), *tries]
        for prices, (factor, late) in tries:
            if prices is plain and found and min(found).levels <= self._most_levels:
                break
            tried = _scaled(prices, factor, range(len(block)) if prices is plain else deep)
            levels = self._split(rows, block, classes, 0, tried, late)
            luts = sum(netlist.target.luts(cell.kind) for cell in netlist.cells[start[0] :])
            found.append(_Try(max(*levels, self._most_levels), luts, len(found), tried, late))
            if max(levels) <= self._most_levels and luts <= _ENOUGH * found[0].luts:
                return
            deep = deep or [row for row, one in enumerate(levels) if one > self._most_levels]
            netlist.take_back(start)
            del self._outputs[outputs:]
        best = min(found)
        self._split(rows, block, classes, 0, best.prices, best.late)

    def _split(
        self,
        rows: DistinctRows,
        block: list[int],
        classes: _Classes,
        place: int,
        prices: Mapping[HeapKey, float],
        late: float,
    ) -> list[int]:
        """Compress the classes of a block, and go on with its halves; a single row is put out.

        Returns the levels of the outputs of each row.
        """
        if len(block) == 1:
            ((_, heap),) = classes
            start = len(self._outputs)
            self._put_out(rows, block[0], _merged([heap, ((), tuple(self._twice[block[0]]))]))
            return [
                max(
                    self._netlist.levels[literal >> 1]
                    for output in self._outputs[start:]
                    for literal in self._netlist.literals(output)
                )
            ]
        classes = [
            (pattern, self._compressed(heap, prices[place, pattern], late))
            for pattern, heap in classes
        ]
        levels = []
        for start, size in halves(len(block)):
            parts: dict[tuple[bool, ...], list[Heap]] = defaultdict(list)
            for pattern, heap in classes:
                part, turned = turned_part(pattern, start, size)
                parts[part].append(complement(heap) if turned else heap)
            merged = [(pattern, _merged(heaps)) for pattern, heaps in parts.items()]
            part_rows = block[start : start + size]
            levels += self._split(rows, part_rows, merged, place + start, prices, late)
        return levels

    def _compressed(self, heap: Heap, price: float, late: float = 0.0) -> Heap:
        """Add counters to a heap as far as pays, the earliest bits first, and return the rest."""
        netlist = self._netlist
        moves = compression_moves(
            netlist.target, tuple(len(column) for column in heap), price, late
        )
        held: defaultdict[int, list[int]] = defaultdict(list)
        for column, row in enumerate(heap):
            held[column] = list(row)
        for column, kinds in enumerate(moves.columns):
            for kind in kinds:
                put(netlist, held, column, kind)
        top = max((column for column, literals in held.items() if literals), default=-1)
        return tuple(tuple(held[column]) for column in range(top + 1))

    def _put_out(self, rows: DistinctRows, row: int, heap: Heap) -> None:
        """Add the outputs of all channels that have a row or its complement."""
        form, constant = self._netlist.linear_form(heap)
        channels = rows.channels[rows.row == row].tolist()
        children = self._children[row]
        if self._thresholds is None:
            if children:
                heap = self._compressed(heap, self._price[1] * (1 + len(children)))
            self._outputs += [SumOutput(channel, heap) for channel in channels]
            self._put_out_children(rows, row, heap)
            return
        levels = {
            channel: self._level(channel, self._forms.sign(channel, form), constant)
            for channel in channels
        }
        distinct = sorted({level for level, _ in levels.values()})
        uses = len(distinct) + len(children)
        if uses > 1:
            heap = self._compressed(heap, self._price[1] * uses)
        made = {
            level: add_comparison(self._netlist, heap, level, self._most_levels)
            for level in distinct
        }
        for channel, (level, inverted) in levels.items():
            output = made[level]
            self._outputs.append(
                replace(output, channel=channel, inverted=output.inverted ^ inverted)
            )
        self._put_out_children(rows, row, heap)

    def _put_out_children(self, rows: DistinctRows, row: int, heap: Heap) -> None:
        """Add the outputs of rows that are computed from a row's heap."""
        negative = rows.signs < 0
        for child in self._children[row]:
            differs = negative[child] ^ negative[row]
            turned = 2 * np.count_nonzero(differs) > len(differs)
            columns = np.flatnonzero(differs ^ turned)
            twice = ((), *self._raw(rows.inputs[columns], negative[child, columns]))
            own = complement(heap) if turned else heap
            self._put_out(rows, child, _merged([own, twice]))

    def _level(self, channel: int, sign: int, constant: int) -> tuple[int, bool]:
        """Return a channel's threshold on a heap of value ``sign * form + constant``.

        The comparison is ``heap >= level``, inverted where the channel falls with the heap.
        """
        assert self._thresholds is not None
        direction, level = (int(part[channel]) for part in self._thresholds)
        scale, shift = self._forms.scale, int(self._forms.shift[channel])
        if direction == sign:
            return -((sign * (shift - level)) // scale) + constant, False
        return (sign * (level - shift)) // scale + constant + 1, True


def _merged(heaps: Sequence[Heap]) -> Heap:
    """Return the heap of all literals of some heaps."""
    return tuple(
        tuple(literal for column in columns for literal in column)
        for columns in zip_longest(*heaps, fillvalue=())
    )


def _scaled(
    prices: Mapping[HeapKey, float], factor: float, deep: Collection[int]
) -> Mapping[HeapKey, float]:
    """Return the prices of heaps with a factor where some of these rows use them."""
    return {
        (place, pattern): price
        * (factor if any(place <= row < place + len(pattern) for row in deep) else 1.0)
        for (place, pattern), price in prices.items()
    }
