"""Drivers and monitors for valid/ready streams in cocotb, with random stalls on both sides."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import RisingEdge

__all__ = ["Sink", "Source", "Stream"]


@dataclass(frozen=True)
class Stream:
    """The signals of a stream; ``payload`` by name."""

    clock: Any
    valid: Any
    ready: Any
    payload: Mapping[str, Any]


class Source:
    """Sends words.

    Parameters
    ----------
    stall
        Probability that it has nothing to send in a cycle.
    seed
        Of the stalls.
    """

    def __init__(self, stream: Stream, *, stall: float = 0.0, seed: int = 0) -> None:
        self._stream = stream
        self._stall = stall
        self._random = random.Random(seed)
        stream.valid.value = 0

    async def send(self, words: Iterable[Mapping[str, int]]) -> None:
        """Send words in order; each stays until it is taken, and is wiped out then."""
        stream = self._stream
        for word in words:
            while self._random.random() < self._stall:
                await RisingEdge(stream.clock)
            for name, value in word.items():
                stream.payload[name].value = value
            stream.valid.value = 1
            await RisingEdge(stream.clock)
            while not int(stream.ready.value):
                await RisingEdge(stream.clock)
            stream.valid.value = 0
            if self._stall:
                for name, value in word.items():
                    width = len(stream.payload[name])
                    stream.payload[name].value = ~value & (1 << width) - 1


class Sink:
    """Takes words and checks the rules of the handshake.

    Parameters
    ----------
    stall
        Probability that it is not ready in a cycle.
    seed
        Of the stalls.
    patient
        Whether it waits for valid before it is ready, as a receiver may.
    patience
        Cycles without a word after which words count as lost.

    Attributes
    ----------
    words
        What has been taken.
    cycles
        Clock edges until then, from the first call.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        stall: float = 0.0,
        seed: int = 0,
        patient: bool = False,
        patience: int = 300,
    ) -> None:
        self._stream = stream
        self._stall = stall
        self._random = random.Random(seed)
        self._patient = patient
        self._patience = patience
        self._valid = False
        self._held: dict[str, int] | None = None
        self.words: list[dict[str, int]] = []
        self.cycles = 0
        stream.ready.value = 0

    async def _cycle(self) -> bool:
        """Pass a cycle; return whether a word was valid in it."""
        stream = self._stream
        ready = self._random.random() >= self._stall and (self._valid or not self._patient)
        stream.ready.value = int(ready)
        await RisingEdge(stream.clock)
        valid = bool(int(stream.valid.value))
        word = (
            {name: int(signal.value) for name, signal in stream.payload.items()} if valid else None
        )
        assert self._held is None or word == self._held, (
            f"word {len(self.words)} changed from {self._held} to {word} while it waited"
        )
        self._held = None if ready else word
        self._valid = valid
        if word is not None and ready:
            self.words.append(word)
        return valid

    async def receive(self, count: int) -> Sequence[Mapping[str, int]]:
        """Take words until there are so many, and return them."""
        idle = 0
        while len(self.words) < count:
            idle = 0 if await self._cycle() else idle + 1
            self.cycles += 1
            assert idle <= self._patience, f"word {len(self.words)} of {count} does not come"
        return self.words

    async def expect_silence(self, cycles: int) -> None:
        """Check that no word comes for some cycles."""
        for _ in range(cycles):
            assert not await self._cycle(), f"word {len(self.words)} comes and was not sent"
