"""Adder graphs for layers: direct, along spanning trees, and the choice between them."""

from .auto import Candidate, candidates
from .cost import PlanCost, plan_cost
from .layer_plan import LayerPlan
from .planner import METHODS, plan_layer

__all__ = [
    "METHODS",
    "Candidate",
    "LayerPlan",
    "PlanCost",
    "candidates",
    "plan_cost",
    "plan_layer",
]
