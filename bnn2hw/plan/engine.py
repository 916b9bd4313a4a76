"""The sequential engine: its parameters, its schedule, and its cycles in closed form.

The engine computes a layer one output position after the other, or ``pixels`` of them at a time
(a *block*). The N inputs of a position come in *words*: in mode ``subbit`` a word holds what one
kernel index stands for (the ky*kx taps of one input channel, or 8 inputs of a 1x1 or dense
layer), in mode ``binary`` it holds ``taps`` inputs. A block is ``words * pixels`` input words, word
by word and within a word pixel by pixel; an *item* is the same word of all pixels of a block.

1. **Table.** ``kernel_units`` units evaluate the subset on the word, that many kernels a cycle,
   from sums of three elements that are made as the word comes in (:func:`.table_adders`):
   ``ceil(entries / kernel_units)`` cycles a pixel, with ``entries = 2 ** tau``, and half of them
   where the subset is closed under negation. In mode ``binary`` there is no table: the word itself
   is kept, in one cycle. Tables (or words) of an item fill one of two banks.
2. **Accumulate.** Lanes read the other bank. Output channels come in ``groups`` of ``lanes``. For
   each group the lanes' weights (an index each, or ``taps`` bits each) are fetched in memory words
   of ``word_width`` bits, and serve all pixels of the block, one a cycle: a group takes
   ``max(pixels, fetch)`` cycles with ``fetch = ceil(lanes * bits / word_width)``; the weights of
   the next group are fetched meanwhile. In each of these cycles every lane adds the table entry
   that its index selects (or the popcount of its XNORs) to its sum of that group and pixel.
3. **Output.** In the item of a block's last word the sums are complete, and each of its
   ``groups * pixels`` steps gives an output word of ``lanes`` bits or sums.

Both stages hand over without a lost cycle: the bank of item i is filled while item i - 1 is
accumulated, and the next two start together in the cycle after both are done. With T the cycles to
fill a bank and A those to accumulate an item, a steady item takes ``max(T, A)``. From the first
input word to the last output word of a stream of I items, both cycles included, there are

    fill + (I - 1) * max(T, A) + drain + 3

cycles: ``fill = T`` for the first bank, ``drain = (groups - 1) * max(pixels, fetch) + pixels`` for
the last item, one cycle to take a word, one to accumulate and one to offer the output. Blocks
follow one another without a gap; a last block that is not full takes as long as a full one.

A source that gives a word every ``interval`` cycles makes ``T = pixels * max(interval, b)`` of
``T = pixels * b``; the first bank is filled an ``interval - b`` earlier, as nothing follows its
last word. A receiver that does not take an output word stops the accumulation alone.

In mode ``delta`` (see :mod:`.engine_delta`) the steps of an item are as many as its word needs,
each with a place in it, and a block ends with a readout: ``groups * pixels`` steps of running sums,
each of which gives an output word. Items differ then, and the cycles follow from the same rules
item by item: a step starts when the bank is full, ``max(pixels, fetch)`` cycles after the one
before at the earliest; a bank is free when its item's last step (and the readout) is over. While
a word waits for its bank, the next one comes to the input.

Mode ``binary`` is the honest 1-bit baseline: the same lanes, accumulators, memories and
bandwidth, and weights as they are. What a lane is worth there is ``taps``, the XNOR products that
it counts and adds in a cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from ..errors import PlanError, UsageError
from .counting import LayerShape

__all__ = [
    "ENGINE_MODES",
    "LONGEST_INDEX",
    "MOST_LANES",
    "PIPELINE",
    "EngineParameters",
    "EngineSchedule",
    "check_mode",
    "cycles",
    "schedule",
]

ENGINE_MODES = ("subbit", "binary", "delta")
"""Ways in which the engine computes a layer."""

PIPELINE = 3
"""Cycles of a stream beside those of table and accumulation."""

LONGEST_INDEX = 9
"""Greatest tau: bits of an index of all kernels of nine weights."""

MOST_LANES = 1 << 12
"""Greatest number of lanes."""

_LIMITS = {
    "lanes": MOST_LANES,
    "kernel_units": 1 << 9,
    "tau": LONGEST_INDEX,
    "pixels": 1 << 8,
    "taps": 1 << 8,
    "word_width": 1 << 16,
    "clock": 1 << 40,
}


@dataclass(frozen=True)
class EngineParameters:
    """The parameters of an engine.

    Attributes
    ----------
    lanes
        Processing elements that accumulate: output channels under way at a time.
    kernel_units
        Kernels of the subset that are evaluated a cycle.
    tau
        Bits of an index; the subset has ``2 ** tau`` kernels.
    closed
        Whether the subset is closed under negation: half of it is evaluated, and one bit of an
        index is a sign.
    pixels
        Output positions in flight, which share the weights that are fetched.
    taps
        Products that a lane counts and adds a cycle in mode ``binary``.
    word_width
        Bits of weight memory read a cycle; None for as many as one step of the lanes takes.
    clock
        Hz; it turns cycles into seconds and nothing else.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    lanes: int = 64
    kernel_units: int = 16
    tau: int = 5
    closed: bool = False
    pixels: int = 1
    taps: int = 9
    word_width: int | None = None
    clock: int = 10**9

    def __post_init__(self) -> None:
        for name, most in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise UsageError(
                    f"an engine with {name.replace('_', ' ')} of {value} makes no sense",
                    remedy=f"give 1 to {most}",
                )

    @property
    def entries(self) -> int:
        """Return the kernels that are evaluated for a table."""
        return 1 << (self.tau - self.closed)

    @property
    def batches(self) -> int:
        """Return the cycles in which the kernel units fill the table of one pixel."""
        return -(-self.entries // self.kernel_units)

    def weight_bits(self, mode: str, groups: int = 1) -> int:
        """Return the bits of weight that a lane takes for one step; a place too in ``delta``."""
        if mode == "binary":
            return self.taps
        return self.tau + ((groups - 1).bit_length() if mode == "delta" else 0)

    def fetch(self, mode: str, groups: int = 1) -> int:
        """Return the memory words of one step: weights of all lanes, and in ``delta`` an end."""
        bits = self.lanes * self.weight_bits(mode, groups) + (mode == "delta")
        return 1 if self.word_width is None else -(-bits // self.word_width)


@dataclass(frozen=True)
class EngineSchedule:
    """How an engine walks through a layer; times are in clock cycles.

    Attributes
    ----------
    mode
        One of :data:`ENGINE_MODES`.
    lanes, pixels
        As in the parameters.
    positions
        Output positions of the stream.
    outputs
        Output channels.
    words
        Input words of a position.
    groups
        Groups of output channels.
    fetch
        Memory words of one step.
    build
        Cycles to fill the bank of an item.
    spacing
        Cycles from one item to the next that input and bank allow.
    steps
        Steps of each input word in mode ``delta``.
    """

    mode: str
    lanes: int
    pixels: int
    positions: int
    outputs: int
    words: int
    groups: int
    fetch: int
    build: int
    spacing: int
    steps: tuple[int, ...] = ()

    @property
    def blocks(self) -> int:
        """Return the blocks of the stream."""
        return -(-self.positions // self.pixels)

    @property
    def items(self) -> int:
        """Return the items of the stream."""
        return self.blocks * self.words

    @property
    def step(self) -> int:
        """Return the cycles of a group."""
        return max(self.pixels, self.fetch)

    @property
    def gap(self) -> int:
        """Return the cycles from an input word to the next at full pace."""
        return self.spacing // self.pixels

    @property
    def batches(self) -> int:
        """Return the cycles in which the table of a pixel is filled."""
        return self.build - (self.pixels - 1) * self.gap

    @property
    def accumulate(self) -> int:
        """Return the cycles that the lanes take for an item, the longest one if they differ."""
        return max(self.steps, default=self.groups) * self.step

    @property
    def period(self) -> int:
        """Return the cycles of an item in steady state."""
        return max(self.spacing, self.accumulate)

    @property
    def drain(self) -> int:
        """Return the cycles that the lanes take for the last item."""
        return (self.groups - 1) * self.step + self.pixels

    @cached_property
    def cycles(self) -> int:
        """Return the cycles from the first input word to the last output word."""
        if self.mode == "delta":
            return self._item_by_item()
        return self.build + (self.items - 1) * self.period + self.drain + PIPELINE

    def _item_by_item(self) -> int:
        """Return the cycles in mode ``delta``, where items differ."""
        # When a word was last taken, the last two banks were free, and the next step may be made.
        taken, freed, released, next_step = -1, 0, 0, 0
        for item in range(self.items):
            word = item % self.words
            start = max(taken + 1, freed)
            # The next word waits at the input while the table of this one is made.
            taken = max(taken + self.gap, start + self.batches - 1)
            last_start = start if self.pixels == 1 else taken + (self.pixels - 2) * self.gap + 1
            taken += (self.pixels - 1) * self.gap
            full = last_start + self.batches
            last = max(full, next_step) + (self.steps[word] - 1) * self.step
            readout = self.groups * self.pixels if word == self.words - 1 else 0
            freed, released = released, last + self.pixels + readout
            next_step = max(last + self.fetch, released)
        return released + PIPELINE

    @property
    def accumulations(self) -> int:
        """Return one addition an output channel and input word; mode ``delta`` may need fewer."""
        return self.positions * self.words * self.outputs

    @property
    def lower_bound(self) -> int:
        """Return the cycles that the lanes would take if all of them were always busy."""
        return -(-self.accumulations // self.lanes)

    @property
    def utilisation(self) -> float:
        """Return the part of the cycles in which a lane is busy; ``delta`` may save more than 1."""
        return self.accumulations / self.lanes / self.cycles


def check_mode(mode: str) -> None:
    """Check that there is such a mode.

    Raises
    ------
    UsageError
        If there is not.
    """
    if mode not in ENGINE_MODES:
        raise UsageError(
            f"mode {mode!r} is unknown", remedy=f"choose one of {', '.join(ENGINE_MODES)} or auto"
        )


def schedule(
    parameters: EngineParameters,
    shape: LayerShape,
    mode: str = "subbit",
    *,
    positions: int | None = None,
    interval: int = 1,
    steps: Sequence[int] = (),
) -> EngineSchedule:
    """Return the schedule of a layer.

    Parameters
    ----------
    parameters, shape
        The engine and the layer.
    mode
        One of :data:`ENGINE_MODES`.
    positions
        Output positions of the stream; those of one image if left out.
    interval
        The source gives an input word every so many cycles at most.
    steps
        In mode ``delta``, which depends on the weights: the steps of each input word.

    Raises
    ------
    UsageError
        If there is no such mode.
    PlanError
        If the engine has no schedule for the shape.
    """
    check_mode(mode)
    if shape.groups != 1:
        raise PlanError(
            f"the engine has no schedule for {shape.groups} groups of channels",
            layer=shape.name,
            remedy="split the layer by groups",
        )
    if mode != "binary":
        if parameters.tau > shape.unit:
            raise PlanError(
                f"indices of {parameters.tau} bits stand for kernels of {shape.unit} weights",
                layer=shape.name,
                remedy=f"give a tau of at most {shape.unit}",
            )
        words, batches = shape.units_of_output, parameters.batches
    else:
        inputs = shape.inputs * prod(shape.kernel)
        words, batches = -(-inputs // parameters.taps), 1
    if mode == "delta" and len(steps) != words:
        raise UsageError(
            f"mode delta needs the steps of {words} input words, not of {len(steps)}",
            layer=shape.name,
        )
    spacing = max(batches, interval)
    groups = -(-shape.outputs // parameters.lanes)
    return EngineSchedule(
        mode=mode,
        lanes=parameters.lanes,
        pixels=parameters.pixels,
        positions=shape.positions if positions is None else positions,
        outputs=shape.outputs,
        words=words,
        groups=groups,
        fetch=parameters.fetch(mode, groups),
        build=(parameters.pixels - 1) * spacing + batches,
        spacing=parameters.pixels * spacing,
        steps=tuple(steps),
    )


def cycles(parameters: EngineParameters, shape: LayerShape, mode: str = "subbit") -> int:
    """Return the cycles of a layer for one image; parameters and errors as of :func:`schedule`."""
    return schedule(parameters, shape, mode).cycles
