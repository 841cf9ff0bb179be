import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.safetensors_index import is_index, read_index

A, B = np.ones(2, np.float32), np.zeros(3, np.float32)


def index(**files: str) -> bytes:
    return json.dumps({"weight_map": files}).encode()


def test_tensors_of_several_files_in_the_order_of_the_index(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(save({"a": A}))
    (tmp_path / "2").write_bytes(save({"b": B}))
    data = index(b="2", a="1")
    assert is_index(data)
    found, size = read_index(data, tmp_path)
    assert list(found) == ["b", "a"]
    np.testing.assert_array_equal(found["a"], A)
    assert size == sum((tmp_path / name).stat().st_size for name in "12")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"weight_map": 3}', "it is no index of safetensors files"),
        (b'{"weight_map": {}}', "it is no index of safetensors files"),
        (b'{"weight_map": {"a": 1}}', "it is no index of safetensors files"),
        (b'{"weight_map": ', "it is no index of safetensors files"),
        (b'{"weight_map":' + b"[" * 100_000, "it is no index of safetensors files"),
        (index(a="../1"), "its index names '../1': expected files beside it"),
        (index(a="3"), "its index names '3', which is not beside it"),
        (index(a="\0"), "which is not beside it"),
        (index(a="text"), "its index names 'text': expected a .safetensors file"),
        (index(a="1", c="1"), "its index has the tensor 'c' in 1, found none"),
    ],
)
def test_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "1").write_bytes(save({"a": A}))
    (tmp_path / "text").write_text("text")
    with pytest.raises(JaxnextError) as caught:
        read_index(data, tmp_path)
    assert message in str(caught.value)


def test_no_index() -> None:
    assert not is_index(b"{}")
    assert not is_index(save({"weight_map": A}))
