"""Networks with layers on engines: every edge, the pace, choices, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw.accelerator import generate_network, simulate_network, synthesise_network
from bnn2hw.api import load_network
from bnn2hw.balance import Goal, balance
from bnn2hw.errors import PlanError
from bnn2hw.model import BIPOLAR, BinaryConv, Network, Tensor, Threshold
from bnn2hw.plan import devices
from bnn2hw.plan.area import FAMILIES
from bnn2hw.plan.options import LayerOptions
from tests.gateware.engines import layer_of
from tests.test_balance import problem
from tests.verify.test_standalone import run

EXAMPLES = Path(__file__).parents[1] / "examples"

ENGINE = '[{}]\nstyle = "engine"\nlanes = {}\nkernel_units = {}\n'


def conv(name: str, source: str, inputs: int, outputs: int, **options: Any) -> BinaryConv:
    rng = np.random.default_rng(inputs)
    layer, _ = layer_of(rng, (3, 3), inputs, outputs, book=(3, False), padding=1, **options)
    assert isinstance(layer, BinaryConv)
    if layer.threshold is not None:  # constant bits would take no hardware
        level = rng.integers(-9, 10, outputs)
        layer = replace(layer, threshold=Threshold(np.ones(outputs, np.int8), level))
    return replace(layer, name=name, inputs=(source,))


def small_network() -> Network:
    """Return two convolutions whose kernels come from few: bits, then sums."""
    layers = conv("one", "input", 6, 8), conv("two", "one", 8, 5, stride=2, threshold=False)
    return Network("engines", Tensor((5, 4, 6), BIPOLAR), layers)


def written(path: Path, *texts: str) -> Path:
    path.write_text("\n".join(texts))
    return path


@pytest.mark.slow
def test_a_network_with_engines_keeps_its_pace(tmp_path: Path) -> None:
    out = tmp_path / "out"
    network = load_network(EXAMPLES / "networks" / "subbit.npz")
    choices = EXAMPLES / "choices" / "subbit_engines.toml"
    build = generate_network(network, interval=16_500, choices=choices, out=out)
    assert [stage["unit"] for stage in build.stages].count("EngineCore") == 3
    # conv2: 64 positions of 32 words, each of which has its table in 8 cycles
    assert build.interval == 64 * 32 * 8
    result = simulate_network(out, images=8, bench=False)
    assert result.least_interval == result.greatest_interval == build.interval
    assert result.edge_words > 0


@pytest.mark.slow
def test_every_edge_of_engines_with_stalls(tmp_path: Path) -> None:
    choices = written(
        tmp_path / "choices.toml", ENGINE.format("one", 4, 8), ENGINE.format("two", 99, 99)
    )
    out = tmp_path / "out"
    build = generate_network(small_network(), choices=choices, out=out)
    result = simulate_network(out, images=100, stall=0.8, bench=False)
    assert result.least_interval == result.greatest_interval == build.interval
    assert result.edge_words == 8 * (20 + 6)
    assert result.stalled_cycles > result.cycles
    for family, synthesis in zip(FAMILIES, synthesise_network(out, list(FAMILIES)), strict=True):
        for stage in (one for one in synthesis.stages if one.unit == "EngineCore"):
            assert stage.estimate["luts"] == pytest.approx(stage.cells.luts, rel=0.15), family
            assert stage.estimate["flipflops"] == pytest.approx(stage.cells.flip_flops, rel=0.15)
            assert stage.estimate["block_rams"] == stage.cells.block_rams
    single = out / "engines"
    done = run(single, sys.executable, "engines.py")
    assert done.stdout == (single / "engines.v").read_text(), done.stderr
    chosen = (single / "choices.toml").read_text()
    assert ENGINE.format("two", 5, 8) in chosen
    again = tmp_path / "again"
    generate_network(small_network(), choices=single / "choices.toml", out=again)
    assert (again / "engines" / "engines.v").read_text() == (single / "engines.v").read_text()


def test_an_engine_is_chosen_where_block_rams_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = conv("conv", "input", 128, 128)
    network = Network("wide", Tensor((4, 4, 128), BIPOLAR), (layer,))
    goal = Goal("ecp5-25k", clock=1.0, fps=1e6 / 40_000)
    free = balance(problem(network), goal)
    less = replace(devices.CAPACITIES["ecp5-25k"], block_rams=4)
    monkeypatch.setitem(devices.CAPACITIES, "ecp5-25k", less)
    found = balance(problem(network), goal)
    assert (free.choices["conv"].style, found.choices["conv"].style) == ("folded", "engine")
    assert found.area.block_rams <= less.usable[2] < free.area.block_rams
    # Foldings and plans alone would have to put the weights into logic.
    monkeypatch.setattr(LayerOptions, "_engines", [])
    with pytest.raises(PlanError, match="logic cells of"):
        balance(problem(network), goal)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"weights": np.random.default_rng(0).integers(0, 2, (80, 3, 3, 8)), "codebook": None},
            "layer two: the layer has too many kernels for indices of less than 9 bits; "
            'take style = "folded"',
        ),
        (
            {"weights": np.ones((4, 4, 4, 8)), "codebook": None},
            'layer two: kernels of 16 weights have no codebook here; take style = "folded"',
        ),
        (
            {"weights": np.ones((8, 3, 3, 2)), "codebook": None, "groups": 4},
            'layer two: the engine has no schedule for 4 groups of channels; take style = "folded"',
        ),
    ],
)
def test_layers_that_no_engine_takes(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    network = small_network()
    one, two = network.layers
    change["weights"] = np.asarray(change["weights"], np.uint8)
    network = replace(network, layers=(one, replace(two, **change)))
    choices = written(tmp_path / "choices.toml", ENGINE.format("two", 4, 3))
    with pytest.raises(PlanError) as caught:
        generate_network(network, choices=choices, out=tmp_path / "out")
    assert str(caught.value) == message
    assert not (tmp_path / "out").exists()
