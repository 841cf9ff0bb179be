"""Archives of ``torch.export.save``; ``test_ways_of_saving.py`` has PyTorch's own."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from torch_writer import described, zip_bytes

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.exported_program import is_exported, read_exported
from jaxnext.porting.files.pickle_names import Tensor, Unread
from jaxnext.porting.files.torch_file import tensor_array
from jaxnext.porting.files.zip_directory import read_directory

VALUES = np.arange(6, dtype=np.float32)


def entry(**changes: Any) -> dict[str, Any]:
    meta = {"dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 2}], "strides": [{"as_int": 1}, {"as_int": 2}]}
    meta |= {"storage_offset": {"as_int": 1}}
    own = {key: changes.pop(key) for key in list(changes) if key in meta}
    return {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": meta | own, **changes}


def archive(config: Any, root: str = "net/") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(f"{root}data/weights/weight_0", VALUES.tobytes())
        text = config if isinstance(config, str) else json.dumps({"config": config})
        file.writestr(f"{root}data/weights/model_weights_config.json", text)
    return buffer.getvalue()


def read(data: bytes) -> dict[str, Any]:
    members = read_directory(data)
    assert is_exported(members)
    value, storage_bytes, *_ = read_exported(data, members)
    assert isinstance(value, dict)
    arrays = {}
    for name, tensor in value.items():
        arrays[name] = tensor_array(tensor, storage_bytes, len(data)) if isinstance(tensor, Tensor) else tensor
    return arrays


@pytest.mark.parametrize("root", ["net/", ""])
def test_a_member_for_each_tensor(root: str) -> None:
    found = read(archive({"conv.weight": entry()}, root))
    np.testing.assert_array_equal(found["conv.weight"], [[1, 3], [2, 4]])


def test_what_is_not_read() -> None:
    found = read(archive({"a": entry(use_pickle=True), "b": entry(dtype=10)}))
    assert found == {"a": Unread("a pickle of its own (use_pickle)"), "b": Unread("the dtype 10")}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "its model_weights_config.json is damaged"),
        ("[" * 100_000, "its model_weights_config.json is damaged"),
        ({"a": 3}, "its model_weights_config.json is damaged"),
        ({"a": entry(strides=[])}, "its model_weights_config.json is damaged"),
        ({"a": entry(storage_offset={"as_int": -1})}, "a size in its JSON is not a whole number"),
        ({"a": entry(storage_offset={"as_int": 9})}, "reach outside of its storage"),
        ({"a": entry(path_name="weight_1")}, "the storage 'weight_1' is missing from it"),
    ],
)
def test_damaged(config: Any, message: str) -> None:
    with pytest.raises(JaxnextError, match=message):
        read(archive(config))


def test_a_whole_file_of_torch_save_in_it() -> None:
    tensors, storages = described({"x": VALUES})
    inner = zip_bytes(tensors, {key: content for key, (_, content) in storages.items()})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("serialized_state_dict.pt", inner)
    np.testing.assert_array_equal(read(buffer.getvalue())["x"], VALUES)
