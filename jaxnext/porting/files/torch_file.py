"""PyTorch's two file formats: the zip archive, and the legacy one from before PyTorch 1.6.

Both hold a pickle that describes the tensors, and the bytes of their storages. The arrays returned are read-only views
of the file's bytes, so a file costs its own size in memory whatever its pickle says.

Reference: ``torch/serialization.py`` (``_save``, ``_legacy_save``, ``_legacy_load``).
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

import ml_dtypes
import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import Storage, Tensor
from jaxnext.porting.files.pickle_reader import read_pickle
from jaxnext.porting.files.zip_directory import Member, read_directory, read_member

StorageBytes = Callable[[Storage], memoryview]
"""Gives a whole storage's bytes, without regard to ``Storage.view``."""


class Saved(NamedTuple):
    """What a file of ``torch.save`` holds."""

    value: object
    """the saved object as ``read_pickle`` gives it"""
    storage_bytes: StorageBytes
    size: int
    """bytes of the pickle that describes it"""
    unknown: tuple[str, ...]
    """names that it mentions and that nothing is made of"""


_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL: Final = 1001
OLD_PROTOCOLS: Final = b"L%dL\n." % _LEGACY_MAGIC
"""How the legacy format begins in pickle protocols 0 and 1, which write numbers as text."""
# Opcodes of the pickles around the object: facts of the machine, and the storages' keys, two or three for each.
_FACTS_OPCODES: Final = 1_000
_KEYS_OPCODES: Final = 200_000


DTYPES: Final = (
    *("float64", "float32", "float16", "bfloat16", "bool"),
    *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
)
"""The dtypes that are read; NumPy's names are PyTorch's."""


_QUANTISED: Final = {"qint8": "int8", "quint8": "uint8", "qint32": "int32"}
"""What the numbers of quantised storages are stored as."""


def numpy_dtype(name: str) -> np.dtype:
    """Return the NumPy dtype of a name such as ``float32`` or ``bfloat16``."""
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def read_zip(data: bytes, members: dict[str, Member] | None = None) -> Saved:
    """Read a zip file of ``torch.save``, or of ``torch.jit.save``.

    Args:
        data: the whole file.
        members: its directory, where it has been read.

    Raises:
        JaxnextError: the file is damaged, compressed, encrypted or not PyTorch's. The message does not name the file.
    """
    members = read_directory(data) if members is None else members
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise JaxnextError("it is a zip archive, but not PyTorch's: it has no data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    order = f"{root}byteorder"
    if order in members and bytes(read_member(data, members[order])) != b"little":
        raise JaxnextError("its numbers are not in little-endian byte order; save it on a little-endian machine")
    pickle = read_member(data, members[pickles[0]])
    if pickle[:1] not in (b"\x80", b""):
        old_protocol()
    found = read_pickle(pickle)
    checked: dict[str, memoryview] = {}

    def storage_bytes(storage: Storage) -> memoryview:
        if storage.key not in checked:
            name = f"{root}data/{storage.key}"
            if name not in members:
                raise JaxnextError(f"the storage {storage.key!a} is missing from it")
            checked[storage.key] = read_member(data, members[name])
        return checked[storage.key]

    return Saved(found.value, storage_bytes, len(pickle), found.unknown)


def no_storages(storage: Storage) -> memoryview:
    """Be the ``StorageBytes`` of a file whose tensors are arrays already."""
    raise JaxnextError(f"the storage {storage.key!a} is missing from it")


def old_protocol() -> NoReturn:
    """Raise the error for a file in pickle protocol 0 or 1."""
    raise JaxnextError(
        "its pickle does not begin as those of protocols 2 to 5 do, which are read; PyTorch writes protocol 2 "
        "unless it is told otherwise, so load the file with PyTorch and save it again without pickle_protocol"
    )


def is_legacy(data: bytes) -> bool:
    """Return whether ``data`` begins with the pickled magic number of the legacy format."""
    # PROTO and its number, from protocol 4 on FRAME and its length, then LONG1.
    start = 11 if data[2:3] == b"\x95" else 2
    magic = b"\x8a\x0a" + _LEGACY_MAGIC.to_bytes(10, "little") + b"."
    return data[:1] == b"\x80" and data[start : start + len(magic)] == magic


def read_legacy(data: bytes) -> Saved:
    """Read a file of ``torch.save`` from before PyTorch 1.6; arguments, result and errors as of ``read_zip``.

    The file is a row of pickles (magic number, protocol, facts of the machine, the object, the storages' keys), then
    for each key an 8-byte count of elements and the elements, little-endian.
    """
    view = memoryview(data)
    end = read_pickle(view, 0, _FACTS_OPCODES).end
    protocol, end, *_ = read_pickle(view, end, _FACTS_OPCODES)
    if protocol != _LEGACY_PROTOCOL:
        raise JaxnextError(f"its legacy format is not version {_LEGACY_PROTOCOL}")
    start = read_pickle(view, end, _FACTS_OPCODES).end
    value, end, storages, unknown = read_pickle(view, start)
    size = end - start
    keys, end, *_ = read_pickle(view, end, _KEYS_OPCODES)
    if type(keys) is not list or not all(type(key) is str and key in storages for key in keys):
        raise JaxnextError("its list of storages does not fit its tensors")
    found: dict[str, memoryview] = {}
    for key in keys:
        storage = storages[key]
        taken = storage.count * _itemsize(storage)
        content = view[end + 8 : end + 8 + taken]
        if len(content) != taken or int.from_bytes(view[end : end + 8], "little") != storage.count:
            raise JaxnextError(f"the storage {key!a} is cut short or of another size than its tensors say")
        found[key] = content
        end += 8 + taken

    def storage_bytes(storage: Storage) -> memoryview:
        if storage.key not in found:
            raise JaxnextError(f"the storage {storage.key!a} is missing from it")
        return found[storage.key]

    return Saved(value, storage_bytes, size, unknown)


def _itemsize(storage: Storage) -> int:
    return 1 if storage.dtype is None else numpy_dtype(_QUANTISED.get(storage.dtype, storage.dtype)).itemsize


def tensor_array(tensor: Tensor, storage_bytes: StorageBytes, limit: int) -> np.ndarray:
    """Return the tensor's values, as a read-only view of the file's bytes.

    Args:
        tensor: what the pickle says of it; everything is checked here.
        storage_bytes: as ``read_zip`` and ``read_legacy`` return it.
        limit: the most bytes that the tensor may take when written out (one that is expanded repeats its storage).

    Raises:
        JaxnextError: size, stride and offset do not fit the storage. The message names neither file nor tensor.
    """
    content, storage = storage_bytes(tensor.storage), tensor.storage
    if len(content) != storage.count * _itemsize(storage):
        raise JaxnextError(f"the storage {storage.key!a} is of another size than its tensors say")
    if storage.view is not None:
        first, count = (number * _itemsize(storage) for number in storage.view)
        if first + count > len(content):
            raise JaxnextError(f"a view of the storage {storage.key!a} reaches outside of it")
        content = content[first : first + count]
    dtype = numpy_dtype(tensor.dtype)
    empty = 0 in tensor.shape
    # NumPy refuses an empty array, too, when its other sizes multiply to more than an address can hold.
    if math.prod(size for size in tensor.shape if size) * dtype.itemsize > (2**62 if empty else limit):
        raise JaxnextError("it is larger than its file")
    if empty:
        return np.empty(tensor.shape, dtype)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if (last + 1) * dtype.itemsize > len(content):
        raise JaxnextError("its size, stride and offset reach outside of its storage")
    # The stride of a dimension of one is never used, and may be anything.
    pairs = zip(tensor.shape, tensor.strides, strict=True)
    strides = tuple(stride * dtype.itemsize if size > 1 else dtype.itemsize for size, stride in pairs)
    return np.ndarray(tensor.shape, dtype, buffer=content, offset=tensor.offset * dtype.itemsize, strides=strides)
