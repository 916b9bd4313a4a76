"""Whole networks: build directories, simulation of every edge and of many images, mutants."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bnn2hw.accelerator import generate_network, network_directory, simulate_network
from bnn2hw.emit import queues
from bnn2hw.errors import BuildError, PlanError, UsageError, VerificationError
from bnn2hw.model import (
    BIPOLAR,
    Affine,
    Argmax,
    Binarize,
    BinaryConv,
    BinaryDense,
    Integer,
    MaxPool,
    Network,
    Quantize,
    Samples,
    SumPool,
    Tensor,
    Threshold,
)
from bnn2hw.plan.pace import Paces, pace_of_stages
from tests.helpers import dense_network
from tests.helpers import generate as generate_layers
from tests.verify.test_standalone import run

GENERATOR = np.random.default_rng(5)


def bits(*shape: int) -> NDArray[np.uint8]:
    return GENERATOR.integers(0, 2, shape).astype(np.uint8)


def thresholds(channels: int) -> Threshold:
    facing = GENERATOR.choice([-1, 1], channels).astype(np.int8)
    return Threshold(facing, GENERATOR.integers(-3, 4, channels))


def tiny_network() -> Network:
    """Return a network with every kind of layer, and each kind of padding."""
    layers = (
        BinaryConv(
            "conv1", ("input",), bits(6, 3, 3, 2), thresholds(6), padding=(1, 1, 1, 1),
            padding_value=0,
        ),
        BinaryConv("point", ("conv1",), bits(6, 1, 1, 6), None),
        Binarize("signs", ("point",), thresholds(6)),
        BinaryConv(
            "conv2", ("signs",), bits(5, 3, 3, 6), thresholds(5), padding=(1, 1, 1, 1),
            padding_value=0,
        ),
        MaxPool("pool", ("conv2",)),
        BinaryConv(
            "wide", ("pool",), bits(4, 1, 1, 5), thresholds(4), padding=(1, 0, 0, 1),
            padding_value=-1,
        ),
        BinaryDense("fc", ("wide",), bits(7, 4 * 5 * 4), thresholds(7)),
        BinaryDense("out", ("fc",), bits(4, 7), None),
        Argmax("class", ("out",), "last"),
    )  # fmt: skip
    images = GENERATOR.integers(-4, 4, (4, 6, 8, 2)).astype(np.int32)
    return Network("tiny", Tensor((6, 8, 2), Integer(-4, 3)), layers, samples=Samples(images))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the build of a small network, with scores."""
    out = tmp_path_factory.mktemp("network") / "out"
    build = generate_network(tiny_network(), plan="mst", pipeline=2, scores=True, out=out)
    assert (build.beats, build.interval) == (48, 48)
    return out


@pytest.mark.slow
def test_every_edge_and_every_answer_is_that_of_the_golden_model(tiny: Path) -> None:
    result = simulate_network(tiny, images=300)
    assert (result.real, result.random) == (4, 296)
    edges = 48 + 48 + 48 + 48 + 12 + 20 + 1 + 1 + 1
    assert result.edge_words == 3 * edges
    assert result.least_interval == result.greatest_interval == result.interval == 48
    assert 48 * 299 < result.cycles < 48 * 303
    assert result.stalled_cycles > 1.2 * result.cycles
    report = json.loads((tiny / "tiny" / "results" / "report.json").read_text())
    assert report["full_throughput"]["intervals"] == [48]
    assert set(report) >= {"frames_of_wrong_length", "reset_in_mid_frame"}


@pytest.mark.slow
def test_a_folded_network_keeps_its_pace(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build = generate_network(tiny_network(), interval=500, beat=4, out=out)
    units = [stage["unit"] for stage in build.stages]
    assert build.beats == 24
    assert {"FoldedCore", "Fifo"} <= set(units)
    result = simulate_network(out, images=60, stall=0.2)
    assert result.least_interval == result.greatest_interval == build.interval <= 500
    assert result.edge_words == 3 * 227
    done = run(out / "tiny", sys.executable, "tiny.py")
    assert done.stdout == (out / "tiny" / "tiny.v").read_text(), done.stderr


def strided_network() -> Network:
    """Return a convolution whose windows come by the row, and a beat in every so many cycles."""
    conv = BinaryConv("conv", ("input",), bits(16, 3, 3, 1), None, (2, 2), padding=(1, 1, 1, 1))
    return Network("strided", Tensor((8, 8, 1), BIPOLAR), (conv,))


@pytest.mark.slow
@pytest.mark.parametrize("shallow", [False, True])
def test_queues_are_not_full_at_the_pace(
    shallow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_deep(*arguments: Any) -> Paces:
        found = pace_of_stages(*arguments)
        depths = tuple(tuple(min(depth, 1) for depth in row) for row in found.depths)
        return replace(found, depths=depths, bursts=depths)

    if shallow:
        monkeypatch.setattr(queues, "pace_of_stages", one_deep)
    choices, out = tmp_path / "choices.toml", tmp_path / "out"
    choices.write_text('[conv]\nstyle = "folded"\npes = 1\nsimd = 9\n')
    build = generate_network(strided_network(), choices=choices, out=out)
    assert build.interval == 16 * 16 + 48
    assert build.stages[0]["name"] == "conv_window_queue"
    if shallow:
        with pytest.raises(VerificationError, match="conv_window_queue is full in"):
            simulate_network(out, images=12, bench=False)
    else:
        # Two frames begin anew, so that the interval shows.
        result = simulate_network(out, images=2, bench=False)
        assert (result.random, result.paced) == (2, 6)
        assert result.least_interval == result.greatest_interval == build.interval
        assert 5 * build.interval < result.cycles < 7 * build.interval


def test_choices_go_round(tiny: Path, tmp_path: Path) -> None:
    choices = (tiny / "tiny" / "choices.toml").read_text()
    assert choices.count('style = "spatial"') == 6
    path = tmp_path / "choices.toml"
    path.write_text('[conv2]\nstyle = "folded"\npes = 99\nsimd = 7\n')
    out = tmp_path / "out"
    generate_network(tiny_network(), plan="direct", choices=path, out=out)
    written = (out / "tiny" / "choices.toml").read_text()
    assert '[conv2]\nstyle = "folded"\npes = 5\nsimd = 7\n' in written
    assert written.count('plan = "direct"') == 5
    again = tmp_path / "again"
    generate_network(tiny_network(), choices=out / "tiny" / "choices.toml", out=again)
    assert (again / "tiny" / "choices.toml").read_text() == written


@pytest.mark.slow
def test_hardware_of_another_network_is_rejected(tiny: Path, tmp_path: Path) -> None:
    network = tiny_network()
    wrong = bits(5, 3, 3, 6)
    layers = list(network.layers)
    layers[3] = BinaryConv(
        "conv2", ("signs",), wrong, thresholds(5), padding=(1, 1, 1, 1), padding_value=0
    )
    other = Network("tiny", network.input, tuple(layers), samples=network.samples)
    out = tmp_path / "out"
    generate_network(other, plan="direct", scores=True, out=out)
    (out / "tiny" / "network.npz").write_bytes((tiny / "tiny" / "network.npz").read_bytes())
    with pytest.raises(VerificationError, match=r"edges_with_stalls: layer \w+ frame 0 word"):
        simulate_network(out, images=5)


@pytest.mark.slow
def test_make_volume_runs_the_harness(tiny: Path) -> None:
    done = run(tiny / "tiny", "make", "volume", f"PYTHON={sys.executable}", "STALL=0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"different": 0' in done.stdout
    single = tiny / "tiny"
    folder = single / "wrong"
    shutil.copytree(single / "vectors", folder)
    word = (folder / "conv2.txt").read_text()
    (folder / "conv2.txt").write_text(word[:3] + f"{int(word[3:5], 16) ^ 1:02x}" + word[5:])
    done = run(
        single, "results/harness/Vtiny", "volume/frames.bin", "volume/expected.bin", "4", "0.2",
        "0", "wrong",
    )  # fmt: skip
    assert done.returncode == 1
    assert '"different": 0' in done.stdout
    assert '"wrong_edge": "conv2 word 1"' in done.stdout


def test_the_source_prints_the_same_verilog(tiny: Path) -> None:
    done = run(tiny / "tiny", sys.executable, "tiny.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tiny / "tiny" / "tiny.v").read_text()


def test_manifests(tiny: Path) -> None:
    manifest = json.loads((tiny / "manifest.json").read_text())
    assert manifest["layers"] == {"tiny": "tiny"}
    single = json.loads((tiny / "tiny" / "manifest.json").read_text())
    assert single["kind"] == "network"
    assert single["interval_cycles"] == max(stage["cycles"] for stage in single["stages"])


def test_a_build_knows_what_it_holds(tiny: Path, tmp_path: Path) -> None:
    assert network_directory(tiny) == tiny / "tiny"
    layers = generate_layers(dense_network(6, 2), tmp_path / "layers").directory
    assert network_directory(layers) is None
    with pytest.raises(BuildError, match="holds layers and no network"):
        simulate_network(layers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beat": 3}, "beats of 3 elements do not hold whole positions of 2"),
        ({"beat": 1000}, "beats of 1000 elements do not hold whole positions of 2"),
        ({"pipeline": 0}, "pipeline 0 is not a number"),
        ({"plan": "best"}, "plan 'best' is unknown"),
    ],
)
def test_options_that_make_no_sense(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        generate_network(tiny_network(), out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_layer_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    layers = (
        BinaryDense("a", ("input",), bits(4, 4), thresholds(4)),
        BinaryDense("b", ("input",), bits(4, 4), thresholds(4)),
    )
    network = Network("fork", Tensor((4,), BIPOLAR), layers)
    with pytest.raises(PlanError, match="layer a: nothing reads it"):
        generate_network(network, out=tmp_path / "out")


def residual_network() -> Network:
    """Return two residual units with 2-bit and 1-bit activations, and a sum pool."""
    same = {"padding": (1, 1, 1, 1), "padding_value": 0}
    ones = np.ones((2, 1), np.int64)
    levels = np.sort(GENERATOR.integers(-9, 10, (4, 3)), axis=1)
    layers = (
        BinaryConv("stem", ("input",), bits(4, 3, 3, 1), None, **same),
        Quantize("codes", ("stem",), np.ones(4, np.int8), levels),
        BinaryConv("one", ("codes",), bits(4, 3, 3, 4), None, **same),
        Affine("sum1", ("one", "stem"), ones, np.zeros(1, np.int64), 1, Integer(-40, 40)),
        Binarize("signs", ("sum1",), thresholds(4)),
        BinaryConv("two", ("signs",), bits(4, 3, 3, 4), thresholds(4), **same),
        BinaryConv("three", ("two",), bits(4, 3, 3, 4), None, **same),
        Affine("sum2", ("three", "sum1"), ones, np.zeros(1, np.int64), 0, Integer(0, 60)),
        SumPool("pool", ("sum2",), (6, 6), (6, 6)),
        BinaryDense("out", ("pool",), bits(3, 4), None),
        Argmax("class", ("out",)),
    )
    images = GENERATOR.integers(0, 16, (6, 6, 6, 1)).astype(np.int32)
    source = Tensor((6, 6, 1), Integer(0, 15))
    return Network("residual", source, layers, samples=Samples(images))


@pytest.mark.slow
@pytest.mark.parametrize("interval", [None, 700])
def test_residual_sums(interval: int | None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build = generate_network(
        residual_network(), plan="direct", pipeline=1, interval=interval, scores=True, out=out
    )
    assert build.interval == 36 if interval is None else build.interval <= 700
    result = simulate_network(out, images=50)
    assert result.least_interval == result.greatest_interval == build.interval
    assert result.edge_words == 3 * (8 * 36 + 3)
