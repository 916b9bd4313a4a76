"""The class: which of many scores is the greatest."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .pipeline import advance_stream

__all__ = ["Argmax"]


@dataclass(frozen=True)
class _Candidate:
    score: Value
    index: Value


class Argmax(wiring.Component):
    """The index of the greatest score, by a tree of comparisons with a register after each level.

    Throughput one word a cycle; latency ``latency`` cycles.

    Parameters
    ----------
    count
        Number of scores.
    element_width, element_signed
        Format of a score; bits compare as 0 and 1.
    last
        Whether the last of equal scores wins, else the first.
    scores
        Whether the scores go out behind the index.

    Attributes
    ----------
    latency
        Cycles from scores to index: levels of the tree, at least 1.
    index_width
        Bits of the index.

    Members
    -------
    i : stream of ``unsigned(count * element_width)``, score 0 at the LSB
    o : stream of the index at the LSB and, if wanted, the word of scores behind it
    """

    def __init__(
        self,
        count: int,
        *,
        element_width: int,
        element_signed: bool,
        last: bool = False,
        scores: bool = False,
    ) -> None:
        self._count, self._last, self._scores = count, last, scores
        self._element = Shape(element_width, element_signed)
        self.latency = max((count - 1).bit_length(), 1)
        self.index_width = max((count - 1).bit_length(), 1)
        word = count * element_width
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(word))),
                "o": Out(stream.Signature(unsigned(self.index_width + word * scores))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the tree."""
        m = Module()
        advance = advance_stream(m, self.i.valid, self.i.ready, self.o, self.latency)
        row = []
        for k in range(self._count):
            score = self.i.payload.word_select(k, self._element.width)
            row.append(
                _Candidate(
                    score.as_signed() if self._element.signed else score,
                    Const(k, self.index_width),
                )
            )
        word = self.i.payload
        for level in range(self.latency):
            pairs = [row[k : k + 2] for k in range(0, len(row), 2)]
            row = [
                self._register(m, self._better(*pair), advance, f"{level}_{k}")
                for k, pair in enumerate(pairs)
            ]
            if self._scores:
                held = Signal(word.shape(), name=f"scores{level}", reset_less=True)
                with m.If(advance):
                    m.d.sync += held.eq(word)
                word = held
        m.d.comb += self.o.payload.eq(Cat(row[0].index, word) if self._scores else row[0].index)
        return m

    def _better(self, first: _Candidate, second: _Candidate | None = None) -> _Candidate:
        """Return the candidate with the greater score."""
        if second is None:
            return first
        takes = second.score >= first.score if self._last else second.score > first.score
        score = Mux(takes, second.score, first.score)
        return _Candidate(
            score.as_signed() if self._element.signed else score,
            Mux(takes, second.index, first.index),
        )

    def _register(self, m: Module, candidate: _Candidate, advance: Value, name: str) -> _Candidate:
        score = Signal(self._element, name=f"score{name}", reset_less=True)
        index = Signal(self.index_width, name=f"index{name}", reset_less=True)
        with m.If(advance):
            m.d.sync += [score.eq(candidate.score), index.eq(candidate.index)]
        return _Candidate(score, index)
