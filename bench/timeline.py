"""ResNet-18 and ResNet-34 on the engine's cycle model: writes docs/timeline.md and its pictures.

python bench/timeline.py
"""

from __future__ import annotations

import re
from pathlib import Path

import bnn2hw
from bnn2hw.plan.timeline import TIMELINE_MODES, Timeline
from bnn2hw.report.tables import Table, number
from bnn2hw.report.timeline import draw_timeline

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "timeline.md"
PUBLISHED = {"resnet18": 3.13, "resnet34": 3.33}  # tau 5, 64 PEs, 1 GHz, 224x224


def timelines() -> dict[str, list[Timeline]]:
    return {name: [bnn2hw.timeline(name, mode=m) for m in TIMELINE_MODES] for name in PUBLISHED}


def assumption_table(lines: dict[str, list[Timeline]]) -> Table:
    columns = [line[0].assumptions for line in lines.values()]
    rows = [
        [items[0].name, *(f"{item.speedup:.2f}" for item in items)]
        for items in zip(*columns, strict=True)
    ]
    published = [f"{value:.2f}" for value in PUBLISHED.values()]
    return Table(["assumption", *PUBLISHED], [["published", *published], *rows])


def engine_table(lines: dict[str, list[Timeline]]) -> Table:
    rows = []
    for name, (plain, closed, fastest) in lines.items():
        runs = [("1 bit", plain.binary), ("any subset", plain.subbit)]
        runs += [("closed subset", closed.subbit), ("fastest modes", fastest.subbit)]
        for mode, run in runs:
            engine = run.parameters
            one = mode == "1 bit"
            rows.append(
                [
                    name,
                    mode,
                    number(engine.lanes),
                    number(engine.taps) if one else "-",
                    "-" if one else number(engine.kernel_units),
                    number(engine.pixels),
                    number(run.cycles),
                    f"{1e3 * run.seconds:.2f}",
                    f"{plain.binary.cycles / run.cycles:.2f}",
                ]
            )
    headers = [
        "network", "weights", "lanes", "products a lane", "kernel units", "positions in flight",
        "cycles", "ms", "speed-up",
    ]  # fmt: skip
    return Table(headers, rows, left=(0, 1))


def tau_table() -> Table:
    rows = []
    for name in PUBLISHED:
        for tau in (6, 5, 4, 3):
            found = [bnn2hw.timeline(name, tau=tau, mode=mode).speedup for mode in TIMELINE_MODES]
            rows.append([name, str(tau), *(f"{value:.2f}" for value in found)])
    return Table(["network", "tau", "any subset", "closed subset", "fastest modes"], rows)


def page(lines: dict[str, list[Timeline]]) -> str:
    """Return the page as Markdown; its measured tables stay as they are."""
    return f"""# Timelines: 1-bit against sub-bit
Written by `python bench/timeline.py`. The published comparison (sub-bit networks, Table 4 and
Figure 13) runs ResNet-18 and ResNet-34 at 0.56 bit, tau 5, on 64 PEs at 1 GHz with images of
224x224, and finds 3.13 and 3.33 times the speed of 1 bit. What a PE is it does not say. Here the
binary layers run one after the other on the closed-form cycle model of the sequential engine
(`bnn2hw/plan/engine.py`); full-precision layers are in neither run, nor were they counted there.

    bnn2hw timeline resnet18 --tau 5 --pes 64 --clock 1GHz --input 224

## What is equal
- **A PE is a two-operand adder that can work in every cycle**, of whatever width. A lane of the
  sub-bit engine is one: it adds an entry of the table, or takes it away, to a sum. A lane of the
  1-bit engine is as many as it takes products a cycle. The tables of the sub-bit engine take 19
  adders in all for sums of the three taps of a kernel row, which all kernel units share, and two
  for each kernel unit, which adds three of them: `tests/gateware/test_engine_rows.py` counts them
  in the hardware. XNORs, look-ups, memories and thresholds are in neither count; nor is the adder
  of a 1-bit lane that takes zero padding into account.
- **Memory bandwidth**: 64 bits of weight a cycle, one a PE. Up to 16 positions in flight share
  the weights that are read.
- **Input**: a window of an input channel, or as many products as a 1-bit lane takes, comes in a
  cycle; who forms the windows is in neither engine.
- Each engine gets the split of its PEs that is fastest for the whole network; it is one engine
  for all layers.

{engine_table(lines).markdown()}
![Timeline of ResNet-18](images/timeline-resnet18.png)

![Timeline of ResNet-34](images/timeline-resnet34.png)

## Which assumption buys what
Speed-ups at tau 5. "subbit" is any subset, "closed" one that holds the complement of each of its
kernels, "fastest" lets each layer choose between the modes of its engine.

{assumption_table(lines).markdown()}
- **Any subset passes the published figures** by the shared row sums. A kernel of nine weights by
  itself takes eight additions, and 32 of them 256 for each input channel and position, whatever
  the number of output channels: the lanes would wait for them in the first stages, and the
  figures be missed ("row sums not shared"). Each row has but eight sums, which the kernels share;
  19 additions give those of all three rows, and 64 more all 32 kernels.
- **A closed subset** needs half the tables: the adders that it saves are lanes. The sign of an
  index is the carry of the lane's adder. A network has to be trained for it, or projected to it.
- **Choosing a mode for each layer buys nothing more** at tau 5: every layer has more output
  channels than the closed subset has kernels, so none is faster in mode binary. Mode delta is not
  among them, as its cycles depend on the weights and not on shapes alone; what it does is below.
- **Kernel units that do not count** are worth most: the bound is nine, the products that a
  look-up stands for. It is the reading nearest to the source's drawing, in which the units that
  evaluate the subset stand beside the lanes, and it gives away 83 adders.
- **A 1-bit lane that takes nine products a cycle** leaves nothing. The popcount of nine bits is
  seven full adders, and the accumulator behind it has up to 14 bits: in full adders such a lane
  costs half as much again as the lane with one product, for nine times its speed. The speed-up
  of sub-bit weights is one over 1-bit lanes that take one product; over wide popcounts it saves
  memory, not time.
- **Where memory binds**, with one position in flight and 64 bits a cycle, the speed-up is 9/5,
  the ratio of the weights' bits.

## Counted in area
layer3.1.conv2 of ResNet-18 on each engine, synthesised for ECP5 with 64 bits of weight a cycle;
LUT4 include adders, memories are block RAMs.

{measured("area")}

In lookup tables, too, sub-bit weights are ahead of a 1-bit engine that takes one product a lane,
and behind one that takes nine.

## Delta mode
Mode delta of the engine adds, of each input word, the channels whose kernel differs from that of
the channel before. The channels stand along a nearest-neighbour walk: each is followed by the one,
of those that are left, that differs from it in the fewest kernels. A minimum spanning tree bounds
the changes of any walk from below. They depend on the weights; here are those of a binary
ResNet-18 trained for CIFAR-10, projected to closed subsets of 32 kernels, on the engine of the
closed subset above. A lane of mode delta has a second adder, which takes the entry of the channel
before away: a change has two entries, so it cannot go. It is not counted here, in favour of delta.

{measured("delta")}

It buys nothing on a network that was not trained for it: neighbours still differ in most of their
kernels, and a word takes as long as the lane with the most changes. Where channels were drawn
together in training, an engine of one lane is up to 2.5 times as fast
([engine.md](engine.md#where-mode-delta-wins)), with 23 adders in place of 22. Many lanes lose that
again, and several engines of one lane would need tables each: with 64 adders, delta loses.

## Other subsets
{tau_table().markdown()}"""


def marked(name: str) -> tuple[str, re.Pattern[str]]:
    """Return the marker of a measured table, and a pattern of both."""
    marker = f"<!-- table: python bench/timeline_measured.py {name} -->"
    return marker, re.compile(re.escape(marker) + r"\n+(\|.*\n)*")


def measured(name: str) -> str:
    """Return a measured table as it stands in the page, with its marker."""
    marker, pattern = marked(name)
    found = pattern.search(PAGE.read_text(encoding="utf-8"))
    return marker if found is None else found[0].strip()


def main() -> None:
    lines = timelines()
    for name, found in lines.items():
        draw_timeline(found[:2], DOCS / "images" / f"timeline-{name}.png")
    text = page(lines)
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
