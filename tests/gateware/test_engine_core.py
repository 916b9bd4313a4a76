"""Engines that take patches against the golden model, with stalls, and their cycles."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.emit.vectors import pack_words
from bnn2hw.gateware.engine_core import EngineCore
from bnn2hw.model import BIPOLAR, Integer
from bnn2hw.plan.engine import EngineParameters
from tests.gateware.engines import EngineDesign, engine_design
from tests.gateware.streams import send_words


@st.composite
def designs(draw: st.DrawFn) -> EngineDesign:
    """Return an engine of any shape and format, with positions of any border class."""
    kernel = draw(st.sampled_from([(3, 3), (3, 3), (1, 1), (2, 3), None]))
    form = draw(st.sampled_from([BIPOLAR, BIPOLAR, Integer(0, 3), Integer(-2, 1)]))
    closed = draw(st.booleans())
    vectors = kernel in ((1, 1), None)
    return engine_design(
        draw(st.integers(0, 1000)),
        EngineParameters(lanes=draw(st.integers(1, 11)), kernel_units=draw(st.integers(1, 6))),
        "subbit",
        kernel,
        draw(st.integers(1, 20 if vectors else 4)),
        draw(st.integers(1, 11)),
        positions=6,
        form=form,
        book=(draw(st.integers(1 + closed, 4)), closed),
        threshold=draw(st.booleans()),
        padding=0 if kernel is None else draw(st.integers(0, 1)),
        padding_value=0 if form != BIPOLAR else draw(st.integers(-1, 1)),
    )


@given(designs(), st.sampled_from([0.0, 0.5]), st.integers(0, 9))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_engine_core(design: EngineDesign, stall: float, seed: int) -> None:
    plan, width = design.plan, design.source.format.width
    classes = len(plan.valid)
    words = pack_words(design.patches, width)
    if classes > 1:
        shift = design.layer.patch_size() * width
        words = [word | int(b) << shift for word, b in zip(words, design.borders, strict=True)]
    form = design.layer.output(design.source).format
    core = EngineCore(plan.program, plan.order, plan.valid, output=(form.width, form.signed))
    patience = 200 + 4 * plan.cycles
    trace = send_words(core, words, len(words), stall=stall, seed=seed, patience=patience)
    assert trace.words == pack_words(design.expected, form.width)
    if not stall:
        assert trace.cycles == [plan.cycles * k + plan.latency for k in range(len(words))]
