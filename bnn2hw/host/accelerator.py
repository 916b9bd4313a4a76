"""A network on a board as a function of images."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from threading import TIMEOUT_MAX
from time import monotonic
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..emit.frames import Field, frame_bytes, read_answers
from ..emit.manifest import layer_directories, read_manifest
from ..emit.stage import Beats
from ..errors import HostError, UsageError
from .packets import Answer, PacketReader, Transport, frame_packet
from .serial_port import SerialPort

__all__ = ["Accelerator"]

# So many packets in a row that answer nothing are more than noise.
_STRAYS = 16
# Seconds for an answer over a transport whose pace is its own, such as a simulation's.
_PATIENCE = 600.0


class Accelerator:
    """Sends images to a network on a board and reads what it makes of them.

    A frame that was lost or spoilt is sent again; :attr:`faults` tells what happened. A context,
    which closes the port.

    Parameters
    ----------
    port
        Name of a serial port, or a :class:`.Transport`.
    directory
        What ``bnn2hw board`` wrote.
    retries
        How often an image may fail before that is an error.
    timeout
        Seconds that an answer may take after the one before it, whatever else comes; None for a
        time that suits a serial port, and 600 with a transport.

    Raises
    ------
    UsageError
        If the retries are no integer from 0 on or the timeout is no time, or if a serial port is
        named for a board without a UART.
    BuildError
        If there is no network of a board in the directory.
    ToolError, HostError
        As of :class:`.SerialPort`.
    """

    def __init__(
        self,
        port: str | Transport,
        directory: str | Path,
        *,
        retries: int = 2,
        timeout: float | None = None,
    ) -> None:
        if type(retries) is not int or retries < 0:
            raise UsageError(f"retries {retries!r} are no integer from 0 on", remedy="give one")
        if timeout is not None and not (
            isinstance(timeout, int | float) and 0 < timeout <= TIMEOUT_MAX
        ):
            raise UsageError(
                f"timeout {timeout!r} is no time to wait", remedy="give seconds above 0, or None"
            )
        (part,) = layer_directories(Path(directory), "board").values()
        manifest = read_manifest(part, "board")
        self._shape = tuple(manifest["input"]["shape"])
        self._beats = Beats(**manifest["input"]["beats"])
        self._signed = bool(manifest["input"]["signed"])
        self._fields = [Field(**field) for field in manifest["output"]["fields"]]
        self._answer_beats = int(manifest["output"]["beats"])
        self._answer_size = -(-sum(f.elements * f.width for f in self._fields) // 8)
        self._window = int(manifest["window"])
        self._retries = retries
        # Number, status and checksum are 4 bytes, and every byte may be an escape.
        self._reader = PacketReader(2 * (4 + self._answer_beats * self._answer_size))
        self._number = 0
        #: What went wrong with frames that were then sent again, and packets that were none.
        self.faults: list[str] = []
        if isinstance(port, str):
            size = self._beats.frame * -(-self._beats.elements * self._beats.width // 8)
            baud = manifest["baud"]
            if baud is None:
                raise UsageError("this board has no UART", remedy="give a transport of bytes")
            # Every byte may be an escape; the network itself takes a few intervals.
            line = 2 * 10 * self._window * (size + self._answer_beats * self._answer_size) / baud
            work = 8 * manifest["interval_cycles"] / manifest["clock_hz"]
            timeout = 0.5 + line + work if timeout is None else timeout
            port = SerialPort(port, baud, timeout)
        self._port = port
        self._timeout = _PATIENCE if timeout is None else timeout

    def classify(self, images: ArrayLike) -> NDArray[np.int64]:
        """Return the classes of images, int64 (count,).

        Parameters and errors are those of :meth:`run`.

        Raises
        ------
        UsageError
            If the network gives no classes.
        """
        if self._fields[0].name != "class":
            raise UsageError("this network gives no classes", remedy="call run")
        return self.run(images)["class"].reshape(-1)

    def run(self, images: ArrayLike) -> dict[str, NDArray[np.int64]]:
        """Return the fields of the answers to images, int64 (count, beats, elements) by name.

        Parameters
        ----------
        images
            Integers (count, *input shape); bits for a network that reads bits.

        Raises
        ------
        UsageError
            If the images are not those of the network.
        HostError
            If an image has no good answer after all retries.
        """
        frames = [words.tobytes() for words in frame_bytes(self._checked(images), self._beats)]
        size = self._answer_beats * self._answer_size
        answers: dict[int, bytes] = {}
        failed = [0] * len(frames)
        waiting = deque(range(len(frames)))
        strays = 0
        sent: deque[tuple[int, int]] = deque()  # numbers and images without an answer, in order

        def spoil(why: str) -> None:
            """Send the image that has waited longest again."""
            _, image = sent.popleft()
            self.faults.append(f"image {image}: {why}")
            failed[image] += 1
            if failed[image] > self._retries:
                raise HostError(
                    f"image {image} failed {failed[image]} times, at last: {why}",
                    remedy="check line, baud rate and bitstream",
                )
            # At once, so that a line that is dead is told after a few deadlines.
            waiting.appendleft(image)

        oldest, due = None, 0.0
        while sent or waiting:
            while waiting and len(sent) < self._window:
                sent.append((self._number, waiting.popleft()))
                self._port.send(frame_packet(self._number, frames[sent[-1][1]]))
                self._number = (self._number + 1) % 256
            if sent[0] != oldest:
                oldest, due = sent[0], monotonic() + self._timeout
            data = self._port.receive()
            for answer in self._reader.read(data):
                numbers = [number for number, _ in sent]
                if answer is None or answer.number not in numbers:
                    self.faults.append(_stray(answer))
                    strays += 1
                    if strays > _STRAYS:
                        raise HostError(
                            f"{strays} packets came that answer nothing, at last: {_stray(answer)}",
                            remedy="check port, baud rate and bitstream",
                        )
                else:
                    strays = 0
                    # Answers come in order, so those before this one are lost.
                    for _ in range(numbers.index(answer.number)):
                        spoil("its answer was lost")
                    if answer.status:
                        spoil(f"the board says {answer.status}")
                    elif len(answer.data) != size:
                        spoil(f"its answer has {len(answer.data)} bytes and not {size}")
                    else:
                        answers[sent.popleft()[1]] = answer.data
            if not data or (sent and sent[0] == oldest and monotonic() > due):
                # The line is silent or brings no answer, so none of them will come.
                for _ in range(len(sent)):
                    spoil("no answer came in time")
        joined = b"".join(answers[image] for image in range(len(frames)))
        shape = (len(frames), self._answer_beats, self._answer_size)
        return read_answers(np.frombuffer(joined, np.uint8).reshape(shape), self._fields)

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def __enter__(self) -> Accelerator:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port."""
        self.close()

    def _checked(self, images: ArrayLike) -> NDArray[np.int64]:
        """Return images as int64, if they are those of the network."""
        found = np.asarray(images)
        if found.ndim != len(self._shape) + 1 or found.shape[1:] != self._shape:
            raise UsageError(
                f"images of shape {found.shape} are not (count, "
                f"{', '.join(map(str, self._shape))})",
                remedy="give images as the network reads them",
            )
        if not len(found):
            raise UsageError("there are no images", remedy="give at least one")
        if not np.issubdtype(found.dtype, np.integer):
            raise UsageError(f"images of {found.dtype} are no integers", remedy="convert them")
        bits = self._beats.width
        low, high = (
            (-(1 << bits - 1), (1 << bits - 1) - 1) if self._signed else (0, (1 << bits) - 1)
        )
        if found.size and (found.min() < low or found.max() > high):
            raise UsageError(
                f"images hold {found.min()} to {found.max()}, the network reads {low} to {high}",
                remedy="scale them as in training",
            )
        return found.astype(np.int64)


def _stray(answer: Answer | None) -> str:
    """Return what to say of a packet that answers nothing."""
    if answer is None:
        return "a packet came that is no answer"
    return f"an answer came to a frame that was not sent: {answer.status}"
