"""Writes PyTorch's file formats by hand, for tests that must not need PyTorch."""

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

STORAGE_TYPES = {
    **{"float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage"},
    **{"int64": "LongStorage", "int32": "IntStorage", "int16": "ShortStorage", "int8": "CharStorage"},
    **{"uint8": "ByteStorage", "bool": "BoolStorage"},
}


class Raw(NamedTuple):
    """Opcodes that push one object, written as they are."""

    code: bytes


class Tensor(NamedTuple):
    """A tensor as the pickle describes it; ``dtype`` names its storage's type."""

    key: str
    dtype: str
    count: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    parameter: bool = False
    view: tuple[str, int, int] | None = None
    """Of the legacy format: a key, offset and count of a part of the storage."""


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(module: str, attribute: str, *args: object, legacy: bool = False) -> Raw:
    return Raw(name(module, attribute) + _code(tuple(args), legacy) + b"R")


def module(
    kind: str, parameters: Mapping[str, object], modules: Mapping[str, object] | None = None, legacy: bool = False
) -> Raw:
    """A whole module of the class ``kind``, as ``torch.save(model)`` writes it; each buffer is among the parameters."""
    parts = {"training": False, "_parameters": dict(parameters), "_buffers": {}, "_modules": dict(modules or {})}
    items = b"".join(_code(key, legacy) + _code(item, legacy) for key, item in parts.items())
    package, _, attribute = kind.rpartition(".")
    return Raw(name(package, attribute) + b")\x81}(" + items + b"ub")


def pickled(value: object, legacy: bool = False) -> bytes:
    """Pickle of plain containers, numbers, text, ``Raw`` and ``Tensor``; legacy storages carry a view field."""
    return b"\x80\x02" + _code(value, legacy) + b"."


def _code(value: object, legacy: bool) -> bytes:
    match value:
        case Raw():
            return value.code
        case Tensor():
            return _tensor_code(value, legacy)
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(raw)]) + raw
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(_code(item, legacy) for item in value) + b"t"
        case list():
            return b"](" + b"".join(_code(item, legacy) for item in value) + b"e"
        case dict():
            items = b"".join(_code(key, legacy) + _code(item, legacy) for key, item in value.items())
            return name("collections", "OrderedDict") + b")R(" + items + b"u"
    raise TypeError(type(value))


def _tensor_code(tensor: Tensor, legacy: bool) -> bytes:
    kind = Raw(name("torch", STORAGE_TYPES[tensor.dtype]))
    storage = ("storage", kind, tensor.key, "cpu", tensor.count, *((tensor.view,) if legacy else ()))
    hooks = Raw(name("collections", "OrderedDict") + b")R")
    args = (Raw(_code(storage, legacy) + b"Q"), tensor.offset, tensor.shape, tensor.strides, False, hooks)
    rebuilt = call("torch._utils", "_rebuild_tensor_v2", *args, legacy=legacy)
    if tensor.parameter:
        return call("torch._utils", "_rebuild_parameter", rebuilt, True, hooks, legacy=legacy).code
    return rebuilt.code


def zip_bytes(value: object, storages: Mapping[str, bytes], root: str = "archive") -> bytes:
    """A file as ``torch.save`` writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{root}/data.pkl", pickled(value))
        archive.writestr(f"{root}/byteorder", "little")
        for key, content in storages.items():
            archive.writestr(f"{root}/data/{key}", content)
        archive.writestr(f"{root}/version", "3\n")
    return buffer.getvalue()


def legacy_bytes(value: object, storages: Mapping[str, tuple[int, bytes]]) -> bytes:
    """A file as ``torch.save`` wrote it before PyTorch 1.6; storages are ``(count, bytes)``."""
    facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickled(0x1950A86A20F9469CFC6C), pickled(1001), pickled(facts), pickled(value, legacy=True)]
    parts += [pickled(list(storages))]
    parts += [struct.pack("<q", count) + content for count, content in storages.values()]
    return b"".join(parts)


def described(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Tensor], dict[str, tuple[int, bytes]]]:
    """Tensors for arrays, each on its own storage, and the storages."""
    tensors, storages = {}, {}
    for number, (key, array) in enumerate(arrays.items()):
        array = np.asarray(array)
        strides = tuple(int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim))
        tensors[key] = Tensor(str(number), array.dtype.name, array.size, array.shape, strides)
        storages[str(number)] = (array.size, array.tobytes())
    return tensors, storages


def save_zip(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Writes a bare state dict in the zip format."""
    tensors, storages = described(arrays)
    path.write_bytes(zip_bytes(tensors, {key: content for key, (_, content) in storages.items()}))
    return path


def save_legacy(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Writes a bare state dict in the legacy format."""
    path.write_bytes(legacy_bytes(*described(arrays)))
    return path
