"""The reader of .npz files: good arrays come back, everything else is a ModelError."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bnn2hw.errors import ModelError
from bnn2hw.model import arrays as reader
from bnn2hw.model.arrays import read_arrays
from tests.helpers import read_or_told


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def npy(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def header(text: str, data: bytes = b"") -> bytes:
    """Return a .npy member of version 1.0 with any header text."""
    line = text.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + data


dtypes = st.sampled_from(["?", "u1", "<i4", ">i4", ">u2", "<i8", "<f4", ">f8", "<U3", ">U2"])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(data=st.data(), method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
def test_arrays_come_back(tmp_path_factory: Any, data: st.DataObject, method: int) -> None:
    shape = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    dtype = data.draw(dtypes)
    letters = st.characters(codec="utf-8", exclude_characters="\0")  # numpy drops a last NUL
    elements = st.text(letters, max_size=int(dtype[-1])) if "U" in dtype else None
    array = data.draw(hnp.arrays(dtype, shape, elements=elements))
    if data.draw(st.booleans()):
        array = np.asfortranarray(array)
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    write_zip(path, {"a.npy": npy(array)}, method)
    (got,) = read_arrays(path).values()
    assert got.dtype == array.dtype.newbyteorder("=")
    assert got.dtype.isnative
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, array)


def test_numpy_files_are_read(tmp_path: Path) -> None:
    arrays = {"weights": np.arange(6).reshape(2, 3), "classes": np.array(["a", "bc"])}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    got = read_arrays(str(tmp_path / "a.npz"))
    assert list(got) == ["weights", "classes"]
    assert all(np.array_equal(got[name], arrays[name]) for name in arrays)


def test_a_header_of_version_2_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", {"a.npy": npy(np.arange(3), version=(2, 0))})
    assert read_arrays(path)["a"].tolist() == [0, 1, 2]


TEN_GIGABYTES = "{'descr': '<i8', 'fortran_order': False, 'shape': (1250000000,), }"

HOSTILE = {
    "10 GB header": (header(TEN_GIGABYTES, b"12345678"), "claims 10000000000 bytes"),
    "header longer than the file": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "cannot be read"),
    "header too long": (header(" " * 20000 + TEN_GIGABYTES), "cannot be read"),
    "header is code": (header("__import__('os').getcwd()"), "cannot be read"),
    "header is nested": (header("(" * 3000), "cannot be read"),
    "no header": (b"", "cannot be read"),
    "other magic": (b"PK\x03\x04" + bytes(100), "cannot be read"),
    "version 3": (b"\x93NUMPY\x03\x00\x10\x00\x00\x00", "version \\(3, 0\\)"),
    "version 9": (b"\x93NUMPY\x09\x00\x10\x00\x00\x00", "version \\(9, 0\\)"),
    "objects": (npy(np.array([{"a": 1}], object), allow_pickle=True), "never unpickled"),
    "records": (npy(np.zeros(2, [("a", "i4"), ("b", "f4")])), "data type"),
    "objects in records": (
        npy(np.zeros(2, [("a", object)]), allow_pickle=True),
        "never unpickled",
    ),
    "complex": (npy(np.zeros(2, complex)), "data type complex128"),
    "dates": (npy(np.zeros(2, "M8[s]")), "data type"),
    "too few bytes": (npy(np.arange(9))[:-1], "claims 72 bytes"),
    "too many bytes": (npy(np.arange(9)) + b"x", "claims 72 bytes"),
    "negative shape": (
        header("{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }", bytes(8)),
        "impossible shape",
    ),
    "overflowing shape": (
        header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': (0, {1 << 70}), }}"),
        "impossible shape",
    ),
    "too many dimensions": (
        header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {(1,) * 65}, }}", b"1"),
        "impossible shape",
    ),
    "zero and huge": (
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, "
               "1000000000000, 0), }"),
        "cannot be read",
    ),
    "bad booleans": (
        header("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", b"\x01\x02"),
        "neither 0 nor 1",
    ),
    "bad text": (
        header("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", b"\xff" * 4),
        "not Unicode",
    ),
    "half a character": (
        header("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", b"\x00\xd8\x00\x00"),
        "not Unicode",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_member_is_refused(tmp_path: Path, case: str) -> None:
    data, message = HOSTILE[case]
    path = write_zip(tmp_path / "a.npz", {"good.npy": npy(np.arange(3)), "bad.npy": data})
    with pytest.raises(ModelError, match=message) as caught:
        read_arrays(path)
    assert "'bad'" in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_memory_is_taken_only_for_what_is_there(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", {"bad.npy": header(TEN_GIGABYTES, b"12345678")})
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="claims"):
            read_arrays(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 22


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = npy(np.zeros(1 << 20, np.uint8))
    path = write_zip(
        tmp_path / "a.npz", {f"a{i}.npy": zeros for i in range(4)}, zipfile.ZIP_DEFLATED
    )
    assert path.stat().st_size < 1 << 14
    assert len(read_arrays(path)) == 4
    monkeypatch.setattr(reader, "SIZE_LIMIT", 1 << 22)
    with pytest.raises(ModelError, match=r"unpacks to \d+ bytes, more than the limit of 4194304"):
        read_arrays(path)


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", {"a.npy": npy(np.zeros(999))}, zipfile.ZIP_DEFLATED)
    size = struct.pack("<I", len(npy(np.zeros(999))))
    data = path.read_bytes()
    assert data.count(size) == 2  # in the local header and in the directory
    path.write_bytes(data.replace(size, struct.pack("<I", 200)))
    with pytest.raises(ModelError, match=r"\.npz.*array 'a'"):
        read_arrays(path)


def test_duplicate_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", npy(np.arange(3)))
            archive.writestr("a.npy", npy(np.arange(4)))
    with pytest.raises(ModelError, match="array 'a' is there twice"):
        read_arrays(path)


def test_other_members_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", {"setup.py": b"raise SystemExit"})
    with pytest.raises(ModelError, match=r"'setup\.py' is not an array"):
        read_arrays(path)


def test_other_compression_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", {"a.npy": npy(np.arange(3))}, zipfile.ZIP_LZMA)
    with pytest.raises(ModelError, match="unknown method"):
        read_arrays(path)


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all", npy(np.arange(3))])
def test_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ModelError, match=r"a\.npz: cannot be read as \.npz"):
        read_arrays(tmp_path / "a.npz")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(ModelError, match="is not a file"):
        read_arrays(tmp_path)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_bytes_are_told(tmp_path_factory: Any, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    write_zip(path, {"a.npy": npy(np.arange(9)), "b.npy": npy(np.array(["x", "yz"]))}, method)
    good = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(good[: data.draw(st.integers(0, len(good)) | st.just(len(good)))])
    got = read_or_told(lambda: read_arrays(path), path)
    assert got is None or all(array.dtype.kind in "iU" for array in got.values())
