"""cocotb bench of sequential engines: outputs, and cycles against the closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from bnn2hw.emit.engine_vectors import load_words
from bnn2hw.gateware.engine_load import LOAD_WIDTH
from rtl_tests.engines import ENGINES, FAULTS, FAULTY, LOADED, SWAPPED
from rtl_tests.streams import Sink, Source, Stream
from tests.gateware.engines import EngineDesign, timing

SECONDS = {"timeout_time": 100, "timeout_unit": "ms"}


class Bench:
    """An engine of the bank and the words that go through it."""

    def __init__(self, dut: Any, name: str, design: EngineDesign) -> None:
        self.design = design
        self._dut, self._name = dut, name
        self._masked = design.plan.program.masked
        self.expected = [{"tdata": word} for word in design.outputs]

    def stream(self, side: str, *payload: str) -> Stream:
        """Return the stream of a side, ``s_axis``, ``m_axis`` or ``s_load``."""
        ports = {
            name: getattr(self._dut, f"{self._name}__{side}_{name}")
            for name in ("tvalid", "tready", *payload)
        }
        return Stream(self._dut.clk, ports.pop("tvalid"), ports.pop("tready"), ports)

    def words(self) -> list[Mapping[str, int]]:
        """Return the words that go in."""
        return [
            {"tdata": word, "tuser": valid} if self._masked else {"tdata": word}
            for word, valid in self.design.inputs
        ]

    async def reset(self, load: Sequence[int] = ()) -> None:
        """Start the clock, reset, load, and wait until the first weights are there."""
        Clock(self._dut.clk, 10, unit="ns").start()
        self._dut.rst.value = 1
        for _ in range(2):
            await RisingEdge(self._dut.clk)
        self._dut.rst.value = 0
        if load:
            source = Source(self.stream("s_load", "tdata"), stall=0.2)
            await source.send({"tdata": word} for word in load)
        for _ in range(self.design.plan.program.fetch + 4):
            await RisingEdge(self._dut.clk)

    async def run(
        self, stall: float = 0, patient: bool = False, interval: int = 1, load: Sequence[int] = ()
    ) -> int:
        """Send all words, compare what comes out, and return the cycles it took."""
        payload = ("tdata", "tuser") if self._masked else ("tdata",)
        source = Source(self.stream("s_axis", *payload), stall=stall, seed=1)
        schedule = timing(self.design, interval)
        patience = 100 + 20 * schedule.words * schedule.period
        sink = Sink(
            self.stream("m_axis", "tdata"), stall=stall, seed=2, patient=patient, patience=patience
        )
        await self.reset(load)

        async def send() -> None:
            for word in self.words():
                await source.send([word])
                for _ in range(interval - 1):
                    await RisingEdge(self._dut.clk)

        sender = cocotb.start_soon(send())
        try:
            received = await sink.receive(len(self.expected))
        finally:
            sender.cancel()
        assert received == self.expected
        await sink.expect_silence(60)
        return sink.cycles


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=list(ENGINES), interval=[1, 4, 11])
async def cycles_are_those_of_the_closed_form(dut: Any, name: str, interval: int) -> None:
    """Count the cycles with a fast source and with slow ones."""
    design = ENGINES[name]
    assert await Bench(dut, name, design).run(interval=interval) == timing(design, interval).cycles


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=list(ENGINES), patient=[False, True])
async def random_stalls(dut: Any, name: str, patient: bool) -> None:
    """Stalls on both sides change nothing, however the receiver waits."""
    await Bench(dut, name, ENGINES[name]).run(0.4, patient)


@cocotb.test(**SECONDS)
async def loads_its_memories(dut: Any) -> None:
    """Memories are loaded, and loaded again."""
    design = ENGINES[LOADED]
    load = load_words(design.plan.program, LOAD_WIDTH)
    wrong = [word ^ 1 for word in load]
    bench = Bench(dut, "loaded", design)
    assert await bench.run(load=load) == timing(design).cycles
    assert await bench.run(load=[*wrong, *load]) == timing(design).cycles


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=["swapped_index", *FAULTS])
async def a_faulty_engine_is_rejected(dut: Any, name: str) -> None:
    """Find the fault in one of the runs."""
    design = ENGINES[SWAPPED if name == "swapped_index" else FAULTY]
    bench = Bench(dut, f"faulty_{name}", design)
    for stall in (0.0, 0.4):
        try:
            await bench.run(stall)
        except AssertionError:
            return
    raise AssertionError(f"the fault of {name} was not found")
