"""How the layers of a network are computed: choices made into plans and foldings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .emit.limits import check_program
from .errors import UsageError
from .model import LinearLayer
from .plan import plan_layer
from .plan.choices import Choice, read_choices
from .plan.cost import plan_cost
from .plan.engine_layer import engine_job
from .plan.folding import fold_job
from .plan.jobs import Job, joined, linear_jobs, side_by_side, with_joined
from .plan.layer_plan import LayerPlan
from .plan.netlist import Netlist
from .plan.options import Work

__all__ = ["Assignment", "Plans", "assign", "chosen_in_file"]

# Planners whose plan depends on the target.
_TARGETED = ("rowtree", "auto")


class Plans:
    """Plans of layers, each made once.

    Parameters
    ----------
    max_depth, complement
        As for :func:`bnn2hw.plan.plan_layer`.
    progress
        Is told what is planned.
    """

    def __init__(
        self, max_depth: int | None, complement: bool, progress: Callable[[str], None]
    ) -> None:
        self._max_depth, self._complement, self._progress = max_depth, complement, progress
        self._found: dict[tuple[str, Choice], LayerPlan] = {}

    def __call__(self, job: Job, layer: LinearLayer, choice: Choice) -> LayerPlan:
        """Return the plan of a job's layer, a spatial one."""
        method = choice.plan
        assert method is not None
        # What is planned for any target is planned once.
        key = choice if method in _TARGETED else Choice(method)
        if (job.name, key) not in self._found:
            self._progress(f"{job.name}: plan {method}")
            self._found[job.name, key] = plan_layer(
                layer, job.inputs[0], method, max_depth=self._max_depth,
                complement=self._complement, target=key.target,
            )  # fmt: skip
        return self._found[job.name, key]


@dataclass(frozen=True, eq=False)
class Assignment:
    """How the layers with weights are computed.

    Attributes
    ----------
    jobs
        What the stages compute; layers that one graph spans are one.
    works
        Plans, foldings and engines, by job.
    choices
        The choices that would give the same.
    told
        What the manifest says of each.
    """

    jobs: Sequence[Job]
    works: Mapping[str, Work]
    choices: Mapping[str, Choice]
    told: Mapping[str, Mapping[str, object]]


def chosen_in_file(
    path: Path, jobs: Sequence[Job]
) -> tuple[list[Job], dict[str, Choice], int | None]:
    """Return the jobs as a file of choices wants them joined, its choices, and its pipeline.

    Raises
    ------
    UsageError
        If the file makes no sense, or layers that take turns are not to be folded.
    """
    together = {joined(alike).name: alike for alike in side_by_side(jobs)}
    every = [*jobs, *(joined(alike) for alike in together.values())]
    sizes = {job.name: (layer.channels, layer.patch_size()) for job, layer in linear_jobs(every)}
    chosen, pipeline = read_choices(path, sizes)
    for job in jobs:
        if job.turns > 1 and job.name in chosen and chosen[job.name].style != "folded":
            raise UsageError("layers that take turns are folded", layer=job.name, file=path)
    jobs = with_joined(jobs, [together[name] for name in chosen if name in together])
    return jobs, chosen, pipeline


def assign(
    jobs: Sequence[Job],
    chosen: Mapping[str, Choice],
    plans: Plans,
    default: Choice,
) -> Assignment:
    """Return how each layer is computed: as chosen, else spatial.

    Spatial layers that read one edge and of which none was chosen become one where a graph over
    the rows of all is estimated to take fewer tables.

    Parameters
    ----------
    jobs
        What the network computes.
    chosen
        The choices of some or all jobs with weights.
    plans
        Plans spatial layers.
    default
        A spatial layer: of jobs without a choice. Layers that take turns are folded, at once.
    """
    found = {}
    for job, layer in linear_jobs(jobs):
        at_once = Choice(None, layer.channels, layer.patch_size())
        choice = chosen.get(job.name) or (at_once if job.turns > 1 else default)
        found[job.name] = _Work(job, layer, choice)
    for alike in list(side_by_side(jobs)):
        works = [found[job.name] for job in alike]
        if any(job.name in chosen for job in alike) or any(not work.plan for work in works):
            continue
        ((job, layer),) = linear_jobs([joined(alike)])
        whole = _Work(job, layer, default)
        if whole.luts(plans) < sum(work.luts(plans) for work in works):
            jobs = with_joined(jobs, [alike])
            found[job.name] = whole
    made = [(job.name, *found[job.name].make(plans)) for job, _ in linear_jobs(jobs)]
    return Assignment(
        jobs,
        {name: work for name, work, _, _ in made},
        {name: choice for name, _, choice, _ in made},
        {name: told for name, _, _, told in made},
    )


@dataclass(frozen=True, eq=False)
class _Work:
    """A job with weights, its first layer, and the choice for it."""

    job: Job
    layer: LinearLayer
    choice: Choice

    @property
    def plan(self) -> str | None:
        """Return the planner of a spatial one."""
        return self.choice.plan

    def luts(self, plans: Plans) -> int:
        """Return the estimated tables of a spatial one."""
        return plan_cost(
            plans(self.job, self.layer, self.choice), self.layer, self.job.inputs[0]
        ).luts

    def make(self, plans: Plans) -> tuple[Work, Choice, dict[str, object]]:
        """Return how it is computed, the choice that gives it, and what the manifest says of it."""
        choice = self.choice
        if choice.style == "engine":
            engine = engine_job(self.job, choice.lanes, choice.kernel_units)
            program = engine.program
            check_program(program, self.layer.name)
            choice = Choice(lanes=program.lanes, kernel_units=program.kernel_units)
            return engine, choice, {**choice.to_json(), "cycles": engine.cycles}
        if self.plan is None:
            folding = fold_job(self.job, choice.pes, choice.simd)
            choice = Choice(pes=folding.pes, simd=folding.simd)
            return folding, choice, {**choice.to_json(), "cycles": folding.cycles}
        plan = plans(self.job, self.layer, choice)
        cost = plan_cost(plan, self.layer, self.job.inputs[0]).to_json()
        target = plan.graph.target.name if isinstance(plan.graph, Netlist) else None
        choice = Choice(plan.method, target=target)
        return plan, choice, {**choice.to_json(), **cost}
