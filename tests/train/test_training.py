"""Training from end to end: accuracy, determinism, resuming, exact export, errors."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'bnn2hw[train]'")
pytest.importorskip("sklearn", reason="training needs scikit-learn: pip install 'bnn2hw[train]'")

import torch

from bnn2hw import api, golden, training
from bnn2hw.cli import main
from bnn2hw.errors import ModelError, TrainingError
from bnn2hw.model import BinaryConv, Network, Threshold, load
from bnn2hw.networks import bundled_path
from bnn2hw.plan import plan_layer
from bnn2hw.train import loop
from bnn2hw.train.data import Dataset, load_data, shifted
from bnn2hw.train.export import differences, to_network
from bnn2hw.train.loop import Trained, train, tree_figures
from bnn2hw.train.recipe import Recipe, parse_recipe


def recipe(**values: Any) -> Recipe:
    layers = [
        {"type": "conv", "channels": 24},
        {"type": "conv", "channels": 24, "padding_value": -1},
        {"type": "pool"},
        {"type": "dense", "channels": 48},
        {"type": "dense", "channels": 10},
    ]
    network = {"standardise": False, "layers": layers}
    return parse_recipe({"name": "small", "network": network, "epochs": 2, **values})


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits")


@pytest.fixture(scope="module")
def trained() -> Trained:
    """Return a network trained with centers, long enough to be of use."""
    return train(recipe(epochs=30, learning_rate=0.02, mst={"centers": 2, "weight": 4e-5}))


def test_training_reaches_its_accuracy(trained: Trained) -> None:
    assert trained.accuracy_golden.validation > 0.92
    assert trained.accuracy_golden.test > 0.92
    assert trained.accuracy_golden == trained.accuracy_float


def test_every_epoch_is_logged_in_the_papers_convention(trained: Trained) -> None:
    assert [record["epoch"] for record in trained.history] == list(range(1, 31))
    for record in trained.history:
        assert record["loss"] == pytest.approx(
            record["cross_entropy"] + record["lambda"] * record["center_distance"], rel=1e-4
        )
    figures = trained.history[-1]["layers"]
    assert figures == tree_figures(trained.network)
    for layer, found in zip(trained.network.linear_layers(), figures, strict=True):
        assert found["params"] == found["mst"] + layer.patch_size()
        assert found["direct"] == layer.weights.size
        source = trained.network.source(layer)
        tree = plan_layer(replace(layer, threshold=None), source, "mst", complement=False).tree
        assert tree is not None and (tree.total, tree.depth) == (found["params"], found["depth"])
    positions = [64, 64, 1, 1]
    assert [f["bit_ops"] for f in figures] == [
        p * f["params"] for p, f in zip(positions, figures, strict=True)
    ]


def test_centers_lower_the_tree(trained: Trained) -> None:
    first, last = (sum(f["params"] for f in trained.history[k]["layers"]) for k in (0, -1))
    assert last < 0.8 * first


def test_the_split_is_that_of_the_bundled_network(digits: Dataset) -> None:
    samples = load(bundled_path()).samples
    assert samples is not None
    assert np.array_equal(digits.images[digits.test], samples.images)
    parts = np.concatenate([digits.train, digits.validation, digits.test])
    assert np.array_equal(np.sort(parts), np.arange(1797))
    assert (len(digits.validation), len(digits.test)) == (287, 360)


@pytest.mark.zoo
def test_mnist_is_split_and_reads_as_digits(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNN2HW_ZOO", str(zoo))
    data = load_data("mnist")
    parts = np.concatenate([data.train, data.validation, data.test])
    assert np.array_equal(np.sort(parts), np.arange(10000))
    assert set(np.unique(data.inputs().numpy())) == {-1, 1}
    assert 0.05 < data.images.mean() < 0.2, "strokes are bright and few"


def test_missing_data_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BNN2HW_ZOO", str(tmp_path))
    with pytest.raises(TrainingError, match="mnist is not there; set BNN2HW_ZOO"):
        load_data("mnist")
    with pytest.raises(TrainingError, match="'letters' is unknown; use digits, mnist"):
        load_data("letters")


def test_shifts_move_images_and_pad_with_their_least_value() -> None:
    images = torch.arange(1, 10, dtype=torch.float32).reshape(1, 1, 3, 3).repeat(300, 1, 1, 1)
    moved = shifted(images, 1, torch.Generator().manual_seed(0))
    kinds = {tuple(image.flatten().tolist()) for image in moved}
    assert len(kinds) == 9
    assert (1, 1, 1, 1, 1, 2, 1, 4, 5) in kinds
    assert tuple(range(1, 10)) in kinds
    assert shifted(images, 0, torch.Generator()) is images


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path, optimiser: str) -> None:
    plan = recipe(
        epochs=3, optimiser=optimiser, estimator="ede",
        mst={"centers": 2, "weight": 1e-4, "centers_kind": "learned", "schedule": "cosine"},
    )  # fmt: skip
    whole = train(plan)
    checkpoint = tmp_path / "x.checkpoint.pt"

    def stop(text: str) -> None:
        if text.startswith("epoch 2/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan, progress=stop, checkpoint=checkpoint, log=tmp_path / "log")
    assert checkpoint.exists()
    torch.manual_seed(99)  # the state outside does not matter
    resumed = train(plan, checkpoint=checkpoint, resume=True, log=tmp_path / "log")
    assert resumed.history == whole.history
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(whole.history)
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name]), name
    for one, other in zip(whole.network.layers, resumed.network.layers, strict=True):
        if isinstance(one, BinaryConv):
            assert isinstance(other, BinaryConv)
            assert np.array_equal(one.weights, other.weights)
            assert one.threshold == other.threshold


def test_training_leaves_torch_as_it_was() -> None:
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train(recipe(epochs=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_checkpoints_that_do_not_fit_are_told(tmp_path: Path) -> None:
    checkpoint = tmp_path / "x.checkpoint.pt"
    with pytest.raises(TrainingError, match="no checkpoint to resume; train without --resume"):
        train(recipe(), checkpoint=checkpoint, resume=True)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), checkpoint=checkpoint, progress=interrupt)
    whole = checkpoint.read_bytes()
    with pytest.raises(TrainingError, match="is the checkpoint of another recipe"):
        train(recipe(seed=1), checkpoint=checkpoint, resume=True)
    for damaged in (b"", b"PK", whole[: len(whole) // 2], b"\x80\x04." + whole[3:]):
        checkpoint.write_bytes(damaged)
        with pytest.raises(TrainingError, match="is not a whole checkpoint; remove it"):
            train(recipe(), checkpoint=checkpoint, resume=True)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_checkpoints_are_told_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever bytes change, there is one clear error, or what they say does not matter."""
    path = tmp_path_factory.mktemp("checkpoints") / "x.checkpoint.pt"
    run = loop._Run(recipe(), load_data("digits"))
    run.save(path)
    whole = bytearray(path.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=3)):
        whole[at] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(len(whole) // 2, len(whole)))])
    with contextlib.suppress(TrainingError):
        run.load(path)


def interrupt(text: str) -> None:
    raise KeyboardInterrupt


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.path,))


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    checkpoint = tmp_path / "x.checkpoint.pt"
    torch.save({"recipe": recipe().to_json(), "module": Evil(tmp_path / "ran")}, checkpoint)
    with pytest.raises(TrainingError, match="is not a whole checkpoint"):
        train(recipe(), checkpoint=checkpoint, resume=True)
    assert not (tmp_path / "ran").exists()


def test_a_training_that_diverges_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"the loss is inf in epoch 1: training diverges; low"):
        train(recipe(mst={"centers": 1, "weight": 1e300}))
    # signs hide what is not a number from the loss
    calls = iter([1.0] * 18)  # the steps of the first epoch
    monkeypatch.setattr(loop, "shifted", lambda images, *_: images * next(calls, torch.nan))
    checkpoint = tmp_path / "x.checkpoint.pt"
    with pytest.raises(TrainingError, match="weights are not finite in epoch 2: training diverges"):
        train(recipe(), checkpoint=checkpoint)
    assert not checkpoint.exists(), "it would come to the same end again"


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "x.checkpoint.pt"
    write, calls = torch.save, iter([True])

    def full(state: Any, path: Path) -> None:
        if not next(calls, False):
            raise OSError("No space left on device")
        write(state, path)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(TrainingError, match=r"x.checkpoint.pt: cannot be written: No space"):
            train(recipe(), checkpoint=checkpoint)
    resumed = train(recipe(), checkpoint=checkpoint, resume=True)
    assert len(resumed.history) == recipe().epochs > 1


def test_batches_of_one_image_join_the_one_before() -> None:
    sizes = [[len(part) for part in loop._batches(torch.arange(n), 4)] for n in (9, 8, 7, 1)]
    assert sizes == [[4, 5], [4, 4], [4, 3], [1]]


def test_images_cannot_be_moved_out_of_sight() -> None:
    with pytest.raises(TrainingError, match="shift is 8, images are 8 by 8; move them by less"):
        train(replace(recipe(), shift=8))


def test_layers_that_do_not_fit_are_told() -> None:
    dense = {"type": "dense", "channels": 10}
    with pytest.raises(TrainingError, match="layer conv1: the map is smaller"):
        train(recipe(network={"layers": [{"type": "conv", "channels": 2, "kernel": 9,
                                          "padding": 0}, dense]}))  # fmt: skip
    with pytest.raises(TrainingError, match="last layer has 9 channels, digits has 10 classes"):
        train(recipe(network={"layers": [{**dense, "channels": 9}]}))
    with pytest.raises(ModelError, match="layer conv1: padding value -1 is outside the input"):
        train(recipe(network={"layers": [{"type": "conv", "channels": 2, "padding_value": -1},
                                         dense]}))  # fmt: skip
    with pytest.raises(TrainingError, match="12 centers are more than 10 channels; lower mst"):
        train(recipe(mst={"centers": 12}))


# ------------------------------------------------------------------------------------- export


def test_integers_equal_the_float_network_on_every_image(trained: Trained, digits: Dataset) -> None:
    assert differences(trained.module, trained.network, digits) == []


def test_turned_and_flat_batch_norms_fold(digits: Dataset) -> None:
    """Negative, zero and tiny gamma, and a zero that sign takes as +1."""
    module = train(recipe(epochs=1)).module
    with torch.no_grad():
        for stage in list(module.stages.values())[:-1]:
            norm = stage.norm
            norm.weight[::3] *= -1
            norm.weight[1] = norm.bias[1] = 0  # 0 for every sum: bit 1
            norm.weight[2], norm.bias[2] = 0, -1  # always bit 0
            norm.running_mean[3], norm.bias[3] = 0, 0  # 0 at the sum 0
    network = to_network(module, digits, "turned")
    assert differences(module, network, digits) == []
    threshold = network.linear_layers()[0].threshold
    assert threshold is not None
    assert (threshold.direction < 0).any()
    assert threshold.direction[1:3].tolist() == [0, 0]
    assert threshold.level[1:4].tolist() == [1, 0, 0]


def mutants(network: Network) -> dict[str, Network]:
    conv1, conv2, pool, dense3, dense4, head = network.layers
    flipped = conv2.weights.copy()
    flipped[0] ^= 1
    late = conv1.threshold
    late = Threshold(late.direction, late.level + late.direction)
    swapped = dense3.weights.reshape(48, 16, 24).transpose(0, 2, 1).reshape(48, 384)

    def with_layers(*layers: object) -> Network:
        return replace(network, layers=layers)

    return {
        "one row flipped": with_layers(
            conv1, replace(conv2, weights=flipped), pool, dense3, dense4, head
        ),
        "thresholds late": with_layers(
            replace(conv1, threshold=late), conv2, pool, dense3, dense4, head
        ),
        "padded with zeros": with_layers(
            conv1, replace(conv2, padding_value=0), pool, dense3, dense4, head
        ),
        "flattened channel first": with_layers(
            conv1, conv2, pool, replace(dense3, weights=swapped), dense4, head
        ),
        "last of equal scores": with_layers(
            conv1, conv2, pool, dense3, dense4, replace(head, ties="last")
        ),
    }  # fmt: skip


def test_the_check_rejects_wrong_networks(trained: Trained, digits: Dataset) -> None:
    few = replace(digits, images=digits.images[:200])
    for name, mutant in mutants(trained.network).items():
        assert differences(trained.module, mutant, few), name


def test_nothing_is_written_when_the_integers_differ(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: Path
) -> None:
    def wrong(module: Any, data: Dataset, name: str) -> Network:
        return mutants(to_network(module, data, name))["padded with zeros"]

    monkeypatch.setattr(loop, "to_network", wrong)
    with pytest.raises(TrainingError, match=r"the integers differ from the float network: .*conv2"):
        api.train(written, tmp_path / "x.npz", settings=["epochs=1"])
    assert not (tmp_path / "x.npz").exists()


# ------------------------------------------------------------------------------ command line

TEXT = """
name = "small"
epochs = 2

[network]
layers = [
  {type = "conv", channels = 24}, {type = "conv", channels = 24, padding_value = -1},
  {type = "pool"},
  {type = "dense", channels = 48}, {type = "dense", channels = 10},
]
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(TEXT)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bnn2hw", *arguments])
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def test_the_command_writes_model_and_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], written: Path
) -> None:
    monkeypatch.chdir(written.parent)
    assert run(monkeypatch, "train", "small.toml", "-o", "a.npz", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    network = load("a.npz")
    samples = network.samples
    assert samples is not None and samples.labels is not None
    accuracy = golden.accuracy(network, samples.images, samples.labels)
    assert accuracy == result["accuracy_golden"]["test"] == result["accuracy_float"]["test"]
    records = [json.loads(line) for line in Path("a.log.jsonl").read_text().splitlines()]
    assert records[-1]["layers"] == result["layers"] == tree_figures(network)
    assert not Path("a.checkpoint.pt").exists()
    assert run(monkeypatch, "train", "small.toml", "-o", "b.npz") == 0
    out = capsys.readouterr().out
    assert "held-out test images" in out
    for part in ("train", "validation", "test"):
        both = [f"{result[form][part]:.2%}" for form in ("accuracy_float", "accuracy_golden")]
        row = next(line for line in out.splitlines() if f"│ {part} " in line)
        assert [cell.strip() for cell in row.split("│")[2:4]] == both
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes(), "same seed, same bytes"
    assert str(written.parent) not in json.dumps(dict(network.notes))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no.toml", "-o", "x.npz"], 1, "no.toml: there is no such file"),
        (["small.toml", "-o", "no/x.npz"], 1, "no/x.npz: the model file cannot be written here"),
        (["small.toml", "-o", "."], 1, "the model file cannot be written here"),
        (["small.toml"], 2, "--output"),
        (["small.toml", "-o", "x.npz", "--set", "epochs"], 2, "'epochs' is not KEY=VALUE"),
        (["small.toml", "-o", "x.npz", "--set", "mst.weight=-1"], 1, "lambda must be 0 or greater"),
        (["small.toml", "-o", "x.npz", "--set", "mst.centers=99"], 1, "99 centers are more than"),
        (["small.toml", "-o", "x.npz", "--resume"], 1, "there is no checkpoint to resume"),
    ],
)
def test_wrong_calls_end_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], written: Path,
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(written.parent)
    before = sorted(written.parent.iterdir())
    assert run(monkeypatch, "train", *arguments) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert sorted(written.parent.iterdir()) == before, "nothing is left behind"


def test_an_interrupt_leaves_a_checkpoint_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], written: Path
) -> None:
    monkeypatch.chdir(written.parent)
    assert run(monkeypatch, "train", "small.toml", "-o", "whole.npz") == 0
    epoch = loop._Run.epoch

    def once(self: Any) -> Any:
        if self.history:
            raise KeyboardInterrupt
        return epoch(self)

    with monkeypatch.context() as patched:
        patched.setattr(loop._Run, "epoch", once)
        assert run(patched, "train", "small.toml", "-o", "a.npz") == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert Path("a.checkpoint.pt").exists() and not Path("a.npz").exists()
    assert run(monkeypatch, "train", "small.toml", "-o", "a.npz") == 1
    assert "is left of an interrupted training; go on with --resume" in capsys.readouterr().err
    assert run(monkeypatch, "train", "small.toml", "-o", "a.npz", "--resume") == 0
    assert Path("a.npz").read_bytes() == Path("whole.npz").read_bytes()


def test_a_model_that_cannot_be_written_leaves_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch, written: Path
) -> None:
    monkeypatch.chdir(written.parent)

    def full(*_: object) -> None:
        raise ModelError("cannot be written: No space left on device", file="a.npz")

    with monkeypatch.context() as patched:
        patched.setattr("bnn2hw.training.save", full)
        assert run(patched, "train", "small.toml", "-o", "a.npz") == 1
    assert Path("a.checkpoint.pt").exists()
    assert run(monkeypatch, "train", "small.toml", "-o", "a.npz", "--resume") == 0
    assert Path("a.npz").exists() and not Path("a.checkpoint.pt").exists()


def test_missing_pytorch_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], written: Path
) -> None:
    monkeypatch.chdir(written.parent)
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    assert run(monkeypatch, "train", "small.toml", "-o", "a.npz") == 1
    assert "training needs PyTorch; pip install 'bnn2hw[train]'" in capsys.readouterr().err


def test_the_package_does_not_load_pytorch() -> None:
    code = "import sys, bnn2hw.api, bnn2hw.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
