"""The choice of a plan by estimated area and levels.

Where it is known what device a layer is for, the least tables decide, and levels among plans of
equal ones: a margin for levels would be lost in what the estimates are unsure of. The row-class
tree, which is made for a target, is planned in full then, as nothing less tells what it takes;
it counts 8 % more, as mapping gains 4 to 11 % on small adder graphs and nothing on a netlist.
Without a target the product of tables of six inputs and levels decides among adder graphs, which
suit every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..model.formats import Tensor
from ..model.layers import LinearLayer
from .classes import classes_graph
from .cost import PlanCost, plan_cost
from .direct import direct_graph
from .layer_plan import LayerPlan, make_netlist_plan, make_plan
from .mst import ChannelForest, tree_graph
from .netlist import Netlist
from .rowtree import EFFORT, rowtree_netlist
from .subbit import subbit_graph

__all__ = ["DEPTHS", "Candidate", "best", "candidates", "choose"]

DEPTHS = (1, 2, 3, 4, 6, 8, 12)
# LUTs of a netlist beside those that an adder graph of equal estimate comes to.
_NETLIST = 1.08

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

    def to_json(self) -> dict[str, object]:
        """Return what decides as JSON values."""
        cost = {"luts": self.cost.luts, "logic_levels": self.cost.logic_levels}
        return {"method": self.plan.method, "max_depth": self.max_depth, **cost}


def candidates(
    layer: LinearLayer,
    source: Tensor,
    *,
    max_depth: int | None = None,
    complement: bool = True,
    target: str | None = None,
    effort: int = EFFORT,
) -> list[Candidate]:
    """Return the plans that ``auto`` chooses from, shallow ones first.

    These are the direct plan, the sub-bit plan, that of column classes, with a target the
    row-class tree (which may always use complements: not without them), trees of each depth in
    :data:`DEPTHS`, and the tree of depth at most ``max_depth`` (the minimum spanning tree where
    that is None). Every plan is proven, its cost is that on the target.

    Raises
    ------
    PlanError
        If the layer cannot be planned.
    """
    found = _treeless(layer, source, complement, target)
    if target is not None and complement:
        netlist = rowtree_netlist(layer, source, target, effort)
        plan = make_netlist_plan(layer, source, "rowtree", netlist)
        found.append(Candidate(plan, plan_cost(plan, layer, source, target)))
    forest = ChannelForest(layer, source, complement)
    deepest = _along_tree(layer, source, forest, max_depth, target)
    for depth in _useful_depths(deepest):
        found.append(_along_tree(layer, source, forest, depth, target))
    return [*found, deepest]


def best(found: Sequence[Candidate], target: str | None = None) -> Candidate:
    """Return the candidate that is chosen for a target, the first of equal ones."""
    if target is None:
        return min(found, key=lambda one: one.area_delay)
    return min(found, key=lambda one: (_expected(one), one.cost.logic_levels))


def _expected(candidate: Candidate) -> float:
    """Return estimated LUTs: mapping gains on adder graphs, not on a netlist of tables.

    Of an ASIC both are gates.
    """
    graph = candidate.plan.graph
    tables = isinstance(graph, Netlist) and not graph.target.gates
    return candidate.cost.luts * (_NETLIST if tables else 1.0)


def choose(
    layer: LinearLayer,
    source: Tensor,
    *,
    max_depth: int | None = None,
    complement: bool = True,
    target: str | None = None,
    effort: int = EFFORT,
) -> LayerPlan:
    """Return the plan of the candidate that :func:`best` takes.

    Without a target, trees are tried from shallow to deep, and no deeper ones once even the area
    of the deepest would not pay for the levels already reached.

    Raises
    ------
    PlanError
        If the layer cannot be planned.
    """
    if target is not None:
        found = candidates(
            layer,
            source,
            max_depth=max_depth,
            complement=complement,
            target=target,
            effort=effort,
        )
        return best(found, target).plan
    least = best(_treeless(layer, source, complement, None))
    forest = ChannelForest(layer, source, complement)
    deepest = _along_tree(layer, source, forest, max_depth, None)
    levels = 0
    for depth in _useful_depths(deepest):
        if deepest.cost.luts * levels >= least.area_delay:
            return least.plan
        candidate = _along_tree(layer, source, forest, depth, None)
        levels = candidate.cost.logic_levels
        least = best([least, candidate])
    return best([least, deepest]).plan


def _useful_depths(deepest: Candidate) -> list[int]:
    assert deepest.cost.tree_depth is not None
    return [depth for depth in DEPTHS if depth < deepest.cost.tree_depth]


def _treeless(
    layer: LinearLayer, source: Tensor, complement: bool, target: str | None
) -> list[Candidate]:
    found = []
    for method, graph in _TREELESS.items():
        plan = make_plan(layer, source, method, graph(layer, source, complement))
        found.append(Candidate(plan, plan_cost(plan, layer, source, target)))
    return found


def _along_tree(
    layer: LinearLayer,
    source: Tensor,
    forest: ChannelForest,
    max_depth: int | None,
    target: str | None,
) -> Candidate:
    tree = forest.tree(max_depth)
    plan = make_plan(layer, source, "mst", tree_graph(layer, source, tree), tree)
    return Candidate(plan, plan_cost(plan, layer, source, target), max_depth)
