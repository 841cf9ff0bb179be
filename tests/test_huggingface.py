import io
import os
import pickle
import sys
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
from PIL import Image

from jaxnext.data.sources.huggingface import Source
from jaxnext.data.splits import OpenContext
from jaxnext.errors import JaxnextError, UsageError


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (2, 2), level).save(file, "PNG")
    return file.getvalue()


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"expected the library datasets, found that it is not installed; pip install"):
        Source().open(OpenContext(str(tmp_path)))


@pytest.mark.parametrize(("name", "path", "found"), [(None, None, "neither"), ("a", "b", "both")])
def test_one_data_set_is_named(name: str | None, path: str | None, found: str) -> None:
    with pytest.raises(UsageError, match=f"a name on the Hub, found {found}$"):
        Source(name=name).open(OpenContext(path))


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("datasets")


def data_set(library: Any, levels: list[int], labels: list[Any], kind: Any) -> Any:
    features = library.Features({"picture": library.Image(), "label": kind})
    rows = {"picture": [{"bytes": png(level), "path": None} for level in levels], "label": labels}
    return library.Dataset.from_dict(rows, features=features)


def test_a_saved_data_set(library: Any, tmp_path: Path) -> None:
    kind = library.ClassLabel(names=["dog", "cat"])
    splits = library.DatasetDict(
        {"train": data_set(library, [1, 2, 3], [1, 0, 1], kind), "dev": data_set(library, [4], [0], kind)}
    )
    splits.save_to_disk(str(tmp_path / "saved"))
    found = Source().open(OpenContext(str(tmp_path / "saved")))
    assert found.classes == ("dog", "cat")
    assert found.train.labels.tolist() == [1, 0, 1]
    assert found.validation.labels.tolist() == [0]
    copy = pickle.loads(pickle.dumps(found.train))
    assert [copy.read(i) for i in (2, 0)] == [png(3), png(1)]
    assert copy.names == ("train:0", "train:1", "train:2")
    assert copy.location(1) == f"{tmp_path}/saved train[1]"
    assert found.train.stamp(0) == copy.stamp(0) != copy.stamp(1)


def test_the_file_system_is_asked_once_for_the_stamps_of_all_images(
    library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_set(library, list(range(10)), ["a", "b"] * 5, library.Value("string")).save_to_disk(str(tmp_path / "saved"))
    train = Source().open(OpenContext(str(tmp_path / "saved"))).train
    asked = create_autospec(os.stat, side_effect=os.stat)
    monkeypatch.setattr("jaxnext.data.sources.huggingface.os.stat", asked)
    first = [train.stamp(i) for i in range(len(train))]
    assert (len(set(first)), asked.call_count) == (8, 1)
    file = next((tmp_path / "saved").glob("*.arrow"))
    os.utime(file, ns=(1, 1))
    assert not set(first) & {Source().open(OpenContext(str(tmp_path / "saved"))).train.stamp(0)}


def test_parquet_files_with_labels_of_text(library: Any, tmp_path: Path) -> None:
    kind = library.Value("string")
    (tmp_path / "data").mkdir()
    data_set(library, list(range(10)), ["01", "nan"] * 5, kind).to_parquet(str(tmp_path / "data" / "train-0.parquet"))
    found = Source().open(OpenContext(str(tmp_path / "data")))
    assert found.classes == ("01", "nan")
    assert np.bincount(found.train.labels).tolist() == [4, 4]
    numbers = [int(name.partition(":")[2]) for name in found.train.names]
    assert [found.train.read(i) for i in range(8)] == [png(i) for i in numbers]
    for options, said in (
        ({"train_split": "tr"}, "data.source.train_split: expected one of the splits train, found 'tr'"),
        ({"image_column": "label"}, "found label and the columns picture \\(Image\\), label \\(Value\\)"),
        ({"label_column": "x"}, r"data\.source\.label_column: expected a column with labels of"),
    ):
        with pytest.raises(UsageError, match=said):
            Source(**options).open(OpenContext(str(tmp_path / "data")))


def test_labels_that_are_no_names(library: Any, tmp_path: Path) -> None:
    data_set(library, [1, 2], [0.5, 1.5], library.Value("float32")).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(JaxnextError, match=r"expected texts or whole numbers in the column label, found 0\.5"):
        Source().open(OpenContext(str(tmp_path / "saved")))
    with pytest.raises(JaxnextError, match="nowhere: no such folder; give that of Parquet or Arrow files"):
        Source().open(OpenContext(str(tmp_path / "nowhere")))
