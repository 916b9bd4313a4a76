"""From the layers of a network to the stream components of its hardware."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError
from ..gateware.window import Windows
from ..model import (
    Affine,
    Argmax,
    Binarize,
    BinaryConv,
    Bipolar,
    Format,
    LinearLayer,
    MaxPool,
    Network,
    Quantize,
    SumPool,
    Tensor,
)
from ..plan.engine_layer import EnginePlan
from ..plan.folding import Folding
from ..plan.graph import AdderGraph
from ..plan.jobs import Job
from ..plan.layer_plan import LayerPlan
from ..plan.options import Work
from ..plan.outputs import BitReadout
from ..plan.pace import Pace, Paces
from .limits import unbuilt
from .names import top_name
from .queues import with_queues
from .stage import Beats, Core, Stage, positions, word_of
from .streams import affine_options, bit_levels, quantize_options, sum_pool_options
from .windows import on_one_line, patch_word, repeat_stage, window_pace, window_stages

__all__ = ["network_problem", "network_stages"]


def network_problem(network: Network) -> tuple[str, str] | None:
    """Return a layer and why a network with it is not built, or None."""
    read = {name for layer in network.layers for name in layer.inputs}
    for layer in network.layers:
        problem = unbuilt(layer)
        if problem is not None:
            return layer.name, problem
        if layer.name not in read and layer is not network.layers[-1]:
            return layer.name, "nothing reads it"
        if layer is network.layers[-1] and layer.name in read:
            return layer.name, "the answer of a network is an edge that nothing reads"
    return None


def network_stages(
    network: Network,
    jobs: Sequence[Job],
    works: Mapping[str, Work],
    *,
    beats: Beats,
    pipeline: int | None,
    scores: bool,
) -> tuple[list[Stage], Paces]:
    """Return the stages of a network, and their pace.

    Parameters
    ----------
    network
        The network; :func:`network_problem` finds none in it.
    jobs
        What its stages compute.
    works
        How the layers with weights are computed, by job.
    beats
        Of the input.
    pipeline
        Adder levels between registers of spatial cores, or None.
    scores
        Whether the last layer, an argmax, also gives what it reads.

    Raises
    ------
    PlanError
        If a layer has no stages.
    """
    edges = _Edges(network.tensors)
    for stage in _input_stages(network.input, beats):
        edges.add(stage, "input")
    for job in jobs:
        edges.start(job)
        for stage in _job_stages(job, works.get(job.name), pipeline, scores):
            edges.add(stage, job.name)
        edges.end(job)
    return with_queues(on_one_line(edges.stages), beats)


class _Edges:
    """The stages of a network so far, and which of them gives an edge.

    An edge of several layers is taken apart where a job reads one of them, and an edge that all
    turns of a job read comes to it once a turn.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self.stages: list[Stage] = []
        self._ends: dict[str, str] = {"input": ""}
        self._jobs: dict[str, Job] = {}
        self._reads: tuple[str, ...] = ()
        self._shared: dict[object, int] = {}

    def start(self, job: Job) -> None:
        """Find what the first stage of a job reads; a convolution repeats windows itself."""
        reads = []
        for k, edges in enumerate(job.sources):
            if len(edges) > 1:
                reads.append(self._ends[self._jobs[edges[0]].name])
                continue
            reads.append(self._single(edges[0]))
            if job.turns > 1 and not isinstance(job.layers[0], BinaryConv):
                repeat = repeat_stage(job, k, 1, word_of(job.inputs[k]), positions(job.inputs[k]))
                self.stages.append(replace(repeat, sources=(reads[k],)))
                reads[k] = repeat.name
        self._reads = tuple(reads)

    def add(self, stage: Stage, name: str) -> None:
        """Add a stage of a job, which reads the stage before; one that is there is shared.

        It then holds its words for as long as the slowest of those that read it.
        """
        stage = replace(stage.timed(), sources=self._reads or (self._ends["input"],))
        if stage.unit in ("Pad", "SlidingWindow"):
            key = stage.sources, _hashable(tuple(stage.options.items()))
            at = self._shared.setdefault(key, len(self.stages))
            if at < len(self.stages):
                before = self.stages[at]
                slower = max(before, stage, key=lambda one: one.cycles)
                self.stages[at] = replace(before, paces=slower.paces)
                self._reads = (before.name,)
                return
        self.stages.append(stage)
        self._reads = (stage.name,)
        self._ends[name] = stage.name

    def end(self, job: Job) -> None:
        """Note which stage gives the edge of a job."""
        (self._ends[job.name],) = self._reads
        for part in job.parts:
            self._jobs[part] = job

    def _single(self, edge: str) -> str:
        """Return the stage that gives the edge of one layer."""
        if edge in self._ends:
            return self._ends[edge]
        job = self._jobs[edge]
        at, total, source = job.parts.index(edge), len(job.parts), self._ends[job.name]
        word, own = word_of(job.output), self._tensors[edge]
        if job.turns > 1:
            name = f"{top_name(job.name)}_all"
            if all(stage.name != name for stage in self.stages):
                beats = positions(own)
                pace = Pace(_ones(beats * total), np.tile(_last(total), beats), 1)
                options = {"word": word, "count": total}
                gather = Stage(name, edge, "Gather", options, (word,), (pace,), (source,))
                self.stages.append(gather)
            source = name
            start, word = at * word, total * word
        else:
            before = job.parts[:at]
            start = sum(self._tensors[part].channels for part in before) * job.output.format.width
        options = {
            "word": word,
            "start": start,
            "count": own.channels,
            "width": job.output.format.width,
            "kept": own.format.width,
        }
        pace = Pace.even(positions(own), latency=0)
        name = top_name(edge)
        self.stages.append(Stage(name, edge, "Slice", options, (word,), (pace,), (source,)))
        self._ends[edge] = name
        return name


def _hashable(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_hashable, value))
    return value.tobytes() if isinstance(value, np.ndarray) else value


def _ones(count: int) -> NDArray[np.int64]:
    return np.ones(count, dtype=np.int64)


def _last(count: int) -> NDArray[np.int64]:
    """Return 1 for the last of some beats alone."""
    found = np.zeros(count, dtype=np.int64)
    found[-1] = 1
    return found


def _job_stages(job: Job, work: Work | None, pipeline: int | None, scores: bool) -> Iterator[Stage]:
    """Yield the stages of a job, each of which reads the one before."""
    layer, source, turns = job.layers[0], job.inputs[0], job.turns
    match layer:
        case LinearLayer():
            assert work is not None
            hold = 1 if isinstance(work, LayerPlan) else work.cycles
            if isinstance(layer, BinaryConv):
                yield from window_stages(job, hold)
            else:
                yield from _flat_stages(job, source, hold)
            if isinstance(work, Folding):
                yield _folded_stage(job, layer, source, work, pipeline)
            elif isinstance(work, EnginePlan):
                yield _engine_stage(job, layer, work)
            else:
                core = work.graph, work.readout
                yield from _core_stages(job, patch_word(job, layer), core, pipeline)
        case MaxPool() | SumPool():
            yield _pool_stage(job, layer)
        case Binarize() if turns == 1:
            core = binarize_core(layer, source)
            yield from _core_stages(job, word_of(source), core, None)
        case Affine() | Quantize() | Binarize():
            yield _element_stage(job, pipeline)
        case Argmax():
            yield from _flat_stages(job, source, 1)
            yield _argmax_stage(layer, source, scores)
        case _:
            raise PlanError(f"{type(layer).__name__} has no stages", layer=layer.name)


def _input_stages(source: Tensor, beats: Beats) -> Iterator[Stage]:
    """Yield what makes positions of beats."""
    word, count = source.channels * beats.width, positions(source)
    if beats.split > 1:
        options = {"word": word, "count": beats.split, "frame": count}
        results = np.full(beats.frame, beats.split)
        results[-1] = count - beats.split * (beats.frame - 1)
        pace = Pace(results, results, 0)
        yield Stage("input_split", "input", "Split", options, (word * beats.split,), (pace,))
    elif beats.gather > 1:
        beat = beats.elements * beats.width
        options = {"word": beat, "count": beats.gather, "bits": word}
        pace = Pace(_ones(beats.frame), np.tile(_last(beats.gather), count), 1)
        yield Stage("input_gather", "input", "Gather", options, (beat,), (pace,))
        # A register, so that the next position comes while a core holds this one.
        yield Stage("input", "input", "Fifo", {"word": word, "depth": 1}, (word,))


def _flat_stages(job: Job, source: Tensor, hold: int) -> Iterator[Stage]:
    """Yield what collects a map into one word, which stays for as long as its core holds it."""
    count, word = positions(source), word_of(source)
    if count > 1:
        pace = Pace(_ones(count) + (hold - 1) * _last(count), _last(count), 1)
        options = {"word": word, "count": count}
        name = f"{top_name(job.name)}_gather"
        yield Stage(name, job.name, "Gather", options, (word,), (pace,))


def _core_stages(job: Job, word: int, core: Core, pipeline: int | None) -> Iterator[Stage]:
    """Yield a layer core, and two registers that cut the path of ready through all layers."""
    name = top_name(job.name)
    options = {**_element(job.inputs[0].format), "pipeline": pipeline}
    pace = Pace.even(positions(job.output))
    yield Stage(f"{name}_core", job.name, "LayerCore", options, (word,), (pace,), core=core)
    word = word_of(job.output)
    yield Stage(name, job.name, "Fifo", {"word": word, "depth": 2}, (word,))


def _folded_stage(
    job: Job, layer: LinearLayer, source: Tensor, work: Folding, pipeline: int | None
) -> Stage:
    """Return a folded core, whose output register is a queue of one word."""
    options = {
        "pes": work.pes,
        "simd": work.simd,
        "bounds": work.bounds,
        **_element(source.format),
        "pipeline": pipeline,
        "sums": work.sums,
        "groups": work.groups,
        "taps": work.taps,
        "turns": work.turns,
    }
    pace = Pace.even(positions(job.output) * job.turns, hold=work.cycles)
    word = patch_word(job, layer)
    return Stage(
        top_name(job.name), job.name, "FoldedCore", options, (word,), (pace,), folding=work
    )


def _engine_stage(job: Job, layer: LinearLayer, work: EnginePlan) -> Stage:
    """Return a core on an engine."""
    form = job.output.format
    options = {"output": (form.width, form.signed)}
    pace = Pace.even(positions(job.output), hold=work.cycles, latency=work.latency)
    word = patch_word(job, layer)
    return Stage(top_name(job.name), job.name, "EngineCore", options, (word,), (pace,), engine=work)


def _element(form: Format) -> dict[str, object]:
    return {"element_width": form.width, "element_signed": form.signed}


def _pool_stage(job: Job, layer: MaxPool | SumPool) -> Stage:
    source, turns = job.inputs[0], job.turns
    if isinstance(layer, SumPool):
        options = sum_pool_options(layer, source)
    else:
        options = {
            "size": source.shape[:2],
            "channels": source.channels,
            "kernel": layer.kernel,
            "stride": layer.stride,
            **_element(source.format),
        }
    size, (down, along) = (source.shape[0], source.shape[1]), layer.stride
    rows = Windows(size, (1, layer.kernel[1]), (1, along), turns=turns)
    columns = Windows(rows.outputs, (layer.kernel[0], 1), (down, 1), turns=turns)
    paces = window_pace(rows, 1), window_pace(columns, 1)
    word = source.channels * source.format.width
    unit = type(layer).__name__
    options = {**options, "turns": turns}
    return Stage(top_name(job.name), job.name, unit, options, (word,), paces)


def _element_stage(job: Job, pipeline: int | None) -> Stage:
    """Return the stage of layers that work on each element on its own."""
    affine = [layer for layer in job.layers if isinstance(layer, Affine)]
    levels = [layer for layer in job.layers if isinstance(layer, Binarize | Quantize)]
    if affine:
        unit, options = "AffineUnit", affine_options(affine, job.inputs, pipeline)
    else:
        unit, options = "QuantizeUnit", quantize_options(levels, job.inputs[0], pipeline)
    pace = Pace.even(positions(job.output) * job.turns)
    words = tuple(map(word_of, job.inputs))
    return Stage(top_name(job.name), job.name, unit, options, words, (pace,))


def _argmax_stage(layer: Argmax, source: Tensor, scores: bool) -> Stage:
    options = {
        "count": source.size,
        **_element(source.format),
        "last": layer.ties == "last",
        "scores": scores,
    }
    pace = Pace.even(1, latency=max((source.size - 1).bit_length(), 1))
    word = source.size * source.format.width
    return Stage(top_name(layer.name), layer.name, "Argmax", options, (word,), (pace,))


def binarize_core(layer: Binarize, source: Tensor) -> Core:
    """Return a threshold of its own as the readout of a graph without nodes."""
    channels, bits = source.channels, isinstance(source.format, Bipolar)
    low, high = (0, 1) if bits else (source.format.low, source.format.high)
    facing = np.broadcast_to(layer.threshold.direction, channels).astype(np.int64)
    level = np.broadcast_to(layer.threshold.level, channels)
    bound = bit_levels(facing, level) if bits else level
    always = np.where(facing > 0, bound <= low, bound >= high)
    never = np.where(facing > 0, bound > high, bound < low)
    constant = (facing == 0) | always | never
    value = np.where(constant, -1, np.arange(channels)).astype(np.int32)
    fixed = np.where(facing == 0, level, always)
    readout = BitReadout(
        value,
        np.where(constant, 0, facing).astype(np.int8)[None],
        np.where(constant, fixed, bound).astype(np.int64)[None],
    )
    return AdderGraph(channels, low, high, (), ()), readout
