"""The host's side of a network on a board: images out, classes in."""

from .accelerator import Accelerator
from .packets import Answer, Status, Transport
from .serial_port import SerialPort

__all__ = ["Accelerator", "Answer", "SerialPort", "Status", "Transport"]
