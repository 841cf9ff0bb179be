"""The safetensors format: a JSON header with dtype, shape and place of each tensor, then their bytes.

Read here rather than through the ``safetensors`` package so that its failures are the project's own, and so that
bfloat16 needs no framework. The arrays are read-only views of the file's bytes.

Reference: https://github.com/huggingface/safetensors, section "Format".
"""

import json
import math
from typing import Final

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.torch_file import numpy_dtype

_DTYPES: Final = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8"},
    **{"U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8"},
}
_MAX_HEADER: Final = 100_000_000
_MAX_DIMENSIONS: Final = 64


def is_safetensors(data: bytes) -> bool:
    """Whether ``data`` begins with a header length that lies within it and the brace of a JSON object."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8


def read_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """Reads every tensor of a file.

    Args:
        data: the whole file.

    Raises:
        JaxnextError: the header is malformed or does not fit the bytes after it. The message does not name the file.
    """
    size = int.from_bytes(data[:8], "little")
    if size > _MAX_HEADER:
        raise JaxnextError(f"its safetensors header is larger than {_MAX_HEADER:,} bytes")
    try:
        header = json.loads(data[8 : 8 + size].decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise JaxnextError(f"its safetensors header is not JSON ({ascii(str(error))[:200]})") from None
    if type(header) is not dict:
        raise JaxnextError("its safetensors header is not a JSON object")
    header.pop("__metadata__", None)
    content = memoryview(data)[8 + size :]
    arrays, places = {}, []
    for name, entry in header.items():
        dtype, shape, begin, end = _entry(name, entry)
        if not 0 <= begin <= end <= len(content) or end - begin != math.prod(shape) * dtype.itemsize:
            raise JaxnextError(f"the place of its tensor {name!a} does not fit its shape or the file")
        places.append((begin, end))
        arrays[name] = _view(content[begin:end], dtype, shape)
    expected = 0
    for begin, end in sorted(places):
        if begin != expected:
            raise JaxnextError("its tensors overlap or leave gaps")
        expected = end
    if expected != len(content):
        raise JaxnextError("bytes follow its last tensor")
    return arrays


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def _entry(name: str, entry: object) -> tuple[np.dtype, tuple[int, ...], int, int]:
    if type(entry) is dict:
        dtype, shape, place = entry.get("dtype"), _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
        if type(dtype) is str and shape is not None and place is not None and len(place) == 2:
            if dtype not in _DTYPES:
                raise JaxnextError(f"its tensor {name!a} has the dtype {dtype[:20]!a}, which is not read")
            return numpy_dtype(_DTYPES[dtype]), shape, place[0], place[1]
    raise JaxnextError(f"the header's entry of its tensor {name!a} is malformed")


def _counts(value: object) -> tuple[int, ...] | None:
    if type(value) is not list or len(value) > _MAX_DIMENSIONS:
        return None
    return tuple(value) if all(type(item) is int and 0 <= item < 2**62 for item in value) else None


def _view(content: memoryview, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        if math.prod(size for size in shape if size) * dtype.itemsize > 2**62:
            raise JaxnextError("the shape of an empty tensor is too large")
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, buffer=content)
