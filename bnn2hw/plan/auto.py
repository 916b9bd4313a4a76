"""The choice of a plan by estimated area and levels."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.formats import Tensor
from ..model.layers import LinearLayer
from .classes import classes_graph
from .cost import PlanCost, plan_cost
from .direct import direct_graph
from .layer_plan import LayerPlan, make_plan
from .mst import ChannelForest, tree_graph
from .subbit import subbit_graph

__all__ = ["DEPTHS", "Candidate", "candidates", "choose"]

DEPTHS = (1, 2, 3, 4, 6, 8, 12)
_TREELESS = {"direct": direct_graph, "subbit": subbit_graph, "classes": classes_graph}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A plan that ``auto`` weighs, with its cost.

    Attributes
    ----------
    max_depth
        The bound that the spanning tree was built for; None for none.
    """

    plan: LayerPlan
    cost: PlanCost
    max_depth: int | None = None

    @property
    def area_delay(self) -> int:
        """Return the product of estimated LUTs and logic levels."""
        return self.cost.luts * self.cost.logic_levels


def candidates(
    layer: LinearLayer,
    source: Tensor,
    *,
    max_depth: int | None = None,
    complement: bool = True,
) -> list[Candidate]:
    """Return the plans that ``auto`` chooses from, shallow ones first.

    These are the direct plan, the sub-bit plan, that of column classes, trees of each depth in
    :data:`DEPTHS`, and the tree of depth at most ``max_depth`` (the minimum spanning tree where
    that is None). Every plan is proven.

    Raises
    ------
    PlanError
        If the layer cannot be planned.
    """
    found = _treeless(layer, source, complement)
    forest = ChannelForest(layer, source, complement)
    deepest = _along_tree(layer, source, forest, max_depth)
    for depth in _useful_depths(deepest):
        found.append(_along_tree(layer, source, forest, depth))
    return [*found, deepest]


def choose(
    layer: LinearLayer,
    source: Tensor,
    *,
    max_depth: int | None = None,
    complement: bool = True,
) -> LayerPlan:
    """Return the candidate with the least product of estimated LUTs and logic levels.

    Of equal ones it is the shallowest. Trees are tried from shallow to deep, and no deeper ones
    once even the area of the deepest would not pay for the levels already reached.

    Raises
    ------
    PlanError
        If the layer cannot be planned.
    """
    best = min(_treeless(layer, source, complement), key=lambda one: one.area_delay)
    forest = ChannelForest(layer, source, complement)
    deepest = _along_tree(layer, source, forest, max_depth)
    levels = 0
    for depth in _useful_depths(deepest):
        if deepest.cost.luts * levels >= best.area_delay:
            return best.plan
        candidate = _along_tree(layer, source, forest, depth)
        levels = candidate.cost.logic_levels
        best = min(best, candidate, key=lambda one: one.area_delay)
    return min(best, deepest, key=lambda one: one.area_delay).plan


def _useful_depths(deepest: Candidate) -> list[int]:
    assert deepest.cost.tree_depth is not None
    return [depth for depth in DEPTHS if depth < deepest.cost.tree_depth]


def _treeless(layer: LinearLayer, source: Tensor, complement: bool) -> list[Candidate]:
    found = []
    for method, graph in _TREELESS.items():
        plan = make_plan(layer, source, method, graph(layer, source, complement))
        found.append(Candidate(plan, plan_cost(plan, layer, source)))
    return found


def _along_tree(
    layer: LinearLayer, source: Tensor, forest: ChannelForest, max_depth: int | None
) -> Candidate:
    tree = forest.tree(max_depth)
    plan = make_plan(layer, source, "mst", tree_graph(layer, source, tree), tree)
    return Candidate(plan, plan_cost(plan, layer, source), max_depth)
