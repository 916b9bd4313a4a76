"""The text form of an adder graph: one line a node, reading back to an equal graph.

::

    graph inputs 576 from 0 to 1
    n576 = count 3 ~7 12  # channel17
    n577 = sum +n576 -n580<<1 +x4 -12  # channel3
    out 0 = -n576 +576

``x4`` is input 4, ``n576`` value 576; a count lists its inputs, ``~`` before the inverted ones; a
sum lists signed values with their shifts, and its constant last where it is not 0. An output is a
signed value and its constant. What follows ``#`` is the label. Values are numbered in order.
"""

from __future__ import annotations

import re

import numpy as np

from ..errors import PlanError
from .graph import AdderGraph, Count, Node, Output, Sum
from .netlist import Netlist
from .netlist_text import HEADER, dump_netlist, load_netlist

__all__ = ["dump", "load"]

_MAXIMUM_INPUTS = 1 << 24
_MAXIMUM_SHIFT = 30
_HEADER = re.compile(r"graph inputs (\d{1,9}) from (-?\d{1,10}) to (-?\d{1,10})", re.ASCII)
_NODE = re.compile(r"n(\d{1,9}) = (count|sum)((?: [^ #]+)*)(?:  # (.*))?", re.ASCII)
_OUTPUT = re.compile(r"out (\d{1,9}) = ([^ ]+)(?: ([^ ]+))?", re.ASCII)
_TERM = re.compile(r"([+-])([xn])(\d{1,9})(?:<<(\d{1,2}))?", re.ASCII)
_CONSTANT = re.compile(r"[+-]\d{1,18}", re.ASCII)
_TAPS = re.compile(r"(?: ~?\d{1,9})*", re.ASCII)


def dump(graph: AdderGraph | Netlist) -> str:
    """Return the text of a graph, or of a netlist (see :mod:`.netlist_text`).

    Raises
    ------
    PlanError
        If a label is not one line of printable characters.
    """
    if isinstance(graph, Netlist):
        return dump_netlist(graph)
    lines = [f"graph inputs {graph.inputs} from {graph.low} to {graph.high}"]
    for value, node in graph.numbered():
        terms = _count_terms(node) if isinstance(node, Count) else _sum_terms(node, graph.inputs)
        kind = "count" if isinstance(node, Count) else "sum"
        line = " ".join([f"n{value} = {kind}", *terms])
        if node.label:
            if not node.label.isprintable() or node.label != node.label.strip():
                raise PlanError(f"label {node.label!r} of value {value} is not one plain line")
            line += f"  # {node.label}"
        lines.append(line)
    for output in graph.outputs:
        line = f"out {output.channel} = {_term(output.value, output.sign, 0, graph.inputs)}"
        lines.append(line + (f" {output.constant:+d}" if output.constant else ""))
    return "\n".join(lines) + "\n"


def _count_terms(node: Count) -> list[str]:
    return [
        f"~{tap}" if inverted else str(tap)
        for tap, inverted in zip(node.taps.tolist(), node.inverted.tolist(), strict=True)
    ]


def _sum_terms(node: Sum, inputs: int) -> list[str]:
    terms = [
        _term(source, sign, shift, inputs)
        for source, sign, shift in zip(
            node.sources.tolist(), node.signs.tolist(), node.shifts.tolist(), strict=True
        )
    ]
    return terms + ([f"{node.constant:+d}"] if node.constant else [])


def _term(value: int, sign: int, shift: int, inputs: int) -> str:
    name = f"x{value}" if value < inputs else f"n{value}"
    return f"{'-' if sign < 0 else '+'}{name}" + (f"<<{shift}" if shift else "")


def load(text: str) -> AdderGraph | Netlist:
    """Return the graph or netlist that a text describes.

    Raises
    ------
    PlanError
        If the text is malformed, with the number of the line.
    """
    if text.startswith(HEADER):
        return load_netlist(text)
    lines = text.split("\n")
    number = 1
    try:
        if lines[-1]:
            number = len(lines)
            raise PlanError("is cut short: it does not end")
        inputs, low, high = _header(lines[0])
        nodes: list[Node] = []
        outputs: list[Output] = []
        for number, line in enumerate(lines[1:], start=2):
            if line.startswith("n") and not outputs:
                nodes.append(_node(line, inputs, inputs + len(nodes), low, high))
            elif line.startswith("out"):
                after = outputs[-1].channel if outputs else -1
                outputs.append(_output(line, inputs, inputs + len(nodes), after))
            elif number < len(lines):
                raise PlanError(f"is neither a node nor an output: {line[:40]!r}")
    except PlanError as error:
        raise PlanError(
            f"line {number} of the plan {error.what}",
            remedy="restore the text that was generated",
        ) from None
    return AdderGraph(inputs, low, high, tuple(nodes), tuple(outputs))


def _header(line: str) -> tuple[int, int, int]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise PlanError(f"is not 'graph inputs N from LOW to HIGH': {line[:40]!r}")
    inputs, low, high = (int(group) for group in match.groups())
    if not 0 < inputs <= _MAXIMUM_INPUTS or low > high:
        raise PlanError(f"has an empty or too wide input: {line!r}")
    return inputs, low, high


def _node(line: str, inputs: int, value: int, low: int, high: int) -> Node:
    match = _NODE.fullmatch(line)
    if match is None:
        raise PlanError(f"is not 'nVALUE = count ...' or 'nVALUE = sum ...': {line[:40]!r}")
    number, kind, terms, label = match.groups()
    if int(number) != value:
        raise PlanError(f"numbers value {number} where {value} is next")
    if label is not None and (not label or not label.isprintable() or label != label.strip()):
        raise PlanError(f"has a label that is not one plain line: {label[:40]!r}")
    if kind == "sum":
        return _sum(terms.split(), inputs, value, label or "")
    if (low, high) != (0, 1):
        raise PlanError("counts bits, but the inputs are not bits")
    return _count(terms, inputs, label or "")


def _count(terms: str, inputs: int, label: str) -> Count:
    if _TAPS.fullmatch(terms) is None:
        raise PlanError(f"lists something other than inputs: {terms[:40]!r}")
    words = terms.split()
    inverted = np.array([word[0] == "~" for word in words], dtype=np.bool_)
    taps = np.array([int(word.lstrip("~")) for word in words], dtype=np.int64)
    if (np.diff(taps) <= 0).any():
        raise PlanError("lists inputs that do not ascend")
    if len(taps) and taps[-1] >= inputs:
        raise PlanError(f"counts input {taps[-1]} of {inputs}")
    return Count(taps.astype(np.int32), inverted, label)


def _sum(words: list[str], inputs: int, value: int, label: str) -> Sum:
    constant = 0
    if words and _CONSTANT.fullmatch(words[-1]):
        constant = int(words.pop())
    terms = [_value(word, inputs, value) for word in words]
    return Sum(
        np.array([term[0] for term in terms], dtype=np.int32),
        np.array([term[1] for term in terms], dtype=np.int8),
        np.array([term[2] for term in terms], dtype=np.int8),
        constant,
        label,
    )


def _value(word: str, inputs: int, count: int) -> tuple[int, int, int]:
    """Return value number, sign and shift of a signed value below ``count``."""
    match = _TERM.fullmatch(word)
    if match is None:
        raise PlanError(f"has {word[:40]!r} where a signed value belongs, such as +n12<<1")
    sign, kind, digits, shift = match.groups()
    value = int(digits)
    if value >= count:
        raise PlanError(f"reads {kind}{value} before it is there")
    if (kind == "x") != (value < inputs):
        raise PlanError(f"reads {kind}{value}, but there are {inputs} inputs")
    if int(shift or 0) > _MAXIMUM_SHIFT:
        raise PlanError(f"shifts by {shift}, more than {_MAXIMUM_SHIFT}")
    return value, -1 if sign == "-" else 1, int(shift or 0)


def _output(line: str, inputs: int, count: int, after: int) -> Output:
    match = _OUTPUT.fullmatch(line)
    if match is None:
        raise PlanError(f"is not 'out CHANNEL = VALUE CONSTANT': {line[:40]!r}")
    channel, term, constant = match.groups()
    value, sign, shift = _value(term, inputs, count)
    if shift:
        raise PlanError("shifts an output")
    if constant is not None and _CONSTANT.fullmatch(constant) is None:
        raise PlanError(f"has {constant[:40]!r} where a constant belongs, such as -12")
    if int(channel) <= after:
        raise PlanError(f"has channel {channel} after channel {after}")
    return Output(int(channel), value, sign, int(constant or 0))
