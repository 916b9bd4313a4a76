"""The files of one layer: hardware, vectors, bench, scripts, manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..gateware.axi_stream import AxiStreamLayer
from ..model import Bipolar, LinearLayer, Network, save
from ..plan.layer_plan import LayerPlan
from ..plan.netlist import BitOutput, Netlist
from ..plan.outputs import BitReadout
from ..plan.targets import LUT6
from ..plan.text import dump
from .manifest import manifest_text, versions
from .names import class_name, top_name
from .sources import component_texts, readout_fields
from .templates import render, synthesis_scripts, synthesis_targets, write_texts
from .vectors import Vectors, vector_text
from .verilog import to_rtlil, to_verilog

__all__ = ["MAKE_FLAGS", "VERILATOR_FLAGS", "LayerFiles"]

# The bench's own Python takes most of the time of a simulation, so that compiling fast is what
# counts: little optimisation for the design, none for what runs once and for Verilator's library.
# Small C++ functions and files: the compiler's time grows faster than their size.
_SPLIT_FLAGS = ("--output-split", "20000", "--output-split-cfuncs", "2000")
VERILATOR_FLAGS = ("-Wno-fatal", "--no-public-flat-rw", *_SPLIT_FLAGS)
MAKE_FLAGS = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0")


@dataclass(frozen=True)
class LayerFiles:
    """Everything a layer's directory is written from.

    Attributes
    ----------
    network
        The layer alone, with real inputs as samples where there are some.
    plan
        Its plan.
    cost
        The plan's cost as it goes to the manifest.
    vectors
        Stimulus and expected response.
    pipeline
        Adder levels between registers, or None.
    """

    network: Network
    plan: LayerPlan
    cost: Mapping[str, object]
    vectors: Vectors
    pipeline: int | None

    @property
    def layer(self) -> LinearLayer:
        """Return the layer."""
        (layer,) = self.network.layers
        assert isinstance(layer, LinearLayer)
        return layer

    @property
    def top(self) -> str:
        """Return the name of the module and the files."""
        return top_name(self.layer.name)

    def write(self, directory: Path) -> None:
        """Write all files of the layer into an empty directory."""
        hardware = AxiStreamLayer(
            self.plan.graph,
            self.plan.readout,
            element_width=self.network.input.format.width,
            element_signed=self.network.input.format.signed,
            pipeline=self.pipeline,
        )
        rtlil = to_rtlil(hardware, self.top)
        values = self._values(hardware)
        texts = {
            f"{self.top}.il": rtlil,
            f"{self.top}.v": to_verilog(rtlil),
            f"{self.top}.py": render("layer/layer.py.j2", **values, **self._readout()),
            "plan.txt": dump(self.plan.graph),
            "vectors.txt": vector_text(self.vectors, values["input_width"], values["output_width"]),
            f"test_{self.top}.py": render("layer/test_layer.py.j2", **values),
            "Makefile": render("layer/Makefile.j2", **values),
            "cocotb.mk": render("layer/cocotb.mk.j2", **values),
            "verilator.vlt": render("layer/verilator.vlt.j2", **values),
            "manifest.json": manifest_text("layer", self._manifest(hardware, values)),
        }
        graph = self.plan.graph
        texts.update(
            synthesis_scripts(
                self.top, tables=isinstance(graph, Netlist), levels=self._table_levels()
            )
        )
        write_texts(directory, {**texts, **component_texts()})
        save(self.network, directory / "layer.npz")

    def _values(self, hardware: AxiStreamLayer) -> dict[str, Any]:
        layer, source = self.layer, self.network.input
        output = self.network.tensors[layer.name].format
        borders = len(layer.valid_taps(source))
        return {
            "layer": layer.name,
            "top": self.top,
            "class_name": class_name(self.top),
            "summary": self._summary(),
            "latency": hardware.latency,
            "pipeline": self.pipeline,
            "input_elements": layer.patch_size(),
            "input_width": source.format.width,
            "input_signed": source.format.signed,
            "output_elements": layer.channels,
            "output_width": output.width,
            "output_signed": output.signed,
            "borders": borders,
            "user": borders > 1,
            "verilator_flags": VERILATOR_FLAGS,
            "make_flags": MAKE_FLAGS,
            "targets": synthesis_targets(),
        }

    def _summary(self) -> str:
        inputs = "binary" if isinstance(self.network.input.format, Bipolar) else "integer"
        return (
            f"Layer {self.layer.name}: {self.layer.channels} channels of "
            f"{self.layer.patch_size()} {inputs} inputs, plan {self.plan.method}."
        )

    def _readout(self) -> dict[str, object]:
        readout = self.plan.readout
        return {
            "readout_class": type(readout).__name__,
            "readout_fields": readout_fields(readout),
        }

    def _table_levels(self) -> int:
        """Return the tables of six inputs between registers; 0 where more than tables is built."""
        graph = self.plan.graph
        if not isinstance(graph, Netlist) or graph.target is not LUT6:
            return 0
        if not all(isinstance(output, BitOutput) for output in graph.outputs):
            return 0  # additions follow
        levels = max(graph.levels, default=0)
        return min(self.pipeline or levels, levels)

    def _manifest(self, hardware: AxiStreamLayer, values: Mapping[str, Any]) -> dict[str, object]:
        kind = "bits" if isinstance(self.plan.readout, BitReadout) else "sums"
        return {
            "network": self.network.name,
            "layer": self.layer.name,
            "top": self.top,
            "ports": [
                {"name": name, "direction": direction, "width": width}
                for name, direction, width in hardware.port_list()
            ],
            "input": {
                "elements": values["input_elements"],
                "element_width": values["input_width"],
                "signed": values["input_signed"],
                "order": "(ky, kx, channel), element 0 at the least significant bit",
                "border_classes": values["borders"],
            },
            "output": {
                "kind": kind,
                "elements": values["output_elements"],
                "element_width": values["output_width"],
                "signed": values["output_signed"],
                "order": "channel 0 at the least significant bit",
            },
            "latency_cycles": hardware.latency,
            "patches_per_cycle": 1,
            "pipeline": self.pipeline,
            "blocks": hardware.blocks,
            "plan": {"method": self.plan.method, **self.cost},
            "vectors": {
                kind: self.vectors.kinds.count(kind) for kind in ("corner", "real", "random")
            },
            "targets": values["targets"],
            "verilator_flags": list(VERILATOR_FLAGS),
            "make_flags": list(MAKE_FLAGS),
            "versions": versions(),
        }
