import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from etils.epath import backend
from fake_bucket import upload
from tfds_sets import two_shards, write_set

from jaxnext.data.tfds_builder import open_folder, open_name
from jaxnext.errors import JaxnextError, UsageError


def test_a_folder_or_one_above_it(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(2)}, config="small")
    (tmp_path / "pets/small/incomplete.2.0.0").mkdir()
    (tmp_path / "pets/small/incomplete.2.0.0/dataset_info.json").touch()
    for place in (folder, folder.parent, folder.parent.parent, tmp_path):
        assert str(open_folder(str(place)).data_dir) == str(folder)


def test_folders_without_one_data_set(tmp_path: Path) -> None:
    with pytest.raises(JaxnextError) as caught:
        open_folder(str(tmp_path / "no"))
    assert str(caught.value) == (
        f"data.path {tmp_path}/no: no such folder; give that of a prepared TFDS data set with --data.path FOLDER"
    )
    expected = f"data.path {tmp_path}: expected the folder of one prepared TFDS data set, with a dataset_info.json, "
    with pytest.raises(JaxnextError) as caught:
        open_folder(str(tmp_path))
    assert str(caught.value) == f"{expected}found none"
    one = write_set(tmp_path, {"train": two_shards(2)})
    two = write_set(tmp_path, {"train": two_shards(2)}, version="2.0.0")
    with pytest.raises(JaxnextError) as caught:
        open_folder(str(tmp_path))
    assert str(caught.value) == f"{expected}found 2: {one}, {two}"


@pytest.mark.parametrize("content", ["", "{", '{"name": 3}', "\0"])
def test_damaged_metadata(tmp_path: Path, content: str) -> None:
    folder = write_set(tmp_path, {"train": two_shards(2)})
    (folder / "dataset_info.json").write_text(content)
    with pytest.raises(JaxnextError) as caught:
        open_folder(str(folder))
    assert str(caught.value).startswith(f"{folder}: the data set's metadata cannot be read (")
    assert "\n" not in str(caught.value)
    with pytest.raises(JaxnextError, match=r"tfds:pets: the data set in .* cannot be read \("):
        open_name("pets", str(tmp_path))


def test_names(tmp_path: Path) -> None:
    old = write_set(tmp_path, {"train": two_shards(2)})
    new = write_set(tmp_path, {"train": two_shards(2)}, version="2.1.0")
    big = write_set(tmp_path, {"train": two_shards(2)}, name="birds", config="big-1", version="3.0.0")
    for name, folder in {
        "pets": new,
        "pets:1.0.0": old,
        "pets:1.*.*": old,
        "birds/big-1": big,
        "birds/big-1:3.0.0": big,
    }.items():
        assert str(open_name(name, str(tmp_path)).data_dir) == str(folder)
    with pytest.raises(JaxnextError) as caught:
        open_name("pets:7.0.0", str(tmp_path))
    assert str(caught.value) == (
        f"tfds:pets:7.0.0: not among the data sets prepared in {tmp_path}, which are pets:1.0.0, pets:2.1.0"
    )
    with pytest.raises(JaxnextError, match=r"tfds:birds: not among .*, which are birds/big-1:3\.0\.0$"):
        open_name("birds", str(tmp_path))


def test_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(JaxnextError) as caught:
        open_name("oxford_flower102", str(tmp_path))
    assert str(caught.value).startswith(
        f"tfds:oxford_flower102: TFDS has no data set of this name, and {tmp_path} holds none; did you mean "
        "oxford_flowers102"
    )
    write_set(tmp_path, {"train": two_shards(2)}, name="my_own_birds")
    with pytest.raises(JaxnextError, match=r"did you mean my_own_birds"):
        open_name("my_own_bird", str(tmp_path))
    with pytest.raises(JaxnextError, match="holds none; no name is like it"):
        open_name("zzzqqqzzz", str(tmp_path))
    with pytest.raises(JaxnextError) as caught:
        open_name("oxford_flowers102:2.1.1", str(tmp_path))
    assert str(caught.value) == (
        f"tfds:oxford_flowers102:2.1.1: not prepared in {tmp_path}; TFDS needs TensorFlow to prepare it: where that is "
        f"installed, run tfds build oxford_flowers102:2.1.1 --file_format=array_record --data_dir={tmp_path}"
    )


@pytest.mark.parametrize("name", ["", "My Set", "hf:mnist", "a/b=1", "../x", "a/b/c", "a:latest"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_name(name, str(tmp_path))
    assert str(caught.value) == (f"data.source.name: expected NAME, NAME/CONFIG or NAME:VERSION, found {name!r}")


def test_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(monkeypatch, write_set(tmp_path, {"train": two_shards(2)}), "gs://bucket/pets/1.0.0", tmp_path)
    assert str(open_folder("gs://bucket").data_dir) == "gs://bucket/pets/1.0.0"
    with pytest.raises(JaxnextError) as caught:
        open_folder("gs://bucket/dogs")
    assert str(caught.value) == (
        "data.path gs://bucket/dogs: no such folder; give that of a prepared TFDS data set with --data.path FOLDER"
    )
    with pytest.raises(
        JaxnextError, match=r"^tfds:pet: TFDS has no data set .*, and gs://bucket holds none; did .*pets"
    ):
        open_name("pet", "gs://bucket")


def test_a_bucket_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> None:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(backend.fsspec_backend, "fs", fail)
    with pytest.raises(JaxnextError) as caught:
        open_folder("gs://bucket/dogs")
    assert str(caught.value) == (
        "data.path gs://bucket/dogs: the folder cannot be read (Please install gcsfs to access Google Storage)"
    )


@pytest.mark.parametrize("opened", [open_folder, lambda place: open_name("pets", place)])
def test_places_that_array_record_cannot_read(opened: Callable[[str], object]) -> None:
    with pytest.raises(UsageError) as caught:
        opened("s3://bucket/pets")
    assert str(caught.value) == (
        "data.path: expected a local folder or one in a bucket, gs://..., which array_record reads, found "
        "s3://bucket/pets"
    )


def test_importing_is_light() -> None:
    code = "import sys, jaxnext.data.splits, jaxnext.data.packing.pack; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow_datasets", "array_record", "jax", "absl", "grain"} & set(loaded)
