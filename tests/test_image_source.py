import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxnext.data.folder_source import class_folder_source
from jaxnext.data.image_source import MemorySource, Subset, label_numbers


def write(root: Path, *names: str) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return root


def test_sources_pickle(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "a/2.png", "b/1.png")
    memory = MemorySource((b"x", b"y"), ("x.png", "y.png"), np.array([0, 1], np.int32), ("a", "b"))
    for source in (class_folder_source(tmp_path), memory, Subset(class_folder_source(tmp_path), np.array([2, 0]))):
        copy = pickle.loads(pickle.dumps(source))
        assert [copy.read(i) for i in range(len(copy))] == [source.read(i) for i in range(len(source))]
        assert copy.names == source.names
        assert copy.labels.tolist() == source.labels.tolist()


def test_subset(tmp_path: Path) -> None:
    source = Subset(class_folder_source(write(tmp_path, "a/1.png", "a/2.png", "b/1.png")), np.array([2, 0]))
    assert source.names == ("b/1.png", "a/1.png")
    assert source.labels.tolist() == [1, 0]
    assert source.classes == ("a", "b")
    assert source.read(0) == b"b/1.png"
    assert len(source) == 2
    assert not source.in_memory


def test_a_stamp_in_memory_is_of_the_bytes() -> None:
    source = MemorySource((b"x", b"y", b"x", b""), ("a", "b", "c", "d"), np.zeros(4, np.int32), ("a",))
    assert [source.stamp(i) for i in range(4)] == [2363233924, 4225443350, 2363233924, 1]


def test_labels_are_places_in_the_classes() -> None:
    found = label_numbers(["b", "10", "b"], ("b", "a", "10"))
    assert (found.dtype.name, found.tolist()) == ("int32", [0, 2, 0])
    with pytest.raises(KeyError):
        label_numbers(["c"], ("b",))


def test_imports_are_light() -> None:
    code = "import sys, jaxnext.data.image_source, jaxnext.data.order; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"jax", "torch", "sklearn", "grain"} & set(loaded)
