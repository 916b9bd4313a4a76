"""Small layers for the sequential engine, and running them in Amaranth's simulator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator
from numpy.typing import NDArray

from bnn2hw.emit.engine_vectors import input_words, output_words
from bnn2hw.gateware.engine import SequentialEngine
from bnn2hw.golden import layer_outputs
from bnn2hw.model import (
    BIPOLAR,
    BinaryConv,
    BinaryDense,
    Codebook,
    Format,
    LinearLayer,
    Tensor,
    Threshold,
)
from bnn2hw.plan.counting import layer_shape
from bnn2hw.plan.engine import EngineParameters, EngineSchedule, schedule
from bnn2hw.plan.engine_layer import EnginePlan, plan_engine


@dataclass(frozen=True, eq=False, repr=False)
class EngineDesign:
    """A layer, the engine for it, and patches that go through."""

    layer: LinearLayer
    source: Tensor
    plan: EnginePlan
    patches: NDArray[np.int64]
    borders: NDArray[np.int64]
    expected: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        outputs = layer_outputs(self.layer, self.source, self.patches, self.borders)
        object.__setattr__(self, "expected", outputs.astype(np.int64))

    @property
    def inputs(self) -> list[tuple[int, int]]:
        """Return input words, and which of their elements count."""
        return list(zip(*input_words(self.plan, self.patches, self.borders), strict=True))

    @property
    def outputs(self) -> list[int]:
        return output_words(self.plan, self.expected)


def codebook(
    rng: np.random.Generator, shape: tuple[int, ...], tau: int, closed: bool = False
) -> Codebook:
    """Return random kernels for weights of a shape."""
    taps = int(np.prod(shape[1:-1]))
    length = taps if taps > 1 else 8
    if closed:
        half = rng.permutation(1 << (length - 1))[: 1 << (tau - 1)]
        codes = rng.permutation(np.concatenate([half, (1 << length) - 1 - half]))
    else:
        codes = rng.permutation(1 << length)[: 1 << tau]
    subset = (codes[:, None] >> np.arange(length) & 1).astype(np.uint8)
    columns = shape[-1] if taps > 1 else -(-shape[-1] // 8)
    return Codebook(subset, rng.integers(0, 1 << tau, (shape[0], columns)).astype(np.int32))


def layer_of(
    rng: np.random.Generator,
    kernel: tuple[int, int] | None,
    inputs: int,
    outputs: int,
    *,
    size: tuple[int, int] = (4, 4),
    form: Format = BIPOLAR,
    book: tuple[int, bool] | None = None,
    threshold: bool = True,
    stride: int = 1,
    padding: int = 0,
    padding_value: int = 0,
) -> tuple[LinearLayer, Tensor]:
    """Return a random layer (dense without a kernel) with a codebook of (tau, closed) or none."""
    shape = (outputs, inputs) if kernel is None else (outputs, *kernel, inputs)
    book_ = None if book is None else codebook(rng, shape, *book)
    weights = rng.integers(0, 2, shape).astype(np.uint8) if book_ is None else book_.expand(shape)
    facing = rng.choice([-1, -1, 0, 1, 1], outputs).astype(np.int8)
    levels = np.where(facing == 0, rng.integers(0, 2, outputs), rng.integers(-5, 6, outputs))
    levels[0] = 10_000 * int(facing[0]) + (facing[0] == 0)  # never or always
    compared = Threshold(facing, levels) if threshold else None
    if kernel is None:
        dense = BinaryDense("fc", ("input",), weights, compared, codebook=book_)
        return dense, Tensor((inputs,), form)
    conv = BinaryConv(
        "conv",
        ("input",),
        weights,
        compared,
        codebook=book_,
        stride=(stride, stride),
        padding=(padding,) * 4,
        padding_value=padding_value,
    )
    return conv, Tensor((*size, inputs), form)


def engine_design(
    seed: int,
    parameters: EngineParameters,
    mode: str,
    kernel: tuple[int, int] | None,
    inputs: int,
    outputs: int,
    *,
    positions: int = 3,
    **options: Any,
) -> EngineDesign:
    """Return a random layer, its engine, and random patches.

    The first and the last are all least and all greatest, and so much as fits between are the
    greatest and the least sum of a channel.
    """
    rng = np.random.default_rng(seed)
    layer, source = layer_of(rng, kernel, inputs, outputs, **options)
    plan = plan_engine(layer, source, parameters, mode)
    bits = source.format == BIPOLAR
    low, high = (0, 1) if bits else (source.format.low, source.format.high)
    patches = rng.integers(low, high, (positions, layer.patch_size()), endpoint=True)
    patches[0], patches[-1] = low, high
    row = layer.matrix()[rng.integers(0, outputs)]
    for k, sign in enumerate((1, -1)[: max(positions - 2, 0)], start=1):
        patches[k] = np.where(sign * row > 0, high, low)
    taps = layer.valid_taps(source)
    borders = rng.integers(0, len(taps), positions)
    if bits:
        patches = patches * taps[borders]
    return EngineDesign(layer, source, plan, patches, borders)


def run_engine(
    design: EngineDesign,
    *,
    engine: Any = None,
    stall: float = 0.0,
    interval: int = 1,
    seed: int = 0,
    load: Sequence[int] | None = None,
) -> tuple[list[int], int]:
    """Return the output words, and the cycles from the first input word to the last of them.

    Both sides stall at random, or the source gives a word every ``interval`` cycles at most.
    ``load`` goes into the load port before.
    """
    engine = SequentialEngine(design.plan.program) if engine is None else engine
    inputs, count = design.inputs, len(design.outputs)
    outputs: list[int] = []
    source, sink = random.Random(seed), random.Random(seed + 1)
    payload = Value.cast(engine.o.payload)
    now = first = last = 0
    fault = ""
    patience = 200 + 4 * timing(design, interval).period * design.plan.program.words

    async def send(ctx: Any) -> None:
        nonlocal first
        for word in load or ():
            ctx.set(engine.load.payload, word)
            ctx.set(engine.load.valid, 1)
            await ctx.tick()
            ctx.set(engine.load.valid, 0)
        for _ in range(design.plan.program.fetch + 4):
            await ctx.tick()
        for number, (word, valid) in enumerate(inputs):
            while source.random() < stall:
                await ctx.tick()
            ctx.set(engine.i.p.data, word)
            if design.plan.program.masked:
                ctx.set(engine.i.p.valid, valid)
            ctx.set(engine.i.valid, 1)
            ready = False
            while not ready and not fault:
                _, _, ready = await ctx.tick().sample(engine.i.ready)
            if number == 0:
                first = now
            ctx.set(engine.i.valid, 0)
            ctx.set(engine.i.p.data, ~word)
            for _ in range(interval - 1):
                await ctx.tick()

    async def clock(ctx: Any) -> None:
        nonlocal now
        while True:
            await ctx.tick()
            now += 1

    async def receive(ctx: Any) -> None:
        nonlocal last, fault
        held = None
        idle = 0
        while not fault and (len(outputs) < count or idle < 30):
            ready = stall == 0 or (ctx.get(engine.o.valid) and sink.random() >= stall)
            ctx.set(engine.o.ready, ready)
            _, _, valid, word = await ctx.tick().sample(engine.o.valid, payload)
            if held is not None and (not valid or word != held):
                fault = "a waiting word changed"
            held = word if valid and not ready else None
            idle = 0 if valid else idle + 1
            if valid and ready:
                outputs.append(word)
                last = now
            if len(outputs) > count:
                fault = "words come that were not sent"
            if idle > patience + len(load or ()):
                fault = f"word {len(outputs)} does not come"

    simulator = Simulator(engine)
    simulator.add_clock(1e-8)
    simulator.add_testbench(clock, background=True)
    simulator.add_testbench(send, background=True)
    simulator.add_testbench(receive)
    simulator.run()
    assert not fault, fault
    return [word & (1 << len(payload)) - 1 for word in outputs], last - first + 1


def check_engine(design: EngineDesign, **options: Any) -> int:
    """Run an engine, compare its outputs with the golden model, and return the cycles."""
    outputs, cycles = run_engine(design, **options)
    assert outputs == design.outputs
    return cycles


def timing(design: EngineDesign, interval: int = 1) -> EngineSchedule:
    """Return the schedule of the design's patches."""
    plan = design.plan
    shape = layer_shape(design.layer, design.source)
    positions = len(design.patches)
    return schedule(
        plan.parameters,
        shape,
        plan.schedule.mode,
        positions=positions,
        interval=interval,
        steps=plan.schedule.steps,
    )
