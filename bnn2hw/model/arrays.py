"""Reading ``.npz`` files that may be damaged or hostile.

A ``.npz`` file is a zip of ``.npy`` members. Nothing is unpickled, and every size is checked
before memory is taken: that of all members together against a limit, and the one that a header
claims against what the member really holds.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

__all__ = ["SIZE_LIMIT", "read_arrays"]

SIZE_LIMIT = 1 << 31
"""Greatest size of all arrays of a file together, in bytes."""

_HEADER_LIMIT = 1 << 12
_MEMBER_LIMIT = 1 << 14
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a ``.npz`` file by name: booleans, integers, floats and text.

    Arrays are in the byte order of the machine and in C order; floats may hold NaN.

    Raises
    ------
    ModelError
        If the file cannot be read, is not a zip of arrays, is damaged, holds Python objects
        or records, or is larger than :data:`SIZE_LIMIT` when unpacked.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise ModelError("there is no such file", file=path)
        if not path.is_file():
            raise ModelError("is not a file", file=path)
    except OSError as error:  # no permission on the way, or a name that is too long
        raise ModelError(f"cannot be read: {error.strerror}", file=path) from None
    with _told("cannot be read as .npz", path), zipfile.ZipFile(path) as archive:
        members = _members(archive, path)
        return {name: _read_member(archive, member, path) for name, member in members.items()}


@contextmanager
def _told(what: str, path: Path) -> Iterator[None]:
    # zipfile, zlib and numpy's header parser raise some ten types of exception on bytes that
    # are not what they should be; to the user they are all the same news.
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ModelError(
            f"{what}: {reason[:200]}",
            file=path,
            remedy="the file is damaged or not what its name says",
        ) from error


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > _MEMBER_LIMIT:
        raise ModelError(f"holds {len(infos)} members, more than {_MEMBER_LIMIT}", file=path)
    total = sum(info.file_size for info in infos)
    if total > SIZE_LIMIT:
        raise ModelError(
            f"unpacks to {total} bytes, more than the limit of {SIZE_LIMIT}",
            file=path,
            remedy="split it or store smaller data types",
        )
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name == info.filename:
            raise ModelError(f"member {name!r} is not an array (.npy)", file=path)
        if name in members:
            raise ModelError(f"array {name!r} is there twice", file=path)
        if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
            raise ModelError(
                f"array {name!r} is encrypted or compressed by an unknown method",
                file=path,
                remedy="write the file with numpy.savez or numpy.savez_compressed",
            )
        members[name] = info
    return members


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> NDArray[Any]:
    name = info.filename.removesuffix(".npy")
    with _told(f"array {name!r} cannot be read", path), archive.open(info) as stream:
        head = stream.read(_HEADER_LIMIT)
        shape, fortran, dtype, offset = _read_header(head)
        _check_dtype(dtype, name, path)
        _check_size(shape, dtype, info.file_size - offset, name, path)
        data = head[offset:] + stream.read()
        array = np.frombuffer(data, dtype, count=math.prod(shape))
        array = array.reshape(shape, order="F" if fortran else "C")
        array = np.array(array, dtype=dtype.newbyteorder("="), order="C")
        _check_values(array, name, path)
        return array


def _read_header(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    # The header is parsed from the bytes read so far: its length field cannot ask for more.
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the .npy format is not supported")
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers written by Python 2
        shape, fortran, dtype = readers[version](stream, max_header_size=_HEADER_LIMIT)
    return shape, fortran, dtype, stream.tell()


def _check_dtype(dtype: np.dtype[Any], name: str, path: Path) -> None:
    if dtype.hasobject:
        raise ModelError(
            f"array {name!r} holds Python objects, which are never unpickled",
            file=path,
            remedy="store plain integers",
        )
    if dtype.kind not in "biufU" or dtype.subdtype is not None:
        raise ModelError(
            f"array {name!r} has data type {dtype}, expected booleans, integers, floats or text",
            file=path,
        )


def _check_size(
    shape: tuple[int, ...], dtype: np.dtype[Any], there: int, name: str, path: Path
) -> None:
    if len(shape) > 32 or any(not 0 <= n <= 1 << 40 for n in shape):
        raise ModelError(f"array {name!r} has the impossible shape {str(shape)[:80]}", file=path)
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != there:
        raise ModelError(
            f"array {name!r} claims {claimed} bytes ({dtype} of shape {shape}) and holds {there}",
            file=path,
            remedy="the file is damaged",
        )


def _check_values(array: NDArray[Any], name: str, path: Path) -> None:
    # Bytes that numpy takes unseen, and that Python's str and bool cannot be.
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise ModelError(f"array {name!r} has booleans that are neither 0 nor 1", file=path)
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = np.frombuffer(array.tobytes(), np.uint32)
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise ModelError(f"array {name!r} has text that is not Unicode", file=path)
