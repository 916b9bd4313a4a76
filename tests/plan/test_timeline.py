"""Timelines: sums of the engine's cycles, equal PEs and bandwidth, and the published speed-ups."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import timeline as bench_timeline
from bnn2hw import api
from bnn2hw.errors import UsageError
from bnn2hw.plan.architectures import ARCHITECTURES, architecture
from bnn2hw.plan.counting import FULL_ADDS, binary_ops, subbit_ops
from bnn2hw.plan.engine import EngineParameters, cycles
from bnn2hw.plan.timeline import ADDERS, TIMELINE_MODES, Run, Timeline, timeline


@pytest.fixture(scope="module")
def lines() -> dict[tuple[str, str], Timeline]:
    """Return the timelines of the published comparison in every mode."""
    return {
        (name, mode): timeline(architecture(name), mode=mode)
        for name in ("resnet18", "resnet34")
        for mode in TIMELINE_MODES
    }


def adders(run: Run, tables: bool) -> int:
    """Return the two-operand adders of an engine, counted anew."""
    engine = run.parameters
    lane = engine.taps  # a product each, into the sum
    return engine.lanes * lane + (19 + 2 * engine.kernel_units) * tables


def test_the_runs_are_sums_of_the_engines_cycles(lines: dict[tuple[str, str], Timeline]) -> None:
    for line in lines.values():
        for run, modes in ((line.binary, {"binary"}), (line.subbit, {"subbit", "binary"})):
            assert [layer.name for layer in run.layers] == [s.name for s in line.network.binary]
            assert {layer.schedule.mode for layer in run.layers} <= modes
            found = [
                cycles(run.parameters, shape, layer.schedule.mode)
                for shape, layer in zip(line.network.binary, run.layers, strict=True)
            ]
            assert run.cycles == sum(found)
            assert run.seconds == run.cycles / 1e9


def test_both_engines_have_as_many_pes_and_bits(lines: dict[tuple[str, str], Timeline]) -> None:
    for line in lines.values():
        assert adders(line.binary, tables=False) <= 64
        assert adders(line.subbit, tables=True) <= 64
        assert line.binary.parameters.word_width == line.subbit.parameters.word_width == 64


def test_no_run_beats_its_additions(lines: dict[tuple[str, str], Timeline]) -> None:
    """The bound: 64 additions a cycle, one for each product and look-up."""
    for line in lines.values():
        assert line.binary.cycles >= sum(map(binary_ops, line.network.binary)) / 64
        closed = line.mode != "subbit"
        ops = [subbit_ops(s, 5, FULL_ADDS, closed=closed) for s in line.network.binary]
        # nine products of an entry take two additions at least
        assert line.subbit.cycles >= sum(ops) / 64 * 2 / 9


def test_published_speedups(lines: dict[tuple[str, str], Timeline]) -> None:
    """3.13 and 3.33: passed with any subset, and more so with one closed under negation."""
    for name, published, plain, closed in (
        ("resnet18", 3.13, 3.22, 3.95),
        ("resnet34", 3.33, 3.39, 4.10),
    ):
        assert round(lines[name, "subbit"].speedup, 2) == plain > published
        assert round(lines[name, "closed"].speedup, 2) == closed > plain
        assert lines[name, "fastest"].speedup >= lines[name, "closed"].speedup
        table = {item.name: item.speedup for item in lines[name, "subbit"].assumptions}
        assert table["PE = adder; subbit"] == lines[name, "subbit"].speedup
        assert table["PE = adder; closed"] == lines[name, "closed"].speedup
        # kernel units that share nothing miss the published figures
        assert table["PE = adder, row sums not shared; subbit"] < published
        # what a lane takes in a cycle decides: with words of nine products nothing is left
        assert table["PE = lane, kernel units free; subbit"] > 8.9
        assert 1 <= table["PE = lane of 9 products, kernel units free; subbit"] < 1.02
        assert table["the same, one position in flight; subbit"] == pytest.approx(9 / 5, abs=1e-4)


def test_the_gain_is_in_the_last_stages(lines: dict[tuple[str, str], Timeline]) -> None:
    line = lines["resnet18", "subbit"]
    speedups = [
        one.schedule.cycles / sub.schedule.cycles
        for one, sub in zip(line.binary.layers, line.subbit.layers, strict=True)
    ]
    assert max(speedups[:4]) < min(speedups[4:8]) < min(speedups[8:])


def test_a_better_engine_of_that_size_does_not_exist() -> None:
    """The search against every engine of 30 PEs, written out."""
    net = architecture("vgg-small", 8)
    line = timeline(net, tau=4, pes=30, mode="closed")
    found = [
        sum(cycles(engine, shape) for shape in net.binary)
        for units in (1, 2, 3, 4, 5)
        for pixels in range(1, 17)
        for engine in [
            EngineParameters(
                lanes=11 - 2 * units, kernel_units=units, tau=4, closed=True, pixels=pixels,
                word_width=30,
            )
        ]
    ]  # fmt: skip
    assert line.subbit.cycles == min(found)
    # mutant: one lane more
    engine = line.subbit.parameters
    more = replace(line.subbit, parameters=replace(engine, lanes=engine.lanes + 1))
    assert adders(more, tables=True) > 30


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(ARCHITECTURES),
    tau=st.integers(1, 7),
    pes=st.integers(ADDERS.least, 80),
    mode=st.sampled_from(TIMELINE_MODES),
)
def test_any_engine_keeps_its_budget(name: str, tau: int, pes: int, mode: str) -> None:
    line = timeline(architecture(name, 32), tau=tau, pes=pes, mode=mode)
    assert adders(line.binary, tables=False) <= pes
    assert adders(line.subbit, tables=True) <= pes
    assert line.subbit.parameters.closed == (mode != "subbit")
    value = line.to_json()
    assert value["speedup"] == line.binary.cycles / line.subbit.cycles


def test_the_clock_scales_time_alone() -> None:
    fast, slow = (api.timeline("vgg-small", clock=c, input_size=8) for c in (10**9, 10**8))
    assert fast.subbit.cycles == slow.subbit.cycles
    assert slow.subbit.seconds == pytest.approx(10 * fast.subbit.seconds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 0}, "tau 0 is out of range for resnet18; give 1 to 8"),
        ({"tau": 9}, "tau 9 is out of range"),
        (
            {"pes": 21},
            "21 PEs make no engine: a lane takes 1, a kernel unit 2, row sums 19; give 22 to 4096",
        ),
        ({"pes": 5000}, "5000 PEs"),
        ({"mode": "binary"}, "there is no mode 'binary'; use subbit, closed, fastest"),
        ({"clock": 0}, "clock of 0"),
    ],
)
def test_errors(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        api.timeline("resnet18", **options)


@pytest.mark.slow
def test_the_page_is_what_the_code_computes() -> None:
    text = bench_timeline.PAGE.read_text(encoding="utf-8")
    assert text == bench_timeline.page(bench_timeline.timelines())
