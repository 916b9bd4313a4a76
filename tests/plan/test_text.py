"""The text form: it reads back to an equal graph, and nothing else is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.errors import PlanError
from bnn2hw.model import LinearLayer, Tensor
from bnn2hw.plan import plan_layer
from bnn2hw.plan.graph import AdderGraph, Count, Node, Output, Sum
from bnn2hw.plan.text import dump, load
from tests.plan.strategies import layers

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)

TEXT = """\
graph inputs 4 from 0 to 1
n4 = count 0 ~2 3  # channel17
n5 = sum +n4 -x1<<3 -12  # channel3_from_channel17
n6 = count
n7 = sum
out 0 = -n5 +576
out 8 = +x2
"""


def array(values: list[int], dtype: type) -> np.ndarray:
    return np.array(values, dtype=dtype)


def test_text_is_as_documented() -> None:
    nodes: tuple[Node, ...] = (
        Count(array([0, 2, 3], np.int32), array([0, 1, 0], np.bool_), "channel17"),
        Sum(
            array([4, 1], np.int32),
            array([1, -1], np.int8),
            array([0, 3], np.int8),
            -12,
            "channel3_from_channel17",
        ),
        Count(array([], np.int32), array([], np.bool_)),
        Sum(array([], np.int32), array([], np.int8), array([], np.int8)),
    )
    graph = AdderGraph(4, 0, 1, nodes, (Output(0, 5, -1, 576), Output(8, 2)))
    assert dump(graph) == TEXT
    assert load(TEXT) == graph


@EXAMPLES
@given(layers, st.sampled_from(("direct", "mst")))
def test_text_reads_back(case: tuple[LinearLayer, Tensor], method: str) -> None:
    graph = plan_layer(*case, method).graph
    text = dump(graph)
    assert load(text) == graph
    assert dump(load(text)) == text


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("graph inputs 4", "graph inputs four", 1, "is not 'graph inputs"),
        ("inputs 4 ", "inputs 0 ", 1, "empty or too wide"),
        ("inputs 4 ", "inputs 99999999 ", 1, "empty or too wide"),
        ("from 0 to 1", "from 3 to 1", 1, "empty or too wide"),
        ("from 0 to 1", "from 0 to 3", 2, "counts bits"),
        ("n4 = count", "n5 = count", 2, "numbers value 5 where 4 is next"),
        ("n4 = count", "n4 = product", 2, "is not 'nVALUE"),
        ("0 ~2 3", "0 2~ 3", 2, "other than inputs"),
        ("0 ~2 3", "0 ~2 2", 2, "do not ascend"),
        ("0 ~2 3", "0 ~2 4", 2, "counts input 4 of 4"),
        ("# channel17", "#  channel17", 2, "not one plain line"),
        ("+n4 -x1", "+n4 x1", 3, "where a signed value belongs"),
        ("+n4 -x1", "+n5 -x1", 3, "reads n5 before it is there"),
        ("+n4 -x1", "+x4 -x1", 3, "reads x4, but there are 4 inputs"),
        ("+n4 -x1", "+n3 -x1", 3, "reads n3, but there are 4 inputs"),
        ("<<3", "<<31", 3, "shifts by 31"),
        ("n6 = count", "", 4, "neither a node nor an output"),
        ("-n5 +576", "-n5 + 576", 6, "is not 'out"),
        ("-n5 +576", "-n5 576", 6, "where a constant belongs"),
        ("-n5 +576", "-n8 +576", 6, "reads n8 before it is there"),
        ("-n5 +576", "-n5<<1 +576", 6, "shifts an output"),
        ("out 8", "out 0", 7, "has channel 0 after channel 0"),
        ("out 8 = +x2\n", "n8 = count 1\n", 7, "neither a node nor an output"),
        ("+x2\n", "+x2", 7, "is cut short"),
        ("4 from", "٤ from", 1, "is not 'graph inputs"),
    ],
)
def test_malformed_text_names_the_line(old: str, new: str, line: int, what: str) -> None:
    assert TEXT.count(old) == 1
    with pytest.raises(PlanError, match=f"^line {line} of the plan .*{what}"):
        load(TEXT.replace(old, new))


@settings(EXAMPLES, max_examples=400)
@given(
    st.integers(0, len(TEXT)), st.integers(0, 12), st.text("0123456789~+-<>nx #\nout=", max_size=8)
)
def test_damaged_text_is_read_or_refused(start: int, length: int, text: str) -> None:
    damaged = TEXT[:start] + text + TEXT[start + length :]
    try:
        graph = load(damaged)
    except PlanError:
        return
    assert load(dump(graph)) == graph


@pytest.mark.parametrize("label", ["two\nlines", " blank", "bell\a"])
def test_labels_are_plain(label: str) -> None:
    count = Count(array([0], np.int32), array([0], np.bool_), label)
    with pytest.raises(PlanError, match="is not one plain line"):
        dump(AdderGraph(1, 0, 1, (count,), ()))
