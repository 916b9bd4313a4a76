"""From the layers of a network to the stream components of its hardware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError
from ..gateware.threshold import border_width
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
from ..plan.folding import Folding
from ..plan.graph import AdderGraph
from ..plan.jobs import Job
from ..plan.layer_plan import LayerPlan
from ..plan.outputs import BitReadout
from ..plan.pace import Pace, Paces, pace_of_stages
from .limits import unbuilt
from .names import top_name
from .stage import Beats, Core, Stage, positions
from .streams import affine_options, bit_levels, quantize_options, sum_pool_options

__all__ = ["network_problem", "network_stages"]

# Units that can hold a word for a folded core or a repeat while they work on the next one, or
# whose pace says for how long they cannot.
_HOLDS = ("FoldedCore", "Fifo", "Gather", "Repeat", "Slice", "SlidingWindow")


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
    works: Mapping[str, LayerPlan | Folding],
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
    return _with_queues(_on_one_line(edges.stages), beats)


def _on_one_line(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages with one line of positions for windows that differ in dilation alone.

    Slices of what the line gives take the names of the windows.
    """
    alike: dict[object, list[Stage]] = {}
    for stage in stages:
        if stage.unit == "SlidingWindow":
            same = tuple(stage.options[name] for name in _SAME)
            outputs = int(stage.paces[0].emits.sum())
            alike.setdefault((stage.sources, outputs, same), []).append(stage)
    lines = {row[0].name: _line_stages(row) for row in alike.values() if len(row) > 1}
    gone = {one.name for row in alike.values() if len(row) > 1 for one in row}
    found: list[Stage] = []
    for stage in stages:
        if stage.name in gone:
            found += lines.get(stage.name, [])
        else:
            found.append(stage)
    return found


_SAME = ("size", "word", "kernel", "stride", "filler", "turns")


def _line_stages(members: Sequence[Stage]) -> list[Stage]:
    """Return the stage of windows on one line, and each of them as a slice."""
    first, count = members[0], int(members[0].paces[0].emits.sum())
    options = {
        **first.options,
        "more": tuple(
            (one.options["dilation"], one.options["padding"], one.options["border"])
            for one in members[1:]
        ),
    }
    names = ("size", "kernel", "stride", "dilation", "padding", "turns")
    geometries = [Windows(*(one.options[name] for name in names)) for one in members]  # type: ignore[arg-type]
    # Windows are complete with the last of them, and stay for the slowest reader.
    last = max(geometries, key=lambda windows: windows.ahead)
    pace = _window_pace(last, max(int(one.paces[0].hold.max()) for one in members))
    line = replace(first, name=f"{first.name}_line", options=options, paces=(pace,))
    found, start = [line], 0
    bits = []
    for one in members:
        height, width = geometries[0].kernel
        border = one.options["border"]
        classes = 1 if border is None else int(border.max()) + 1  # type: ignore[attr-defined]
        bits.append(one.words[0] * height * width + border_width(classes))
    for one, width in zip(members, bits, strict=True):
        cut = {"word": sum(bits), "start": start, "count": 1, "width": width, "kept": width}
        found.append(
            Stage(
                one.name, one.layer, "Slice", cut, (sum(bits),),
                (Pace.even(count, latency=0),), (line.name,),
            )
        )  # fmt: skip
        start += width
    return found


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
                repeat = _repeat_stage(job, k, 1, _word(job.inputs[k]), positions(job.inputs[k]))
                self.stages.append(replace(repeat, sources=(reads[k],)))
                reads[k] = repeat.name
        self._reads = tuple(reads)

    def add(self, stage: Stage, name: str) -> None:
        """Add a stage of a job, which reads the stage before; one that is there is shared.

        It then holds its words for as long as the slowest of those that read it.
        """
        stage = replace(stage.timed(), sources=self._reads or (self._ends["input"],))
        if stage.unit in ("Pad", "SlidingWindow"):
            options = {k: _hashable(value) for k, value in stage.options.items()}
            key = stage.sources, tuple(options.items())
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
        word, own = _word(job.output), self._tensors[edge]
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
    return value.tobytes() if isinstance(value, np.ndarray) else value


def _word(tensor: Tensor) -> int:
    """Return the bits of a position of an edge."""
    return tensor.channels * tensor.format.width


def _job_stages(
    job: Job, work: LayerPlan | Folding | None, pipeline: int | None, scores: bool
) -> Iterator[Stage]:
    """Yield the stages of a job, each of which reads the one before."""
    layer, source, turns = job.layers[0], job.inputs[0], job.turns
    # Of the turns, those that come with the words that the first stage reads.
    inner = turns if len(job.sources[0]) > 1 else 1
    match layer:
        case LinearLayer():
            assert work is not None
            hold = work.cycles if isinstance(work, Folding) else 1
            every = turns // inner
            if isinstance(layer, BinaryConv):
                yield from _window_stages(job, layer, source, hold * every, inner)
                if every > 1:
                    word, count = _patch_word(job, layer), positions(job.output)
                    yield _repeat_stage(job, 0, hold, word, count)
            else:
                yield from _flat_stages(job, source, hold)
            if isinstance(work, Folding):
                yield _folded_stage(job, layer, source, work, pipeline)
            else:
                core = work.graph, work.readout
                yield from _core_stages(job, _patch_word(job, layer), core, pipeline)
        case MaxPool() | SumPool():
            yield _pool_stage(layer, source)
        case Binarize() if turns == 1:
            core = binarize_core(layer, source)
            yield from _core_stages(job, _word(source), core, None)
        case Affine() | Quantize() | Binarize():
            yield _element_stage(job, pipeline)
        case Argmax():
            yield from _flat_stages(job, source, 1)
            yield _argmax_stage(layer, source, scores)
        case _:
            raise PlanError(f"{type(layer).__name__} has no stages", layer=layer.name)


def _with_queues(stages: list[Stage], beats: Beats) -> tuple[list[Stage], Paces]:
    """Return the stages with queues of the depth that keeps up their pace.

    A queue takes cycles itself, so they are sized anew until nothing changes.
    """
    depths: dict[tuple[str, int], int] = {}
    while True:
        found = _queued(stages, depths)
        numbers = {"": -1, **{stage.name: k for k, stage in enumerate(found)}}
        paces = pace_of_stages(
            [(stage.paces, [numbers[name] for name in stage.sources]) for stage in found],
            beats.frame,
        )
        needed = dict(depths)
        for stage, waiting in zip(found, paces.depths, strict=True):
            if stage.paces:
                for k, depth in enumerate(waiting):
                    needed[stage.name, k] = max(depth, depths.get((stage.name, k), 0))
        if needed == depths:
            return found, paces
        depths = needed


def _queued(stages: list[Stage], depths: Mapping[tuple[str, int], int]) -> list[Stage]:
    """Return the stages with queues of these depths before their inputs."""
    readers = Counter(name for stage in stages for name in stage.sources)
    units = {stage.name: stage.unit for stage in stages}
    found: list[Stage] = []
    for stage in stages:
        sources = list(stage.sources)
        for k, source in enumerate(sources):
            depth = depths.get((stage.name, k), 0)
            if depth:
                # It gives a cycle late, and takes none while it is full, nor in the cycle after.
                depth += 3
            elif stage.unit in ("FoldedCore", "Repeat") and units.get(source) not in _HOLDS:
                depth = 1
            if not depth:
                continue
            options = {"word": stage.words[k], "depth": depth}
            if units.get(source) == "Fifo" and readers[source] == 1:
                at = next(n for n, other in enumerate(found) if other.name == source)
                found[at] = replace(found[at], options=options)
            else:
                sources[k] = f"{stage.name}_queue{k or ''}"
                found.append(
                    Stage(
                        sources[k],
                        stage.layer,
                        "Fifo",
                        options,
                        (stage.words[k],),
                        sources=(source,),
                    )
                )
        found.append(replace(stage, sources=tuple(sources)))
    return found


def _ones(count: int) -> NDArray[np.int64]:
    return np.ones(count, dtype=np.int64)


def _last(count: int) -> NDArray[np.int64]:
    """Return 1 for the last of some beats alone."""
    found = np.zeros(count, dtype=np.int64)
    found[-1] = 1
    return found


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


def _window_stages(
    job: Job, layer: BinaryConv, source: Tensor, hold: int, turns: int
) -> Iterator[Stage]:
    """Yield the sliding window of a convolution over maps in turn, and padding it cannot mask.

    A window stays for as many cycles as its core holds it.
    """
    if layer.kernel == (1, 1) == layer.stride and not any(layer.padding):
        return
    name, word = top_name(job.name), _word(source)
    size, padding = (source.shape[0], source.shape[1]), layer.padding
    filler = _filler(layer, source)
    windows = Windows(size, layer.kernel, layer.stride, layer.dilation, padding, turns)
    if not windows.masked:
        # Positions of all turns lie side by side.
        wide = size[0], size[1] * turns
        around = padding[0], padding[1] * turns, padding[2], padding[3] * turns
        options = {"size": wide, "word": word, "padding": around, "filler": filler}
        yield Stage(f"{name}_pad", job.name, "Pad", options, (word,), (_pad_pace(wide, around),))
        size = size[0] + padding[0] + padding[2], size[1] + padding[1] + padding[3]
        padding = (0, 0, 0, 0)
        windows = Windows(size, layer.kernel, layer.stride, layer.dilation, turns=turns)
    borders = layer.border_classes(source)
    options = {
        "size": size,
        "word": word,
        "kernel": layer.kernel,
        "stride": layer.stride,
        "dilation": layer.dilation,
        "padding": padding,
        "filler": filler,
        "border": borders if borders.any() else None,
        "turns": turns,
    }
    pace = _window_pace(windows, hold)
    yield Stage(f"{name}_window", job.name, "SlidingWindow", options, (word,), (pace,))


def _patch_word(job: Job, layer: LinearLayer) -> int:
    """Return the bits of a patch, and of its border class where there are several."""
    classes = len(layer.valid_taps(job.inputs[0]))
    border = border_width(classes) if classes > 1 else 0
    return layer.patch_size() * job.inputs[0].format.width + border


def _repeat_stage(job: Job, number: int, hold: int, word: int, count: int) -> Stage:
    """Return what gives an input of a job once a turn; each stays for as long as it is held."""
    pace = Pace(np.full(count, hold * job.turns), np.full(count, job.turns), 0, step=hold)
    name, options = f"{top_name(job.name)}_repeat{number or ''}", {"word": word, "count": job.turns}
    return Stage(name, job.name, "Repeat", options, (word,), (pace,))


def _window_pace(windows: Windows, hold: int) -> Pace:
    due = windows.due()
    late = int(due[: windows.ahead % len(due)].sum()) + windows.ahead // len(due) * int(due.sum())
    return Pace(np.where(due, hold, 1), due.astype(np.int64), 1, late)


def _pad_pace(size: tuple[int, int], padding: tuple[int, int, int, int]) -> Pace:
    """Return the pace of a pad: padded positions go with the position before them."""
    top, left, bottom, right = padding
    inside = np.zeros((size[0] + top + bottom, size[1] + left + right), np.bool_)
    inside[top : top + size[0], left : left + size[1]] = True
    at = np.flatnonzero(inside.reshape(-1))
    results = np.diff(np.append(at, inside.size))
    results[0] += at[0]
    return Pace(results, results, 0)


def _filler(layer: BinaryConv, source: Tensor) -> int:
    """Return the word of a padded position; zeros among bits are 0 bits of a border class."""
    form, value = source.format, layer.padding_value
    element = int(value > 0) if isinstance(form, Bipolar) else value & (1 << form.width) - 1
    return sum(element << k * form.width for k in range(source.channels))


def _flat_stages(job: Job, source: Tensor, hold: int) -> Iterator[Stage]:
    """Yield what collects a map into one word, which stays for as long as its core holds it."""
    count, word = positions(source), _word(source)
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
    word = _word(job.output)
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
    word = _patch_word(job, layer)
    return Stage(
        top_name(job.name), job.name, "FoldedCore", options, (word,), (pace,), folding=work
    )


def _element(form: Format) -> dict[str, object]:
    return {"element_width": form.width, "element_signed": form.signed}


def _pool_stage(layer: MaxPool | SumPool, source: Tensor) -> Stage:
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
    rows = Windows((source.shape[0], source.shape[1]), (1, layer.kernel[1]), (1, layer.stride[1]))
    columns = Windows(rows.outputs, (layer.kernel[0], 1), (layer.stride[0], 1))
    paces = _window_pace(rows, 1), _window_pace(columns, 1)
    word = source.channels * source.format.width
    unit = type(layer).__name__
    return Stage(top_name(layer.name), layer.name, unit, options, (word,), paces)


def _element_stage(job: Job, pipeline: int | None) -> Stage:
    """Return the stage of layers that work on each element on its own."""
    affine = [layer for layer in job.layers if isinstance(layer, Affine)]
    levels = [layer for layer in job.layers if isinstance(layer, Binarize | Quantize)]
    if affine:
        unit, options = "AffineUnit", affine_options(affine, job.inputs, pipeline)
    else:
        unit, options = "QuantizeUnit", quantize_options(levels, job.inputs[0], pipeline)
    pace = Pace.even(positions(job.output) * job.turns)
    words = tuple(map(_word, job.inputs))
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
