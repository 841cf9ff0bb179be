import numpy as np

from jaxnext.data.image_source import MemorySource
from jaxnext.data.joined_source import JoinedSource


def test_images_are_sorted_by_class_then_by_source() -> None:
    one = MemorySource((b"1", b"2", b"3"), ("b/1", "b/2", "d/3"), np.array([0, 0, 1], np.int32), ("b", "d"))
    two = MemorySource((b"4", b"5"), ("a/4", "b/5"), np.array([0, 1], np.int32), ("a", "b"))
    joined = JoinedSource([one, two])
    assert joined.classes == ("a", "b", "d")
    assert joined.names == ("a/4", "b/1", "b/2", "b/5", "d/3")
    assert joined.labels.tolist() == [0, 1, 1, 1, 2]
    assert joined.labels.dtype == np.int32
    assert [joined.read(i) for i in range(len(joined))] == [b"4", b"1", b"2", b"5", b"3"]
    assert joined.stamp(1) == one.stamp(0)
    assert joined.location(3) == "b/5"
    assert joined.in_memory
