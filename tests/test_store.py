import pickle

import numpy as np
import pytest
from square import square

from jaxnext.data.cache.store import MemoryStore, memory_store
from jaxnext.data.image_source import MemorySource


class Changing(MemorySource):
    """Files whose stamps a test sets; None where the file is gone."""

    stamps: dict[int, int | None]

    def stamp(self, index: int) -> int:
        stamp = self.stamps[index]
        if stamp is None:
            raise FileNotFoundError(2, "No such file or directory")
        return stamp


def source() -> Changing:
    made = Changing((b"a", b"b", b"c"), ("a", "b", "c"), np.zeros(3, np.int32), ("x",))
    object.__setattr__(made, "stamps", {0: 10, 1: 20, 2: 30})
    return made


def image(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


def store() -> MemoryStore:
    return memory_store(source(), square(2))


def test_an_image_comes_out_as_it_went_in() -> None:
    kept, into = store(), image(0)
    assert not kept.get(1, 20, into)
    kept.put(1, 20, image(7))
    assert kept.get(1, 20, into)
    np.testing.assert_array_equal(into, image(7))
    assert kept.filled == 1
    assert not kept.get(0, 10, into)


def test_a_file_with_another_stamp_is_not_taken_for_the_one_stored() -> None:
    kept = store()
    kept.put(1, 20, image(7))
    assert not kept.get(1, 21, image(0))


def test_a_file_that_changes_while_it_is_read_is_not_stored() -> None:
    kept = store()
    kept.put(1, 19, image(7))
    kept.source.stamps[2] = None  # pyright: ignore[reportAttributeAccessIssue]
    kept.put(2, 30, image(7))
    assert kept.filled == 0


def test_an_entry_that_changes_while_it_is_copied_out_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, copy = store(), np.copyto
    kept.put(1, 20, image(7))

    def interrupted(into: np.ndarray, pixels: np.ndarray) -> None:
        copy(into, pixels)
        kept._stamps[1] = 0

    monkeypatch.setattr(np, "copyto", interrupted)
    assert not kept.get(1, 20, image(0))


def test_the_stamp_is_zero_while_pixels_are_written() -> None:
    kept = store()
    kept.put(1, 20, image(7))
    kept.source.stamps[1] = 21  # pyright: ignore[reportAttributeAccessIssue]
    kept._pixels = Watched(kept)  # pyright: ignore[reportAttributeAccessIssue]
    kept.put(1, 21, image(8))
    assert kept._stamps[1] == 21


class Watched:
    def __init__(self, kept: MemoryStore) -> None:
        self.kept = kept

    def __setitem__(self, number: int, pixels: np.ndarray) -> None:
        assert self.kept._stamps[number] == 0


def test_one_in_memory_stays_in_its_process() -> None:
    with pytest.raises(TypeError, match="a cache in memory cannot be sent to a worker process"):
        pickle.dumps(store())
