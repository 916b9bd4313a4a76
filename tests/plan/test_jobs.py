"""Jobs: which layers take turns, which share a graph, in what order, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bnn2hw.errors import PlanError, UsageError
from bnn2hw.model import Affine, BaseGroup, BinaryConv, Integer, LinearLayer, Network, Tensor
from bnn2hw.plan import plan_layer
from bnn2hw.plan.folding import fold_job
from bnn2hw.plan.jobs import joined, linear_jobs, network_jobs, side_by_side, with_joined
from tests.groupnets import Groupnet


@pytest.mark.parametrize(
    ("bases", "lanes", "turns"),
    [(3, 1, [3]), (3, 2, [2, 1]), (3, 3, [1] * 3), (5, 2, [3, 2]), (5, 4, [2, 2, 1])],
)
def test_bases_are_spread_over_lanes(bases: int, lanes: int, turns: list[int]) -> None:
    network = Groupnet(bases=bases).build()
    jobs = network_jobs(network, lanes)
    found = [job.turns for job in jobs if job.parts[0].endswith("conv1") and "block1" in job.name]
    assert found == turns
    assert sorted(part for job in jobs for part in job.parts) == sorted(
        layer.name for layer in network.layers
    )


@pytest.mark.parametrize("variant", ["lbd", "gbd1", "gbd2", "gbd3", "groupnet"])
def test_every_job_reads_what_is_there(variant: str) -> None:
    network = Groupnet(variant=variant).build()
    there = {"input"}
    for job in network_jobs(network, 1):
        assert {edge for edges in job.sources for edge in edges} <= there
        assert len(job.sources) == len(job.layers[0].inputs)
        there |= set(job.parts)
        low, high = job.output.format.low, job.output.format.high
        forms = [network.tensors[part].format for part in job.parts]
        assert low == min(form.low for form in forms)
        assert high == max(form.high for form in forms)


def test_without_lanes_jobs_are_the_layers() -> None:
    network = Groupnet().build()
    assert [job.layers for job in network_jobs(network)] == [(one,) for one in network.layers]


def test_layers_of_one_edge_and_window_are_joined() -> None:
    network = Groupnet(variant="gbd1", strides=(2,)).build()
    jobs = network_jobs(network)
    (alike,) = side_by_side(jobs)
    assert [job.name for job in alike] == [f"block0_base{k}_conv1" for k in range(3)]
    whole = joined(alike)
    layer = whole.layers[0]
    assert isinstance(layer, LinearLayer)
    assert layer.channels == 6
    rows = [job.layers[0].matrix() for job in alike if isinstance(job.layers[0], LinearLayer)]
    assert np.array_equal(layer.matrix(), np.concatenate(rows))
    after = with_joined(jobs, [alike])
    assert len(after) == len(jobs) - 2
    assert after[-1].name == jobs[-1].name
    assert not list(side_by_side(after))
    plan_layer(layer, whole.inputs[0], "mst")


def test_layers_of_other_windows_are_not() -> None:
    network = Groupnet(variant="lbd", dilations=(1, 2, 2), strides=(1,)).build()
    found = [[job.name[-1] for job in alike] for alike in side_by_side(network_jobs(network))]
    assert found == [["1", "2"], ["1", "2"]]


def test_a_folding_holds_the_rows_of_all_turns() -> None:
    network = Groupnet().build()
    for job, layer in linear_jobs(network_jobs(network, 1)):
        folding = fold_job(job, 1, 4)
        assert folding.turns == job.turns
        assert folding.weights.shape == (job.turns * layer.channels, layer.patch_size())
        assert folding.cycles == layer.channels * -(-layer.patch_size() // 4)


def changed(network: Network, name: str, **options: object) -> Network:
    """Return the network with one layer changed, groups kept."""
    layers = [
        replace(layer, **options) if layer.name == name else layer for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def test_bases_may_differ_in_dilation_where_padding_needs_no_positions() -> None:
    network = Groupnet(variant="lbd", dilations=(1, 1, 2), strides=(1,)).build()
    assert max(job.turns for job in network_jobs(network, 1)) == 3
    # Padding with zeros: of three rows a window of rate 1 meets all, one of rate 2 only some.
    zeros = network
    for k in range(3):
        zeros = changed(zeros, f"block0_conv1_base{k}", padding_value=0)
    with pytest.raises(PlanError, match=r"conv1_base2: they differ in their border classes"):
        network_jobs(zeros, 1)
    # A map that grows has windows without an origin on it.
    weights = np.zeros((2, 3, 3, 1), np.uint8)
    convs = [
        BinaryConv(f"base{k}", ("input",), weights, padding=(k + 1,) * 4, dilation=(k, k))
        for k in (1, 2)
    ]
    total = Affine(
        "sum", ("base1", "base2"), np.ones((2, 1), int), np.array([0]), 0, Integer(-18, 18)
    )
    group = BaseGroup("group", (("base1",), ("base2",)), "sum")
    grown = Network("n", Tensor((4, 4, 1), Integer(0, 1)), (*convs, total), groups=(group,))
    with pytest.raises(PlanError, match=r"base1: takes no .* base2: they differ in their windows"):
        network_jobs(grown, 1)


def test_bases_that_differ_are_refused() -> None:
    network = Groupnet(strides=(1,)).build()
    layer = network.layer("block0_base1_conv2")
    assert isinstance(layer, BinaryConv)
    other = changed(network, layer.name, padding_value=-1)
    with pytest.raises(PlanError, match="differ in their padding value"):
        network_jobs(other, 1)
    assert network_jobs(other, 3)
    group = network.groups[0]
    shorter = BaseGroup(group.name, (*group.bases[:2], group.bases[2][:-1]), group.output)
    with pytest.raises(PlanError, match="differ in their number of layers"):
        network_jobs(replace(network, groups=(shorter,)), 1)


def test_bases_whose_order_differs_are_refused() -> None:
    network = Groupnet(strides=(1, 1)).build()
    first, second = network.groups
    turned = BaseGroup(second.name, second.bases[::-1], second.output)
    with pytest.raises(PlanError, match="in turn, and they do not come so"):
        network_jobs(replace(network, groups=(first, turned)), 1)


def test_options_that_make_no_sense() -> None:
    network = Groupnet().build()
    with pytest.raises(UsageError, match="bases cannot be computed on 0 lanes"):
        network_jobs(network, 0)
    with pytest.raises(UsageError, match="has no parallel bases"):
        network_jobs(replace(network, groups=()), 1)


def test_formats_of_all_turns_are_held() -> None:
    network = Groupnet().build()
    job = next(job for job in network_jobs(network, 1) if job.name == "block0_base0_sum1_turns")
    forms = [network.tensors[part].format for part in job.parts]
    assert len({(form.low, form.high) for form in forms}) > 1
    assert isinstance(job.output.format, Integer)
