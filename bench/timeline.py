"""Timelines of ResNet-18 and ResNet-34: prints the page, writes docs/timeline.md and pictures.

python bench/timeline.py
"""

from __future__ import annotations

from pathlib import Path

import bnn2hw
from bnn2hw.plan.timeline import TIMELINE_MODES
from bnn2hw.report.timeline import draw_timeline, timeline_table

DOCS = Path(__file__).parents[1] / "docs"
PUBLISHED = {"resnet18": 3.13, "resnet34": 3.33}  # at 0.56 bit (tau 5), 64 PEs, 1 GHz, 224x224


def main() -> None:
    for name in PUBLISHED:
        lines = [bnn2hw.timeline(name, mode=mode) for mode in TIMELINE_MODES]
        draw_timeline(lines[:2], DOCS / "images" / f"timeline-{name}.png")
        print(timeline_table(lines[0]).markdown())


if __name__ == "__main__":
    main()
