"""UART, packets and the link of a network to its host, with every fault of a line; mutants."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.accelerator import generate_network, simulate_network
from bnn2hw.errors import VerificationError
from bnn2hw.gateware import frame, host_link, network_core, uart
from bnn2hw.gateware.network_core import AxiStreamNetwork
from bnn2hw.gateware.words import Gather, Split
from bnn2hw.host.packets import Answer, PacketReader, Status, frame_packet
from tests.gateware.mutants import LINK_MUTANTS, load_mutant
from tests.gateware.streams import send_words
from tests.helpers import dense_network

FRAMING, OVERRUN = 1 << 8, 1 << 9
# Bytes that need escapes, alone and side by side.
HOSTILE = bytes([0xC0, 0xDB, 0xDC, 0xDD, 0xC0, 0xC0, 0xDB, 0xDB, 0xDD])


def line_of(data: Sequence[int], cycles: float, idle: int = 0, stop: int = 1) -> list[int]:
    """Return the levels of a line, one a clock cycle, for bytes of so many cycles a bit."""
    bits = [bit for byte in data for bit in (0, *(byte >> k & 1 for k in range(8)), stop)]
    ends = [round(cycles * (k + 1)) for k in range(len(bits))]
    lengths = [end - start for start, end in itertools.pairwise([0, *ends])]
    return [bit for bit, length in zip(bits, lengths, strict=True) for _ in range(length)] + [
        1
    ] * idle


def received(receiver: Any, line: list[int], busy: range = range(0)) -> list[int]:
    """Return the bytes that a receiver gives, with flags; nobody takes them in some cycles."""
    found = []

    async def testbench(ctx: Any) -> None:
        for cycle, level in enumerate([*line, *([1] * 60)]):
            ctx.set(receiver.rx, level)
            ready = cycle not in busy
            ctx.set(receiver.o.ready, ready)
            _, _, valid, byte = await ctx.tick().sample(
                receiver.o.valid, receiver.o.payload.as_value()
            )
            if valid and ready:
                found.append(byte)

    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return found


def sent(transmitter: Any, data: Sequence[int], divisor: int) -> list[int]:
    """Return the bytes on a transmitter's line, decoded from its levels."""
    levels = []

    async def source(ctx: Any) -> None:
        for byte in data:
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            await ctx.tick().until(transmitter.i.ready)
        ctx.set(transmitter.i.valid, 0)

    async def line(ctx: Any) -> None:
        for _ in range((len(data) * 11 + 3) * divisor):
            _, _, level = await ctx.tick().sample(transmitter.tx)
            levels.append(level)

    simulator = Simulator(transmitter)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source, background=True)
    simulator.add_testbench(line)
    simulator.run()
    found, place = [], 0
    while 0 in levels[place:]:
        start = levels.index(0, place)
        bits = [set(levels[start + k * divisor : start + (k + 1) * divisor]) for k in range(10)]
        assert all(len(bit) == 1 for bit in bits), "a bit is not as long as it should be"
        assert bits[0] == {0} and bits[9] == {1}, "a start or stop bit is missing"
        found.append(sum(bit.pop() << k for k, bit in enumerate(bits[1:9])))
        place = start + 10 * divisor
    return found


def check_uart(module: Any = uart) -> None:
    """Check receiver and transmitter on their own, with what a line can do to bytes."""
    data = [0x55, 0x00, 0xFF, 0xC0, 0x12, 0x80, 0x01]
    for divisor in (4, 5, 12):
        # A byte starts on any clock, and its bits may be a little longer or shorter.
        for cycles in (divisor, divisor * 0.985, divisor * 1.015):
            line = [1] * 3 + line_of(data, cycles)
            assert received(module.UartReceiver(divisor), line) == data, (divisor, cycles)
        assert sent(module.UartTransmitter(divisor), data, divisor) == data
    receiver = lambda: module.UartReceiver(8)
    # Noise shorter than half a bit starts nothing.
    noise = [1] * 9 + [0] * 2 + [1] * 30
    assert received(receiver(), [*noise, *line_of(data, 8)]) == data
    # A missing stop bit marks its byte, and so does a line that stays low: once.
    good, bad = line_of([0x31], 8, idle=9), line_of([0x31], 8, stop=0)
    assert received(receiver(), [*good, *bad, *([1] * 9), *good]) == [0x31, FRAMING | 0x31, 0x31]
    assert received(receiver(), [*([0] * 300), *([1] * 9), *good]) == [FRAMING, 0x31]
    # Bytes that nobody takes are lost, which the next one tells.
    line = line_of([1, 2, 3, 4, 5], 8)
    assert received(receiver(), line, busy=range(250)) == [1, OVERRUN | 4, 5]


def small_network() -> AxiStreamNetwork:
    """Return a network of frames of 3 beats of 2 bytes, that answers with the frame as 3 beats."""
    stages = [("all", Gather(16, 3), ("",)), ("parts", Split(16, 3, 3), ("all",))]
    return AxiStreamNetwork(stages, beats=3, answers=3)


def answers_of(component: Any, line: Sequence[int], count: int, **options: Any) -> list[Answer]:
    """Return the answers to bytes on a line, of which there must be so many packets."""
    found = list(PacketReader().read(bytes(bytes_of(component, line, **options))))
    assert None not in found, "a packet has a wrong checksum"
    assert len(found) == count, f"{len(found)} answers and not {count}"
    return [answer for answer in found if answer is not None]


def bytes_of(component: Any, line: Sequence[int], stall: float = 0.0, seed: int = 0) -> list[int]:
    """Send bytes and return those that come, until none has come for a long time."""
    random = np.random.default_rng(seed)
    waits = random.random((2, 100_000)) < stall
    found: list[int] = []
    sent_all: list[bool] = []

    async def source(ctx: Any) -> None:
        cycle = 0
        for byte in line:
            while waits[0, cycle % 100_000]:
                cycle += 1
                await ctx.tick()
            cycle += 1
            ctx.set(component.i.payload, {
                "data": byte & 255, "framing": byte >> 8 & 1, "overrun": byte >> 9,
            })  # fmt: skip
            ctx.set(component.i.valid, 1)
            taken = False
            while not taken:
                _, _, taken = await ctx.tick().sample(component.i.ready)
            ctx.set(component.i.valid, 0)
        sent_all.append(True)

    async def sink(ctx: Any) -> None:
        idle = cycle = 0
        held = None
        while idle < 100 + 4 * len(line):
            assert cycle < 200 * (100 + len(line)), "it never ends"
            ready = not waits[1, cycle % 100_000]
            ctx.set(component.o.ready, ready)
            _, _, valid, byte = await ctx.tick().sample(component.o.valid, component.o.payload)
            assert held is None or (valid and byte == held), "a waiting byte changed"
            held = byte if valid and not ready else None
            idle = 0 if valid else idle + 1
            cycle += 1
            if valid and ready:
                found.append(byte)

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source, background=True)
    simulator.add_testbench(sink)
    simulator.run()
    assert sent_all, "the line is not taken to its end"
    return found


def faulty_line() -> Iterator[tuple[int | None, Status, bytes, list[int]]]:
    """Yield packets as bytes on a line, with number, status and data of their answers.

    The number is None where the packet is too small to have an answer.
    """
    good = b"abcdef"
    frame = lambda number, data=good: list(frame_packet(number, data))
    spoilt = lambda number, status, line: (number, status, b"", line)
    yield None, Status(0), b"", [1, 2, 3]
    yield 1, Status(0), good, frame(1)
    yield 0xDB, Status(0), HOSTILE[:6], frame(0xDB, HOSTILE[:6])
    yield 0xC0, Status(0), HOSTILE[3:], frame(0xC0, HOSTILE[3:])
    # A whole beat is missing, and the checksum is of what was sent: that is a short image.
    yield spoilt(4, Status.SHORT, frame(4, good[:4]))
    yield spoilt(5, Status.LONG, frame(5, good + b"gh"))
    yield spoilt(6, Status.PARTIAL, frame(6, good[:5]))
    lost = frame(7)
    del lost[4]
    yield spoilt(7, Status.PARTIAL | Status.CHECKSUM, lost)
    twice = frame(8)
    twice.insert(4, twice[4])
    yield spoilt(8, Status.LONG | Status.PARTIAL | Status.CHECKSUM, twice)
    flipped = frame(9)
    flipped[5] ^= 4
    yield spoilt(9, Status.CHECKSUM, flipped)
    broken = frame(10)
    broken[3] |= FRAMING
    yield spoilt(10, Status.PARTIAL | Status.CHECKSUM | Status.FRAMING, broken)
    late = frame(11)
    late[5] |= OVERRUN
    yield spoilt(11, Status.OVERRUN, late)
    # An end that is lost is no loss, as packets have one on both sides.
    yield 12, Status(0), good, frame(12)[:-1]
    yield 13, Status(0), good, frame(13)
    # Two ends that are lost make one packet of two.
    merged = frame(14)
    merged[-1] |= FRAMING
    faults = Status.LONG | Status.PARTIAL | Status.CHECKSUM | Status.FRAMING
    yield spoilt(14, faults, merged + frame(15)[1:])
    yield 16, Status(0), HOSTILE[:6], frame(16, HOSTILE[:6])


def check_link(module: Any = host_link, stall: float = 0.0) -> None:
    """Check the answers of a small network to good and spoilt packets."""
    packets = list(faulty_line())
    line = [byte for *_, packet in packets for byte in packet]
    wanted = [(number, status, data) for number, status, data, _ in packets if number is not None]
    component = module.ByteNetwork(small_network(), 3)
    found = answers_of(component, line, len(wanted), stall=stall)
    for answer, (number, status, data) in zip(found, wanted, strict=True):
        assert (answer.number, answer.status) == (number, status)
        assert status or answer.data == data, f"frame {number}"


def test_uart() -> None:
    check_uart()


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_every_packet_with_data_has_one_answer(stall: float) -> None:
    check_link(stall=stall)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 1023), max_size=40), st.binary(min_size=6, max_size=6))
def test_any_noise_is_followed_by_a_good_frame(noise: list[int], data: bytes) -> None:
    # One end may be lost in the noise, the next one is good.
    line = [*noise, 0xC0, *frame_packet(77, data)]
    component = host_link.ByteNetwork(small_network(), 3)
    *_, last = PacketReader().read(bytes(bytes_of(component, line)))
    assert last == Answer(77, Status(0), data)


def test_a_host_that_overruns_the_window_is_told() -> None:
    """A sink that takes nothing stops the line; nothing is lost or mixed up behind it."""
    frames = [frame_packet(number, bytes([number] * 6)) for number in range(8)]
    component = host_link.ByteNetwork(small_network(), 3)
    found = answers_of(component, b"".join(frames), 8, stall=0.9)
    assert found == [Answer(number, Status(0), bytes([number] * 6)) for number in range(8)]


class PinStreams(wiring.Component):
    """The pins of a network as streams again."""

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.pins = pins = host_link.PinNetwork(small_network(), 3)
        for name, side in (("i", self.i), ("o", self.o)):
            ends = [(getattr(pins, f"{name}_{end}"), end) for end in ("data", "valid", "ready")]
            for pin, end in ends:
                wire = getattr(side, "payload" if end == "data" else end)
                given = (name == "i") != (end == "ready")
                m.d.comb += pin.eq(wire) if given else wire.eq(pin)
        return m


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_a_plain_stream(stall: float) -> None:
    line = frame_packet(3, HOSTILE[:6]) + frame_packet(4, b"ghijkl")
    answers = b"".join(
        frame_packet(number, bytes([0]) + data)
        for number, data in ((3, HOSTILE[:6]), (4, b"ghijkl"))
    )
    trace = send_words(PinStreams(), list(line), len(answers), stall=stall)
    assert bytes(trace.words) == answers


def rejected(name: str, folder: Path) -> bool:
    """Return whether a check finds a fault in a copy of the gateware."""
    package = load_mutant(name, folder).__name__.rpartition(".")[0]
    try:
        if LINK_MUTANTS.get(name, ("uart",))[0] == "uart":
            check_uart(importlib.import_module(f"{package}.uart"))
        if not name.startswith("none_uart"):
            module = importlib.import_module(f"{package}.host_link")
            check_link(module)
            check_link(module, stall=0.5)
    except AssertionError:
        return True
    return False


def test_a_true_copy_passes(tmp_path: Path) -> None:
    assert not rejected("none_link", tmp_path)


@pytest.mark.parametrize("name", sorted(LINK_MUTANTS))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_mutant_is_rejected(name: str, tmp_path: Path) -> None:
    assert rejected(name, tmp_path)


# Broken frame checkers: right text, wrong text.
FRAME_MUTANTS = {
    "short_not_told": ("Cat(fills, ~fills & ~self.i.p.last)", "Cat(0, ~fills & ~self.i.p.last)"),
    "long_not_told": ("Cat(fills, ~fills & ~self.i.p.last)", "Cat(fills, 0)"),
    "short_not_filled": ("fills.eq(1)", "fills.eq(0)"),
    "long_not_dropped": ("drops.eq(~fills & ~self.i.p.last)", "drops.eq(0)"),
    "dropped_for_ever": ("m.d.sync += drops.eq(0)", "m.d.sync += drops.eq(1)"),
    "filled_for_ever": ("[fills.eq(0), drops", "[fills.eq(1), drops"),
}


def broken_guard(name: str) -> type:
    """Return a frame checker with one line wrong."""
    right, wrong = FRAME_MUTANTS[name]
    text = Path(frame.__file__).read_text(encoding="utf-8")
    assert right in text
    module = ModuleType("broken_frame")
    exec(compile(text.replace(right, wrong), "broken_frame", "exec"), module.__dict__)
    found = module.FrameGuard
    assert isinstance(found, type)
    return found


@pytest.mark.parametrize("name", sorted(FRAME_MUTANTS))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broken_frame_checker_is_rejected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_core, "FrameGuard", broken_guard(name))
    with pytest.raises(AssertionError):
        check_link()


@pytest.mark.slow
def test_the_bench_rejects_a_broken_frame_checker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_core, "FrameGuard", broken_guard("long_not_dropped"))
    generate_network(dense_network(16, 3), plan="direct", beat=4, out=tmp_path / "out")
    with pytest.raises(VerificationError, match="test frames_of_wrong_length: "):
        simulate_network(tmp_path / "out", images=5)
