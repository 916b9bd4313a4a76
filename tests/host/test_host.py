"""The host's side against a board written in Python, with every fault of line and board."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.errors import BuildError, HostError, ToolError, UsageError
from bnn2hw.host import Accelerator, SerialPort
from bnn2hw.host.packets import PacketReader, Status, frame_packet

# Frames of 2 beats of 3 signed elements of 4 bits; answers of a class of 2 bits and 2 scores.
INPUT = {
    "shape": [2, 1, 3],
    "signed": True,
    "beats": {"elements": 3, "width": 4, "gather": 1, "split": 1, "frame": 2},
}
OUTPUT = {
    "beats": 1,
    "fields": [
        {"name": "class", "elements": 1, "width": 2, "signed": False},
        {"name": "scores", "elements": 2, "width": 5, "signed": True},
    ],
}
IMAGES = np.arange(-8, 8).repeat(6).reshape(16, 2, 1, 3)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return the manifests of a network on a board."""
    return write_manifests(tmp_path, OUTPUT)


def write_manifests(folder: Path, output: dict[str, object], baud: int | None = 100_000) -> Path:
    build = {"tool": "bnn2hw", "kind": "build", "format": 1, "network": "n", "files": []}
    board = {
        "tool": "bnn2hw", "kind": "board", "format": 1, "network": "n", "top": "host_n",
        "board": "none", "link": "uart", "commands": [], "bitstream": "", "window": 2,
        "baud": baud, "clock_hz": 1e6, "interval_cycles": 10, "input": INPUT, "output": output,
    }  # fmt: skip
    (folder / "host_n").mkdir()
    (folder / "manifest.json").write_text(json.dumps({**build, "layers": {"n": "host_n"}}))
    (folder / "host_n" / "manifest.json").write_text(json.dumps(board))
    return folder


def answer(data: bytes) -> bytes:
    """Return what the network makes of a frame: the class is the first element, modulo 4."""
    first = (data[0] & 15) - 2 * (data[0] & 8)
    word = (first & 3) | (first & 31) << 2 | (-first & 31) << 7
    return word.to_bytes(2, "little")


def unpacked(line: bytes) -> list[bytes | None]:
    """Return the packets of a line without their checksums, None for a wrong one: bit by bit."""
    found: list[bytes | None] = []
    for packet in filter(None, line.split(b"\xc0")):
        data, escaped = bytearray(), False
        for byte in packet:
            if escaped:
                data.append({0xDC: 0xC0, 0xDD: 0xDB}[byte])
            elif byte != 0xDB:
                data.append(byte)
            escaped = not escaped and byte == 0xDB
        register = 0xFFFF
        for byte in data:
            register ^= byte << 8
            for _ in range(8):
                register = (register << 1 ^ (0x1021 if register & 0x8000 else 0)) & 0xFFFF
        found.append(None if register else bytes(data[:-2]))
    return found


class Board:
    """A board that answers frames in order; a fault may change what each side sends, by count."""

    def __init__(
        self,
        fault: Callable[[int, bytes], bytes] = lambda count, packet: packet,
        noise: Callable[[int, bytes], bytes] = lambda count, packet: packet,
    ) -> None:
        self.fault, self.noise = fault, noise
        self.frames = self.waiting = 0
        self.answers: list[bytes] = []
        self.closed = False

    def send(self, data: bytes) -> None:
        self.frames += 1
        for frame in unpacked(self.fault(self.frames, data)):
            self.waiting += 1
            assert self.waiting <= 4, "the window is 2 frames, of which each may come twice"
            found = frame_packet(frame[0] if frame else 0, bytes([Status.CHECKSUM, 0, 0]))
            if frame is not None and len(frame) == 5:
                found = frame_packet(frame[0], b"\0" + answer(frame[1:]))
            self.answers += filter(None, [self.noise(self.frames, found)])

    def receive(self) -> bytes:
        if not self.answers:
            self.waiting = 0
            return b""
        self.waiting = max(self.waiting - 1, 0)
        return self.answers.pop(0)

    def close(self) -> None:
        self.closed = True


def classes() -> list[int]:
    return (np.arange(-8, 8) % 4).tolist()


def test_images_go_out_and_classes_come_back(directory: Path) -> None:
    board = Board()
    with Accelerator(board, directory) as accelerator:
        assert accelerator.classify(IMAGES).tolist() == classes()
        found = accelerator.run(IMAGES)
        assert accelerator.faults == []
    assert board.closed
    assert found["class"].shape == (16, 1, 1)
    assert found["scores"][:, 0].tolist() == [[k, -k] for k in range(-8, 8)]
    assert found["scores"].dtype == np.int64


def test_numbers_of_frames_start_again(directory: Path) -> None:
    accelerator = Accelerator(Board(), directory)
    assert accelerator.classify(np.tile(IMAGES, (20, 1, 1, 1))).tolist() == 20 * classes()
    assert accelerator.faults == []


def once(at: int, change: Callable[[bytes], bytes]) -> Callable[[int, bytes], bytes]:
    """Return a fault of the line in the frame of that count alone."""
    return lambda count, packet: change(packet) if count == at else packet


# What happens to a packet, and what is said of it.
FAULTS = {
    "lost": (lambda packet: b"", "no answer came in time|its answer was lost"),
    "byte_dropped": (lambda packet: packet[:3] + packet[4:], "checksum|no answer|answer was lost"),
    "bit_flipped": (
        lambda packet: packet[:4] + bytes([packet[4] ^ 1]) + packet[5:],
        "checksum|no answer|lost",
    ),
    "garbage_before": (
        lambda packet: b"\x01\x02\x03\x04\x05" + packet,
        "was not sent|no answer|checksum",
    ),
    "twice": (lambda packet: packet + packet, "was not sent"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("at", [1, 7, 16])
@pytest.mark.parametrize("side", ["fault", "noise"])
def test_a_fault_spoils_nothing(name: str, at: int, side: str, directory: Path) -> None:
    change, told = FAULTS[name]
    accelerator = Accelerator(Board(**{side: once(at, change)}), directory)
    assert accelerator.classify(IMAGES).tolist() == classes()
    assert accelerator.classify(IMAGES).tolist() == classes()
    assert accelerator.faults
    assert all(re.search(told, fault) for fault in accelerator.faults), accelerator.faults


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from(sorted(FAULTS))), max_size=6))
def test_any_few_faults_spoil_nothing(faults: list[tuple[int, str]]) -> None:
    names = dict(faults)

    def line(count: int, packet: bytes) -> bytes:
        return FAULTS[names[count]][0](packet) if count in names else packet

    with TemporaryDirectory() as folder:
        board, directory = Board(line), write_manifests(Path(folder), OUTPUT)
        accelerator = Accelerator(board, directory, retries=len(names))
        assert accelerator.classify(IMAGES).tolist() == classes()
        # A second answer to the last frame waits on the line until then.
        assert accelerator.classify(IMAGES).tolist() == classes()
    assert bool(accelerator.faults) == any(count <= board.frames for count in names)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.binary(min_size=1, max_size=9), max_size=5), st.integers(1, 7))
def test_packets_come_in_pieces(frames: list[bytes], size: int) -> None:
    line = b"".join(frame_packet(k, b"\0" + data) for k, data in enumerate(frames))
    assert unpacked(line) == [bytes([k, 0]) + data for k, data in enumerate(frames)]
    reader, found = PacketReader(), []
    for start in range(0, len(line), size):
        found += reader.read(line[start : start + size])
    assert [one and (one.number, one.status, one.data) for one in found] == [
        (k, Status(0), data) for k, data in enumerate(frames)
    ]


def test_a_board_that_keeps_failing(directory: Path) -> None:
    silent = Accelerator(Board(lambda count, packet: b""), directory, retries=1)
    with pytest.raises(HostError, match="image 1 failed 2 times, at last: no answer came in time"):
        silent.classify(IMAGES)
    answers = lambda data: Board(noise=lambda count, packet: frame_packet(packet[1], data))
    with pytest.raises(HostError, match="failed 3 times, at last: the board says long and overrun"):
        Accelerator(answers(b"\x22abc"), directory).classify(IMAGES)
    with pytest.raises(HostError, match="its answer has 3 bytes and not 2"):
        Accelerator(answers(b"\0abc"), directory).classify(IMAGES)
    babbling = Accelerator(Board(noise=lambda count, packet: b"\xc0babble" * 30), directory)
    with pytest.raises(HostError, match="17 packets came that answer nothing"):
        babbling.classify(IMAGES)


class Noise(Board):
    """A line that brings the same bytes for ever, a hundredth of a second apart."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data, self.count = data, 0

    def send(self, data: bytes) -> None:
        pass

    def receive(self) -> bytes:
        self.count += 1
        assert self.count < 10_000, "this goes on for ever"
        return self.data

    def clock(self) -> float:
        return self.count / 100


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x55", "17 packets came that answer nothing, at last: a packet came that is no answer"),
        # Ends alone are no packets, so only time tells.
        (b"\xc0", "image 0 failed 3 times, at last: no answer came in time"),
    ],
)
def test_noise_ends(
    data: bytes, message: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Noise(data)
    monkeypatch.setattr("bnn2hw.host.accelerator.monotonic", line.clock)
    accelerator = Accelerator(line, directory, timeout=4)
    with pytest.raises(HostError, match=message):
        accelerator.run(IMAGES)
    # 17 times the 13 bytes that are too many, or three deadlines.
    assert line.count == (17 * 13 if data == b"\x55" else 3 * 401)


def test_each_answer_has_its_own_deadline(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.0

    class Slow(Board):
        def receive(self) -> bytes:
            nonlocal seconds
            seconds += 0.9
            return super().receive()

    monkeypatch.setattr("bnn2hw.host.accelerator.monotonic", lambda: seconds)
    accelerator = Accelerator(Slow(), directory, timeout=1)
    assert accelerator.classify(IMAGES).tolist() == classes()
    assert accelerator.faults == []


def test_what_is_too_long_is_noise() -> None:
    packet = frame_packet(7, b"\0\xc0\xc0")
    longest = len(packet) - 2
    for size in (1, len(packet)):
        pieces = [packet[start : start + size] for start in range(0, len(packet), size)]
        for bound, right in ((longest, True), (longest - 1, False)):
            reader = PacketReader(bound)
            found = [one for piece in pieces for one in reader.read(piece)]
            assert [one is not None for one in found] == [right]
    reader = PacketReader(longest)
    assert list(reader.read(b"x" * longest)) == []
    assert list(reader.read(b"x")) == [None]
    # Nothing of it is left.
    assert [one and one.number for one in reader.read(packet)] == [7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"retries": bad}, "no integer from 0 on; give one") for bad in (-1, 1.0, True, None)),
        *(
            ({"timeout": bad}, "is no time to wait; give seconds above 0, or None")
            for bad in (0, -1.0, float("nan"), float("inf"), 1e300, 10**400, "1")
        ),
    ],
)
def test_options_that_make_no_sense(
    options: dict[str, object], message: str, directory: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        Accelerator("/dev/none", directory, **options)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"images of shape \(2, 1, 3\) are not \(count, 2, 1, 3\)"),
        (IMAGES.reshape(16, 3, 2, 1), r"images of shape \(16, 3, 2, 1\) are not"),
        (IMAGES[:0], "there are no images"),
        (IMAGES.astype(float), "images of float64 are no integers"),
        (IMAGES + 1, "images hold -7 to 8, the network reads -8 to 7"),
    ],
)
def test_images_of_another_network(images: object, message: str, directory: Path) -> None:
    board = Board()
    with pytest.raises(UsageError, match=message):
        Accelerator(board, directory).run(images)
    assert board.frames == 0


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BuildError, match="this is not a build directory"):
        Accelerator(Board(), tmp_path)
    elements = {"beats": 1, "fields": [{**OUTPUT["fields"][1], "name": "elements"}]}
    directory = write_manifests(tmp_path, elements, baud=None)
    with pytest.raises(UsageError, match="gives no classes"):
        Accelerator(Board(), directory).classify(IMAGES)
    with pytest.raises(UsageError, match="this board has no UART"):
        Accelerator("loop://", directory)
    with pytest.raises(HostError, match="/dev/none: the port fails: "):
        SerialPort("/dev/none", 115200, 1)
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ToolError, match="pyserial is not installed; run 'pip install"):
        SerialPort("/dev/none", 115200, 1)


def test_a_port_that_is_unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    port = SerialPort("loop://", 100_000, 0.05)

    def gone(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(port._port), "in_waiting", property(gone))
    monkeypatch.setattr(port._port, "write", gone)
    monkeypatch.setattr(port._port, "close", gone)
    for act in (port.receive, lambda: port.send(b"abc"), port.close):
        with pytest.raises(HostError, match=r"loop://: the port fails: .*Input/output error"):
            act()


def test_a_serial_port(directory: Path) -> None:
    port = SerialPort("loop://", 100_000, 0.05)
    port.send(b"abc")
    assert port.receive() + port.receive() + port.receive() == b"abc"
    assert port.receive() == b""
    port.close()
    with pytest.raises(HostError, match="the port fails"):
        port.send(b"abc")
    with pytest.raises(HostError, match="the port fails"):
        port.receive()
    # Frames that come back are answers with a status that no board gives.
    with Accelerator("loop://", directory, timeout=0.05) as accelerator:
        with pytest.raises(HostError):
            accelerator.classify(IMAGES)
        assert accelerator.faults[0] == "a packet came that is no answer"
