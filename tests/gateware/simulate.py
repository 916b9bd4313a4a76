"""Components in Amaranth's own simulator: words through a stream, values through a component."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Value
from amaranth.sim import Simulator

from tests.gateware.designs import Design, vectors


def check_design(design: Design, *, core: Any = None, count: int = 12, seed: int = 0) -> None:
    """Send corners and random vectors through a core, with and without stalls, and compare."""
    core = design.core() if core is None else core
    x, border = vectors(design, count, seed)
    words, borders = design.words(x), border.tolist()
    outputs, cycles = run_stream(core, words, borders)
    assert outputs == design.expected(x, border)
    assert cycles == len(words) + core.latency, "there are gaps without stalls"


def check_stalls(design: Design, *, core: Any = None, count: int = 12, seed: int = 0) -> None:
    """Send vectors through a core with random stalls on both sides, and compare."""
    core = design.core() if core is None else core
    x, border = vectors(design, count, seed)
    outputs, _ = run_stream(core, design.words(x), border.tolist(), stall=0.4, seed=seed)
    assert outputs == design.expected(x, border)


def run_stream(
    core: Any, words: Sequence[int], borders: Sequence[int], *, stall: float = 0.0, seed: int = 0
) -> tuple[list[int], int]:
    """Send words through a core; return the words that come out and the cycles it took.

    Both sides stall at random, and the receiver that does so also waits for valid before it is
    ready. A word that waits must not change, and none may come too much.
    """
    outputs: list[int] = []
    cycles = 0
    fault = ""
    source, sink = random.Random(seed), random.Random(seed + 1)
    payload = Value.cast(core.o.payload)

    async def send(ctx: Any) -> None:
        for word, border in zip(words, borders, strict=True):
            while source.random() < stall:
                await ctx.tick()
            ctx.set(core.i.p.data, word)
            if core.classes > 1:
                ctx.set(core.i.p.border, border)
            ctx.set(core.i.valid, 1)
            ready = False
            while not ready and not fault:
                _, _, ready = await ctx.tick().sample(core.i.ready)
            ctx.set(core.i.valid, 0)
            ctx.set(core.i.p.data, ~word)

    async def receive(ctx: Any) -> None:
        nonlocal cycles, fault
        held = None
        idle = 0
        while not fault and (len(outputs) < len(words) or idle < core.latency + 4):
            ready = stall == 0 or (ctx.get(core.o.valid) and sink.random() >= stall)
            ctx.set(core.o.ready, ready)
            _, _, valid, word = await ctx.tick().sample(core.o.valid, payload)
            if held is not None and (not valid or word != held):
                fault = "a waiting word changed"
            held = word if valid and not ready else None
            idle = 0 if valid else idle + 1
            cycles += len(outputs) < len(words)
            if valid and ready:
                outputs.append(word)
            if len(outputs) > len(words):
                fault = "words come that were not sent"
            if idle > 100 + 2 * core.latency:
                fault = "words are lost"

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run()
    assert not fault, fault
    return outputs, cycles


def run_component(
    component: Any, inputs: Sequence[dict[str, int]], latency: int, *, seed: int | None = None
) -> list[int]:
    """Give a component one set of inputs a cycle; return its outputs, ``latency`` later each.

    With a seed, ``advance`` is low at random, and nothing may go on then.
    """
    outputs: list[int] = []
    output = Value.cast(component.o)
    stall = random.Random(seed)
    clocked = latency > 0

    async def testbench(ctx: Any) -> None:
        for values in [*inputs, *inputs[-1:] * latency]:
            for name, value in values.items():
                ctx.set(Value.cast(getattr(component, name)), value)
            while seed is not None and stall.random() < 0.4:
                ctx.set(component.advance, 0)
                await ctx.tick()
            if clocked:
                ctx.set(component.advance, 1)
                await ctx.tick()
            else:
                await ctx.delay(1e-9)
            outputs.append(ctx.get(output))

    simulator = Simulator(component)
    if clocked:
        simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return outputs[max(latency - 1, 0) :][: len(inputs)]
