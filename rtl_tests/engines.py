"""Engines of many shapes and parameters, and faulty ones, for one simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw.gateware.engine_axi import AxiStreamEngine
from bnn2hw.golden import patches, run
from bnn2hw.model import Integer, LinearLayer, load
from bnn2hw.plan.engine import ENGINE_MODES
from bnn2hw.plan.engine import EngineParameters as Parameters
from bnn2hw.plan.engine_layer import plan_engine
from tests.gateware.engines import EngineDesign, engine_design
from tests.gateware.mutants import load_mutant


def trained(name: str, mode: str, parameters: Parameters) -> EngineDesign:
    """Return a layer of the sub-bit network of the examples, with patches of a real image."""
    network = load(Path(__file__).parents[1] / "examples" / "networks" / "subbit.npz")
    layer, samples = network.layer(name), network.samples
    assert isinstance(layer, LinearLayer) and samples is not None
    source = network.source(layer)
    edges = run(network, samples.images[:1], edges=[layer.inputs[0]])
    words, borders = patches(layer, source, edges[layer.inputs[0]])
    plan = plan_engine(layer, source, parameters, mode)
    chosen = np.linspace(0, len(words) - 1, 5).astype(np.int64)
    return EngineDesign(layer, source, plan, words[chosen].astype(np.int64), borders[chosen])


ENGINES: Mapping[str, EngineDesign] = {
    **{
        f"trained_{name}_{mode}": trained(name, mode, Parameters(lanes=4, kernel_units=4))
        for name in ("conv2", "conv3")
        for mode in ENGINE_MODES
    },
    "kernels": engine_design(
        1, Parameters(lanes=4, kernel_units=4), "subbit", (3, 3), 5, 8,
        book=(3, False), positions=8,
    ),
    "one_lane": engine_design(
        2, Parameters(lanes=1, kernel_units=1), "subbit", (3, 3), 2, 3,
        book=(1, True), positions=5, threshold=False,
    ),
    "padded_with_zeros": engine_design(
        3, Parameters(lanes=5, kernel_units=6), "subbit", (3, 3), 3, 13,
        book=(4, True), padding=1, positions=20,
    ),
    "padded_with_ones_stride_2": engine_design(
        4, Parameters(lanes=4, kernel_units=32), "subbit", (3, 3), 3, 7,
        book=(5, False), padding=1, padding_value=1, stride=2, positions=6,
    ),
    "pixels_share_narrow_memory": engine_design(
        5, Parameters(lanes=4, kernel_units=3, pixels=3, word_width=5), "subbit", (3, 3), 4, 10,
        book=(3, False), padding=1, positions=10,
    ),
    "starved_by_memory": engine_design(
        6, Parameters(lanes=3, kernel_units=8, word_width=2), "subbit", (3, 3), 3, 7,
        book=(4, True), positions=4, threshold=False,
    ),
    "vectors": engine_design(
        7, Parameters(lanes=4, kernel_units=4, pixels=2), "subbit", (1, 1), 21, 9,
        book=(4, False), positions=7,
    ),
    "dense_sums": engine_design(
        8, Parameters(lanes=8, kernel_units=2), "subbit", None, 40, 20,
        book=(3, True), positions=6, threshold=False,
    ),
    "integers": engine_design(
        9, Parameters(lanes=4, kernel_units=2), "subbit", (3, 3), 3, 6,
        book=(3, True), padding=1, form=Integer(0, 3), positions=8,
    ),
    "binary": engine_design(
        10, Parameters(lanes=4), "binary", (3, 3), 4, 10, padding=1, positions=12,
    ),
    "binary_words": engine_design(
        11, Parameters(lanes=3, taps=5, pixels=2, word_width=8), "binary", (3, 3), 3, 7,
        positions=6, threshold=False,
    ),
    "binary_integers": engine_design(
        12, Parameters(lanes=4, taps=4), "binary", None, 18, 6, form=Integer(-8, 7), positions=6,
    ),
    "delta": engine_design(
        13, Parameters(lanes=1, kernel_units=4), "delta", (3, 3), 4, 12,
        book=(2, True), padding=1, positions=6,
    ),
    "delta_sums": engine_design(
        14, Parameters(lanes=3, kernel_units=2, pixels=2, word_width=6), "delta", (1, 1), 30, 10,
        book=(3, False), threshold=False, positions=5,
    ),
    "delta_integers": engine_design(
        15, Parameters(lanes=4, kernel_units=2), "delta", (3, 3), 3, 9,
        book=(1, False), padding=1, form=Integer(-2, 1), positions=6,
    ),
}  # fmt: skip

LOADED = "pixels_share_narrow_memory"
FAULTY = "padded_with_zeros"
SWAPPED = "dense_sums"  # where a wrong index is not hidden by a threshold
FAULTS = (
    "dropped_lane",
    "engine_ignores_back_pressure",
    "stale_table_half",
    "window_ends_early",
    "window_starts_late",
)


def swapped(design: EngineDesign) -> Any:
    """Return an engine's program in which the indices of two lanes are swapped in one step."""
    program = design.plan.program
    bits = program.weight_bits
    mask = (1 << bits) - 1
    step, difference = next(
        (step, difference)
        for step, word in enumerate(program.weights)
        if (difference := (word ^ word >> bits) & mask)
    )
    word = program.weights[step] ^ (difference | difference << bits)
    return replace(program, weights=(*program.weights[:step], word, *program.weights[step + 1 :]))


def units(folder: Path) -> dict[str, Any]:
    """Return all engines, a loadable one, and faulty ones (made in a folder) by name."""
    found = {name: AxiStreamEngine(design.plan.program) for name, design in ENGINES.items()}
    found["loaded"] = AxiStreamEngine(ENGINES[LOADED].plan.program, loadable=True)
    found["faulty_swapped_index"] = AxiStreamEngine(swapped(ENGINES[SWAPPED]))
    for name in FAULTS:
        engine = load_mutant(name, folder, module="engine_axi").AxiStreamEngine
        found[f"faulty_{name}"] = engine(ENGINES[FAULTY].plan.program)
    return found
