"""The sequential engine against the golden model, and its cycles against the closed form."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.emit.engine_vectors import load_words
from bnn2hw.gateware.engine import SequentialEngine
from bnn2hw.gateware.engine_load import LOAD_WIDTH
from bnn2hw.model import BIPOLAR, Integer
from bnn2hw.plan.engine import EngineParameters
from tests.gateware.engines import EngineDesign, check_engine, engine_design, timing

BYTE = Integer(-128, 127)


@st.composite
def designs(draw: st.DrawFn) -> EngineDesign:
    """Return an engine of any shape, mode and format, with some positions of any border class."""
    mode = draw(st.sampled_from(["subbit", "binary", "delta"]))
    kernel = draw(st.sampled_from([(3, 3), (3, 3), (1, 1), (2, 3), None]))
    form = draw(st.sampled_from([BIPOLAR, BIPOLAR, Integer(0, 3), Integer(-2, 1)]))
    closed = draw(st.booleans())
    tau = draw(st.integers(1 + closed, 4))
    taps = draw(st.integers(1, 10))
    parameters = EngineParameters(
        lanes=draw(st.integers(1, 5)),
        kernel_units=draw(st.integers(1, 6)),
        pixels=draw(st.integers(1, 4)),
        taps=taps,
        word_width=draw(st.none() | st.integers(3, 24)),
    )
    vectors = kernel in ((1, 1), None)
    return engine_design(
        draw(st.integers(0, 1000)),
        parameters,
        mode,
        kernel,
        draw(st.integers(1, 20 if vectors else 4)),
        draw(st.integers(1, 11)),
        positions=draw(st.integers(1, 6)),
        form=form,
        book=(tau, closed),
        threshold=draw(st.booleans()),
        stride=draw(st.integers(1, 2)),
        padding=0 if kernel is None else draw(st.integers(0, 1)),
        padding_value=0 if form != BIPOLAR else draw(st.integers(-1, 1)),
    )


@given(designs())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_closed_form_counts_the_cycles(design: EngineDesign) -> None:
    assert check_engine(design) == timing(design).cycles


@given(designs(), st.integers(2, 12))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_closed_form_counts_the_cycles_of_a_slow_source(
    design: EngineDesign, interval: int
) -> None:
    assert check_engine(design, interval=interval) == timing(design, interval).cycles


@st.composite
def delta_designs(draw: st.DrawFn) -> EngineDesign:
    """Return an engine in mode delta whose words wait for a bank now and then."""
    pixels = draw(st.integers(2, 5))
    parameters = EngineParameters(
        lanes=draw(st.integers(1, 5)),
        kernel_units=draw(st.sampled_from([3, 5, 8])),
        pixels=pixels,
        word_width=draw(st.none() | st.integers(2, 20)),
    )
    return engine_design(
        draw(st.integers(0, 1000)),
        parameters,
        "delta",
        (3, 3),
        draw(st.integers(4, 5)),
        draw(st.integers(6, 19)),
        positions=3 * pixels,
        book=(draw(st.integers(2, 3)), draw(st.booleans())),
    )


@given(delta_designs(), st.integers(4, 7))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_closed_form_counts_words_that_wait_for_a_bank(
    design: EngineDesign, interval: int
) -> None:
    assert check_engine(design, interval=interval) == timing(design, interval).cycles


@given(designs(), st.integers(0, 100))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_stalls_on_both_sides_change_nothing(design: EngineDesign, seed: int) -> None:
    cycles = check_engine(design, stall=0.4, seed=seed)
    assert cycles >= timing(design).cycles


@given(designs())
@settings(max_examples=15, deadline=None, derandomize=True)
def test_memories_are_loaded_through_the_port(design: EngineDesign) -> None:
    program = design.plan.program
    engine = SequentialEngine(program, loadable=True)
    cycles = check_engine(design, engine=engine, load=load_words(program, LOAD_WIDTH))
    assert cycles == timing(design).cycles
