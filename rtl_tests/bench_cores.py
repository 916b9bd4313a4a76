"""cocotb bench of layer cores: vectors through the streams, with and without stalls."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from rtl_tests.banks import CORES, MUTANT, MUTANTS
from rtl_tests.streams import Sink, Source, Stream
from tests.gateware.designs import Design, vectors

VECTORS = 40
SECONDS = {"timeout_time": 100, "timeout_unit": "ms"}


class Bench:
    """A core of the bank and the words that go through it."""

    def __init__(self, dut: Any, name: str, design: Design, seed: int = 0) -> None:
        self.design = design
        self._dut, self._name, self._seed = dut, name, seed
        x, border = vectors(design, VECTORS, seed)
        self.words = [{"tdata": word} for word in design.words(x)]
        if design.classes > 1:
            for word, number in zip(self.words, border.tolist(), strict=True):
                word["tuser"] = number
        self.expected = [{"tdata": word} for word in design.expected(x, border)]

    def stream(self, side: str, *payload: str) -> Stream:
        """Return the stream of a side, ``s`` or ``m``."""
        ports = {
            name: getattr(self._dut, f"{self._name}__{side}_axis_{name}")
            for name in ("tvalid", "tready", *payload)
        }
        return Stream(self._dut.clk, ports.pop("tvalid"), ports.pop("tready"), ports)

    async def reset(self) -> None:
        """Start the clock, and reset."""
        Clock(self._dut.clk, 10, unit="ns").start()
        self._dut.rst.value = 1
        for _ in range(2):
            await RisingEdge(self._dut.clk)
        self._dut.rst.value = 0

    def ends(self, stall: float, patient: bool = False) -> tuple[Source, Sink]:
        """Return source and sink."""
        payload = ("tdata", "tuser") if self.design.classes > 1 else ("tdata",)
        source = Source(self.stream("s", *payload), stall=stall, seed=self._seed)
        sink = self.stream("m", "tdata")
        return source, Sink(sink, stall=stall, seed=self._seed + 1, patient=patient)

    async def run(self, stall: float, patient: bool = False) -> int:
        """Send all words, compare what comes out, and return the cycles it took."""
        source, sink = self.ends(stall, patient)
        await self.reset()
        sender = cocotb.start_soon(source.send(self.words))
        try:
            received = await sink.receive(len(self.words))
        finally:
            sender.cancel()
        assert received == self.expected
        await sink.expect_silence(60)
        return sink.cycles


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=list(CORES))
async def full_throughput(dut: Any, name: str) -> None:
    """Without stalls a word goes in and out in every cycle."""
    bench = Bench(dut, name, CORES[name])
    latency = int(cocotb.plusargs[f"{name}_latency"])
    assert await bench.run(0) == len(bench.words) + latency


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=list(CORES), stall=[0.2, 0.7], patient=[False, True])
async def random_stalls(dut: Any, name: str, stall: float, patient: bool) -> None:
    """Stalls on both sides change nothing, however the receiver waits."""
    await Bench(dut, name, CORES[name], seed=round(10 * stall)).run(stall, patient)


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=list(CORES))
async def reset_in_mid_stream(dut: Any, name: str) -> None:
    """After a reset nothing of what was under way comes out."""
    bench = Bench(dut, name, CORES[name])
    source, sink = bench.ends(0.3)
    await bench.reset()
    sender = cocotb.start_soon(source.send(bench.words))
    await sink.receive(len(bench.words) // 2)
    sender.cancel()
    await bench.run(0.3)


@cocotb.test(**SECONDS)
@cocotb.parametrize(name=list(MUTANTS))
async def mutant_is_rejected(dut: Any, name: str) -> None:
    """Find the fault of a broken core in one of the runs."""
    bench = Bench(dut, f"mutant_{name}", MUTANT)
    for stall, patient in ((0.0, False), (0.5, False), (0.5, True)):
        try:
            await bench.run(stall, patient)
        except AssertionError:
            return
    raise AssertionError(f"the fault of {name} was not found")
