"""The safetensors format: its dtypes, and ways in which its header may not fit."""

import contextlib

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.safetensors_file import MAX_HEADER, is_safetensors, read_safetensors


def file_of(header: bytes, content: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + content


def refusal(data: bytes) -> str:
    with pytest.raises(JaxnextError) as caught:
        read_safetensors(data)
    return str(caught.value)


def test_what_the_safetensors_package_writes():
    arrays = {
        "a": np.ones((2, 1), np.float32),
        "b": np.array([True, False]),
        "c": np.zeros((0, 4), np.int64),
        "d": np.array(2.5, np.float16),
        "e": np.array([1, 65535], np.uint16),
    }
    data = save(arrays, {"format": "pt"})
    assert is_safetensors(data)
    found = read_safetensors(data)
    assert sorted(found) == list(arrays)
    for key, array in arrays.items():
        assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[key], array)


def test_bfloat16():
    header = b'{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    found = read_safetensors(file_of(header, b"\x80\x3f\x00\xc0"))["x"]
    assert found.dtype == ml_dtypes.bfloat16
    assert found.astype(np.float32).tolist() == [1.0, -2.0]


def test_a_header_longer_than_the_file_is_another_format():
    assert not is_safetensors((100).to_bytes(8, "little") + b"{}")
    assert not is_safetensors(b"")


@pytest.mark.parametrize(
    "header",
    [
        b'{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}',
        b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}',
        b'{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}',
        b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}',
        b'{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}',
        b'{"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"y":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}',
        b'{"x":' * 50_000,
        b'{"x":{"dtype":"U8","shape":[0,4611686018427387904,9],"data_offsets":[0,0]}}',
    ],
    ids=["short", "long", "shifted", "negative", "cut", "twice", "overlap", "nested", "too large"],
)
def test_malformed(header):
    message = refusal(file_of(header, bytes(8)))
    assert message.startswith("its safetensors header is malformed (")
    assert message.endswith(")")
    assert not message.endswith("')")


def test_dtype_that_is_not_read():
    header = b'{"x":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}'
    assert refusal(file_of(header, bytes(8))) == "its tensor 'x' has the dtype F8_E4M3, which is not read"


@pytest.mark.parametrize("shape", ["9223372036854775808,0", ",".join(["1"] * 65)])
def test_a_shape_that_numpy_does_not_have(shape):
    content = b"" if shape.endswith("0") else b"a"
    header = b'{"x":{"dtype":"U8","shape":[%s],"data_offsets":[0,%d]}}' % (shape.encode(), len(content))
    assert refusal(file_of(header, content)).startswith("its tensor 'x' cannot be read (")


def test_a_header_longer_than_any_models():
    assert (
        refusal(file_of(b"{" + b" " * MAX_HEADER + b"}", b""))
        == "its safetensors header is longer than 5,000,000 bytes"
    )
    assert read_safetensors(file_of(b"{" + b" " * (MAX_HEADER - 2) + b"}", b"")) == {}


@given(data=st.binary(max_size=60), header=st.binary(max_size=80))
@settings(deadline=None, max_examples=300)
def test_any_bytes_give_tensors_or_the_projects_error(data, header):
    with contextlib.suppress(JaxnextError):
        read_safetensors(file_of(b"{" + header, data))
