"""Files of choices: written, read back, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.errors import UsageError
from bnn2hw.plan.choices import Choice, choices_text, read_choices

LAYERS = {"conv1": (8, 9), "conv3": (8, 72), "fc": (10, 64)}


def test_a_file_reads_back(tmp_path: Path) -> None:
    choices = {
        "conv1": Choice("rowtree", target="ice40"),
        "conv3": Choice(lanes=4, kernel_units=2),
        "fc": Choice(pes=3, simd=17),
    }
    path = tmp_path / "choices.toml"
    for pipeline in (None, 3):
        path.write_text(choices_text(choices, pipeline))
        assert read_choices(path, LAYERS) == (choices, pipeline)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[conv2]\nstyle = 'spatial'",
            "there is no layer 'conv2' with weights; use conv1, conv3, fc",
        ),
        ("[fc]\nstyle = 'fast'", "layer fc: style must be one of spatial, folded, engine"),
        ("[fc]\nstyle = 'folded'\npes = 1", "a folded layer has the keys style, pes, simd"),
        ("[fc]\nstyle = 'spatial'\nplan = 'best'", "plan must be one of"),
        ("[fc]\nstyle = 'folded'\npes = 0\nsimd = 1", "pes must be an integer from 1 on"),
        ("[fc]\nstyle = 'folded'\npes = true\nsimd = 1", "pes must be an integer from 1 on"),
        ("[fc]\nstyle = 'engine'\nlanes = 4\npes = 1", "has the keys style, lanes, kernel_units"),
        ("fc = 3", "style must be one of"),
        ("[fc]\nstyle = 'spatial'\nplan = 'auto'\ntarget = 'x'", "target must be one of lut6"),
        ("[fc]\nstyle = 'folded'\npes = 1\nsimd = 1\ntarget = 'lut6'", "has the keys style, pes"),
        ("[fc]\nstyle = ['engine']", "style must be one of"),
        ("[fc]\nstyle = {a = 1}", "style must be one of"),
        ("[fc]\nstyle = 'spatial'\nplan = ['mst']", "plan must be one of"),
        ("[fc]\nstyle = 'spatial'\nplan = 'auto'\ntarget = ['ecp5']", "target must be one of"),
        ("pipeline-levels = 0", "pipeline-levels must be an integer from 1 on"),
        ("[fc", "is not TOML"),
    ],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "choices.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_choices(path, LAYERS)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_choices(tmp_path / "choices.toml", LAYERS)


@given(st.binary(max_size=60) | st.text(alphabet="[]fc=.'style\n0123", max_size=60))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_bytes_are_choices_or_refused(tmp_path_factory: object, content: bytes | str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        found, _ = read_choices(path, LAYERS)
    except UsageError:
        return
    assert set(found) <= set(LAYERS)
