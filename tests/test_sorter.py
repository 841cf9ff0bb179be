import numpy as np
from sorted_images import CLASSES, ByFirstByte, tree

from jaxnext.data.image_source import MemorySource
from jaxnext.inference.sorting.journal import Journal
from jaxnext.inference.sorting.sorter import Sorter


def sorter(tmp_path, names, classes=CLASSES, threshold=None):
    source = MemorySource(tuple(b"c" for _ in names), names, np.zeros(len(names), np.int32), ())
    return Sorter(Journal(tmp_path), source, "copy", threshold, classes, print), source


def place(tmp_path, names, **options):
    found, source = sorter(tmp_path, names, **options)
    for host, probabilities in ByFirstByte().stream(source, 2, 0, 1, None):
        found.place(host, probabilities)
    return found


def test_classes_of_any_name(tmp_path):
    found = place(tmp_path, ("a.jpg",), classes=("../x", "CON"))
    assert found.folders == ["%2E.%2Fx", "%43ON"]
    assert tree(tmp_path) == {"%2E.%2Fx/a.jpg": "c"}


def test_a_class_that_is_called_unknown(tmp_path):
    assert place(tmp_path, ("a.jpg",), classes=("unknown", "sorted.csv")).folders == [
        "unknown%~b23a6a8439c0dde5",
        "sorted.csv%~bbc0182fa27ac959",
    ]
    place(tmp_path, ("b.jpg",), classes=("unknown", "dog"), threshold=0.9)
    assert tree(tmp_path) == {"unknown%~b23a6a8439c0dde5/a.jpg": "c", "unknown/b.jpg": "c"}


def test_many_images_of_one_name(tmp_path):
    found = place(tmp_path, ("1/a.jpg", "2/a.jpg", "3/a (2).jpg", "4/a.jpg"))
    assert found.counts == {"cat": 4}
    assert sorted(tree(tmp_path)) == ["cat/a (2) (2).jpg", "cat/a (2).jpg", "cat/a (3).jpg", "cat/a.jpg"]


def test_the_threshold_itself_is_known(tmp_path):
    place(tmp_path, ("a.jpg",), threshold=0.75)
    assert list(tree(tmp_path)) == ["cat/a.jpg"]
