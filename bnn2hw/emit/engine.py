"""The files of a layer on a sequential engine: hardware, memories, vectors, bench, scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..gateware.engine_axi import AxiStreamEngine
from ..gateware.engine_load import LOAD_WIDTH
from ..model import LinearLayer, Network, save
from ..plan.engine import PIPELINE
from ..plan.engine_layer import EnginePlan
from .engine_vectors import engine_vector_text, load_words
from .layer import MAKE_FLAGS, VERILATOR_FLAGS
from .manifest import manifest_text, versions
from .names import class_name, top_name
from .sources import component_texts
from .templates import render, synthesis_scripts, synthesis_targets, write_texts
from .vectors import Vectors
from .verilog import to_rtlil, to_verilog

__all__ = ["EngineFiles"]


@dataclass(frozen=True)
class EngineFiles:
    """Everything the directory of a layer on an engine is written from.

    Attributes
    ----------
    network
        The layer alone, with real inputs as samples where there are some.
    plan
        Its engine.
    vectors
        Stimulus and expected response.
    loadable
        Whether the memories are loaded through a port.
    """

    network: Network
    plan: EnginePlan
    vectors: Vectors
    loadable: bool

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
        program = self.plan.program
        hardware = AxiStreamEngine(program, loadable=self.loadable)
        rtlil = to_rtlil(hardware, self.top)
        values = self._values()
        texts = {
            f"{self.top}.il": rtlil,
            f"{self.top}.v": to_verilog(rtlil),
            f"{self.top}.py": render("engine/engine.py.j2", **values, **self._program()),
            "vectors.txt": engine_vector_text(self.plan, self.vectors),
            f"test_{self.top}.py": render("engine/test_engine.py.j2", **values),
            "Makefile": render("layer/Makefile.j2", **values),
            "cocotb.mk": render("layer/cocotb.mk.j2", **values),
            "verilator.vlt": render("engine/verilator.vlt.j2", **values),
            "manifest.json": manifest_text("layer", self._manifest(hardware, values)),
        }
        for name, (width, words) in program.memories.items():
            texts[f"{name}.hex"] = _hex(words, width)
        if self.loadable:
            texts["load.txt"] = _hex(load_words(program, LOAD_WIDTH), LOAD_WIDTH)
        texts.update(synthesis_scripts(self.top))
        write_texts(directory, {**texts, **component_texts()})
        save(self.network, directory / "layer.npz")

    def _values(self) -> dict[str, Any]:
        program, timing = self.plan.program, self.plan.schedule
        return {
            "layer": self.layer.name,
            "top": self.top,
            "class_name": class_name(self.top),
            "summary": f"Layer {self.layer.name}: {program.outputs} channels of "
            f"{self.layer.patch_size()} inputs on a sequential engine of {program.lanes} lanes, "
            f"mode {program.mode}.",
            "words": program.words,
            "groups": program.groups,
            "lanes": program.lanes,
            "pixels": program.pixels,
            "fetch": program.fetch,
            "batches": program.batches,
            "channels": self.plan.channels.tolist(),
            "steps": list(timing.steps or (timing.groups,) * timing.words),
            "readout": program.groups * program.pixels if program.mode == "delta" else 0,
            "pipeline": PIPELINE,
            "idle": 1000 + 20 * timing.words * timing.pixels * (timing.period + program.batches),
            "user": program.masked,
            "loadable": self.loadable,
            "output_width": program.output_width,
            "output_signed": not program.thresholds,
            "verilator_flags": VERILATOR_FLAGS,
            "make_flags": MAKE_FLAGS,
            "targets": synthesis_targets(),
        }

    def _program(self) -> dict[str, object]:
        program = self.plan.program
        sizes = [(name, repr(value)) for name, value in program.sizes().items()]
        return {"sizes": sizes, "memories": list(program.memories)}

    def _manifest(self, hardware: AxiStreamEngine, values: Mapping[str, Any]) -> dict[str, object]:
        program, timing = self.plan.program, self.plan.schedule
        return {
            "network": self.network.name,
            "layer": self.layer.name,
            "top": self.top,
            "style": "sequential",
            "ports": [
                {"name": name, "direction": direction, "width": width}
                for name, direction, width in hardware.port_list()
            ],
            "input": {
                "elements": self.layer.patch_size(),
                "element_width": program.element_width,
                "signed": program.element_signed,
                "words": program.words,
                "elements_of_word": program.unit,
                "order": "block, word, pixel; element 0 at the least significant bit",
                "elements_that_count": "tuser" if program.masked else "all",
            },
            "output": {
                "kind": "bits" if program.thresholds else "sums",
                "elements": program.outputs,
                "element_width": program.output_width,
                "signed": not program.thresholds,
                "words": program.groups,
                "order": "block, group, pixel; lane 0 at the least significant bit",
                "channels_of_groups": values["channels"],
            },
            "pipeline": None,
            "plan": {
                "method": program.mode,
                "parameters": asdict(self.plan.parameters),
                "loadable": self.loadable,
                "memory_bits": {
                    name: width * len(words) for name, (width, words) in program.memories.items()
                },
                "cycles_per_image": timing.cycles,
                "lower_bound": timing.lower_bound,
                "utilisation": timing.utilisation,
            },
            "vectors": {
                kind: self.vectors.kinds.count(kind) for kind in ("corner", "real", "random")
            },
            "targets": values["targets"],
            "verilator_flags": list(VERILATOR_FLAGS),
            "make_flags": list(MAKE_FLAGS),
            "versions": versions(),
        }


def _hex(words: list[int] | tuple[int, ...], width: int) -> str:
    """Return words in hexadecimal, one a line, as ``$readmemh`` reads them."""
    return "".join(f"{word:0{-(-width // 4)}x}\n" for word in words)
