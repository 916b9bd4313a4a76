"""Place and route of networks: bitstreams, misfits, earlier results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnn2hw.accelerator import generate_network, place
from bnn2hw.errors import BuildError, SynthesisError, UsageError
from bnn2hw.model import BIPOLAR, Argmax, BinaryDense, Network, Tensor, Threshold
from tests.helpers import dense_network
from tests.helpers import generate as generate_layers


def network(hidden: int) -> Network:
    generator = np.random.default_rng(0)
    weights = generator.integers(0, 2, (hidden, 64)).astype(np.uint8)
    layers = (
        BinaryDense("fc", ("input",), weights, Threshold.at_least(np.zeros(hidden, np.int64))),
        BinaryDense("out", ("fc",), generator.integers(0, 2, (4, hidden)).astype(np.uint8)),
        Argmax("class", ("out",)),
    )
    return Network("net", Tensor((64,), BIPOLAR), layers)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the build of a small network whose pins fit the smallest device."""
    out = tmp_path_factory.mktemp("place") / "out"
    generate_network(network(16), interval=64, beat=8, pipeline=2, out=out)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("device", ["ice40-up5k", "ecp5-25k"])
def test_a_network_becomes_a_bitstream(build: Path, device: str) -> None:
    told: list[str] = []
    (found,) = place(build, [device], clock=20, progress=told.append)
    assert [text.split(": ")[1].split(" ")[0] for text in told] == ["Yosys", "place"]
    assert (found.network, found.device) == ("net", device)
    assert (build / "net" / found.bitstream).stat().st_size > 10_000
    assert found.clock > 20
    assert found.images_per_second == pytest.approx(1e6 * found.clock / found.interval)
    assert all(0 < found.used[cell] <= found.available[cell] for cell in found.used)
    told.clear()
    (again,) = place(build, [device], clock=20, progress=told.append)
    assert told == []
    assert again.seconds == (0, 0)
    assert again.used == found.used


@pytest.mark.slow
def test_a_misfit_says_by_how_much(tmp_path: Path) -> None:
    generate_network(network(400), plan="direct", beat=8, out=tmp_path / "out")
    with pytest.raises(SynthesisError, match=r"does not fit ice40-up5k: it takes [\d,]+ ICESTORM_"):
        place(tmp_path / "out", ["ice40-up5k"])


def test_what_is_refused(build: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no device 'ice40'; use ecp5-25k, ecp5-45k"):
        place(build, ["ice40"])
    layers = generate_layers(dense_network(6, 2), tmp_path / "layers").directory
    with pytest.raises(BuildError, match="holds layers and no network"):
        place(layers, ["ecp5-25k"])
