"""A serial port of this machine, through pyserial (extra ``board``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import HostError, ToolError

__all__ = ["SerialPort"]


class SerialPort:
    """A board behind a serial port.

    Parameters
    ----------
    name
        Name of the port, such as ``/dev/ttyUSB1`` or ``COM3``; also a URL of pyserial.
    baud
        Bits a second.
    timeout
        Seconds that :meth:`receive` waits.

    Raises
    ------
    ToolError
        If pyserial is not installed.
    HostError
        If the port cannot be opened, or fails later.
    """

    def __init__(self, name: str, baud: int, timeout: float) -> None:
        try:
            import serial
        except ImportError:
            raise ToolError(
                "pyserial is not installed", remedy="run 'pip install bnn2hw[board]'"
            ) from None
        self._name = name
        with self._told():
            self._port = serial.serial_for_url(
                name, baudrate=baud, timeout=timeout, write_timeout=timeout
            )

    def send(self, data: bytes) -> None:
        """Send bytes."""
        with self._told():
            self._port.write(data)

    def receive(self) -> bytes:
        """Return what has come; wait for it, and return nothing where nothing comes in time."""
        with self._told():
            return bytes(self._port.read(max(self._port.in_waiting, 1)))

    def close(self) -> None:
        """Close the port."""
        with self._told():
            self._port.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what the port or the system beneath it raises as a typed error."""
        try:
            yield
        # SerialException is an OSError; a port that was unplugged raises others as well.
        except (OSError, ValueError) as error:
            raise HostError(f"the port fails: {error}", file=self._name) from None
