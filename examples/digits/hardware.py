"""Compile the bundled digits network into hardware on a small FPGA, down to a bitstream.

    python examples/digits/hardware.py --interval 20000 --device ice40-up5k --clock 16
    python examples/digits/hardware.py --interval 20000 --device ecp5-25k
    python examples/digits/hardware.py --pipeline 6 --device ecp5-25k

Without an interval every layer is spatial, a position a cycle. All images that come with the
network go through the compiled simulation; every answer is compared with the golden model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bnn2hw import api
from bnn2hw.report.synthesis import placement_text


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Run the digits network on its hardware.")
    parser.add_argument("--interval", type=int, help="cycles an image; spatial if left out")
    parser.add_argument("--plan", default="auto", help="of spatial layers")
    parser.add_argument("--pipeline", type=int, default=3, help="adder levels between registers")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--device", action="append", default=[])
    parser.add_argument("--clock", type=float, help="MHz to aim at; of the device if left out")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    build = api.generate_network(
        api.load_network(), plan=options.plan, pipeline=options.pipeline,
        interval=options.interval, out=options.out, progress=print,
    )  # fmt: skip
    result = api.simulate_network(build.directory, images=options.images, progress=print)
    print(
        f"{result.real} images, every answer as expected\n{result.interval} cycles an image, "
        f"latency {result.latency} cycles"
    )
    placed = api.place(build.directory, options.device, clock=options.clock, progress=print)
    print(placement_text([item.to_json() for item in placed]))


if __name__ == "__main__":
    main(sys.argv[1:])
