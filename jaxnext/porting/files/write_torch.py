"""Writes state dicts in PyTorch's zip format, without PyTorch.

The archive holds ``data.pkl`` (the names, and for each tensor where its storage lies), the storages' bytes, the byte
order and the format's version; all of it uncompressed, and the storages aligned, so that PyTorch can map them into
memory. Equal tensors give equal bytes: nothing in the file says when or where it was written.

Reference: ``torch/serialization.py`` (``_save``) and ``caffe2/serialize/inline_container.cc`` (``getPadding``).
"""

import struct
import zipfile
from collections.abc import Mapping
from typing import IO, Final

import numpy as np

from jaxnext.porting.files.pickle_names import STORAGE_DTYPES

ALIGNMENT: Final = 64
"""Bytes; every member begins at a multiple of it, as PyTorch has it."""

_VERSION: Final = b"3\n"
_ROOT: Final = "archive"
_STORAGES: Final = {dtype: storage for storage, dtype in STORAGE_DTYPES.items()}
_PADDING: Final = b"FB"
# A local header's fixed part, and the head of the extra field that pads it.
_HEADER_SIZE: Final = 30
_PADDING_HEAD: Final = 4


def write_torch(file: IO[bytes], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a state dict as ``torch.save`` does.

    ``torch.load`` reads it, also with ``weights_only=True`` and with ``mmap=True``.

    Args:
        file: open for writing, seekable.
        tensors: arrays by name, of a dtype that PyTorch has: float64, 32 or 16, bfloat16, int64 to int8, uint8, bool.
            They are written in C order, each in a storage of its own; one at a time is held in memory a second time.

    Raises:
        ValueError: an array of another dtype.
        OSError: the file cannot be written.
    """
    for name, array in tensors.items():
        if array.dtype.name not in _STORAGES:
            raise ValueError(f"{name}: expected one of the dtypes {', '.join(_STORAGES)}, found {array.dtype}")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _write_member(archive, file.tell(), "data.pkl", _pickled(tensors))
        _write_member(archive, file.tell(), "byteorder", b"little")
        for number, array in enumerate(tensors.values()):
            little = array if array.dtype.kind == "V" else array.astype(array.dtype.newbyteorder("<"), copy=False)
            _write_member(archive, file.tell(), f"data/{number}", little.tobytes())
        _write_member(archive, file.tell(), "version", _VERSION)


def _write_member(archive: zipfile.ZipFile, position: int, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(f"{_ROOT}/{name}")  # its date is 1980-01-01
    info.file_size = len(content)
    # zipfile puts 20 bytes more into the header of a member of this size (``ZipFile._open_to_write``).
    wide = 20 if len(content) * 1.05 > zipfile.ZIP64_LIMIT else 0
    start = position + _HEADER_SIZE + len(info.filename) + wide + _PADDING_HEAD
    padding = -start % ALIGNMENT
    info.extra = _PADDING + struct.pack("<H", padding) + b"Z" * padding
    archive.writestr(info, content)


def _pickled(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return the pickle, protocol 2, of an ``OrderedDict`` of tensors."""
    items = b"".join(_text(name) + _tensor(str(number), array) for number, (name, array) in enumerate(tensors.items()))
    return b"\x80\x02" + _ORDERED_DICT + b"(" + items + b"u."


def _tensor(key: str, array: np.ndarray) -> bytes:
    # ``_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)``; a storage is an id.
    kind = _name("torch", _STORAGES[array.dtype.name])
    storage = b"(" + _text("storage") + kind + _text(key) + _text("cpu") + _whole(array.size) + b"tQ"
    strides = [int(np.prod(array.shape[axis + 1 :], dtype=np.int64)) for axis in range(array.ndim)]
    window = _whole(0) + _counts(array.shape) + _counts(strides)
    return _name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + window + b"\x89" + _ORDERED_DICT + b"tR"


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


_ORDERED_DICT: Final = _name("collections", "OrderedDict") + b")R"


def _text(text: str) -> bytes:
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def _whole(number: int) -> bytes:
    if number < 2**31:
        return b"J" + struct.pack("<i", number)
    return b"\x8a\x08" + struct.pack("<q", number)


def _counts(numbers: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(_whole(number) for number in numbers) + b"t"
