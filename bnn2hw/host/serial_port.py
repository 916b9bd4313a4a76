"""A serial port of this machine, through pyserial (extra ``board``)."""

from __future__ import annotations

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
        self._error = serial.SerialException
        self._name = name
        try:
            self._port = serial.serial_for_url(
                name, baudrate=baud, timeout=timeout, write_timeout=timeout
            )
        except (serial.SerialException, ValueError) as error:
            raise self._failed(error) from None

    def send(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._port.write(data)
        except self._error as error:
            raise self._failed(error) from None

    def receive(self) -> bytes:
        """Return what has come; wait for it, and return nothing where nothing comes in time."""
        try:
            return bytes(self._port.read(max(self._port.in_waiting, 1)))
        except self._error as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _failed(self, error: Exception) -> HostError:
        return HostError(f"the port fails: {error}", file=self._name)
