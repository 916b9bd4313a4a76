"""A simulated board: its UART bit by bit, as a transport for :class:`bnn2hw.host.Accelerator`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ..emit.manifest import layer_directories, read_manifest
from ..errors import UsageError, VerificationError
from .network import build_harness

__all__ = ["SimulatedPort"]


class SimulatedPort:
    """The two lines of a board's UART in a compiled simulation.

    Time passes only while bytes are sent or waited for. The bytes of the board are read from the
    levels of its line, bit by bit.

    Parameters
    ----------
    directory
        What ``bnn2hw board`` wrote.
    patience
        Bits of silence after which :meth:`receive` gives up; None for a time that suits.

    Raises
    ------
    UsageError
        If the board has no UART.
    BuildError, ToolError
        If there is no network of a board in the directory, or Verilator fails.
    """

    def __init__(self, directory: str | Path, patience: int | None = None) -> None:
        (part,) = layer_directories(Path(directory), "board").values()
        manifest = read_manifest(part, "board")
        if manifest["link"] != "uart":
            raise UsageError("this board has no UART", remedy="build it with --link uart")
        (part / "results").mkdir(exist_ok=True)
        program = build_harness(part, manifest["top"], manifest)
        self._divisor = int(manifest["divisor"])
        suits = 100 + 8 * manifest["interval_cycles"] // self._divisor
        self._patience = suits if patience is None else patience
        self._levels = b""
        self._process = subprocess.Popen(
            [str(program.resolve())], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def send(self, data: bytes) -> None:
        """Send bytes, one bit after the other: start, eight from the lowest on, stop."""
        for byte in data:
            self.send_bits([0, *(byte >> k & 1 for k in range(8)), 1])

    def send_bits(self, levels: list[int]) -> None:
        """Give the line these levels, each for a bit's time."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(bytes(levels))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise VerificationError("the simulation of the board ended") from None
        wanted = len(levels) * self._divisor
        found = self._process.stdout.read(wanted)
        if len(found) != wanted:
            raise VerificationError("the simulation of the board ended")
        self._levels += found

    def receive(self) -> bytes:
        """Return the bytes that the board has sent; let time pass until there is one."""
        for _ in range(self._patience):
            found = self._decoded()
            if found:
                return found
            self.send_bits([1])
        return b""

    def _decoded(self) -> bytes:
        """Take the whole bytes off the levels of the board's line."""
        found = bytearray()
        while (start := self._levels.find(0)) >= 0:
            middle = start + self._divisor // 2
            stop = middle + 9 * self._divisor
            if stop >= len(self._levels):
                break
            bits = self._levels[middle : stop + 1 : self._divisor]
            if bits[0] or not bits[9]:
                raise VerificationError("the board sends a byte without start or stop bit")
            found.append(sum(bit << k for k, bit in enumerate(bits[1:9])))
            self._levels = self._levels[stop:]
        return bytes(found)

    def close(self) -> None:
        """End the simulation."""
        self._process.communicate()
