"""Compile the bundled digits network into hardware on a small FPGA, down to a bitstream.

    python examples/digits/hardware.py --device ice40-up5k --interval 20000
    python examples/digits/hardware.py --device ecp5-25k --interval 20000
    python examples/digits/hardware.py --device ecp5-25k --pipeline 6

Without an interval every layer is spatial, a position a cycle, of plans for the device. All images
that come with the network go through the compiled simulation; every answer is compared with the
golden model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bnn2hw import api
from bnn2hw.plan.devices import CAPACITIES
from bnn2hw.report.synthesis import placement_text


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Run the digits network on its hardware.")
    parser.add_argument("--device", choices=CAPACITIES)
    parser.add_argument("--interval", type=int, help="cycles an image; spatial if left out")
    parser.add_argument("--plan", default="auto", help="of spatial layers")
    parser.add_argument("--pipeline", type=int, help="adder levels between registers")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    device, spatial = options.device, options.interval is None
    build = api.generate_network(
        api.load_network(), plan=options.plan, pipeline=options.pipeline,
        interval=options.interval, device=None if spatial else device,
        target=CAPACITIES[device].family if spatial and device else None,
        out=options.out, progress=print,
    )  # fmt: skip
    result = api.simulate_network(build.directory, images=options.images, progress=print)
    print(
        f"{result.real} images, every answer as expected\n{result.interval} cycles an image, "
        f"latency {result.latency} cycles"
    )
    placed = api.place(build.directory, [device] if device else [], progress=print)
    print(placement_text([item.to_json() for item in placed]))


if __name__ == "__main__":
    main(sys.argv[1:])
