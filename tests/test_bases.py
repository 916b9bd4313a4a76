"""Networks of parallel bases as builds: in turn under Verilator, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bnn2hw.accelerator import generate_network, simulate_network
from bnn2hw.errors import PlanError, UsageError
from bnn2hw.model import BinaryConv
from tests.groupnets import Groupnet


@pytest.mark.slow
def test_bases_in_turn_under_verilator(tmp_path: Path) -> None:
    network = Groupnet(variant="gbd1", bases=2, strides=(2,)).build()
    out = tmp_path / "out"
    build = generate_network(network, plan="mst", bases_parallel=1, scores=True, out=out)
    assert build.interval == 16 - 4 + 2 * 4  # positions without a window take no turns
    manifest = json.loads((out / "bases" / "manifest.json").read_text())
    joint = manifest["joint_edges"]["block0_base0_conv1_turns"]
    assert (joint["layers"], joint["in_turn"]) == (
        ["block0_base0_conv1", "block0_base1_conv1"], True,
    )  # fmt: skip
    result = simulate_network(out, images=60)
    assert result.least_interval == result.greatest_interval == 20
    assert result.edge_words > 0


@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "variant", "bits"), [(1, "gbd1", 1), (2, "groupnet", 2)])
def test_words_that_come_in_bursts_fill_no_queue(
    lanes: int, variant: str, bits: int, tmp_path: Path
) -> None:
    """Turns make the interval longer than the frame, so that windows drain between frames."""
    network = Groupnet(variant=variant, bases=3, strides=(1,), bits=bits, channels=1).build()
    build = generate_network(network, plan="mst", bases_parallel=lanes, out=tmp_path / "out")
    result = simulate_network(tmp_path / "out", images=40, bench=False)
    turns = -(-3 // lanes)
    assert result.greatest_interval == build.interval == 16 * turns
    assert result.paced == 32


def test_lanes_that_make_no_sense_leave_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    network = Groupnet(strides=(1,)).build()
    with pytest.raises(UsageError, match="on 0 lanes"):
        generate_network(network, bases_parallel=0, out=out)
    layers = tuple(
        replace(layer, padding_value=-1)
        if isinstance(layer, BinaryConv) and layer.name == "block0_base1_conv2"
        else layer
        for layer in network.layers
    )
    with pytest.raises(PlanError, match="they differ in their padding value"):
        generate_network(replace(network, layers=layers), bases_parallel=1, out=out)
    assert not out.exists()
