"""Layer names become module, file and class names."""

from __future__ import annotations

import pytest

from bnn2hw.emit.names import class_name, top_name


@pytest.mark.parametrize(
    ("layer", "top"),
    [
        ("conv3", "conv3"),
        ("stage1_unit2", "stage1_unit2"),
        ("table", "layer_table"),
        ("class", "layer_class"),
        ("hdl", "layer_hdl"),
        ("None", "layer_None"),
        ("none", "layer_none"),
        ("random", "layer_random"),
        ("json", "layer_json"),
        ("clk", "layer_clk"),
        ("s_axis_tdata", "layer_s_axis_tdata"),
        ("Makefile", "layer_Makefile"),
    ],
)
def test_names_are_kept_wherever_they_can_be(layer: str, top: str) -> None:
    assert top_name(layer) == top


def test_class_names_are_capitalised() -> None:
    assert class_name("conv3") == "Conv3"
    assert class_name("_x") == "Layer_x"
