"""The picture of a network of parallel bases: blocks, bases, and where they meet."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import UsageError
from ..model import Affine, BinaryConv, Layer, LinearLayer, Network
from .figure import new_figure, save_figure

if TYPE_CHECKING:
    import networkx
    from matplotlib.axes import Axes

__all__ = ["Part", "bases_graph", "draw_bases"]

_COLOURS = ("#dbe5f1", "#fbe5d6", "#e2f0d9", "#f6d9d9", "#e6def0")
_SOFT = "#c44e52"
_UNIT = (1.35, 0.85)  # inches of a column and a row
_BOX = (0.74, 0.74)
_CIRCLE = (0.34 / _UNIT[0], 0.34 / _UNIT[1])
_ARC = 0.3


@dataclass(frozen=True)
class Part:
    """A part of the picture.

    Attributes
    ----------
    kind
        ``block``: consecutive layers of a base with one prefix in their names; ``meeting``: the
        output of a group; ``common``: layers outside of all bases that are joined.
    name
        Prefix, or name of the layer, or names.
    layers
        Of the network.
    group, base
        Name and index of a block; the group of a meeting point too.
    """

    kind: Literal["block", "meeting", "common"]
    name: str
    layers: tuple[str, ...]
    group: str = ""
    base: int = -1


def bases_graph(network: Network) -> networkx.DiGraph:
    """Return blocks, meeting points and common layers, and what reads what.

    Nodes are :class:`Part`; residual paths around a part are left out, as in Figure S1 of the
    Group-Net supplement. An edge of a soft connection has the attribute ``gate``, its s.

    Raises
    ------
    UsageError
        If the network has no groups of bases.
    """
    import networkx

    if not network.groups:
        raise UsageError(f"network {network.name} has no parallel bases to draw")
    part_of = {name: part for part in _parts(network) for name in part.layers}
    graph = networkx.DiGraph()
    graph.add_nodes_from(dict.fromkeys(part_of[layer.name] for layer in network.layers))
    for layer in network.layers:
        for source in layer.inputs:
            if source != "input" and part_of[source] is not part_of[layer.name]:
                graph.add_edge(part_of[source], part_of[layer.name])
    reduced = networkx.transitive_reduction(graph)
    for name, (own, share) in network.gates.items():
        reduced.add_edge(part_of[own], part_of[name], gate=share)
    return reduced


def _parts(network: Network) -> list[Part]:
    parts = [Part("meeting", group.output, (group.output,), group.name) for group in network.groups]
    inside = {group.output for group in network.groups}
    for group in network.groups:
        for index, base in enumerate(group.bases):
            blocks: dict[str, list[str]] = defaultdict(list)
            for name in base:
                blocks[group.name if len(base) == 1 else name.split("_")[0]].append(name)
            inside.update(base)
            parts += [
                Part("block", block, tuple(names), group.name, index)
                for block, names in blocks.items()
            ]
    return parts + _common(network, inside)


def _common(network: Network, inside: set[str]) -> list[Part]:
    """Return the layers outside of bases, joined where no meeting point lies between them."""
    import networkx

    meetings = {group.output for group in network.groups}
    passed = {"input": 0}
    graph = networkx.Graph()
    for layer in network.layers:
        passed[layer.name] = max(passed[name] + (name in meetings) for name in layer.inputs)
        if layer.name not in inside:
            graph.add_node(layer.name)
            graph.add_edges_from(
                (name, layer.name)
                for name in layer.inputs
                if name in graph and passed[name] == passed[layer.name]
            )
    order = {layer.name: n for n, layer in enumerate(network.layers)}
    return [
        Part("common", ", ".join(names), names)
        for names in (
            tuple(sorted(found, key=order.__getitem__))
            for found in networkx.connected_components(graph)
        )
    ]


def draw_bases(network: Network, path: str | Path) -> None:
    """Write a picture of a network's bases, as Figure S1 of the Group-Net supplement.

    From left to right: layers that all bases share, the blocks of each base in a row of its own,
    circles where bases meet. Soft connections are dashed, with their s. Residual paths are left
    out. The ending of the path chooses the format.

    Raises
    ------
    UsageError
        If the network has no groups of bases.
    ToolError
        If matplotlib is not installed.
    BuildError
        If the picture cannot be written.
    """
    graph = bases_graph(network)
    places = _places(graph)
    figure = new_figure()
    axes = figure.subplots()
    columns = 1 + max(x for x, _ in places.values())
    height = 1 + max(y for _, y in places.values()) - min(y for _, y in places.values())
    figure.set_size_inches(_UNIT[0] * columns + 0.3, _UNIT[1] * height + 0.6)
    axes.set_xlim(-0.55, columns - 0.45)
    axes.set_ylim(-height / 2 - 0.05, height / 2 + 0.15)
    axes.set_axis_off()
    for part, place in places.items():
        _draw_part(axes, network, part, place)
    for one, two, gate in graph.edges(data="gate"):
        _draw_edge(axes, (one, places[one]), (two, places[two]), gate)
    axes.set_title(_title(network), fontsize=10)
    save_figure(figure, path)


def _title(network: Network) -> str:
    counts = sorted({len(group.bases) for group in network.groups})
    bases = " or ".join(map(str, counts))
    groups = len(network.groups)
    return f"{network.name}: {groups} group{'s' * (groups > 1)} of {bases} bases"


_Place = tuple[float, float]


def _places(graph: networkx.DiGraph) -> dict[Part, _Place]:
    """Return (column, height) of every part: columns in reading order, bases one below another."""
    import networkx

    places = {}
    for column, parts in enumerate(networkx.topological_generations(graph)):
        rows = sorted(parts, key=lambda part: (part.group, part.base))
        for row, part in enumerate(rows):
            places[part] = (float(column), (len(rows) - 1) / 2 - row)
    return places


def _draw_part(axes: Axes, network: Network, part: Part, place: _Place) -> None:
    from matplotlib.patches import Ellipse, FancyBboxPatch

    x, y = place
    layers = [network.layer(name) for name in part.layers]
    if part.kind == "meeting":
        axes.add_patch(Ellipse(place, *_CIRCLE, facecolor="white", edgecolor="#333333"))
        axes.annotate("+", place, ha="center", va="center", fontsize=11)
        axes.annotate(_meeting_label(layers[0]), (x, y - 0.3), ha="center", va="top", fontsize=7)
        return
    colour = "#eeeeee" if part.kind == "common" else _COLOURS[part.base % len(_COLOURS)]
    corner = (x - _BOX[0] / 2, y - _BOX[1] / 2)
    box = FancyBboxPatch(
        corner, *_BOX, boxstyle="round,pad=0,rounding_size=0.06", facecolor=colour,
        edgecolor="#333333", linewidth=0.8,
    )  # fmt: skip
    axes.add_patch(box)
    text = _common_label(layers) if part.kind == "common" else _block_label(part, layers)
    axes.annotate(text, place, ha="center", va="center", fontsize=6.5)


def _meeting_label(layer: Layer) -> str:
    if isinstance(layer, Affine) and (layer.weights == layer.weights[0]).all():
        return "mean" if layer.shift else "sum"
    return "learned scales"


def _block_label(part: Part, layers: Sequence[Layer]) -> str:
    convolutions = [layer for layer in layers if isinstance(layer, LinearLayer)]
    name = part.name.replace("_", "\n", 1).replace("_", " ")
    lines = [name, _kernels(convolutions)]
    if convolutions:
        lines.append(f"{convolutions[-1].channels} channels")
    rates = {max(conv.dilation) for conv in convolutions if isinstance(conv, BinaryConv)} - {1}
    return "\n".join([*lines, *(f"dilation {rate}" for rate in sorted(rates))])


def _kernels(layers: Sequence[LinearLayer]) -> str:
    """Return the kernels of layers, such as ``2 x 3x3, 1x1``."""
    counts = Counter(
        "{}x{}".format(*layer.kernel) if isinstance(layer, BinaryConv) else "dense"
        for layer in layers
    )
    return ", ".join(f"{n} x {kind}" if n > 1 else kind for kind, n in counts.items())


def _common_label(layers: Sequence[Layer]) -> str:
    """Return the kinds of layers, each once."""
    kinds = {
        "BinaryConv": "conv", "BinaryDense": "dense", "Binarize": "sign", "Quantize": "codes",
        "SumPool": "pool", "MaxPool": "pool", "Argmax": "class",
        "ChannelArgmax": "class",
    }  # fmt: skip
    names = (type(layer).__name__ for layer in layers)
    return "\n".join(dict.fromkeys(kinds.get(name, name.lower()) for name in names))


def _draw_edge(
    axes: Axes, start: tuple[Part, _Place], end: tuple[Part, _Place], gate: float | None
) -> None:
    from matplotlib.patches import FancyArrowPatch

    ends = [
        (place[0] + side * (_CIRCLE if part.kind == "meeting" else _BOX)[0] / 2, place[1])
        for side, (part, place) in ((1, start), (-1, end))
    ]
    soft = gate is not None
    arrow = FancyArrowPatch(
        *ends, arrowstyle="-|>", mutation_scale=7, shrinkA=0, shrinkB=0, linewidth=0.8,
        color=_SOFT if soft else "#333333", linestyle="dashed" if soft else "solid",
        connectionstyle=f"arc3,rad={-_ARC if soft else 0}",
    )  # fmt: skip
    axes.add_patch(arrow)
    if soft:
        length = (ends[1][0] - ends[0][0]) * _UNIT[0]
        top = (ends[0][0] + ends[1][0]) / 2, ends[0][1] + _ARC / 2 * length / _UNIT[1]
        axes.annotate(
            f"s = {gate:.2f}", top, (0, 2), textcoords="offset points", ha="center", fontsize=6.5,
            color=_SOFT,
        )  # fmt: skip
