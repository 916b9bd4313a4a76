"""Generated hardware equals the golden model, and broken hardware does not pass."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import bnn2hw
from bnn2hw.errors import BuildError, ToolError, VerificationError
from bnn2hw.model import BIPOLAR, Integer
from tests.helpers import conv_network, dense_network, generate

CASES = {
    "bits_zero_padding": {"fmt": BIPOLAR, "padding_value": 0},
    "bits_groups": {"fmt": BIPOLAR, "padding_value": -1, "groups": 2},
    "bits_sums": {"fmt": BIPOLAR, "padding_value": 0, "threshold": False},
    "signed_integers": {"fmt": Integer(-8, 7), "padding_value": 1},
    "unsigned_sums": {"fmt": Integer(0, 16), "padding_value": 0, "threshold": False},
}


@pytest.mark.slow
@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("pipeline", [None, 2])
def test_every_kind_of_layer_is_equal(
    tmp_path: Path, options: dict[str, object], pipeline: int | None
) -> None:
    network = conv_network(**options)
    build = generate(network, tmp_path / "out", plan="mst", pipeline=pipeline)
    (result,) = bnn2hw.simulate(build.directory, vectors=300, stall=0.4)
    assert result.real == 150
    assert result.random == 150
    assert result.cycles == result.corner + 300 + build.layers[0].latency
    assert result.stalled_cycles is not None
    assert result.stalled_cycles > 1.3 * result.cycles
    assert (build.layers[0].latency > 1) == (pipeline is not None)


# Row-class trees once for each target, with registers and without.
ROWTREES = [
    ("bits_zero_padding", "lut6", 3),
    ("bits_groups", "ice40", 2),
    ("bits_sums", "ecp5", None),
    ("signed_integers", "lut4", 3),
    ("bits_zero_padding", "asic", 2),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "plan", "target", "pipeline"),
    [
        *((case, plan, None, 3) for case in CASES for plan in ("subbit", "classes")),
        *((case, "rowtree", target, pipeline) for case, target, pipeline in ROWTREES),
    ],
)
def test_other_plans_are_equal(
    tmp_path: Path, case: str, plan: str, target: str | None, pipeline: int | None
) -> None:
    network = conv_network(**CASES[case])
    build = generate(network, tmp_path / "out", plan=plan, target=target, pipeline=pipeline)
    (result,) = bnn2hw.simulate(build.directory, vectors=300, stall=0.4)
    assert (result.real, result.random) == (150, 150)
    assert result.stalled_cycles is not None
    assert result.stalled_cycles > 1.3 * result.cycles


def edit(build: Path, pattern: str, replacement: str) -> None:
    """Change the first match in the Verilog of a build."""
    (path,) = build.glob("*/*.v")
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1, f"nothing matches {pattern}"
    path.write_text(text)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build whose simulation passed."""
    out = tmp_path_factory.mktemp("built") / "out"
    build = generate(dense_network(24, 6), out, plan="mst")
    first = bnn2hw.simulate(out, vectors=50)
    again = bnn2hw.simulate(out, vectors=60, stall=0)
    assert first[0].built
    assert not again[0].built
    assert again[0].stalled_cycles is None
    return build.directory


MUTANTS = {
    # a core that does not wait for its reader, one that makes words up, an output that is
    # inverted, an input that is stuck, a weight and a threshold that are off
    "no_back_pressure": (r"\.o__ready\(m_axis_tready\)", ".o__ready(1'h1)"),
    "valid_always": (r"\.i__valid\(s_axis_tvalid\)", ".i__valid(1'h1)"),
    "output_inverted": (r"assign m_axis_tdata = ([^;]+);", r"assign m_axis_tdata = \1 ^ 1;"),
    "input_bit_stuck": (r"\.i\(s_axis_tdata\)", ".i(s_axis_tdata & ~24'h80)"),
    "weight_flipped": (r"(\} \^ \d+'h[0-9a-f]*)([0-9a-f]);", r"\1\2 ^ 1;"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "replacement"), MUTANTS.values(), ids=MUTANTS.keys())
def test_broken_hardware_is_rejected(
    built: Path, tmp_path: Path, pattern: str, replacement: str
) -> None:
    mutant = tmp_path / "mutant"
    shutil.copytree(built, mutant)
    edit(mutant, pattern, replacement)
    with pytest.raises(VerificationError, match="fc") as caught:
        bnn2hw.simulate(mutant, vectors=200, seed=7)
    assert "\n" not in str(caught.value)
    assert "the same seed, 7, shows it again" in str(caught.value)


@pytest.mark.slow
def test_a_mismatch_names_layer_channel_patch_and_both_values(built: Path, tmp_path: Path) -> None:
    mutant = tmp_path / "mutant"
    shutil.copytree(built, mutant)
    edit(mutant, r"assign m_axis_tdata = ([^;]+);", r"assign m_axis_tdata = \1 ^ 4;")
    with pytest.raises(
        VerificationError,
        match=r"layer fc channel 2 patch 0: expected [01], got [01] \(seed 3; \d+ of \d+",
    ):
        bnn2hw.simulate(mutant, vectors=20, seed=3)


@pytest.mark.slow
def test_verilog_that_does_not_compile_is_told(built: Path, tmp_path: Path) -> None:
    mutant = tmp_path / "mutant"
    shutil.copytree(built, mutant)
    edit(mutant, r"endmodule", "endmodul")
    with pytest.raises(ToolError, match=r"Verilator failed: %Error"):
        bnn2hw.simulate(mutant, vectors=20)


@pytest.mark.slow
def test_waves_are_recorded(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    (result,) = bnn2hw.simulate(copy, vectors=5, waves=True)
    assert result.waves is not None
    assert "s_axis_tdata" in (copy / "fc" / result.waves).read_text()


def test_a_build_without_its_layer_is_told(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    (copy / "fc" / "layer.npz").write_bytes(b"nonsense")
    with pytest.raises(BuildError, match="generate the build again"):
        bnn2hw.simulate(copy)
