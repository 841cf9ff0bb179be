import sys
from pathlib import Path

import numpy as np
import pytest

from jaxnext.errors import UsageError
from jaxnext.inference.embedding_file import check_embedding_file, embedding_file

FIRST = np.array([[0.5, -1.0, 3.0], [0.1, 2.0, 1e-9]], np.float32)
SECOND = np.array([[7.0, 8.0, 9.0]], np.float32)


def write(path: Path) -> None:
    with embedding_file(path) as add:
        add(["a.jpg", "Größe/b.jpg"], FIRST)
        add(["c.jpg"], SECOND.astype(np.float64))
        assert not path.exists()


def test_npz(tmp_path: Path) -> None:
    write(tmp_path / "new" / "e.npz")
    with np.load(tmp_path / "new" / "e.npz", allow_pickle=False) as found:
        assert found["names"].tolist() == ["a.jpg", "Größe/b.jpg", "c.jpg"]
        assert found["embeddings"].dtype == np.float32
        np.testing.assert_array_equal(found["embeddings"], np.concatenate([FIRST, SECOND]))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["e.npz"]


def test_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write(tmp_path / "e.parquet")
    table = parquet.read_table(tmp_path / "e.parquet")
    assert str(table.schema.field("embedding").type).startswith("fixed_size_list<")
    assert table["name"].to_pylist() == ["a.jpg", "Größe/b.jpg", "c.jpg"]
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist()), np.concatenate([FIRST, SECOND]))


@pytest.mark.parametrize("name", ["e.npz", "e.parquet"])
def test_no_images(tmp_path: Path, name: str) -> None:
    if name == "e.parquet":
        pytest.importorskip("pyarrow")
    with embedding_file(tmp_path / name):
        pass
    assert (tmp_path / name).stat().st_size > 0


def test_a_block_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError), embedding_file(tmp_path / "e.npz") as add:
        add(1, SECOND)  # pyright: ignore[reportArgumentType]
    assert list(tmp_path.iterdir()) == []


def test_another_ending() -> None:
    check_embedding_file(Path("e.NPZ"))
    with pytest.raises(UsageError) as error:
        check_embedding_file(Path("e.csv"))
    assert str(error.value) == "--embeddings: expected a file that ends in .npz or .parquet, found e.csv"


def test_parquet_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    with pytest.raises(UsageError) as error:
        check_embedding_file(Path("e.parquet"))
    assert str(error.value).startswith(
        "--embeddings: expected the library pyarrow for .parquet, found that it is not installed; pip install "
        "'jaxnext[parquet]', or write .npz ("
    )
