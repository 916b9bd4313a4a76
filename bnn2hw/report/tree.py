"""The picture of a spanning tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..plan.tree import SpanningTree
from .figure import new_figure, save_figure

if TYPE_CHECKING:
    import networkx
    from matplotlib.figure import Figure

__all__ = ["draw_tree"]

_LABELLED = 200  # more channel numbers than this would lie over each other


def draw_tree(tree: SpanningTree, path: str | Path) -> None:
    """Write a picture of a tree: roots above, one row a level, edges coloured by distance.

    Edges to a complement are dashed. The ending of the path chooses the format.

    Raises
    ------
    ToolError
        If matplotlib is not installed.
    BuildError
        If the picture cannot be written.
    """
    figure = new_figure()
    graph = tree.graph()
    place = _layout(graph)
    leaves = max((x for x, _ in place.values()), default=0.0)
    width = min(max(6.0, 0.2 * leaves), 60.0)
    height = min(max(4.0, 0.3 * tree.depth, 0.2 * width), 60.0)
    figure.set_size_inches(width, height)
    _draw(figure, graph, place)
    bound = f", at least {tree.depth_bound} in a minimum spanning tree" if tree.depth_bound else ""
    figure.suptitle(
        f"{len(graph)} channels, {tree.total} XNOR terms, depth {tree.depth}{bound}", fontsize=9
    )
    save_figure(figure, path)


def _layout(graph: networkx.DiGraph) -> dict[int, tuple[float, float]]:
    """Return a place for each channel: leaves side by side, parents above their middle."""
    import networkx

    place: dict[int, tuple[float, float]] = {}
    free = 0.0
    for channel in networkx.dfs_postorder_nodes(graph):
        children = [place[child][0] for child in graph.successors(channel)]
        if not children:
            children, free = [free], free + 1.0
        middle = (min(children) + max(children)) / 2
        place[channel] = (middle, float(graph.nodes[channel]["level"]))
    return place


def _draw(figure: Figure, graph: networkx.DiGraph, place: dict[int, tuple[float, float]]) -> None:
    import networkx
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    networkx.draw_networkx_nodes(
        graph, place, ax=axes, node_size=12, node_color="#333333", linewidths=0
    )
    if len(graph) <= _LABELLED:
        for channel, at in place.items():
            axes.annotate(str(channel), at, (2, 2), textcoords="offset points", fontsize=6)
    distances = [distance for _, _, distance in graph.edges(data="distance")]
    for inverted, style in ((False, "solid"), (True, "dashed")):
        edges = [(a, b) for a, b, d in graph.edges(data=True) if d["inverted"] == inverted]
        if not edges:
            continue
        lines = networkx.draw_networkx_edges(
            graph,
            place,
            ax=axes,
            edgelist=edges,
            edge_color=[graph.edges[edge]["distance"] for edge in edges],
            edge_cmap=_colours(),
            edge_vmin=min(distances, default=0),
            edge_vmax=max(distances, default=1),
            style=style,
            width=1.0,
            arrows=False,
        )
    if distances:
        figure.colorbar(lines, ax=axes, shrink=0.6, label="distance")
    axes.tick_params(left=True, labelleft=True)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_yaxis()
    axes.margins(x=0.02)
    axes.set_ylabel("reuse adders in a row")


def _colours() -> object:
    from matplotlib import colormaps

    return colormaps["viridis_r"]
