"""PyTorch's two file formats: windows on storages, and what does not fit the file."""

import zipfile
import zlib

import numpy as np
import pytest
from torch_writer import Raw, Tensor, call, described, legacy_bytes, name, pickled, zip_bytes

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.torch_file import is_legacy, read_legacy, read_zip, tensor_array

ARRAYS = {"conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2), "count": np.array(7)}


def read(data: bytes) -> dict[str, np.ndarray]:
    value, storage_bytes, *_ = read_legacy(data) if is_legacy(data) else read_zip(data)
    assert isinstance(value, dict)
    return {key: tensor_array(tensor, storage_bytes, len(data)) for key, tensor in value.items()}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[key], array)


def refusal(data: bytes) -> str:
    with pytest.raises(JaxnextError) as caught:
        read(data)
    return str(caught.value)


def test_strides_offsets_and_shared_storages():
    tensors = {
        "transposed": Tensor("0", "float32", 6, (3, 2), (1, 3)),
        "row": Tensor("0", "float32", 6, (3,), (1,), offset=3),
        "scalar": Tensor("0", "float32", 6, (), (), offset=5),
        "every_other": Tensor("0", "float32", 6, (1, 2), (99, 2), offset=1, parameter=True),
        "repeated": Tensor("0", "float32", 6, (2, 2), (0, 1)),
        "empty": Tensor("0", "float32", 6, (0, 3), (3, 1)),
    }
    base = np.arange(6, dtype=np.float32)
    expected = {
        "transposed": base.reshape(2, 3).T,
        "row": base[3:],
        "scalar": np.float32(5).reshape(()),
        "every_other": np.array([[1, 3]], np.float32),
        "repeated": np.array([[0, 1], [0, 1]], np.float32),
        "empty": np.zeros((0, 3), np.float32),
    }
    assert_same(read(zip_bytes(tensors, {"0": base.tobytes()})), expected)
    assert_same(read(legacy_bytes(tensors, {"0": (6, base.tobytes())})), expected)


def test_legacy_storage_view():
    storage = Raw(
        b"(X\x07\0\0\0storage" + name("torch", "FloatStorage") + b"X\1\0\0\x000X\3\0\0\0cpuK\6X\1\0\0\0vK\2K\3\x87tQ"
    )
    hooks = Raw(name("collections", "OrderedDict") + b")R")
    tensor = call("torch._utils", "_rebuild_tensor_v2", storage, 1, (2,), (1,), False, hooks)
    base = np.arange(6, dtype=np.float32)
    found = read(legacy_bytes({"x": tensor}, {"0": (6, base.tobytes())}))
    assert_same(found, {"x": np.array([3, 4], np.float32)})
    tensor = call("torch._utils", "_rebuild_tensor_v2", storage, 2, (2,), (1,), False, hooks)
    assert "outside of its storage" in refusal(legacy_bytes({"x": tensor}, {"0": (6, base.tobytes())}))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (Tensor("0", "float32", 4, (5,), (1,)), "reach outside of its storage"),
        (Tensor("0", "float32", 4, (2,), (4,)), "reach outside of its storage"),
        (Tensor("0", "float32", 4, (1,), (1,), offset=4), "reach outside of its storage"),
        (Tensor("0", "float32", 4, (2**40,), (0,)), "larger than its file"),
        (Tensor("0", "float32", 4, (2**60, 2**60, 0), (1, 1, 1)), "larger than its file"),
        (Tensor("0", "float32", 4, (2,), (-1,), offset=1), "not a whole number from 0"),
        (Tensor("0", "float32", 4, (2**900,), (1,)), "not a whole number from 0"),
        (Tensor("0", "float32", 4, (1,) * 17, (1,) * 17), "at most 16 numbers"),
        (Tensor("0", "float32", 4, (2, 2), (1,)), "differ in length"),
        (Tensor("0", "float32", 2**50, (1,), (1,)), "another size than its tensors say"),
        (Tensor("../0", "float32", 4, (1,), (1,)), "storage '../0' is missing"),
    ],
)
def test_tensors_that_do_not_fit_their_storage(tensor, message):
    assert message in refusal(zip_bytes({"x": tensor}, {"0": bytes(16)}))
    legacy = refusal(legacy_bytes({"x": tensor}, {"0": (4, bytes(16))}))
    assert message in legacy or "size than its tensors say" in legacy or "does not fit its tensors" in legacy


def test_damaged_and_compressed_archives(tmp_path):
    data = zip_bytes(*[described(ARRAYS)[0], {k: raw for k, (_, raw) in described(ARRAYS)[1].items()}])
    weights = data.index(ARRAYS["conv1.weight"].tobytes())
    assert "the checksum differs" in refusal(data[:weights] + b"\xff" + data[weights + 1 :])
    assert "cut short or damaged" in refusal(data[:-30])
    for content in (bytes(10_000_000), bytes(100)):
        with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", pickled({"x": Tensor("0", "uint8", len(content), (1,), (1,))}))
            archive.writestr("archive/data/0", content)
        message = refusal((tmp_path / "bomb").read_bytes())
        assert "PyTorch stores them uncompressed" in message or "is compressed" in message
    assert "little-endian" in refusal(data.replace(b"little", b"bigger").replace(*_crcs()))


def _crcs() -> tuple[bytes, bytes]:
    return tuple(zlib.crc32(word).to_bytes(4, "little") for word in (b"little", b"bigger"))


def test_truncated_legacy_storage():
    data = legacy_bytes(*described(ARRAYS))
    assert "cut short" in refusal(data[:-1])
    assert_same(read(data + b"trailing bytes, as PyTorch allows them"), ARRAYS)


def test_arrays_are_views_that_cost_no_memory():
    base = np.zeros(1000, np.float32)
    tensors = {str(number): Tensor("0", "float32", 1000, (1000,), (1,)) for number in range(100)}
    found = read(zip_bytes(tensors, {"0": base.tobytes()}))
    assert all(np.shares_memory(array, found["0"]) for array in found.values())
    assert not found["0"].flags.writeable


def test_two_members_of_one_name_and_overlapping_members():
    data = zip_bytes({"x": Tensor("0", "uint8", 1, (1,), (1,))}, {"0": b"a", "1": b"b"})
    assert "two members have one name" in refusal(data.replace(b"data/1", b"data/0"))
    at = data.rindex(b"PK\x01\x02")
    large = data[: at + 24] + (2**20).to_bytes(4, "little") + data[at + 28 :]
    assert "larger than itself" in refusal(large)
