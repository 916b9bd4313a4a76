"""Words through a stream component in Amaranth's simulator, with random stalls on both sides."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Value
from amaranth.sim import Simulator


@dataclass
class Trace:
    """What came out of a component, and the cycle of each word; the first input word is at 0."""

    words: list[int] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)


def send_words(
    component: Any,
    words: Sequence[int],
    count: int,
    *,
    stall: float = 0.0,
    seed: int = 0,
    patience: int = 200,
    background: Any = None,
) -> Trace:
    """Send words through a component and return the ``count`` words that must come out.

    See :func:`send_streams`, of which it is the case of one input, ``i``.
    """
    return send_streams(
        component, {"i": words}, count, stall=stall, seed=seed, patience=patience,
        background=background,
    )  # fmt: skip


def send_streams(
    component: Any,
    streams: Mapping[str, Sequence[int]],
    count: int,
    *,
    stall: float = 0.0,
    seed: int = 0,
    patience: int = 200,
    background: Any = None,
) -> Trace:
    """Send words into each of a component's inputs; return the ``count`` words that come out.

    All sides stall on their own, and a receiver that does also waits for valid before it is
    ready. A word that waits must not change, none may come too much, and all must come after the
    last input. A testbench may run in the background.
    """
    trace = Trace()
    sink = component.o
    sink_stall = random.Random(seed + 1)
    payload = Value.cast(sink.payload)
    fault = ""

    def sender(name: str, words: Sequence[int], source_stall: random.Random) -> Any:
        source = getattr(component, name)
        given = Value.cast(source.payload)
        mask = (1 << len(given)) - 1

        async def send(ctx: Any) -> None:
            for word in words:
                while source_stall.random() < stall:
                    await ctx.tick()
                ctx.set(given, word)
                ctx.set(source.valid, 1)
                ready = False
                while not ready and not fault:
                    _, _, ready = await ctx.tick().sample(source.ready)
                ctx.set(source.valid, 0)
                ctx.set(given, ~word & mask)

        return send

    async def receive(ctx: Any) -> None:
        nonlocal fault
        held = None
        idle = cycle = 0
        while not fault and (len(trace.words) < count or idle < 30):
            ready = stall == 0 or (ctx.get(sink.valid) and sink_stall.random() >= stall)
            ctx.set(sink.ready, ready)
            _, _, valid, word = await ctx.tick().sample(sink.valid, payload)
            if held is not None and (not valid or word != held):
                fault = "a waiting word changed"
            held = word if valid and not ready else None
            idle = 0 if valid else idle + 1
            if valid and ready:
                trace.words.append(word)
                trace.cycles.append(cycle)
            cycle += 1
            if len(trace.words) > count:
                fault = "words come that were not sent"
            if idle > patience:
                fault = f"words are lost: {len(trace.words)} of {count} came"

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    for k, (name, words) in enumerate(streams.items()):
        simulator.add_testbench(sender(name, words, random.Random(seed + 2 * k)))
    simulator.add_testbench(receive)
    if background is not None:
        simulator.add_testbench(background, background=True)
    simulator.run()
    assert not fault, fault
    return trace
