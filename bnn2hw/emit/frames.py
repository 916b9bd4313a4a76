"""Images and answers as they travel: beats of the input stream, words on every edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .stage import Beats

__all__ = [
    "Field",
    "Frames",
    "Joint",
    "frame_bytes",
    "read_answers",
    "write_bench_frames",
    "write_volume",
]


@dataclass(frozen=True)
class Field:
    """A field of the beats of an answer.

    Attributes
    ----------
    name
        ``class``, ``scores``, or ``elements`` of a network without an argmax.
    elements, width, signed
        How many elements of how many bits.
    """

    name: str
    elements: int
    width: int
    signed: bool


@dataclass(frozen=True)
class Joint:
    """An edge on which the edges of several layers travel.

    Attributes
    ----------
    layers
        Their names.
    in_turn
        Whether they take turns, position by position; else their channels lie side by side.
    width
        Bits of an element.
    """

    layers: tuple[str, ...]
    in_turn: bool
    width: int

    def values(self, edges: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Return the values of the edge, (count, positions, elements), from those of all layers."""
        rows = [edges[name] for name in self.layers]
        if not self.in_turn:
            return np.concatenate(rows, axis=-1)
        turns = np.stack([row.reshape(len(row), -1, row.shape[-1]) for row in rows], axis=2)
        return turns.reshape(len(turns), -1, turns.shape[-1])


@dataclass(frozen=True, eq=False)
class Frames:
    """Stimulus and expected response of a network.

    Attributes
    ----------
    images
        int64 (count, *input shape).
    edges
        By layer: int64 (some of the first images, *edge shape).
    answers
        By name of a field: int64 (count, beats of an answer, elements).
    """

    images: NDArray[np.int64]
    edges: Mapping[str, NDArray[np.int64]]
    answers: Mapping[str, NDArray[np.int64]]


def write_bench_frames(
    folder: Path,
    frames: Frames,
    beats: Beats,
    fields: Sequence[Field],
    widths: Mapping[str, int],
    joint: Mapping[str, Joint],
) -> None:
    """Write the files of the cocotb bench: ``input.txt``, and one for each edge.

    Parameters
    ----------
    folder
        Where; it is made.
    frames
        As many as have edges are written.
    beats, fields
        Of the input and of an answer.
    widths
        Bits of an element of each edge; the last edge is the answer itself.
    joint
        Edges of several layers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = min(len(values) for values in frames.edges.values())
    texts = {"input": _hex(frame_bytes(frames.images[:count], beats))}
    edges = {**frames.edges, **{name: edge.values(frames.edges) for name, edge in joint.items()}}
    for name, width in {**{name: edge.width for name, edge in joint.items()}, **widths}.items():
        values = edges[name][:count]
        rows = values.reshape(count, -1, values.shape[-1])
        texts[name] = _hex(_pack(_bits(rows, width)))
    answers = {name: values[:count] for name, values in frames.answers.items()}
    texts[list(widths)[-1]] = _hex(_answer_bytes(answers, fields))
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def write_volume(folder: Path, frames: Frames, beats: Beats, fields: Sequence[Field]) -> None:
    """Write the files of the compiled harness: ``frames.bin`` and ``expected.bin``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "frames.bin").write_bytes(frame_bytes(frames.images, beats).tobytes())
    (folder / "expected.bin").write_bytes(_answer_bytes(frames.answers, fields).tobytes())


def frame_bytes(images: NDArray[np.int64], beats: Beats) -> NDArray[np.uint8]:
    """Return the beats of images, int64 (count, *shape): uint8 (count, beats, bytes of a beat)."""
    count, channels = len(images), images.shape[-1]
    rows = images.reshape(count, -1, channels)
    axis, multiple = (1, beats.split) if beats.split > 1 else (2, beats.elements)
    filling = [(0, 0), (0, 0), (0, 0)]
    filling[axis] = 0, -rows.shape[axis] % multiple
    rows = np.pad(rows, filling).reshape(count, beats.frame, beats.elements)
    return _pack(_bits(rows, beats.width))


def _answer_bytes(
    answers: Mapping[str, NDArray[np.int64]], fields: Sequence[Field]
) -> NDArray[np.uint8]:
    """Return answers, uint8 (count, beats, bytes of a beat)."""
    return _pack(
        np.concatenate([_bits(answers[field.name], field.width) for field in fields], axis=2)
    )


def read_answers(words: NDArray[np.uint8], fields: Sequence[Field]) -> dict[str, NDArray[np.int64]]:
    """Return the fields of answers, int64 (count, beats, elements) by name.

    Parameters
    ----------
    words
        uint8 (count, beats, bytes of a beat).
    fields
        Of a beat, the first at the LSB.
    """
    bits = np.unpackbits(words, axis=2, bitorder="little").astype(np.int64)
    found, start = {}, 0
    for field in fields:
        stop = start + field.elements * field.width
        weights = 1 << np.arange(field.width, dtype=np.int64)
        if field.signed:
            weights[-1] *= -1
        shape = (*words.shape[:2], field.elements, field.width)
        found[field.name] = bits[:, :, start:stop].reshape(shape) @ weights
        start = stop
    return found


def _bits(rows: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return the bits of elements, (count, words, bits of a word), in two's complement."""
    bits = (rows[:, :, :, None] >> np.arange(width)) & 1
    return bits.reshape(*rows.shape[:2], -1).astype(np.uint8)


def _pack(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.packbits(bits, axis=2, bitorder="little")


def _hex(words: NDArray[np.uint8]) -> str:
    """Return words, uint8 (frames, words, bytes), in hexadecimal, one frame a line."""
    swapped = np.ascontiguousarray(words[:, :, ::-1])
    return "".join(" ".join(word.tobytes().hex() for word in frame) + "\n" for frame in swapped)
