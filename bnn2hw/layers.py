"""Layers as hardware of their own: a patch in and its outputs out in every cycle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from .emit.build import check_target, write_build
from .emit.layer import LayerFiles
from .emit.limits import check_layers
from .emit.manifest import layer_directories, read_manifest, versions
from .errors import UsageError
from .model import LinearLayer, Network
from .plan import plan_layer
from .plan.auto import Candidate, best, candidates
from .plan.cost import plan_cost
from .plan.netlist import Netlist
from .plan.netlist_cut import clock_levels, cut_netlist
from .plan.planner import check_options
from .plan.rowtree import EFFORT
from .toolchain import find_yosys
from .verify import layer_inputs, make_vectors

__all__ = ["Build", "GeneratedLayer", "generate"]

Progress = Callable[[str], None]

# Vectors beside the corners that a build directory holds for its own `make sim`.
_VECTORS = 200


@dataclass(frozen=True)
class GeneratedLayer:
    """A layer of a build.

    Attributes
    ----------
    name, plan
        Name of the layer and of the plan chosen.
    channels, inputs
        Outputs, and inputs of one output position.
    terms_direct, terms
        XNOR terms with one popcount a channel, and of the plan.
    tree_depth
        Depth of the spanning tree in edges; None where the plan has none.
    latency
        Clock cycles from a patch to its outputs; a patch goes in every cycle.
    candidates
        What plan ``auto`` weighed: ``method``, ``max_depth``, estimated ``luts`` and
        ``logic_levels``; nothing for another plan.
    """

    name: str
    plan: str
    channels: int
    inputs: int
    terms_direct: int
    terms: int
    tree_depth: int | None
    latency: int
    candidates: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Build:
    """A build directory and what it holds."""

    directory: Path
    layers: tuple[GeneratedLayer, ...]

    def to_json(self) -> dict[str, object]:
        """Return the build as JSON values."""
        return {**asdict(self), "directory": str(self.directory)}


def generate(
    network: Network,
    layers: Sequence[str],
    *,
    plan: str = "auto",
    max_depth: int | None = None,
    complement: bool = True,
    pipeline: int | None = None,
    clock: float | None = None,
    target: str | None = None,
    effort: int | None = None,
    out: str | Path | None = None,
    progress: Progress = lambda text: None,
) -> Build:
    """Generate a build directory for layers of a network.

    Parameters
    ----------
    network
        The trained network.
    layers
        Names of layers with weights.
    plan
        ``direct``, ``mst``, ``subbit``, ``classes``, ``rowtree`` or ``auto``.
    max_depth
        Bound on the depth of the spanning tree, in edges.
    complement
        Whether a channel may be computed from another one's complement.
    pipeline
        Adder levels between registers; None for one register, at the output.
    clock
        MHz that a ``rowtree`` is cut for, on a target of :data:`.plan.netlist_cut.DELAYS`; instead
        of ``pipeline``.
    target
        What the layers are for: ``lut6``, ``lut4``, ``ice40``, ``ecp5``, ``asic``. A ``rowtree``
        is made for it (lut6 if None), and ``auto`` weighs one where it is told; else adder graphs
        alone.
    effort
        How long a ``rowtree`` is searched for: 1, 2 or 3 (:func:`.plan.rowtree.rowtree_netlist`);
        2 if None.
    out
        The directory; ``build/NETWORK-LAYER...`` if None. An earlier build there is replaced.
    progress
        Is told what is being done.

    Raises
    ------
    UsageError
        If an option makes no sense.
    ModelError, PlanError
        If there is no such layer, or it cannot be compiled.
    BuildError
        If the directory cannot be written or holds something else.
    """
    if pipeline is not None and pipeline < 1:
        raise UsageError(f"pipeline {pipeline} is not a number of levels", remedy="give 1 or more")
    check_options(plan, max_depth, target=target, effort=effort, complement=complement)
    if clock is not None:
        pipeline = _clocked(plan, pipeline, target, clock)
    names = check_layers(network, layers)
    directory = Path(out) if out is not None else Path("build", "-".join([network.name, *names]))
    check_target(directory)
    find_yosys()
    progress("images through the golden model")
    inputs = layer_inputs(network, names)
    writers = {}
    for name in names:
        progress(f"{name}: plan")
        single = network.single(name, inputs[name])
        files = _layer_files(single, plan, max_depth, complement, pipeline, target, effort)
        writers[name] = (files.top, partial(_write, files, progress))
    write_build(directory, network.name, writers, versions())
    found = layer_directories(directory)
    return Build(directory, tuple(_generated(found[name]) for name in names))


def _clocked(plan: str, pipeline: int | None, target: str | None, clock: float) -> int:
    """Return the levels of a stage for a clock.

    Raises
    ------
    UsageError
        If levels are given too, or known for another plan alone.
    """
    if pipeline is not None:
        raise UsageError("a pipeline and a clock are both given", remedy="leave one of them out")
    if plan != "rowtree":
        raise UsageError(
            f"what a level of plan {plan} takes is not known in nanoseconds",
            remedy="choose the plan rowtree for ecp5 or ice40, or give a pipeline",
        )
    return clock_levels(target, clock)


def _write(files: LayerFiles, progress: Progress, directory: Path) -> None:
    progress(f"{files.layer.name}: Amaranth to Verilog")
    files.write(directory)


def _layer_files(
    network: Network,
    method: str,
    max_depth: int | None,
    complement: bool,
    pipeline: int | None,
    target: str | None,
    effort: int | None,
) -> LayerFiles:
    """Plan a single-layer network and gather what its files are written from."""
    (layer,) = network.layers
    assert isinstance(layer, LinearLayer)
    source = network.input
    found: list[Candidate] = []
    if method == "auto":
        found = candidates(
            layer,
            source,
            max_depth=max_depth,
            complement=complement,
            target=target,
            effort=effort or EFFORT,
        )
        plan = best(found, target).plan
    else:
        plan = plan_layer(
            layer,
            source,
            method,
            max_depth=max_depth,
            complement=complement,
            target=target,
            effort=effort,
        )
    cost = plan_cost(plan, layer, source, target).to_json()
    if found:
        cost["candidates"] = [one.to_json() for one in found]
    if pipeline is not None and isinstance(plan.graph, Netlist):
        plan = replace(plan, graph=cut_netlist(plan.graph, pipeline))
    vectors = make_vectors(network, _VECTORS, seed=0)
    return LayerFiles(network, plan, cost, vectors, pipeline)


def _generated(directory: Path) -> GeneratedLayer:
    manifest = read_manifest(directory, "layer")
    return GeneratedLayer(
        name=manifest["layer"],
        plan=manifest["plan"]["method"],
        channels=manifest["output"]["elements"],
        inputs=manifest["input"]["elements"],
        terms_direct=manifest["plan"]["terms_direct"],
        terms=manifest["plan"]["terms"],
        tree_depth=manifest["plan"]["tree_depth"],
        latency=manifest["latency_cycles"],
        candidates=tuple(manifest["plan"].get("candidates", ())),
    )
