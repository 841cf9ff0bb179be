"""Each of these fails where a new version of a library no longer has a name that ``compat`` takes from its inside."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from grain._src.python.dataset.transformations import process_prefetch
from grain._src.python.ipc import shared_memory_array
from tfds_sets import two_shards, write_set

from jaxnext.data import compat


def test_a_shared_array_of_grain_is_copied_and_given_back() -> None:
    shared = shared_memory_array.SharedMemoryArray((2, 3), np.uint8)
    assert shared._unlink_on_del in (True, False)
    shared[...] = 7
    name = shared.shm.name.removeprefix("/")
    assert (Path("/dev/shm") / name).exists()
    copy = compat.adopt_shared(shared)
    assert not (Path("/dev/shm") / name).exists()
    assert shared._unlink_on_del is False
    assert type(copy) is np.ndarray
    assert copy.tolist() == [[7] * 3] * 2
    assert compat.adopt_shared(copy) is copy


def test_grain_says_that_a_worker_is_gone() -> None:
    assert compat.WORKER_GONE in inspect.getsource(process_prefetch)


def test_a_prepared_data_set_is_found_by_its_name(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(2)})
    builder = compat.prepared_by_name("pets", str(tmp_path))
    assert str(builder.data_dir) == str(folder)
    assert compat.prepared_by_name("cats", str(tmp_path)) is None


@pytest.mark.parametrize(("size", "ends"), [(1000, [5]), (2**31, [1, 2, 4, 5])])
def test_shards_are_those_of_tfds(size: int, ends: list[int]) -> None:
    assert list(compat.shard_ends(size, 5)) == ends
