"""Simulating a whole network: every edge under cocotb, thousands of frames in a harness."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..emit.frames import Field, Frames, Joint, write_bench_frames, write_volume
from ..emit.manifest import read_manifest
from ..emit.stage import Beats
from ..errors import BuildError, ModelError, ToolError, VerificationError
from ..model import Network, load
from ..toolchain import find_verilator, verilator_environment
from .bench import build_bench, run_bench
from .frames import make_frames, make_images

__all__ = ["NetworkSimulation", "build_harness", "simulate_network"]

Progress = Callable[[str], None]

# Frames for which every word on every edge is compared: with the cocotb bench, which is slow, and
# without.
_BENCH_FRAMES, _HARNESS_FRAMES = 3, 8
# Frames that come at the interval of the analysis.
_PACED_FRAMES = 32
# Answers without stalls, at least: the interval is that of the later half, so of few frames too.
# They begin anew for it.
_LEAST_ANSWERS = 6

# Bytes of Verilog that take as long to compile well as a cycle saves that is simulated.
_BYTES_A_CYCLE = 4


@dataclass(frozen=True)
class NetworkSimulation:
    """What a simulation of a network compared and measured; there were no differences.

    Attributes
    ----------
    network
        Name of the network.
    real, random
        Frames of each kind, that went through the compiled harness.
    edge_words
        Words compared on the edges for the first frames, without stalls and again with them.
    interval
        Cycles from answer to answer in steady state, as the analysis of the build says.
    least_interval, greatest_interval
        The same as measured over the later half of the answers, without stalls.
    latency
        Cycles from the first beat of the first frame to its answer.
    paced
        Answers to frames that came evenly, one each interval: they came at the same interval, and
        no queue was full when a word came to it.
    cycles, stalled_cycles
        Of all frames, without stalls, and with random stalls on both sides. Without stalls frames
        begin anew until there are six answers, as also where they come evenly.
    frames_per_second
        Speed of the compiled simulation without stalls.
    """

    network: str
    real: int
    random: int
    edge_words: int
    interval: int
    least_interval: int
    greatest_interval: int
    latency: int
    paced: int
    cycles: int
    stalled_cycles: int
    frames_per_second: float

    def to_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return asdict(self)


def simulate_network(
    directory: Path,
    *,
    images: int = 1000,
    seed: int = 0,
    stall: float = 0.3,
    bench: bool = True,
    waves: bool = False,
    progress: Progress = lambda text: None,
) -> NetworkSimulation:
    """Simulate the network of a build and compare with the golden model, bit for bit.

    The first frames go through the cocotb bench, which looks at every edge under random stalls
    and sends frames of wrong length too; all of them go through the compiled harness, once
    without and once with stalls, which looks at every edge for the first of them. Some of them go
    through it once more, evenly and at the interval of the build: then no queue may be full when
    a word comes to it.

    Parameters
    ----------
    directory
        The directory of the network.
    images
        Frames for the harness: the samples of the network first, then random ones.
    seed, stall
        Of random images and stalls.
    bench
        Whether to run the cocotb bench, of some twenty frames.
    waves
        Whether to record ``results/<top>.vcd`` of the cocotb bench.
    progress
        Is told what is being done.

    Raises
    ------
    BuildError
        If this is no network's directory.
    ToolError
        If Verilator is missing or fails.
    VerificationError
        If anything differs, the interval is not the stated one, or a queue is too short for it.
    """
    find_verilator()
    manifest = read_manifest(directory, "network")
    name, top = manifest["network"], manifest["top"]
    results = directory / "results"
    try:
        network = load(directory / "network.npz")
        results.mkdir(exist_ok=True)
        (results / "simulation.json").unlink(missing_ok=True)
        progress(f"{name}: {images} frames through the golden model")
        pictures, real = make_images(network, max(images, 1), seed)
        frames = make_frames(network, pictures, _BENCH_FRAMES if bench else _HARNESS_FRAMES)
        _write_frames(results, manifest, network, frames)
        if bench:
            progress(f"{name}: Verilator build of the bench")
            build, _ = build_bench(directory, top, manifest, waves)
            progress(f"{name}: every edge, with stalls")
            run_bench(directory, build, top, "vectors", seed, stall, waves)
        progress(f"{name}: Verilator build of the harness")
        count = len(pictures)
        answers = max(count, _LEAST_ANSWERS)
        harness = build_harness(directory, top, manifest, answers * manifest["interval_cycles"])
        progress(f"{name}: {count} frames, without and with stalls, and evenly")
        plain = _run_harness(harness, results, answers, "0", seed)
        stalled = _run_harness(harness, results, count, str(stall), seed)
        paced = _run_harness(harness, results, min(answers, _PACED_FRAMES), "paced", seed)
    except ModelError as error:
        raise BuildError(str(error), file=directory, remedy="generate the build again") from None
    except OSError as error:
        raise BuildError(f"cannot write results: {error.strerror}", file=results) from None
    interval = manifest["interval_cycles"]
    for queue, cycles in paced["full_queues"].items():
        raise VerificationError(
            f"{queue} is full in {cycles} cycles when a word comes, of frames at the interval of "
            f"{interval} cycles that the build says",
            file=directory,
        )
    for run in (paced, plain):
        measured = run["least_interval"], run["greatest_interval"]
        if measured != (interval, interval):
            raise VerificationError(
                f"answers come every {measured[0]} to {measured[1]} cycles, the build says "
                f"{interval}",
                file=directory,
            )
    result = NetworkSimulation(
        network=name,
        real=real,
        random=len(pictures) - real,
        edge_words=plain["edge_words"],
        interval=interval,
        least_interval=measured[0],
        greatest_interval=measured[1],
        latency=plain["latency"],
        paced=paced["answers"],
        cycles=plain["cycles"],
        stalled_cycles=stalled["cycles"],
        frames_per_second=answers / max(plain["seconds"], 1e-9),
    )
    (results / "simulation.json").write_text(
        json.dumps({"seed": seed, "stall": stall, **result.to_json()}, indent=2) + "\n",
        encoding="utf-8",
    )
    return result


def _write_frames(
    results: Path, manifest: dict[str, Any], network: Network, frames: Frames
) -> None:
    beats = Beats(**manifest["input"]["beats"])
    fields = [Field(**field) for field in manifest["output"]["fields"]]
    widths = {layer.name: network.tensors[layer.name].format.width for layer in network.layers}
    joint = {
        name: Joint(tuple(edge["layers"]), edge["in_turn"], edge["width"])
        for name, edge in manifest["joint_edges"].items()
    }
    write_bench_frames(results / "vectors", frames, beats, fields, widths, joint)
    write_volume(results / "volume", frames, beats, fields)


def build_harness(
    directory: Path, top: str, manifest: dict[str, Any], cycles: float = math.inf
) -> Path:
    """Return the compiled harness, made by Verilator unless it is there.

    It is to run for so many cycles: a few do not pay for a compiler that optimises.
    """
    flags = [str(flag) for flag in manifest["harness_flags"]]
    if cycles * _BYTES_A_CYCLE < (directory / f"{top}.v").stat().st_size:
        flags = ["OPT_FAST=-O0" if flag.startswith("OPT_FAST=") else flag for flag in flags]
    digest = hashlib.sha256()
    for source in ("verilator.vlt", f"{top}.v", "harness.cpp"):
        digest.update((directory / source).read_bytes())
    digest.update(repr((flags, find_verilator()[0])).encode())
    folder = directory / "results" / f"harness-{digest.hexdigest()[:16]}"
    program = folder / f"V{top}"
    if program.exists():
        return program
    for stale in folder.parent.glob("harness-*"):
        shutil.rmtree(stale)
    environment = verilator_environment()
    make = [f"-MAKEFLAGS {flag}".split() for flag in environment.pop("MAKEFLAGS").split()]
    command = ["verilator", "--cc", "--exe", "--build", "-j", "4", "-Wno-fatal", *flags]
    command += [part for pair in make for part in pair]
    command += ["--top-module", top, "--Mdir", f"results/{folder.name}"]
    command += ["verilator.vlt", f"{top}.v", "harness.cpp"]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    log = folder.parent / "harness.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode or not program.exists():
        shutil.rmtree(folder, ignore_errors=True)
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
        raise ToolError(
            f"Verilator failed: {(errors or ['no output'])[0].strip()}",
            file=log,
            remedy="the file holds its whole log",
        )
    return program


def _run_harness(harness: Path, results: Path, count: int, stall: str, seed: int) -> dict[str, Any]:
    """Take so many answers, frames beginning anew, and return what the harness prints."""
    volume = results / "volume"
    done = subprocess.run(
        [
            str(harness.resolve()), str(volume / "frames.bin"), str(volume / "expected.bin"),
            str(count), stall, str(seed), str(results / "vectors"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        found = dict(json.loads(done.stdout))
    except ValueError:
        raise VerificationError(
            f"the harness ended with code {done.returncode}: {done.stderr.strip()[-200:]}"
        ) from None
    if done.returncode == 2:
        raise VerificationError(
            f"answer {found['answers']} of {count} does not come (stalls {stall}, seed {seed})"
        )
    if found["wrong_edge"]:
        raise VerificationError(
            f"layer {found['wrong_edge']} differs (stalls {stall}, seed {seed})"
        )
    if done.returncode:
        raise VerificationError(
            f"{found['different']} of {count} answers differ, the first is that of frame "
            f"{found['first_difference']} (stalls {stall}, seed {seed})"
        )
    return found
