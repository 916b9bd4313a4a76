"""A network's layers one after the other on the sequential engine: 1-bit against sub-bit.

A comparison needs a definition of what both engines have the same number of. Here a PE is a
two-operand adder that can work in every cycle, of whatever width. A lane of the sub-bit engine is
one PE, its accumulator; a lane of the 1-bit engine is as many as it takes products a cycle, as
each is one addition; a kernel unit is two, which add the sums of three rows, and the row sums that
all kernel units share are nineteen (:func:`.table_adders`). What selects (XNOR, look-up), memories
and thresholds count in neither. Weight memory gives both engines as
many bits a cycle as there are PEs, and both may have up to sixteen positions in flight, which share
the weights that are read. Under these bounds each engine gets the shape that serves the whole
network best. Other definitions stand beside this one in a timeline's assumptions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product

from ..errors import UsageError
from .architectures import Architecture
from .counting import HALF_ADDS, binary_ops, subbit_ops
from .engine import EngineParameters, EngineSchedule, schedule
from .engine_program import table_adders

__all__ = [
    "ADDERS",
    "TIMELINE_MODES",
    "Assumption",
    "LayerRun",
    "PeCount",
    "Run",
    "Timeline",
    "timeline",
]

TIMELINE_MODES = ("subbit", "closed", "fastest")
"""Any subset; a subset closed under negation; closed, and each layer in its fastest mode."""

_MOST_PIXELS = 16


@dataclass(frozen=True)
class PeCount:
    """What counts as a PE.

    Attributes
    ----------
    name
        In words.
    kernel_unit
        PEs of a kernel unit; 0 where they do not count.
    products
        Whether a lane of the 1-bit engine is a PE for each product it takes a cycle; it is one
        PE with nine products where not.
    shared
        PEs that all kernel units have in common.
    pixels
        Positions in flight at most.
    """

    name: str
    kernel_unit: int
    products: bool
    shared: int = 0
    pixels: int = _MOST_PIXELS

    @property
    def least(self) -> int:
        """Return the PEs of the smallest sub-bit engine: one lane and one kernel unit."""
        return 1 + self.shared + self.kernel_unit


_TAPS = 9
_SHARED, _KERNEL = table_adders(_TAPS)

ADDERS = PeCount("PE = adder", kernel_unit=_KERNEL, products=True, shared=_SHARED)
_APART = PeCount("PE = adder, row sums not shared", kernel_unit=_TAPS - 1, products=True)
_LANES = PeCount("PE = lane, kernel units free", kernel_unit=0, products=True)
_WORDS = PeCount("PE = lane of 9 products, kernel units free", kernel_unit=0, products=False)
_MEMORY = PeCount("the same, one position in flight", kernel_unit=0, products=False, pixels=1)
# Closed subsets and the choice of a mode buy nothing more where kernel units are free.
_ASSUMED = (
    *((count, mode) for count in (ADDERS, _APART) for mode in TIMELINE_MODES),
    *((count, "subbit") for count in (_LANES, _WORDS, _MEMORY)),
)


@dataclass(frozen=True)
class LayerRun:
    """A layer on an engine; ``stage`` is that of the architecture."""

    name: str
    stage: int
    schedule: EngineSchedule

    def to_json(self) -> dict[str, object]:
        """Return the layer as JSON values."""
        return {
            "name": self.name,
            "stage": self.stage,
            "mode": self.schedule.mode,
            "cycles": self.schedule.cycles,
            "utilisation": self.schedule.utilisation,
        }


@dataclass(frozen=True)
class Run:
    """A network on an engine, layer after layer."""

    parameters: EngineParameters
    layers: tuple[LayerRun, ...]

    @property
    def cycles(self) -> int:
        """Return the cycles of all layers."""
        return sum(layer.schedule.cycles for layer in self.layers)

    @property
    def seconds(self) -> float:
        """Return the seconds of all layers."""
        return self.cycles / self.parameters.clock

    def to_json(self) -> dict[str, object]:
        """Return the run as JSON values."""
        return {
            "engine": asdict(self.parameters),
            "cycles": self.cycles,
            "seconds": self.seconds,
            "layers": [layer.to_json() for layer in self.layers],
        }


@dataclass(frozen=True)
class Assumption:
    """What a definition or a choice buys.

    Attributes
    ----------
    name
        In words.
    binary, subbit
        Cycles of the network at 1 bit and sub-bit; None where no engine is asked.
    speedup
        1-bit over sub-bit.
    """

    name: str
    binary: int | None
    subbit: int | None
    speedup: float

    def to_json(self) -> dict[str, object]:
        """Return the assumption as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Timeline:
    """A network on the best 1-bit engine and on the best sub-bit engine of as many PEs."""

    network: Architecture
    tau: int
    pes: int
    mode: str
    binary: Run
    subbit: Run
    assumptions: tuple[Assumption, ...]

    @property
    def speedup(self) -> float:
        """Return how much faster the sub-bit network is."""
        return self.binary.cycles / self.subbit.cycles

    def to_json(self) -> dict[str, object]:
        """Return the timeline as JSON values."""
        return {
            "network": self.network.name,
            "input": self.network.input,
            "tau": self.tau,
            "pes": self.pes,
            "mode": self.mode,
            "speedup": self.speedup,
            "binary": self.binary.to_json(),
            "subbit": self.subbit.to_json(),
            "assumptions": [item.to_json() for item in self.assumptions],
        }


def timeline(
    network: Architecture,
    *,
    tau: int = 5,
    pes: int = 64,
    clock: int = 10**9,
    mode: str = "subbit",
) -> Timeline:
    """Run a network's binary layers on the 1-bit and on the sub-bit engine.

    Parameters
    ----------
    network
        Its shapes.
    tau
        Bits of an index, of kernels and vectors alike: 1 to 8, or 7 where there are vectors of 8.
    pes
        Processing elements of either engine.
    clock
        Hz.
    mode
        One of :data:`TIMELINE_MODES`.

    Raises
    ------
    UsageError
        If there is no such mode, a number is out of range, or no engine is that small.
    """
    if mode not in TIMELINE_MODES:
        raise UsageError(f"there is no mode {mode!r}", remedy=f"use {', '.join(TIMELINE_MODES)}")
    most = min(shape.unit for shape in network.binary) - 1
    if not 1 <= tau <= most:
        raise UsageError(
            f"tau {tau} is out of range for {network.name}", remedy=f"give 1 to {most}"
        )
    if not ADDERS.least <= pes <= 4096:
        raise UsageError(
            f"{pes} PEs make no engine: a lane takes 1, a kernel unit {_KERNEL}, "
            f"row sums {_SHARED}",
            remedy=f"give {ADDERS.least} to 4096",
        )
    return Timeline(
        network,
        tau,
        pes,
        mode,
        *_runs(network, tau, pes, clock, mode, ADDERS),
        tuple(_assumptions(network, tau, pes, clock)),
    )


@lru_cache(maxsize=64)  # the timeline itself is one of its assumptions
def _runs(
    network: Architecture, tau: int, pes: int, clock: int, mode: str, count: PeCount
) -> tuple[Run, Run]:
    """Return the runs on the best 1-bit and on the best sub-bit engine."""
    modes = ("subbit", "binary") if mode == "fastest" else ("subbit",)
    return (
        _fastest(network, _binary_engines(pes, clock, count), ("binary",)),
        _fastest(network, _subbit_engines(pes, clock, count, tau, mode), modes),
    )


def _binary_engines(pes: int, clock: int, count: PeCount) -> Iterator[EngineParameters]:
    for pixels, taps in product(range(1, count.pixels + 1), range(1, _TAPS + 1)):
        lanes = pes // taps if count.products else pes
        if lanes:
            yield EngineParameters(
                lanes=lanes, taps=taps, pixels=pixels, word_width=pes, clock=clock
            )


def _subbit_engines(
    pes: int, clock: int, count: PeCount, tau: int, mode: str
) -> Iterator[EngineParameters]:
    """Yield the sub-bit engines; products a lane matter where layers may take the 1-bit mode."""
    closed = mode != "subbit"
    most_taps = _TAPS if count.products and mode == "fastest" else 1
    room = pes - count.shared
    most_units = (room - 1) // count.kernel_unit if count.kernel_unit else room
    most_units = min(1 << (tau - closed), most_units)
    for pixels, units, taps in product(
        range(1, count.pixels + 1), range(1, most_units + 1), range(1, most_taps + 1)
    ):
        lanes = (room - count.kernel_unit * units) // taps
        if lanes:
            yield EngineParameters(
                lanes=lanes,
                kernel_units=units,
                tau=tau,
                closed=closed,
                pixels=pixels,
                taps=taps if count.products else _TAPS,
                word_width=pes,
                clock=clock,
            )


def _fastest(
    network: Architecture, engines: Iterator[EngineParameters], modes: Sequence[str]
) -> Run:
    """Return the run on the engine that takes the fewest cycles for the whole network."""
    alike = Counter(replace(shape, name="") for shape in network.binary)

    def cycles(engine: EngineParameters) -> int:
        return sum(
            count * min(schedule(engine, shape, mode).cycles for mode in modes)
            for shape, count in alike.items()
        )

    best = min(engines, key=cycles)
    layers = []
    for layer in network.layers:
        if layer.binary:
            choices = [schedule(best, layer.shape, mode) for mode in modes]
            chosen = min(choices, key=lambda choice: choice.cycles)
            layers.append(LayerRun(layer.shape.name, layer.stage, chosen))
    return Run(best, tuple(layers))


def _assumptions(network: Architecture, tau: int, pes: int, clock: int) -> Iterator[Assumption]:
    """Yield what each definition of a PE and each choice of mode buys, ideal bit-ops first."""
    binary = sum(map(binary_ops, network.binary))
    for closed in (False, True):
        ops = sum(subbit_ops(shape, tau, HALF_ADDS, closed=closed) for shape in network.binary)
        name = f"published bit-ops; {TIMELINE_MODES[closed]}"
        yield Assumption(name, None, None, binary / ops)
    for count, mode in _ASSUMED:
        if pes < count.least:
            continue
        one, sub = (run.cycles for run in _runs(network, tau, pes, clock, mode, count))
        yield Assumption(f"{count.name}; {mode}", one, sub, one / sub)
