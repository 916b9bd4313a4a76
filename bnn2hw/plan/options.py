"""All ways to compute a layer with weights, each with its estimated area and its cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import PlanError
from ..model.layers import LinearLayer
from .area import Area
from .choices import Choice
from .cost import core_area
from .engine import MOST_LANES
from .engine_area import EngineArea
from .engine_layer import EnginePlan, engine_job
from .folding import Folding, fold_job
from .folding_area import FoldingArea
from .jobs import Job
from .layer_plan import LayerPlan
from .memory import WORD_LIMIT

__all__ = ["LayerOptions", "Option", "Planner", "Work"]

Work = LayerPlan | Folding | EnginePlan
"""How a layer with weights is computed."""

Planner = Callable[[Job, LinearLayer, Choice], LayerPlan]
"""Plans the layer of a job as chosen."""

# No plan is expected to take fewer cells for each weight of distinct rows and columns, flip-flops
# that stand alone included: a layer is not planned where a folding takes less.
_LEAST_PER_WEIGHT = 0.25


@dataclass(frozen=True)
class Option:
    """A way to compute a layer.

    Attributes
    ----------
    choice
        Style, plan and folding.
    cycles
        Of an output position.
    area
        Of the core, with the queue behind a spatial one.
    cells
        Logic cells of that.
    """

    choice: Choice
    cycles: int
    area: Area
    cells: float

    @property
    def size(self) -> tuple[float, int, int]:
        """Return what options are sorted by."""
        return self.cells, self.area.block_rams, self.cycles


class LayerOptions:
    """The ways to compute a layer.

    Parameters
    ----------
    job, layer
        A job with weights and its first layer.
    family
        A name of :data:`~.area.FAMILIES`.
    methods, slow
        Names of the planners that may be used, and of those that :meth:`refine` adds.
    pipeline
        Adder levels between registers, or None.
    plan
        Plans the layer of a job.

    Attributes
    ----------
    job
        The job.
    """

    def __init__(
        self,
        job: Job,
        layer: LinearLayer,
        family: str,
        methods: Sequence[str],
        slow: Sequence[str],
        pipeline: int | None,
        plan: Planner,
    ) -> None:
        self.job, self._layer, self._family = job, layer, family
        self._methods, self._slow = methods, slow
        self._pipeline, self._plan = pipeline, plan
        source, output = job.inputs[0], job.output
        self._count = output.size // output.channels
        # Positions at which no window is due take a cycle each.
        self._idle = max(source.size // source.channels - self._count, 0)
        self._fronts: dict[int, list[Option]] = {}

    @cached_property
    def _folded(self) -> list[Option]:
        """Return all foldings of two or more cycles."""
        folding = fold_job(self.job, 1, 1)
        areas = FoldingArea(folding, self.job.inputs[0].format.width, self._pipeline)
        rows, inputs = len(folding.weights) // folding.turns, folding.weights.shape[1]
        found = []
        for pes in _shares(rows):
            for simd in _shares(inputs):
                cycles = -(-rows // pes) * -(-inputs // simd)
                if cycles > 1 or self.job.turns > 1:
                    area = areas.area(pes, simd, self._family)
                    cells = area.cells(self._family)
                    found.append(Option(Choice(None, pes, simd), cycles, area, cells))
        return found

    @cached_property
    def _engines(self) -> list[Option]:
        """Return engines of one layer, where it has few kernels."""
        if self.job.turns > 1:
            return []
        try:
            plan = engine_job(self.job, 1, 1)
        except PlanError:
            return []
        areas, program = EngineArea(plan, self.job.output.format.width), plan.program
        most = min(WORD_LIMIT // program.level_width, MOST_LANES)
        found = []
        for lanes in (share for share in _shares(program.outputs) if share <= most):
            for units in _shares(program.entries):
                steps = max(-(-program.outputs // lanes), -(-program.entries // units))
                area = areas.area(lanes, units, self._family)
                choice = Choice(lanes=lanes, kernel_units=units)
                cells = area.cells(self._family)
                found.append(Option(choice, program.words * steps, area, cells))
        return found

    @cached_property
    def _sequential(self) -> list[Option]:
        """Return foldings and engines, the least area first."""
        return sorted([*self._folded, *self._engines], key=lambda one: one.size)

    @cached_property
    def _spatial(self) -> list[Option]:
        """Return the plans, made now."""
        return self._planned(self._methods if self.job.turns == 1 else ())

    def _planned(self, methods: Sequence[str]) -> list[Option]:
        """Return the plans of some planners."""
        found = []
        word = self.job.output.channels * self.job.output.format.width
        queue = Area(word + 6, 2 * word + 2, word)
        for method in methods:
            choice = Choice(method, target=self._family)
            plan = self._plan(self.job, self._layer, choice)
            area = queue + core_area(plan.graph, plan.readout, self._pipeline, self._family)
            found.append(Option(choice, 1, area, area.cells(self._family)))
        return found

    def refine(self) -> bool:
        """Let slow planners plan a spatial layer too; return whether there were any left."""
        added, self._slow = self._planned(self._slow), ()
        self._spatial.extend(added)
        self._fronts.clear()
        return bool(added)

    @cached_property
    def _least_spatial(self) -> float:
        """Return fewer tables than a plan is expected to take."""
        matrix = self._layer.matrix()
        rows = np.unique(matrix * np.where(matrix[:, :1] < 0, -1, 1), axis=0)
        columns = int(np.unique(rows, axis=1).shape[1])
        return _LEAST_PER_WEIGHT * len(rows) * columns

    @cached_property
    def _slowest(self) -> int:
        return max((one.cycles for one in self._sequential), default=1)

    @property
    def interval(self) -> int:
        """Return the interval that is long enough for every option."""
        return self.job.turns * (self._count * self._slowest + self._idle)

    def work(self, choice: Choice) -> Work:
        """Return what a choice comes to."""
        if choice.style == "engine":
            return engine_job(self.job, choice.lanes, choice.kernel_units)
        if choice.plan is None:
            return fold_job(self.job, choice.pes, choice.simd)
        return self._plan(self.job, self._layer, choice)

    def front(self, interval: int) -> list[Option]:
        """Return the options for an interval that no other one beats in cells and block RAMs.

        The least area first; nothing where the interval is too short for any.
        """
        cycles = (interval // self.job.turns - self._idle) // self._count
        cycles = min(cycles, self._slowest)
        if cycles not in self._fronts:
            self._fronts[cycles] = self._front(cycles)
        return self._fronts[cycles]

    def _front(self, cycles: int) -> list[Option]:
        """Return the front of the options that take at most so many cycles a position."""
        options = [one for one in self._sequential if one.cycles <= cycles]
        if cycles >= 1 and (not options or options[0].cells > self._least_spatial):
            options = sorted([*options, *self._spatial], key=lambda one: one.size)
        front: list[Option] = []
        for one in options:
            if not front or one.area.block_rams < front[-1].area.block_rams:
                front.append(one)
        return front


def _shares(count: int) -> list[int]:
    """Return the sizes of equal parts of so many, the last of which may be smaller."""
    return sorted({-(-count // parts) for parts in range(1, count + 1)})
