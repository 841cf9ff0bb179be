from pathlib import Path

import numpy as np
import pytest
from square import square
from test_loader import SCHEDULE, TRAIN, VALIDATION, assert_same, collect, images

from jaxnext.data.cache.decoded import Cache, Reader, open_cache, whole_source
from jaxnext.data.decode import decode
from jaxnext.data.image_source import MemorySource, Subset
from jaxnext.data.loader import HostBatch, stream
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.errors import JaxnextError


class Counting(MemorySource):
    """Counts how often each image is read."""

    def read(self, index: int) -> bytes:
        self.reads.append(index)  # pyright: ignore[reportAttributeAccessIssue]
        return super().read(index)


def counting(count: int = 6) -> Counting:
    plain = images(count)
    source = Counting(plain.data, plain.names, plain.labels, plain.classes)
    object.__setattr__(source, "reads", [])
    return source


def read(reader: Reader, index: int) -> np.ndarray:
    into = np.full(reader.pixels.shape, 99, np.uint8)
    reader.read(index, into)
    return into


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_an_image_is_decoded_once_and_shared_by_the_parts_of_a_source(tmp_path: Path, kind) -> None:
    whole = counting()
    one, two = Subset(whole, np.array([5, 0, 3])), Subset(Subset(whole, np.array([1, 3, 5])), np.array([2, 1]))
    cache, lines = open_cache(kind, tmp_path, [one, two], square(4))
    assert len(cache.stores) == 1
    assert len(lines) == 1
    for subset in (one, two):
        reader = Reader(subset, square(4), cache)
        for index in range(len(subset)):
            np.testing.assert_array_equal(read(reader, index), resize(decode(subset.read(index), square(4)), square(4)))
            whole.reads.pop()  # pyright: ignore[reportAttributeAccessIssue]
    assert whole.reads == [5, 0, 3]  # pyright: ignore[reportAttributeAccessIssue]


def test_of_a_source_with_several_sizes_each_has_its_store(tmp_path: Path) -> None:
    source, other = images(3), images(2)
    stores = [open_cache("memory", tmp_path, [source], square(size))[0].stores[0] for size in (4, 6)]
    stores += open_cache("memory", tmp_path, [other], square(6))[0].stores
    cache = Cache(tuple(stores))
    for size in (4, 6):
        np.testing.assert_array_equal(
            read(Reader(source, square(size), cache), 1), resize(decode(source.read(1), square(size)), square(size))
        )
    assert [store.filled for store in stores] == [1, 1, 0]
    assert cache.only([(source, square(4)), (other, square(6))]).stores == (stores[0], stores[2])
    assert cache.only([]).stores == ()


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_other_rules_are_another_cache(tmp_path: Path, kind) -> None:
    source, rules = images(2), square(4)
    others = [
        Pixels((4, 5)),
        *(Pixels((4, 4), resize) for resize in ("crop", "pad")),
        Pixels((4, 4), "crop", 0.5),
        Pixels((4, 4), orientation="stored"),
        Pixels((4, 4), depth="clip"),
        *(Pixels((4, 4), background=background) for background in ("black", "ignore")),
    ]
    read(Reader(source, rules, open_cache(kind, tmp_path, [source], rules, "monday")[0]), 0)
    for other in others:
        cache, _ = open_cache(kind, tmp_path, [source], other, "monday")
        assert cache.stores[0].filled == 0
        assert read(Reader(source, other, cache), 0).shape == other.shape
        with pytest.raises(ValueError, match="expected a cache of"):
            Reader(source, rules, cache)
    if kind == "disk":
        assert len(list(tmp_path.iterdir())) == 1 + len(others)
        assert open_cache(kind, tmp_path, [source], rules, "monday")[0].stores[0].filled == 1


def test_whole_source() -> None:
    whole = images(6)
    subset = Subset(Subset(whole, np.array([1, 3, 5])), np.array([2, 1]))
    found, numbers = whole_source(subset)
    assert found is whole
    assert numbers is not None
    assert numbers.tolist() == [5, 3]
    assert whole_source(whole) == (whole, None)


def test_sources_that_are_no_parts_of_one_have_their_own_stores(tmp_path: Path) -> None:
    cache, lines = open_cache("disk", tmp_path, [TRAIN, VALIDATION], square(5))
    assert [len(store.source) for store in cache.stores] == [7, 3]
    assert [line.partition(": ")[2] for line in lines] == [
        "0 of 7 images, 0.0 MB when full",
        "0 of 3 images, 0.0 MB when full",
    ]


def test_lines_say_where_how_many_and_how_large(tmp_path: Path) -> None:
    source = images(7)
    cache, _ = open_cache("disk", tmp_path, [source], square(300), "monday")
    read(Reader(source, square(300), cache), 2)
    _, lines = open_cache("disk", tmp_path, [source], square(300), "monday")
    (folder,) = tmp_path.iterdir()
    assert lines == [f"decoded cache {folder}: 1 of 7 images, 1.9 MB when full"]
    assert open_cache("memory", tmp_path, [source], square(10_000))[1] == [
        "decoded cache in memory: 0 of 7 images, 2.1 GB when full"
    ]


def test_none_is_no_cache(tmp_path: Path) -> None:
    cache, lines = open_cache("none", tmp_path / "c", [TRAIN], square(5))
    assert (cache.stores, lines) == ((), [])
    assert not (tmp_path / "c").exists()


def test_too_little_memory(tmp_path: Path) -> None:
    with pytest.raises(JaxnextError) as error:
        open_cache("memory", tmp_path, [TRAIN, VALIDATION], square(10), memory=2999)
    assert str(error.value) == (
        "data.cache memory: expected at most the 2,999 bytes of memory that are left, found 3,000 for the decoded "
        "images; set --data.cache disk"
    )
    assert len(open_cache("memory", tmp_path, [TRAIN, VALIDATION], square(10), memory=3000)[0].stores) == 2


def test_warm_is_nine_images_of_ten(tmp_path: Path) -> None:
    source = images(10)
    cache, _ = open_cache("memory", tmp_path, [source], square(4))
    reader = Reader(source, square(4), cache)
    warm = [cache.warm]
    for index in range(10):
        read(reader, index)
        warm.append(cache.warm)
    assert warm == [False] * 9 + [True] * 2
    assert not Cache().warm


def test_threads_only() -> None:
    assert open_cache("memory", Path(), [TRAIN], square(4))[0].threads_only
    assert not Cache().threads_only


def cached(cache: Cache, workers: int, threads: int = 2) -> list[HostBatch]:
    with stream(SCHEDULE, TRAIN, VALIDATION, square(5), 0, workers, threads, cache) as batches:
        return list(batches)


def test_each_source_is_read_from_its_own_store() -> None:
    cache, _ = open_cache("memory", Path(), [TRAIN, VALIDATION], square(5))
    for _ in range(2):
        assert_same(cached(cache, 0), collect())


@pytest.mark.slow
def test_neither_cache_nor_workers_nor_threads_change_a_batch(tmp_path: Path) -> None:
    plain = collect(threads=1)
    assert_same(collect(workers=3), plain)
    for kind, counts in (("memory", [0]), ("disk", [0, 3])):
        for workers in counts:
            cache, _ = open_cache(kind, tmp_path / str(workers), [TRAIN, VALIDATION], square(5), "monday")  # pyright: ignore
            assert_same(cached(cache, workers), plain)
            assert [store.filled for store in cache.stores] == [7, 3]
            assert_same(cached(cache, workers, threads=5), plain)


def test_an_image_that_fails_leaves_no_trace_of_another(tmp_path: Path) -> None:
    good = images(3)
    bad = MemorySource((good.data[0], b"no", good.data[2]), good.names, good.labels, good.classes)
    cache, _ = open_cache("memory", tmp_path, [bad], square(5))
    for _ in range(2):
        with stream(SCHEDULE, Subset(bad, np.arange(7) % 3), bad, square(5), cache=cache) as batches:
            for batch in batches:
                assert not batch.image[~batch.mask].any()
                assert {error.name for error in batch.errors} <= {"1.png"}
    assert cache.stores[0].filled == 2
