"""PyTorch's zip format as written here: read by the project's own reader, and by PyTorch where it is installed."""

import io
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from jaxnext.porting.files.state_dict import load_state_dict
from jaxnext.porting.files.write_torch import write_torch

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [np.dtype(d) for d in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?")] + [BFLOAT16]


def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    found = {str(dtype): np.round(random.normal(0, 3, (2, 3))).astype(dtype) for dtype in DTYPES}
    return found | {
        "transposed": random.normal(size=(3, 4, 5)).transpose(2, 0, 1),
        "slice": np.arange(20, dtype=np.float32).reshape(4, 5)[1:, ::2],
        "big endian": np.arange(3, dtype=">f4"),
        "scalar": np.array(7, np.int64),
        "empty": np.zeros((0, 3), np.float32),
        "größe.weight": np.float32([[1]]),
    }


def written(tensors: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    write_torch(buffer, tensors)
    return buffer.getvalue()


def test_the_projects_reader_gives_the_same(tmp_path) -> None:
    (tmp_path / "x.pth").write_bytes(written(arrays()))
    found = load_state_dict(tmp_path / "x.pth")
    assert list(found) == list(arrays())
    for name, array in arrays().items():
        assert (found[name].dtype, found[name].shape) == (array.dtype.newbyteorder("="), array.shape)
        np.testing.assert_array_equal(found[name], array)


def test_members_are_those_of_torch_save_uncompressed_and_aligned() -> None:
    data = written({"a": np.zeros(3, np.float32), "b": np.ones((), np.int64), "c": np.ones(1000)})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        infos = archive.infolist()
        assert [info.filename.removeprefix("archive/") for info in infos] == [
            *("data.pkl", "byteorder", "data/0", "data/1", "data/2", "version"),
        ]
        assert archive.read("archive/version") == b"3\n"
        assert archive.read("archive/byteorder") == b"little"
        assert archive.read("archive/data/0") == bytes(12)
    for info in infos:
        assert info.compress_type == zipfile.ZIP_STORED
        name, extra = struct.unpack_from("<26xHH", data, info.header_offset)
        assert (info.header_offset + 30 + name + extra) % 64 == 0


def test_equal_tensors_give_equal_bytes() -> None:
    assert written(arrays()) == written(arrays())


@pytest.mark.parametrize("dtype", ["uint16", "S3", "U3"])
def test_a_dtype_that_is_not_written(dtype: str) -> None:
    with pytest.raises(ValueError, match=r"fc\.bias: expected one of the dtypes float64, .*, found "):
        written({"conv1.weight": np.zeros(1, np.float32), "fc.bias": np.zeros(2, dtype)})


@pytest.mark.parametrize("mmap", [True, False])
def test_torch_loads_it(tmp_path, mmap: bool) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "x.pth").write_bytes(written(arrays()))
    found = torch.load(tmp_path / "x.pth", weights_only=True, mmap=mmap)
    assert type(found).__name__ == "OrderedDict"
    assert list(found) == list(arrays())
    for name, array in arrays().items():
        tensor = found[name]
        assert str(tensor.dtype).removeprefix("torch.") == array.dtype.name
        assert tuple(tensor.shape) == array.shape
        assert tensor.is_contiguous()
        assert not tensor.requires_grad
        values = tensor.float().numpy() if array.dtype == BFLOAT16 else tensor.numpy()
        np.testing.assert_array_equal(values, array.astype(values.dtype))
