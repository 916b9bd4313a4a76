"""The files of a whole network: hardware, frames, benches, scripts, manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..gateware.network_core import AxiStreamNetwork
from ..model import Argmax, Network, save
from ..plan.area import FAMILIES
from ..plan.jobs import Job
from ..plan.pace import Paces
from ..plan.text import dump
from .area import network_area, stage_estimate
from .frames import Field, Frames, Joint, write_bench_frames, write_volume
from .manifest import manifest_text, versions
from .names import class_name, top_name
from .sources import component_texts, literal, readout_fields
from .stage import UNITS, Beats, Stage, positions
from .templates import render, synthesis_scripts, synthesis_targets, write_texts
from .verilog import to_rtlil, to_verilog

__all__ = ["NetworkFiles"]

_SPLIT_FLAGS = ("--output-split", "20000", "--output-split-cfuncs", "2000")
_VERILATOR_FLAGS = ("-Wno-fatal", "--no-public-flat-rw", *_SPLIT_FLAGS)
_MAKE_FLAGS = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0")
# Thousands of frames pay for a better compiled design; what fills memories runs once.
_HARNESS_FLAGS = ("-O3", "-MAKEFLAGS", "OPT_FAST=-O2", *_SPLIT_FLAGS)


@dataclass(frozen=True)
class NetworkFiles:
    """Everything a network's directory is written from.

    Attributes
    ----------
    network
        The network.
    jobs
        What its stages compute.
    stages, paces
        Its stages, and their pace.
    choices
        How each layer with weights is computed, as it goes to the manifest.
    choices_text
        The same as a file to edit.
    beats
        Of the input.
    frames
        Real or random images, and what must come of them.
    pipeline
        Adder levels between registers, or None.
    sized
        Device, clock and rate that the network was sized for, as they go to the manifest; None
        where it was not.
    """

    network: Network
    jobs: Sequence[Job]
    stages: list[Stage]
    paces: Paces
    choices: Mapping[str, Mapping[str, object]]
    choices_text: str
    beats: Beats
    frames: Frames
    pipeline: int | None
    sized: Mapping[str, object] | None

    @property
    def top(self) -> str:
        """Return the name of the module and the files."""
        return top_name(self.network.name.replace("-", "_"))

    @property
    def answer(self) -> int:
        """Return the beats of an answer."""
        return positions(self.network.tensors[self.network.layers[-1].name])

    @property
    def in_flight(self) -> int:
        """Return how many frames may have come in whole before the answer of the first is out.

        Those that are under way at the pace of the analysis, and those that full queues hold.
        """
        under_way = -(-self.paces.latency // self.paces.interval)
        queued = sum(
            -(-(depth + 2) // len(stage.paces[0].hold))
            for stage, depths in zip(self.stages, self.paces.depths, strict=True)
            for depth in depths
            if stage.paces and depth
        )
        return under_way + queued + 2

    @cached_property
    def fields(self) -> list[Field]:
        """Return the fields of a beat of the answer, the first at the LSB."""
        last = self.network.layers[-1]
        edge = self.network.tensors[last.name]
        if not isinstance(last, Argmax):
            return [Field("elements", edge.channels, edge.format.width, edge.format.signed)]
        source = self.network.source(last)
        found = [Field("class", 1, max((source.size - 1).bit_length(), 1), False)]
        if self.stages[-1].options["scores"]:
            found.append(Field("scores", source.size, source.format.width, source.format.signed))
        return found

    @cached_property
    def joint(self) -> dict[str, Joint]:
        """Return the edges of several layers."""
        return {
            job.name: Joint(job.parts, job.turns > 1, job.output.format.width)
            for job in self.jobs
            if job.joint
        }

    def hardware(self) -> AxiStreamNetwork:
        """Return the network as a component."""
        stages = [(stage.name, stage.component(), stage.sources) for stage in self.stages]
        return AxiStreamNetwork(
            stages, beats=self.beats.frame, answers=self.answer, in_flight=self.in_flight
        )

    def write(self, directory: Path) -> None:
        """Write all files of the network into an empty directory."""
        hardware = self.hardware()
        ports = hardware.port_list()
        rtlil = to_rtlil(hardware, self.top)
        values = self._values(hardware)
        texts = {
            f"{self.top}.il": rtlil,
            f"{self.top}.v": to_verilog(rtlil),
            f"{self.top}.py": render("network/network.py.j2", **values, **self._source()),
            f"test_{self.top}.py": render("network/test_network.py.j2", **values),
            "choices.toml": self.choices_text,
            "harness.cpp": render("network/harness.cpp.j2", **values),
            "Makefile": render("network/Makefile.j2", **values),
            "cocotb.mk": render("layer/cocotb.mk.j2", **values),
            "verilator.vlt": render("network/verilator.vlt.j2", **values),
            "manifest.json": manifest_text("network", self._manifest(ports, values)),
        }
        for stage in self.stages:
            if stage.core is not None:
                texts[f"plans/{stage.layer}.txt"] = dump(stage.core[0])
        texts.update(synthesis_scripts(self.top))
        write_texts(directory, {**texts, **component_texts()})
        for stage in self.stages:
            arrays = stage.arrays()
            if arrays:
                (directory / "plans").mkdir(exist_ok=True)
                np.savez_compressed(directory / "plans" / f"{stage.layer}.npz", **arrays)
        widths = {
            layer.name: self.network.tensors[layer.name].format.width
            for layer in self.network.layers
        }
        write_bench_frames(
            directory / "vectors", self.frames, self.beats, self.fields, widths, self.joint
        )
        write_volume(directory / "volume", self.frames, self.beats, self.fields)
        save(self.network, directory / "network.npz")

    def _values(self, hardware: AxiStreamNetwork) -> dict[str, Any]:
        widths = {name: width for name, _, width in hardware.port_list()}
        edges = {stage.layer: stage.name for stage in self.stages if stage.layer != "input"}
        return {
            "network": self.network.name,
            "top": self.top,
            "class_name": class_name(self.top),
            "summary": f"Network {self.network.name}: images in, answers out.",
            "interval": self.paces.interval,
            "beats": self.beats.frame,
            "answer": self.answer,
            "in_flight": self.in_flight,
            "input_bytes": widths["s_axis_tdata"] // 8,
            "output_bytes": widths["m_axis_tdata"] // 8,
            "output": self.network.layers[-1].name,
            "edges": list(edges.items()),
            "queues": [stage.name for stage in self.stages if stage.unit == "Fifo"],
            "patience": 100_000 + 100 * self.paces.interval,
            "volume": len(self.frames.images),
            "verilator_flags": _VERILATOR_FLAGS,
            "make_flags": _MAKE_FLAGS,
            "harness_flags": _HARNESS_FLAGS,
            "targets": synthesis_targets(),
        }

    def _source(self) -> dict[str, object]:
        """Return what the Amaranth source needs."""
        units = {stage.unit for stage in self.stages} | {"AxiStreamNetwork"}
        modules = {unit: UNITS[unit].__module__.rpartition(".")[2] for unit in units & set(UNITS)}
        modules["AxiStreamNetwork"] = "network_core"
        calls, readouts = [], []
        for stage in self.stages:
            options = ", ".join(f"{key}={literal(value)}" for key, value in stage.options.items())
            if stage.folding is not None:
                call = f'folded("{stage.layer}", {options})'
            elif stage.engine is not None:
                sizes = ", ".join(f"{k}={v!r}" for k, v in stage.engine.program.sizes().items())
                call = f'engine("{stage.layer}", dict({sizes}), {options})'
            elif stage.core is None:
                call = f"{stage.unit}({options})"
            else:
                call = f'core("{stage.layer}", {options})'
                _, readout = stage.core
                readouts.append((stage.layer, type(readout).__name__, readout_fields(readout)))
            calls.append((stage.name, call, stage.sources))
        imports = sorted((module, unit) for unit, module in modules.items())
        return {"imports": imports, "units": units, "stages": calls, "readouts": readouts}

    def _manifest(
        self, ports: Sequence[tuple[str, str, int]], values: Mapping[str, Any]
    ) -> dict[str, object]:
        source = self.network.input
        return {
            "network": self.network.name,
            "top": self.top,
            "ports": [
                {"name": name, "direction": direction, "width": width}
                for name, direction, width in ports
            ],
            "input": {
                "shape": list(source.shape),
                "signed": source.format.signed,
                "order": "(y, x, channel), element 0 of a beat at the least significant bit",
                "beats": asdict(self.beats),
            },
            "output": {
                "beats": self.answer,
                "order": "fields one behind the other, the first at the least significant bit",
                "fields": [asdict(field) for field in self.fields],
            },
            "interval_cycles": self.paces.interval,
            "pipeline": self.pipeline,
            "sized": self.sized,
            "edges": dict(values["edges"]),
            "joint_edges": {name: asdict(edge) for name, edge in self.joint.items()},
            "stages": [
                {
                    "name": stage.name,
                    "layer": stage.layer,
                    "unit": stage.unit,
                    "cycles": stage.cycles,
                    **stage_estimate(stage),
                }
                for stage in self.stages
            ],
            "estimate": {
                family: network_area(self.stages, family).to_json(family) for family in FAMILIES
            },
            "choices": dict(self.choices),
            "targets": values["targets"],
            "verilator_flags": list(_VERILATOR_FLAGS),
            "make_flags": list(_MAKE_FLAGS),
            "harness_flags": list(_HARNESS_FLAGS),
            "versions": versions(),
        }
