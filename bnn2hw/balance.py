"""The balance of a network: style, plan and folding of each layer for a device.

The interval, cycles from image to image, is the free variable. For an interval every layer has
its options, each of an area. Block RAMs are shared by all layers, so the least area is sought
over all combinations that keep to them, exactly, by merging the layers' Pareto fronts. What is
fast enough for an interval is so for every longer one: the fastest that fits is found by
bisection.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .emit.area import network_area, stage_area
from .emit.stage import Stage
from .errors import PlanError, UsageError
from .plan.area import Area
from .plan.choices import Choice
from .plan.devices import CAPACITIES, Capacity
from .plan.folding import fold_job
from .plan.jobs import Job, linear_jobs
from .plan.options import LayerOptions, Option, Planner, Work
from .plan.pace import Paces

__all__ = ["PLANS", "SLOW_PLANS", "Balance", "Goal", "Problem", "balance"]

Works = Mapping[str, Work]

PLANS = ("direct", "mst", "subbit", "classes")
"""Planners of spatial layers that are tried where none is named: the least area wins."""
SLOW_PLANS = ("rowtree",)
"""Planners that are tried in a second round, of the layers that the first made spatial."""

# Whose cells are weighed where no device is named.
_FAMILY = "ecp5"

# Depths of queues depend on the choice: the search is repeated with those of its result.
_ROUNDS = 4

# Clocks in MHz and images a second beyond these are slips.
_LEAST, _MOST = 1e-9, 1e9


@dataclass(frozen=True)
class Goal:
    """What a network is to reach, and where.

    Attributes
    ----------
    device
        A name of :data:`~bnn2hw.plan.devices.CAPACITIES`; None for any number of cells.
    clock
        MHz; the device's own if None.
    fps, cycles
        Images a second, or cycles that an image may take, that the least area is sought for; the
        fastest that fits if both are None.
    max_luts
        Logic cells that may be used, if fewer than the device's.
    reserved
        What else there is to be on the device.
    on_board
        Whether the device is that of a board, so that another device is another board.

    Raises
    ------
    UsageError
        If there is no such device, or a number makes no sense.
    """

    device: str | None = None
    clock: float | None = None
    fps: float | None = None
    max_luts: int | None = None
    cycles: int | None = None
    reserved: Area = field(default_factory=Area)
    on_board: bool = False

    def __post_init__(self) -> None:
        if self.device is not None and self.device not in CAPACITIES:
            raise UsageError(
                f"there is no device {self.device!r}", remedy=f"use {', '.join(CAPACITIES)}"
            )
        for what, value in (("clock in MHz", self.clock), ("target", self.fps)):
            if value is not None and not _LEAST <= value <= _MOST:
                raise UsageError(
                    f"a {what} of {value} makes no sense",
                    remedy=f"give a number from {_LEAST:g} to {_MOST:g}",
                )
        if self.max_luts is not None and self.max_luts < 1:
            raise UsageError(f"{self.max_luts} LUTs hold nothing", remedy="give 1 or more")
        if self.cycles is not None and self.cycles < 1:
            raise UsageError(
                f"an interval of {self.cycles} cycles makes no sense", remedy="give 1 or more"
            )
        if self.cycles is not None and self.fps is not None:
            raise UsageError("an interval is a target already", remedy="leave one of them out")

    @property
    def capacity(self) -> Capacity | None:
        """Return the device, if there is one."""
        return None if self.device is None else CAPACITIES[self.device]

    @property
    def family(self) -> str:
        """Return the family whose cells are weighed."""
        return _FAMILY if self.capacity is None else self.capacity.family

    @property
    def hertz(self) -> float:
        """Return the clock in Hz."""
        assert self.capacity is not None
        return 1e6 * (self.clock or self.capacity.clock)

    @property
    def interval(self) -> int | None:
        """Return the cycles that an image may take."""
        # A rate that was computed from an interval gives it back.
        return self.cycles if self.fps is None else int(self.hertz / self.fps * (1 + 1e-9))

    @property
    def limits(self) -> Area:
        """Return what may be used; its LUTs stand for logic cells."""
        if self.capacity is None:
            return Area(math.inf, math.inf, block_rams=sys.maxsize)
        cells, flipflops, block_rams = self.capacity.usable
        cells -= math.ceil(self.reserved.cells(self.family))
        return Area(
            min(cells, self.max_luts or cells),
            flipflops - self.reserved.flipflops,
            block_rams=block_rams - self.reserved.block_rams,
        )

    def holds(self, area: Area) -> bool:
        """Return whether an area keeps to the limits."""
        return not self.lacks(area)

    def lacks(self, area: Area) -> str:
        """Return what an area takes too much of; nothing where it fits."""
        limits = self.limits
        rows = (
            ("logic cells", area.cells(self.family), limits.luts),
            ("flip-flops", area.flipflops, limits.flipflops),
            ("block RAMs", area.block_rams, limits.block_rams),
        )
        over = [f"{used:,.0f} {what} of {there:,.0f}" for what, used, there in rows if used > there]
        return " and ".join(over)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be balanced.

    Attributes
    ----------
    jobs
        What the network computes.
    methods, slow
        Planners that may be used, and those of the second round.
    pipeline
        Adder levels between registers, or None.
    plan
        Plans the layer of a job.
    chosen
        Jobs whose choice is made.
    stages
        Makes the stages of the network, and their pace, of the works of the layers with weights.
    """

    jobs: Sequence[Job]
    methods: Sequence[str]
    slow: Sequence[str]
    pipeline: int | None
    plan: Planner
    chosen: Mapping[str, Choice]
    stages: Callable[[Works], tuple[Sequence[Stage], Paces]]


@dataclass(frozen=True, eq=False)
class Balance:
    """How each layer with weights is computed, and what that comes to.

    Attributes
    ----------
    choices
        By job.
    interval
        Cycles from image to image.
    area
        Estimate of the whole network.
    """

    choices: Mapping[str, Choice]
    interval: int
    area: Area

    def to_json(self, goal: Goal) -> dict[str, object]:
        """Return what was reached as JSON values."""
        return {
            "device": goal.device,
            "clock": goal.hertz / 1e6,
            "interval": self.interval,
            "images_per_second": goal.hertz / self.interval,
            "estimate": self.area.to_json(goal.family),
        }


@dataclass(frozen=True, eq=False)
class _Combination:
    """Options of some layers together, as a chain from the last one back."""

    cells: float
    block_rams: int
    option: Option | None = None
    before: _Combination | None = None

    def options(self) -> list[Option]:
        """Return the option of each layer."""
        if self.before is None or self.option is None:
            return []
        return [*self.before.options(), self.option]


def balance(problem: Problem, goal: Goal) -> Balance:
    """Return the choice of the least area that reaches the target, or the fastest that fits.

    Without a device, a target that nothing reaches gives the fastest.

    Raises
    ------
    PlanError
        If nothing does; the message says by how much, and what would.
    """
    search = _Search(problem, goal)
    found = search.run()
    if found is None:
        raise search.failure()
    return found


class _Search:
    """The search for a goal, over the options of all layers.

    Parameters
    ----------
    problem, goal
        What is to be balanced, and what for.
    """

    def __init__(self, problem: Problem, goal: Goal) -> None:
        self._problem, self._goal = problem, goal
        self._family = goal.family
        self._layers = []
        self._fixed: dict[str, Work] = {}
        at_once: dict[str, Work] = {}
        for job, layer in linear_jobs(problem.jobs):
            options = LayerOptions(
                job, layer, self._family, problem.methods, problem.slow, problem.pipeline,
                problem.plan,
            )  # fmt: skip
            if job.name in problem.chosen:
                self._fixed[job.name] = options.work(problem.chosen[job.name])
            else:
                self._layers.append(options)
                at_once[job.name] = fold_job(job, layer.channels, layer.patch_size())
        stages, paces = problem.stages({**self._fixed, **at_once})
        # The shortest interval that there is, and the area beside the layers' options.
        self._least = paces.interval
        self._others = network_area(stages, self._family)
        for stage in stages:
            if stage.folding is not None and stage.layer in at_once:
                self._others -= stage_area(stage, self._family) or Area()
        self._merged: dict[tuple[int, ...], list[_Combination]] = {}
        self._tried: dict[int, Balance | None] = {}
        self._missed: Balance | None = None

    def run(self) -> Balance | None:
        """Return the result, or None where there is none."""
        found = self._run()
        while self._refine(found):
            found = self._run()
        return found

    def _run(self) -> Balance | None:
        """Return the result with the planners that were used so far."""
        wanted = self._goal.interval
        if wanted is None:
            return self._fastest()
        found = self._at(wanted)
        return found or (self._fastest() if self._goal.device is None else None)

    def _refine(self, found: Balance | None) -> bool:
        """Let slow planners plan what is spatial in a result, or in what was found not to fit.

        Returns whether there is anything new to search.
        """
        last = found or self._missed
        if last is None:
            return False
        spatial = [one for one in self._layers if last.choices[one.job.name].style == "spatial"]
        if not any([one.refine() for one in spatial]):
            return False
        self._merged.clear()
        self._tried.clear()
        return True

    def slowly(self) -> Balance | None:
        """Return what reaches the target; without one, the least area at any pace."""
        return self._at(self._goal.interval or self._slowest)

    def failure(self) -> PlanError:
        """Return why there is no result, and what would be one."""
        goal, remedies = self._goal, []
        wanted = goal.interval
        if wanted is not None and wanted < self._least:
            chosen = " with these choices" if self._problem.chosen else ""
            what = f"an image takes {self._least:,} cycles at least{chosen}, and "
            if goal.fps is None:
                what += f"{wanted:,} are asked for"
            else:
                what += f"{goal.fps:,.0f} images/s at {goal.hertz / 1e6:g} MHz leave {wanted:,}"
        else:
            self.slowly()
            lacks = "" if self._missed is None else goal.lacks(self._missed.area)
            kept = goal.device or "the pace"
            what = (
                f"it takes {lacks} that may be used of {goal.device}"
                if lacks
                else f"no choice was found that keeps to {kept} with its queues"
            )
            remedies = self._more()
        fastest = None if wanted is None else self._fastest()
        if fastest is not None and goal.fps is None:
            remedies.insert(0, f"--interval {fastest.interval}")
        elif fastest is not None:
            rate = goal.hertz / fastest.interval
            remedies.insert(0, f"--target-fps {int(rate) if rate >= 1 else f'{0.999 * rate:.3g}'}")
        return PlanError(what, remedy=f"give {' or '.join(remedies or ['a smaller network'])}")

    def _more(self) -> list[str]:
        """Return more LUTs that hold what is wanted, or else the smallest larger device."""
        goal = self._goal
        if goal.max_luts is not None:
            found = _Search(self._problem, replace(goal, max_luts=None)).slowly()
            if found is not None:
                return [f"--max-luts {math.ceil(found.area.cells(self._family))}"]
        larger = [
            (other.cells, name)
            for name, other in CAPACITIES.items()
            if goal.capacity is not None and other.cells > goal.capacity.cells
        ]
        for _, name in sorted(larger):
            other = replace(goal, device=name, clock=goal.hertz / 1e6, max_luts=None)
            if _Search(self._problem, other).slowly() is not None:
                return [f"a board with {name}" if goal.on_board else f"--device {name}"]
        return []

    def _at(self, interval: int) -> Balance | None:
        """Return the least area for an interval, as it will be built; None where none fits.

        What stands beside the layers, queues above all, depends on the choice: the search is
        repeated with the block RAMs that the one before left, until it chooses the same again, and
        the least total of all of them is kept.
        """
        if interval not in self._tried:
            self._tried[interval] = self._search(interval)
        return self._tried[interval]

    def _search(self, interval: int) -> Balance | None:
        others, late = self._others, 0
        fitting: list[Balance] = []
        before: tuple[_Combination, int] | None = None
        for _ in range(_ROUNDS):
            if interval - late < self._least:
                break
            chosen = self._cheapest(interval - late, others)
            if (chosen, late) == before:
                break
            before = chosen, late
            found = self._build(chosen)
            if found.interval > interval:
                late += found.interval - interval
            elif self._goal.holds(found.area):
                fitting.append(found)
            else:
                self._missed = found
            others = found.area - sum((option.area for option in chosen.options()), Area())
        return min(fitting, key=lambda one: one.area.cells(self._family), default=None)

    def _build(self, chosen: _Combination) -> Balance:
        """Return a combination as it will be built."""
        works = dict(self._fixed)
        choices = dict(self._problem.chosen)
        for layer, option in zip(self._layers, chosen.options(), strict=True):
            name, choice = layer.job.name, option.choice
            choices[name] = choice
            works[name] = layer.work(choice)
        stages, paces = self._problem.stages(works)
        return Balance(choices, paces.interval, network_area(stages, self._family))

    @property
    def _slowest(self) -> int:
        """Return an interval that is long enough for all options."""
        return max([self._least, *(layer.interval for layer in self._layers)])

    def _fastest(self) -> Balance | None:
        """Return the shortest interval at which the network fits; None where it never does."""
        low, best = self._least, self._at(self._slowest)
        while best is not None and low < best.interval:
            middle = (low + best.interval) // 2
            found = self._at(middle)
            if found is None:
                low = middle + 1
            else:
                best = found
        return best

    def _cheapest(self, interval: int, others: Area) -> _Combination:
        """Return the least area for an interval with the block RAMs that others leave.

        The fewest block RAMs where there are not enough.
        """
        there = self._goal.limits.block_rams - others.block_rams
        combinations = self._combinations(interval)
        fitting = (one for one in combinations if one.block_rams <= there)
        return next(fitting, combinations[-1])

    def _combinations(self, interval: int) -> list[_Combination]:
        """Return the combinations for an interval that no other one beats, least area first."""
        fronts = [layer.front(interval) for layer in self._layers]
        key = tuple(map(id, fronts))
        if key not in self._merged:
            found = [_Combination(0.0, 0)]
            for front in fronts:
                found = _undominated(
                    _Combination(
                        one.cells + option.cells,
                        one.block_rams + option.area.block_rams,
                        option,
                        one,
                    )
                    for one in found
                    for option in front
                )
            self._merged[key] = found
        return self._merged[key]


def _undominated(combinations: Iterable[_Combination]) -> list[_Combination]:
    """Return the combinations that no other one beats, the least area first."""
    front: list[_Combination] = []
    for one in sorted(combinations, key=lambda one: (one.cells, one.block_rams)):
        if not front or one.block_rams < front[-1].block_rams:
            front.append(one)
    return front
