"""The entrance to the planners."""

from __future__ import annotations

from ..errors import UsageError
from ..model.formats import Tensor
from ..model.layers import LinearLayer
from .auto import choose
from .classes import classes_graph
from .direct import direct_graph
from .layer_plan import LayerPlan, make_netlist_plan, make_plan
from .mst import ChannelForest, tree_graph
from .rowtree import EFFORT, EFFORTS, rowtree_netlist
from .subbit import subbit_graph
from .targets import TARGETS

__all__ = ["METHODS", "check_options", "plan_layer"]

METHODS = ("direct", "mst", "subbit", "classes", "rowtree", "auto")
_TREES = ("mst", "auto")
_GRAPHS = {"direct": direct_graph, "subbit": subbit_graph, "classes": classes_graph}


def check_options(
    method: str,
    max_depth: int | None,
    layer: str | None = None,
    target: str | None = None,
    effort: int | None = None,
    complement: bool = True,
) -> None:
    """Check that a planner of this name exists and takes these options.

    Raises
    ------
    UsageError
        If it does not.
    """
    if method not in METHODS:
        raise UsageError(
            f"plan {method!r} is unknown",
            layer=layer,
            remedy=f"choose one of {', '.join(METHODS)}",
        )
    if target is not None and target not in TARGETS:
        raise UsageError(
            f"there is no target {target!r} of plans",
            layer=layer,
            remedy=f"choose one of {', '.join(TARGETS)}",
        )
    if effort is not None and effort not in EFFORTS:
        raise UsageError(
            f"there is no effort {effort}",
            layer=layer,
            remedy=f"choose one of {', '.join(map(str, EFFORTS))}",
        )
    weighed = method == "auto" and target is not None and complement
    if effort is not None and method != "rowtree" and not weighed:
        raise UsageError(
            f"plan {method} takes no effort"
            if method != "auto"
            else "plan auto weighs no rowtree without a target or complements, and nothing else "
            "takes an effort",
            layer=layer,
            remedy="leave the effort out, or choose the plan rowtree",
        )
    if max_depth is not None and max_depth < 1:
        raise UsageError(
            f"a tree cannot have a depth of {max_depth}",
            layer=layer,
            remedy="give a depth of at least 1, or none",
        )
    if method not in _TREES and max_depth is not None:
        raise UsageError(
            f"a {method} plan has no tree whose depth could be bounded",
            layer=layer,
            remedy="leave the depth out, or choose the plan mst or auto",
        )


def plan_layer(
    layer: LinearLayer,
    source: Tensor,
    method: str = "auto",
    *,
    max_depth: int | None = None,
    complement: bool = True,
    target: str | None = None,
    effort: int | None = None,
) -> LayerPlan:
    """Return a plan of a layer, proven equal to its weights for all inputs.

    Parameters
    ----------
    layer, source
        The layer, and the shape and format of its input.
    method
        - ``direct``: one popcount a distinct row;
        - ``mst``: each channel from its parent in a minimum spanning tree over Hamming distances
          (Eq. 3 of the MST supplement);
        - ``subbit``: each kernel of an input channel once, and sums of them;
        - ``classes``: columns that behave alike over several rows are counted once;
        - ``rowtree``: the same down to lookup tables and carries of the target;
        - ``auto``: the best by estimated LUTs and levels of direct, subbit, classes, mst, and
          trees of bounded depth; with a target of rowtree too (:mod:`.auto`).
    max_depth
        Bound for the depth of the tree in edges, at least 1.
    complement
        Whether rows may be computed from complements; False for the paper's own figures.
    target
        What the layer is for, one of :data:`.targets.TARGETS`; a ``rowtree`` is made for lut6
        where it is None.
    effort
        How long a ``rowtree`` is searched for, from 1 to 3 (see :func:`.rowtree_netlist`); 2 if
        None.

    Raises
    ------
    UsageError
        If the options make no sense.
    ModelError
        If the layer cannot read the input.
    PlanError
        If the layer cannot be planned.
    """
    check_options(method, max_depth, layer.name, target, effort, complement)
    layer.output(source)
    if method in _GRAPHS:
        return make_plan(layer, source, method, _GRAPHS[method](layer, source, complement))
    if method == "rowtree":
        netlist = rowtree_netlist(layer, source, target or "lut6", effort or EFFORT)
        return make_netlist_plan(layer, source, method, netlist)
    if method == "auto":
        return choose(
            layer,
            source,
            max_depth=max_depth,
            complement=complement,
            target=target,
            effort=effort or EFFORT,
        )
    tree = ChannelForest(layer, source, complement).tree(max_depth)
    return make_plan(layer, source, method, tree_graph(layer, source, tree), tree)
