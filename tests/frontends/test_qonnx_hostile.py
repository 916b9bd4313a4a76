"""Hostile and damaged ONNX files end in one line, and nothing of them is run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bnn2hw.errors import ImportFailure
from bnn2hw.frontends.qonnx import import_qonnx
from tests.helpers import read_or_told

from .graphs import OnnxBuilder, agrees, small_network

quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def good() -> bytes:
    graph, output = small_network()
    return graph.model(output).SerializeToString()


def edited(good: bytes, edit: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_model_from_string(good)
    edit(model)
    return model.SerializeToString()


def constant(model: onnx.ModelProto, k: int = 0) -> TensorProto:
    return model.graph.initializer[k]


def external(location: str, **entries: str) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        tensor = constant(model, 3)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=value)

    return edit


HOSTILE: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "no graph": (lambda m: m.ClearField("graph"), "holds no graph"),
    "no operator set": (lambda m: m.ClearField("opset_import"), "is of operator set unknown"),
    "old operator set": (lambda m: setattr(m.opset_import[0], "version", 6), "older than 7"),
    "two inputs": (
        lambda m: m.graph.input.append(helper.make_tensor_value_info("b", 1, (1,))),
        "has 2 inputs and 1 outputs",
    ),
    "no output": (lambda m: m.graph.ClearField("output"), "has 1 inputs and 0 outputs"),
    "unknown output": (lambda m: setattr(m.graph.output[0], "name", "z"), "that no node writes"),
    "no shape": (
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
        "without a fixed shape",
    ),
    "open shape": (
        lambda m: m.graph.input[0].type.tensor_type.shape.dim[2].ClearField("dim_value"),
        "without a fixed shape",
    ),
    "batch": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 8),
        "has an input of 8 images",
    ),
    "huge input": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 1 << 50),
        "more than 67108864",
    ),
    "text input": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 8),
        "its input is of data type 8",
    ),
    "text constant": (lambda m: setattr(constant(m), "data_type", 8), "constant 'c0' is of data"),
    "short constant": (
        lambda m: setattr(constant(m, 3), "raw_data", b"1234"),
        "constant 'c3' is damaged",
    ),
    "huge constant": (
        lambda m: constant(m, 3).dims.append(1 << 40),
        "constant 'c3' is damaged",
    ),
    "negative constant": (lambda m: constant(m, 3).dims.append(-4), "constant 'c3' is damaged"),
    "constant twice": (
        lambda m: m.graph.initializer.append(constant(m)),
        "two constants of one name",
    ),
    "missing constant": (lambda m: m.graph.initializer.pop(0), "reads 'c0', which nothing before"),
    "sparse constant": (
        lambda m: m.graph.sparse_initializer.add(),
        "holds sparse constants",
    ),
    "cycle": (
        lambda m: m.graph.node[1].input.__setitem__(0, m.graph.output[0].name),
        "which nothing before it writes",
    ),
    "written twice": (
        lambda m: m.graph.node[2].output.__setitem__(0, m.graph.node[1].output[0]),
        "is written twice|which nothing before",
    ),
    "node without outputs": (
        lambda m: m.graph.node.append(helper.make_node("Add", [], [])),
        r"\(Add\) has no output",
    ),
    "no inputs": (lambda m: m.graph.node[3].ClearField("input"), "cannot import 1 node"),
    "data outside the folder": (external("../secret.bin"), "is not a file in the folder"),
    "data at a fixed place": (external("/etc/hostname"), "is not a file in the folder"),
    "data in a device": (external("link"), "is not a file in the folder"),
    "data in no file": (external("nothing.bin"), "is not a file in the folder"),
    "data in a folder": (external("."), "is not a file in the folder"),
    "data without a place": (external(""), "is not a file in the folder"),
    "data of strange size": (external("data.bin", length="-7"), "constant 'c3'"),
    "data beyond the end": (external("data.bin", offset="99999999"), "constant 'c3'"),
    "data of no number": (external("data.bin", offset="x"), "constant 'c3'"),
    "data too short": (external("data.bin", length="4"), "constant 'c3' is damaged"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused(tmp_path: Path, good: bytes, case: str) -> None:
    edit, message = HOSTILE[case]
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(10000))
    (folder / "data.bin").write_bytes(bytes(10000))
    (folder / "link").symlink_to(tmp_path / "secret.bin")
    path = folder / "a.onnx"
    path.write_bytes(edited(good, edit))
    with pytest.raises(ImportFailure, match=message) as caught:
        import_qonnx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_data_in_the_folder_are_read(tmp_path: Path, good: bytes) -> None:
    data = constant(onnx.load_model_from_string(good), 3).raw_data
    (tmp_path / "data.bin").write_bytes(b"head" + data)
    path = tmp_path / "a.onnx"
    path.write_bytes(edited(good, external("data.bin", offset="4", length=str(len(data)))))
    assert agrees(path)


def test_no_module_is_loaded_for_a_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hostile.py").write_text("raise SystemExit('code of the file runs')")
    monkeypatch.syspath_prepend(tmp_path)
    graph = OnnxBuilder((1, 6))
    x = graph.node("MatMul", graph.bipolar("image", domain="hostile"), graph.constant(np.eye(6)))
    with pytest.raises(ImportFailure, match="of domain 'hostile'"):
        import_qonnx(graph.save(tmp_path / "a.onnx", x))
    assert "hostile" not in sys.modules


def test_attributes_do_not_read_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.bin").write_bytes(bytes(100))
    value = numpy_helper.from_array(np.zeros(1, np.float32), "value")
    value.ClearField("raw_data")
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="data.bin")
    graph = OnnxBuilder((1, 6))
    weight = graph.constant(np.random.default_rng(0).choice([-1.0, 1.0], (6, 4)))
    x = graph.node("MatMul", graph.bipolar("image"), weight)
    fill = graph.node("ConstantOfShape", graph.constant([4], np.int64), value=value)
    (tmp_path / "folder").mkdir()
    path = graph.save(tmp_path / "folder" / "a.onnx", graph.node("Add", x, fill))
    with pytest.raises(ImportFailure, match="has an attribute value that is no plain value"):
        import_qonnx(path)


@pytest.mark.parametrize("data", [b"", b"\x00", b"ONNX", b"\xff" * 100, b"PK\x03\x04"])
def test_what_is_no_onnx_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(ImportFailure, match=r"a\.onnx: (is not an ONNX file|holds no graph)"):
        import_qonnx(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a.onnx"):
        with pytest.raises(ImportFailure, match="there is no such file"):
            import_qonnx(path)


@quick
@given(data=st.data())
def test_damaged_bytes_import_or_are_told(tmp_path: Path, good: bytes, data: st.DataObject) -> None:
    mutated = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.onnx").write_bytes(
        mutated[: data.draw(st.just(len(good)) | st.integers(0, len(good)))]
    )
    path = tmp_path / "a.onnx"
    read_or_told(lambda: import_qonnx(path), path)


OPERATORS = [
    "Add", "ArgMax", "BatchNormalization", "BipolarQuant", "Cast", "Concat", "ConstantOfShape",
    "Conv", "Div", "Dropout", "Flatten", "Gather", "Gemm", "Identity", "If", "Loop", "MatMul",
    "MaxPool", "Mul", "Pad", "Pow", "Quant", "Reshape", "Shape", "Sign", "Slice", "Squeeze",
    "Sub", "TopK", "Transpose", "Unsqueeze",
]  # fmt: skip
ATTRIBUTES = [
    "allowzero", "axes", "axis", "auto_pad", "dilations", "epsilon", "group", "k", "kernel_shape",
    "mode", "pads", "perm", "signed", "strides", "to", "transA", "transB", "value",
]  # fmt: skip
integers = st.integers(-3, 9) | st.sampled_from([1 << 31, 1 << 62, -(1 << 62)])


@settings(quick, max_examples=400)
@given(data=st.data())
def test_changed_graphs_import_or_are_told(
    tmp_path: Path, good: bytes, data: st.DataObject
) -> None:
    def change(model: onnx.ModelProto) -> None:
        nodes = model.graph.node
        names = ["", "image", *(t.name for t in model.graph.initializer)]
        names += [name for node in nodes for name in node.output]
        for _ in range(data.draw(st.integers(1, 2))):
            node = data.draw(st.sampled_from(list(nodes)))
            kind = data.draw(st.sampled_from(["operator", "input", "attribute", "constant"]))
            if kind == "operator":
                node.op_type = data.draw(st.sampled_from(OPERATORS))
                node.domain = data.draw(st.sampled_from(["", "onnx.brevitas"]))
            elif kind == "input":
                node.ClearField("input")
                node.input.extend(data.draw(st.lists(st.sampled_from(names), max_size=5)))
            elif kind == "attribute":
                value = data.draw(integers | st.lists(integers, min_size=1, max_size=8))
                name = data.draw(st.sampled_from(ATTRIBUTES))
                node.attribute.append(helper.make_attribute(name, value))
            else:
                tensor = data.draw(st.sampled_from(list(model.graph.initializer)))
                shape = data.draw(st.lists(st.integers(0, 4), max_size=4))
                values = np.full(
                    shape, data.draw(integers | st.sampled_from([0.5, np.nan, -np.inf]))
                )
                dtype = data.draw(st.sampled_from(["f4", "f8", "i8", "?"]))
                with np.errstate(all="ignore"):
                    array = values.astype(dtype)
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    (tmp_path / "a.onnx").write_bytes(edited(good, change))
    path = tmp_path / "a.onnx"
    read_or_told(lambda: import_qonnx(path), path)
