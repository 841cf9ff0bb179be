"""Weights in the archives of ``torch.export.save`` (``.pt2``).

Until PyTorch 2.8 an archive held a whole file of ``torch.save``; since then it has a member for each tensor and JSON
that describes them.

Reference: ``torch/export/pt2_archive/_package.py``, ``torch/export/pt2_archive/constants.py``.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import Storage, Tensor, Unread, checked_count
from jaxnext.porting.files.torch_file import Saved, read_zip
from jaxnext.porting.files.zip_directory import Member, read_member

_STATE_DICT: Final = "serialized_state_dict.pt"
_CONFIG: Final = "data/weights/model_weights_config.json"
_MAX_CONFIG: Final = 5_000_000
"""Bytes; longer JSON is refused."""

# The numbers of torch/_export/serde/schema.py (ScalarType).
_SCALARS: Final = {
    **{1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"},
    **{12: "bool", 13: "bfloat16", 28: "uint16"},
}


def is_exported(members: Mapping[str, Member]) -> bool:
    """Return whether an archive is one of ``torch.export.save``."""
    return _member(members, _STATE_DICT) is not None or _member(members, _CONFIG) is not None


def read_exported(data: bytes, members: Mapping[str, Member]) -> Saved:
    """Read the weights of an exported program, by their names; arguments and errors as of ``read_zip``."""
    whole = _member(members, _STATE_DICT)
    if whole is not None:
        return read_zip(bytes(read_member(data, members[whole])))
    name = _member(members, _CONFIG)
    assert name is not None
    folder = name.removesuffix("model_weights_config.json")
    text = bytes(read_member(data, members[name]))
    try:
        config = json.loads(text)["config"] if len(text) <= _MAX_CONFIG else None
        sizes = {name.removeprefix(folder): member.size for name, member in members.items()}
        tensors = {key: _tensor(entry, sizes) for key, entry in config.items()} if isinstance(config, dict) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        tensors = None
    if tensors is None:
        raise JaxnextError("its model_weights_config.json is damaged or not PyTorch's")

    def storage_bytes(storage: Storage) -> memoryview:
        member = members.get(f"{folder}{storage.key}")
        if member is None:
            raise JaxnextError(f"the storage {storage.key!a} is missing from it")
        return read_member(data, member)

    return Saved(tensors, storage_bytes, len(text), ())


def _member(members: Mapping[str, Member], name: str) -> str | None:
    """Return the full name of a member, which may lie in a folder of the archive's name."""
    return next((each for each in members if each == name or each.partition("/")[2] == name), None)


def _tensor(entry: dict[str, Any], sizes: Mapping[str, int]) -> Tensor | Unread:
    """Return the tensor that an entry describes; ``sizes`` are those of the members, in bytes."""
    meta = entry["tensor_meta"]
    if entry.get("use_pickle"):
        return Unread("a pickle of its own (use_pickle)")
    if meta["dtype"] not in _SCALARS:
        return Unread(f"the dtype {meta['dtype']!a}")
    dtype = _SCALARS[meta["dtype"]]
    shape, strides = (tuple(_count(size) for size in meta[key]) for key in ("sizes", "strides"))
    offset = _count(meta["storage_offset"])
    if len(shape) != len(strides) or len(shape) > 16 or type(entry["path_name"]) is not str:
        raise ValueError
    storage = Storage(entry["path_name"], None, sizes.get(entry["path_name"], 0), None)
    return Tensor(storage, dtype, offset, shape, strides)


def _count(value: Any) -> int:
    return checked_count(value["as_int"] if isinstance(value, dict) else value, "a size in its JSON")
