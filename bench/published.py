"""The published params and bit-ops beside ours; prints the page and writes docs/published.md.

python bench/published.py

Every figure of ours is computed from the shapes of a network (``bnn2hw.plan.architectures``) by
the formulas of ``bnn2hw.plan.counting``; no weights are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bnn2hw.plan.architectures import Architecture, architecture
from bnn2hw.plan.counting import (
    CONVENTIONS,
    FULL_ADDS,
    HALF_ADDS,
    Convention,
    LayerShape,
    binary_ops,
    index_bits,
    reuse_ops,
    subbit_ops,
    subset_bits,
)
from bnn2hw.report.tables import Table

PAGE = Path(__file__).parents[1] / "docs" / "published.md"

FLOAT_BITS = 32  # of a full-precision weight
FLOAT_OPS = 64  # of a full-precision product: Table 6 counts 78.12 G where 1 bit takes 1.221 G


@dataclass(frozen=True)
class Published:
    """A line of a published table: params in Mbit, bit-ops in G with 1- and 32-bit activations."""

    network: str
    tau: int | None
    mbit: float
    giga: float
    giga_32: float | None
    convention: Convention
    where: str


SNN = "sub-bit networks, ImageNet table"
SIX = "sub-bit networks, Table 6"
PUBLISHED = [
    Published("resnet18", None, 10.99, 1.677, None, HALF_ADDS, SNN),
    Published("resnet18", 6, 7.324, 0.883, None, HALF_ADDS, SNN),
    Published("resnet18", 5, 6.103, 0.501, None, HALF_ADDS, SNN),
    Published("resnet18", 4, 4.882, 0.297, None, HALF_ADDS, SNN),
    Published("resnet50-cifar10", None, 23.45, 1.221, 39.06, FULL_ADDS, SIX),
    Published("resnet50-cifar10", 5, 13.87, 0.333, 10.67, FULL_ADDS, SIX),
    Published("resnet50-cifar10", 4, 11.09, 0.239, 7.640, FULL_ADDS, SIX),
    Published("resnet50-cifar10", 3, 8.321, 0.191, 6.127, FULL_ADDS, SIX),
]
# The same formula where no published figure is at hand: network, taus.
FORMULA = [
    ("resnet34", (None, 6, 5, 4)),
    ("resnet18-cifar10", (None, 6, 5, 4)),
    ("vgg-small", (None, 6, 5, 4)),
]
# MST-compression, Table A1: centers, depth, Mbit, G.
TABLE_A1 = [
    (1, 22.3, 0.545, 0.119),
    (2, 30.3, 0.550, 0.118),
    (4, 47.7, 0.574, 0.125),
    (6, 60.3, 0.581, 0.130),
    (8, 73.0, 0.607, 0.136),
]


def mbit(network: Architecture, tau: int | None) -> float:
    """Return the params of the binary layers, in Mbit."""
    bits = [s.weights if tau is None else index_bits(s, tau) for s in network.binary]
    return sum(bits) / 1e6


def giga(network: Architecture, tau: int | None, convention: Convention) -> float:
    """Return the bit-ops of the binary layers with 1-bit activations, in G."""
    return sum(layer_ops(s, tau, convention) for s in network.binary) / 1e9


def layer_ops(shape: LayerShape, tau: int | None, convention: Convention) -> int:
    return binary_ops(shape) if tau is None else subbit_ops(shape, tau, convention)


def width(network: Architecture, tau: int | None) -> str:
    """Return the bits a weight, as the source names its rows: 0.56, or 1."""
    if tau is None:
        return "1"
    return f"{tau * mbit(network, 1) / mbit(network, None):.2f}"


def sub_bit_table() -> Table:
    rows = []
    for line in PUBLISHED:
        net = architecture(line.network)
        bits, ops = mbit(net, line.tau), giga(net, line.tau, line.convention)
        row = [line.network, width(net, line.tau), f"{line.mbit:.4g}", f"{bits:.4g}"]
        row += [f"{line.giga:.3f}", f"{ops:.4f}"]
        row += ["-" if line.giga_32 is None else f"{line.giga_32:.4g}", f"{32 * ops:.4g}"]
        row += [line.convention.name, line.where]
        rows.append(row)
    for name, taus in FORMULA:
        net = architecture(name)
        for tau in taus:
            bits, ops = mbit(net, tau), giga(net, tau, HALF_ADDS)
            row = [name, width(net, tau), "-", f"{bits:.4g}", "-", f"{ops:.4f}"]
            rows.append([*row, "-", f"{32 * ops:.4g}", HALF_ADDS.name, "-"])
    headers = [
        "network", "W", "Mbit, theirs", "ours", "G at 1 bit, theirs", "ours",
        "G at 32 bits, theirs", "ours", "convention", "table",
    ]  # fmt: skip
    return Table(headers, rows, left=(0, 1, 8, 9))


def mst_table() -> Table:
    net = architecture("vgg-small")
    bits, ops = mbit(net, None), giga(net, None, HALF_ADDS)
    rows = [["none (1-bit)", "-", f"{bits:.3f}", f"{ops:.3f}", "1.00", "1.00"]]
    for centers, depth, less, fewer in TABLE_A1:
        row = [str(centers), f"{depth}", f"{less:.3f}", f"{fewer:.3f}"]
        rows.append([*row, f"{bits / less:.2f}", f"{ops / fewer:.2f}"])
    return Table(["centers", "depth", "Mbit", "G", "params reduction", "bit-ops reduction"], rows)


def reductions(network: Architecture, tau: int, convention: Convention) -> list[float]:
    """Return the reductions of params and of bit-ops: binary layers, with the ends, all layers.

    Activations have 32 bits. A full-precision weight has 32 bits and its product 64 bit-ops.
    """
    rest = [layer.shape for layer in network.layers if not layer.binary]
    parts: list[tuple[LayerShape, ...]] = [(), network.ends, tuple(rest)]

    def reduced(cost: Callable[[LayerShape, int | None], int], full: int, of: str) -> list[float]:
        one = sum(cost(s, None) for s in network.binary)
        sub = sum(cost(s, tau) for s in network.binary)
        extra = [full * sum(getattr(s, of) for s in part) for part in parts]
        return [(one + e) / (sub + e) for e in extra]

    params = reduced(
        lambda s, tau: s.weights if tau is None else index_bits(s, tau), FLOAT_BITS, "weights"
    )
    ops = reduced(lambda s, tau: 32 * layer_ops(s, tau, convention), FLOAT_OPS, "macs")
    return [*params, *ops]


FIGURE_12 = [
    ("resnet18-cifar10", (6, 5, 4), HALF_ADDS),
    ("resnet50-cifar10", (5, 4, 3), FULL_ADDS),
    ("vgg-small", (6, 5, 4), HALF_ADDS),
    ("resnet18", (6, 5, 4), HALF_ADDS),
    ("resnet34", (6, 5, 4), HALF_ADDS),
]


def ends_table() -> Table:
    rows = []
    for name, taus, convention in FIGURE_12:
        net = architecture(name)
        for tau in taus:
            cells = [f"{value:.2f}" for value in reductions(net, tau, convention)]
            rows.append([name, f"{width(net, tau)}/32", *cells])
    parts = ["excluding ends", "including ends", "all layers"]
    headers = ["network", "W/A", *(f"params, {p}" for p in parts), *(f"ops, {p}" for p in parts)]
    return Table(headers, rows, left=(0, 1))


def mst_ops(network: Architecture, published: float, convention: Convention) -> float:
    """Return the bit-ops of Table A1 in a convention, in G: one reuse for each further channel."""
    reuses = sum(reuse_ops(s, 0, s.outputs - 1, convention) for s in network.binary)
    return published + reuses / 1e9


def common_table() -> Table:
    rows = []
    vgg = architecture("vgg-small")
    for name, taus in (("vgg-small", (6, 5, 4)), ("resnet18", (6, 5, 4))):
        net = architecture(name)
        one = giga(net, None, HALF_ADDS)
        rows.append([name, "1 bit", *[f"{one:.3f}"] * len(CONVENTIONS), "1.00"])
        if net == vgg:
            cells = [mst_ops(vgg, TABLE_A1[0][3], c) for c in CONVENTIONS]
            rows.append(_conventions(name, "MST, one center (Table A1)", cells, one))
        for tau in taus:
            cells = [giga(net, tau, c) for c in CONVENTIONS]
            rows.append(_conventions(name, f"sub-bit, tau {tau}", cells, one))
            cells = [
                sum(subbit_ops(s, tau, c, closed=True) for s in net.binary) / 1e9
                for c in CONVENTIONS
            ]
            rows.append(_conventions(name, f"sub-bit, tau {tau}, closed subset", cells, one))
        for bases in (3, 5) if name == "resnet18" else ():
            cells = [bases * one] * len(CONVENTIONS)
            rows.append(_conventions(name, f"Group-Net, {bases} bases", cells, one))
    headers = ["network", "method", *(c.name for c in CONVENTIONS), "reduction, summed bits"]
    return Table(headers, rows, left=(0, 1))


def _conventions(network: str, method: str, cells: list[float], one: float) -> list[str]:
    return [network, method, *(f"{cell:.3f}" for cell in cells), f"{one / cells[-1]:.2f}"]


def page() -> str:
    """Return the page as Markdown."""
    conventions = [
        [c.name, "its width" if c.addition is None else str(c.addition), c.source]
        for c in CONVENTIONS
    ]
    headers = ["convention", "adding a value of several bits costs", "where it is from"]
    net = architecture("resnet18")
    subsets = sum(subset_bits(s, 5) for s in net.binary)
    return f"""# The published figures, and ours
Written by `python bench/published.py`; the tests hold it equal to what the code computes. A
figure of ours follows from the shapes of the network alone. Params are in Mbit, bit-ops in G for
one image; a 1-bit weight costs one bit and, at each output position, one bit-op.

## Conventions
Every text counts one for each one-bit product that is summed. They differ in what it costs to add
a value of several bits: a reused channel, or an entry of the table of kernel sums.

{Table(headers, conventions, left=(0, 1, 2)).markdown()}
Figures compare within a convention only. A layer whose subset is no smaller than its output
channels is not shared and costs as much as a 1-bit layer. "full adds" takes 7 for the products of
a vector of 8 and 9 for those of a kernel, counts the shortcuts as binary and puts the stride into
the first 1x1 convolution of a block; this reproduces Table 6, and the source does not state it.

## Sub-bit networks
1x1 convolutions of ResNet-50 have vectors of 8 inputs. Params are the indices alone, as
published; the subsets would add {subsets / 1e3:.1f} kbit to ResNet-18 at 0.56 bit. The shortcuts of
ResNet-18 and -34 are full precision and not counted.

{sub_bit_table().markdown()}
W are bits a weight, G bit-ops with activations of 1 and of 32 bits. The text below Table 6 gives
2.13 and 5.27 as reductions at 0.47 bit; its own table has 2.1 and 5.1, and so have we.

## First and last layers (Figure 12)
Reductions against the 1-bit network: of the binary layers; with the first and last layer at full
precision; and with the full-precision shortcuts too, which the source leaves out. Activations
have 32 bits. A full-precision weight is 32 bits, its product 64 bit-ops, which is what Table 6
counts at 32/32. Figure 12 prints no numbers; it shows the first three networks.

{ends_table().markdown()}
## MST-compression (Table A1)
VGG-small on CIFAR-10. The 1-bit line is ours; the others are published, and their reductions are
against ours. The published params leave out where the differing bits stand.

{mst_table().markdown()}
## All methods in each convention
Bit-ops in G. The line of MST adds to the published XNOR terms one reuse for each channel but the
root. Group-Net has as many binary networks as bases.

{common_table().markdown()}"""


def main() -> None:
    text = page()
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
