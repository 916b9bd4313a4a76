"""Networks with layers on engines: every edge, the pace, choices, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.accelerator import generate_network, simulate_network
from bnn2hw.api import load_network
from bnn2hw.errors import Bnn2hwError
from bnn2hw.model import BIPOLAR, BinaryConv, Network, Tensor
from tests.gateware.engines import layer_of
from tests.verify.test_standalone import run

SUBBIT = Path(__file__).parents[1] / "examples" / "networks" / "subbit.npz"

ENGINE = '[{}]\nstyle = "engine"\nlanes = {}\nkernel_units = {}\n'


def conv(name: str, source: str, inputs: int, outputs: int, **options: object) -> BinaryConv:
    rng = np.random.default_rng(inputs)
    layer, _ = layer_of(rng, (3, 3), inputs, outputs, book=(3, False), padding=1, **options)  # type: ignore[arg-type]
    assert isinstance(layer, BinaryConv)
    return replace(layer, name=name, inputs=(source,))


def small_network() -> Network:
    """Return two convolutions whose kernels come from few: bits, then sums."""
    layers = conv("one", "input", 3, 6), conv("two", "one", 6, 5, stride=2, threshold=False)
    return Network("engines", Tensor((5, 4, 3), BIPOLAR), layers)


def written(path: Path, *texts: str) -> Path:
    path.write_text("\n".join(texts))
    return path


@pytest.mark.slow
def test_a_network_with_engines_keeps_its_pace(tmp_path: Path) -> None:
    choices = written(
        tmp_path / "choices.toml",
        ENGINE.format("conv2", 16, 4),
        ENGINE.format("conv3", 64, 4),
        ENGINE.format("conv4", 4, 2),
    )
    out = tmp_path / "out"
    build = generate_network(load_network(SUBBIT), interval=16_500, choices=choices, out=out)
    assert [stage["unit"] for stage in build.stages].count("EngineCore") == 3
    # conv2: 64 positions of 32 words, each of which has its table in 8 cycles
    assert build.interval == 64 * 32 * 8
    result = simulate_network(out, images=8, bench=False)
    assert result.least_interval == result.greatest_interval == build.interval
    assert result.edge_words > 0


@pytest.mark.slow
def test_every_edge_of_engines_with_stalls(tmp_path: Path) -> None:
    choices = written(
        tmp_path / "choices.toml", ENGINE.format("one", 3, 8), ENGINE.format("two", 99, 99)
    )
    out = tmp_path / "out"
    build = generate_network(small_network(), choices=choices, out=out)
    result = simulate_network(out, images=100, stall=0.8, bench=False)
    assert result.least_interval == result.greatest_interval == build.interval
    assert result.edge_words == 8 * (20 + 6)
    assert result.stalled_cycles > 1.1 * result.cycles
    single = out / "engines"
    done = run(single, sys.executable, "engines.py")
    assert done.stdout == (single / "engines.v").read_text(), done.stderr
    chosen = (single / "choices.toml").read_text()
    assert ENGINE.format("two", 5, 8) in chosen
    again = tmp_path / "again"
    generate_network(small_network(), choices=single / "choices.toml", out=again)
    assert (again / "engines" / "engines.v").read_text() == (single / "engines.v").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"weights": np.random.default_rng(0).integers(0, 2, (80, 3, 3, 6)), "codebook": None},
            "layer two: the layer has too many kernels for indices of less than 9 bits; "
            'take style = "folded"',
        ),
        (
            {"weights": np.ones((4, 4, 4, 6)), "codebook": None},
            'layer two: kernels of 16 weights have no codebook here; take style = "folded"',
        ),
        (
            {"weights": np.ones((6, 3, 3, 2)), "codebook": None, "groups": 3},
            'layer two: the engine has no schedule for 3 groups of channels; take style = "folded"',
        ),
    ],
)
def test_layers_that_no_engine_takes(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    network = small_network()
    one, two = network.layers
    change["weights"] = np.asarray(change["weights"], np.uint8)
    network = replace(network, layers=(one, replace(two, **change)))  # type: ignore[arg-type]
    choices = written(tmp_path / "choices.toml", ENGINE.format("two", 4, 3))
    with pytest.raises(Bnn2hwError) as caught:
        generate_network(network, choices=choices, out=tmp_path / "out")
    assert str(caught.value) == message
    assert not (tmp_path / "out").exists()
