"""Sequential engines from the network to a simulated build, on the command line too."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import bnn2hw
from bnn2hw.cli import app
from bnn2hw.emit.limits import check_program
from bnn2hw.engines import EngineBuild, generate_engine
from bnn2hw.errors import Bnn2hwError, PlanError, UsageError, VerificationError
from bnn2hw.model import BIPOLAR, BinaryDense, Codebook, Network, Samples, Tensor, save
from bnn2hw.plan.counting import LayerShape
from bnn2hw.plan.engine import EngineParameters, cycles, schedule
from bnn2hw.plan.engine_layer import plan_engine
from tests.gateware.engines import layer_of
from tests.helpers import conv_network


def subbit_network(threshold: bool = True) -> Network:
    """Return a padded 3x3 convolution of 6 channels whose kernels come from 8, and two images."""
    rng = np.random.default_rng(0)
    layer, source = layer_of(
        rng, (3, 3), 3, 6, size=(5, 5), book=(3, False), padding=1, threshold=threshold
    )
    images = rng.integers(0, 2, (2, 5, 5, 3)).astype(np.int32)
    return Network("net", source, (layer,), samples=Samples(images))


def generate(network: Network, out: Path, **options: object) -> EngineBuild:
    parameters = EngineParameters(lanes=4, kernel_units=3, pixels=2)
    return generate_engine(network, ["conv"], parameters, out=out, **options)


@pytest.mark.slow
def test_a_build_simulates(tmp_path: Path) -> None:
    network = subbit_network(threshold=False)
    build = generate(network, tmp_path / "out", mode="delta", loadable=True)
    (result,) = bnn2hw.simulate(build.directory, vectors=20)
    assert (result.corner, result.real, result.random) == (20, 10, 10)
    (layer,) = build.layers
    assert layer.schedule.positions == 25
    timing = schedule(
        EngineParameters(lanes=4, kernel_units=3, pixels=2, tau=3),
        LayerShape("conv", (3, 3), 3, 6, (5, 5)),
        "delta",
        positions=40,
        steps=layer.schedule.steps,
    )
    assert result.cycles == timing.cycles

    # a wrong bit of the first index that is loaded
    load = build.directory / "conv" / "load.txt"
    first, *rest = load.read_text().splitlines()
    load.write_text("\n".join([f"{int(first, 16) ^ 1:08x}", *rest]) + "\n")
    with pytest.raises(VerificationError, match=r"layer conv channel \d patch"):
        bnn2hw.simulate(build.directory, vectors=10)


def test_the_amaranth_source_gives_the_same_verilog(tmp_path: Path) -> None:
    build = generate(subbit_network(), tmp_path / "out")
    source = build.directory / "conv" / "conv.py"
    done = subprocess.run(
        [sys.executable, "-I", str(source)], capture_output=True, text=True, check=False
    )
    assert done.stdout == source.with_suffix(".v").read_text(), done.stderr


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        generate(subbit_network(), tmp_path / folder, loadable=True)
    names = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert Path("conv/load.txt") in names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_manifest_counts_the_memories(tmp_path: Path) -> None:
    build = generate(subbit_network(), tmp_path / "out")
    manifest = json.loads((build.directory / "conv" / "manifest.json").read_text())
    assert manifest["style"] == "sequential"
    # 3 bits an index of 8 lanes' worth of 6 channels and 3 inputs; 9 units of a kernel in 3 batches
    assert manifest["plan"]["memory_bits"]["weights"] == 3 * 8 * 3
    assert manifest["plan"]["memory_bits"]["subset"] == 9 * 9
    assert manifest["plan"]["cycles_per_image"] == build.layers[0].schedule.cycles
    ports = {port["name"]: port["width"] for port in manifest["ports"]}
    assert (ports["s_axis_tdata"], ports["s_axis_tuser"], ports["m_axis_tdata"]) == (16, 9, 8)


@pytest.mark.parametrize("target", ["ecp5"])
def test_a_build_synthesises_with_block_ram(target: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layer, source = layer_of(rng, (3, 3), 64, 64, book=(4, True))
    build = generate_engine(
        Network("net", source, (layer,)),
        ["conv"],
        EngineParameters(lanes=8, kernel_units=4),
        out=tmp_path / "out",
    )
    (found,) = bnn2hw.synthesise(build.directory, [target])
    assert found.plan == "subbit"
    assert found.result.cells.memories >= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lanes": 0}, "an engine with lanes of 0 makes no sense; give 1 to 4096"),
        ({"kernel_units": 1000}, "an engine with kernel units of 1000 makes no sense"),
        ({"tau": 10}, "an engine with tau of 10 makes no sense; give 1 to 9"),
        ({"word_width": 0}, "an engine with word width of 0 makes no sense"),
    ],
)
def test_parameters_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        EngineParameters(**options)
    assert str(caught.value).startswith(message)


def refusal(network: Network, out: Path, **options: object) -> Bnn2hwError:
    with pytest.raises(Bnn2hwError) as caught:
        generate(network, out, **options)
    assert not out.exists()
    return caught.value


def test_layers_that_have_no_schedule(tmp_path: Path) -> None:
    out = tmp_path / "out"
    error = refusal(conv_network(groups=2), out, mode="binary")
    assert isinstance(error, PlanError)
    assert str(error) == (
        "layer conv: the engine has no schedule for 2 groups of channels; split the layer by groups"
    )
    rng = np.random.default_rng(0)
    layer, source = layer_of(rng, (5, 5), 4, 64, size=(8, 8))
    error = refusal(Network("net", source, (layer,)), out)
    assert str(error) == (
        "layer conv: kernels of 25 weights have no codebook here; use mode binary"
    )
    layer, source = layer_of(rng, (3, 3), 32, 64)
    error = refusal(Network("net", source, (layer,)), out)
    assert str(error) == (
        "layer conv: the layer has too many kernels for indices of less than 9 bits; project it "
        "with 'bnn2hw compress --tau', or use mode binary"
    )
    error = refusal(subbit_network(), out, mode="fast")
    assert isinstance(error, UsageError)
    assert str(error) == "mode 'fast' is unknown; choose one of subbit, binary, delta or auto"


def test_mode_auto_is_the_fastest_and_then_the_smallest() -> None:
    rng = np.random.default_rng(0)
    layer, source = layer_of(rng, (3, 3), 8, 32, book=(3, False))

    def chosen(**options: int) -> str:
        return plan_engine(layer, source, EngineParameters(**options), "auto").program.mode

    # all as fast: indices are the smallest
    assert chosen(lanes=8, kernel_units=8) == "subbit"
    # tables bind, or one product a lane does
    assert chosen(lanes=8, kernel_units=1) == "binary"
    assert chosen(lanes=8, kernel_units=1, taps=1) == "subbit"
    # kernels that are the same in most channels
    few = replace(layer.codebook, indices=np.sort(layer.codebook.indices, axis=0))
    layer = replace(layer, weights=few.expand(layer.weights.shape), codebook=few)
    assert chosen(lanes=1, kernel_units=8) == "delta"
    # kernels that no index stands for
    layer, source = layer_of(rng, (3, 3), 32, 64)
    assert chosen(lanes=8) == "binary"


@pytest.mark.parametrize("length", [2, 4, 16])
@pytest.mark.parametrize("mode", ["subbit", "delta", "auto"])
def test_codebooks_of_other_vectors_give_way_to_the_engines_own(length: int, mode: str) -> None:
    rng = np.random.default_rng(length)
    few = rng.integers(0, 2, (4, 16)).astype(np.uint8)
    weights = few[rng.integers(0, 4, 6)]
    subset, places = np.unique(weights.reshape(-1, length), axis=0, return_inverse=True)
    size = 1 << max(int(len(subset) - 1).bit_length(), 1)
    codes = {tuple(row) for row in subset.tolist()}
    more = (tuple(int(b) for b in f"{k:0{length}b}") for k in range(1 << length))
    added = [row for row in more if row not in codes][: size - len(subset)]
    book = Codebook(np.array([*subset.tolist(), *added], np.uint8), places.reshape(6, -1))
    plain, source = BinaryDense("fc", ("input",), weights), Tensor((16,), BIPOLAR)
    with_book = replace(plain, codebook=book)
    parameters = EngineParameters(lanes=2, kernel_units=2)
    one, two = (plan_engine(layer, source, parameters, mode) for layer in (plain, with_book))
    assert one.program == two.program


def test_banks_of_whole_powers_of_two_pixels_must_fit() -> None:
    layer, source = layer_of(np.random.default_rng(0), (3, 3), 16, 64, book=(8, False))
    parameters = EngineParameters(lanes=8, kernel_units=16, pixels=33)
    program = plan_engine(layer, source, parameters, "subbit").program
    with pytest.raises(PlanError, match="the tables of a bank would have 65,536 bits"):
        check_program(program, "conv")


def test_banks_of_wide_words_must_fit() -> None:
    layer, source = layer_of(np.random.default_rng(0), (3, 3), 64, 8)
    parameters = EngineParameters(lanes=2, taps=256, pixels=256)
    program = plan_engine(layer, source, parameters, "binary").program
    with pytest.raises(PlanError, match="the tables of a bank would have"):
        check_program(program, "conv")


def test_words_wider_than_the_hardware_has(tmp_path: Path) -> None:
    network = subbit_network()
    parameters = EngineParameters(lanes=4096, taps=20)
    with pytest.raises(PlanError) as caught:
        generate_engine(network, ["conv"], parameters, mode="binary", out=tmp_path / "out")
    assert str(caught.value) == (
        "layer conv: a word of weight memory would have 81,920 bits, a word of the hardware has at "
        "most 65,472; take fewer lanes, pixels, kernel units or taps"
    )
    assert not (tmp_path / "out").exists()


def test_cycles_are_those_of_one_image() -> None:
    shape = LayerShape("layer", (3, 3), 128, 128, (28, 28))
    parameters = EngineParameters(lanes=64, kernel_units=16, tau=5)
    assert cycles(parameters, shape) == 784 * 128 * 2 + 2 + 3
    # with one lane bit a cycle: 18 cycles a channel and group
    binary = EngineParameters(lanes=64, taps=1)
    assert cycles(binary, shape, "binary") == 784 * 1152 * 2 + 1 + 3


@pytest.mark.parametrize("stage", [2, 3, 4])
def test_lanes_are_busy_in_resnet18(stage: int) -> None:
    channels, size = 32 << stage, 112 >> stage
    shape = LayerShape("layer", (3, 3), channels, channels, (size, size))
    for tau, units in ((6, 32), (5, 16), (4, 8)):
        timing = schedule(EngineParameters(lanes=64, kernel_units=units, tau=tau), shape)
        assert timing.utilisation > 0.99


def test_the_command_line(tmp_path: Path) -> None:
    save(subbit_network(), tmp_path / "net.npz")
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        ["engine", str(tmp_path / "net.npz"), "--layer", "conv", "--lanes", "4", "--kernel-units",
         "8", "--out", str(out), "--json", "-"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (layer,) = json.loads(done.stdout)["layers"]
    assert (layer["mode"], layer["tau"]) == ("subbit", 3)
    # a word of 3 takes 2 groups of lanes, and its table one cycle
    assert layer["cycles"] == 25 * 3 * 2 + 1 + 3
    assert (out / "conv" / "subset.hex").is_file()
