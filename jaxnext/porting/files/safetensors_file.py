"""The safetensors format, through the ``safetensors`` package, which checks sizes and places before it reads.

Its NumPy interface knows no bfloat16, so that the raw bytes are taken from it and given their dtype here.
"""

from typing import Final

import numpy as np
import safetensors

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import MAX_NAME, name_too_long
from jaxnext.porting.files.torch_file import numpy_dtype

_DTYPES: Final = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8"},
    **{"U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8"},
}
MAX_HEADER: Final = 5_000_000
"""Bytes; a file with a longer header is refused. A tensor takes about a hundred of them."""


def is_safetensors(data: bytes) -> bool:
    """Return whether ``data`` begins with a header length that lies within it and the brace of a JSON object."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8


def is_cut_safetensors(data: bytes) -> bool:
    """Return whether ``data`` begins as ``is_safetensors`` has it, with a header that it does not hold whole."""
    return data[8:10] == b'{"' and len(data) - 8 < int.from_bytes(data[:8], "little") <= MAX_HEADER


def read_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """Read every tensor of a file.

    Args:
        data: the whole file.

    Raises:
        JaxnextError: the header is malformed or does not fit the bytes after it. The message does not name the file.
    """
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise JaxnextError(f"its safetensors header is longer than {MAX_HEADER:,} bytes")
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise JaxnextError(f"its safetensors header is malformed ({ascii(str(error))[1:-1][:200]})") from None
    arrays: dict[str, np.ndarray] = {}
    for name, entry in entries:
        if len(name) > MAX_NAME:
            name_too_long(name)
        if entry["dtype"] not in _DTYPES:
            raise JaxnextError(f"its tensor {name!a} has the dtype {entry['dtype']}, which is not read")
        dtype = numpy_dtype(_DTYPES[entry["dtype"]])
        try:
            arrays[name] = np.frombuffer(bytes(entry["data"]), dtype).reshape(entry["shape"])
        except ValueError as error:  # more dimensions, or an empty array of larger sizes, than NumPy has
            raise JaxnextError(f"its tensor {name!a} cannot be read ({error})") from None
    return arrays
