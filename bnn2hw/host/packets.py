"""Packets of bytes on the line between a host and a board (``docs/host.md``)."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

__all__ = ["Answer", "PacketReader", "Status", "Transport", "frame_packet"]

_END, _ESCAPE = b"\xc0", b"\xdb"
_ESCAPES = ((_ESCAPE, b"\xdb\xdd"), (_END, b"\xdb\xdc"))


class Transport(Protocol):
    """A line of bytes to a board and back."""

    def send(self, data: bytes) -> None:
        """Send bytes."""

    def receive(self) -> bytes:
        """Return what has come; wait for it, and return nothing where nothing comes in time."""

    def close(self) -> None:
        """Let go of the line."""


class Status(IntFlag):
    """What was wrong with a frame, as the board tells it: its beats, its last beat, its bytes."""

    SHORT = 1
    LONG = 2
    PARTIAL = 4
    CHECKSUM = 8
    FRAMING = 16
    OVERRUN = 32

    def __str__(self) -> str:
        """Return the faults by name."""
        names = [flag.name.lower() for flag in Status if flag in self and flag.name]
        return " and ".join(names) or "good"


@dataclass(frozen=True)
class Answer:
    """An answer of the board.

    Attributes
    ----------
    number
        That of the frame.
    status
        Its faults; what the data say counts only where there are none.
    data
        The beats of the answer.
    """

    number: int
    status: Status
    data: bytes


def frame_packet(number: int, data: bytes) -> bytes:
    """Return the packet of a frame: its number, its beats and a checksum between two ends."""
    return _END + _escaped(_checked(bytes([number]) + data)) + _END


class PacketReader:
    """Finds answers in bytes as they come.

    Parameters
    ----------
    longest
        Bytes between the ends of the longest packet that can be an answer, escapes included;
        more are noise.
    """

    def __init__(self, longest: int = 1 << 16) -> None:
        self._longest = longest
        self._rest = b""

    def read(self, data: bytes) -> Iterator[Answer | None]:
        """Yield the answers that end in these bytes; None for a packet that is none."""
        *packets, self._rest = (self._rest + data).split(_END)
        if len(self._rest) > self._longest:
            # Whatever its end will be, this is no answer; noise may never have an end.
            packets.append(self._rest)
            self._rest = b""
        for packet in packets:
            if packet:
                yield _answer(packet) if len(packet) <= self._longest else None


def _answer(packet: bytes) -> Answer | None:
    plain = packet
    for value, escape in reversed(_ESCAPES):
        plain = plain.replace(escape, value)
    if len(plain) < 5 or _checked(plain[:-2]) != plain or plain[1] >= 2 * Status.OVERRUN:
        return None
    return Answer(plain[0], Status(plain[1]), plain[2:-2])


def _checked(data: bytes) -> bytes:
    """Return bytes with their CRC-16/IBM-3740 behind them."""
    return data + binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "big")


def _escaped(data: bytes) -> bytes:
    for value, escape in _ESCAPES:
        data = data.replace(value, escape)
    return data
