import numpy as np
import pytest

from jaxnext.data.cache.decoded import whole_source
from jaxnext.data.image_source import MemorySource
from jaxnext.data.selection import choose_classes, take_share
from jaxnext.errors import JaxnextError, UsageError


def source(labels: list[int]) -> MemorySource:
    names = tuple(f"{i}.png" for i in range(len(labels)))
    return MemorySource(tuple(name.encode() for name in names), names, np.array(labels, np.int32), ("a", "b", "c"))


def test_classes_in_an_order_of_ones_own() -> None:
    whole = source([0, 1, 2, 0, 2])
    train, validation, line = choose_classes(whole, source([2, 1, 0]), ["c", "a"])
    assert train.classes == validation.classes == ("c", "a")
    assert (train.names, train.labels.tolist()) == (("0.png", "2.png", "3.png", "4.png"), [1, 0, 1, 0])
    assert (validation.names, validation.labels.tolist()) == (("0.png", "2.png"), [0, 1])
    assert train.read(1) == b"2.png"
    found, numbers = whole_source(train)
    assert found is whole
    assert numbers is not None
    assert numbers.tolist() == [0, 2, 3, 4]
    assert line == "data.classes: 2 of 3 classes, 4 images for training and 2 for validation"


def test_classes_that_cannot_be() -> None:
    for classes, said in (
        (["x"], "data.classes: expected some of the 3 classes a, b, c, found 'x'"),
        (["a", "b", "a"], "data.classes: expected each class once, found 'a' twice"),
    ):
        with pytest.raises(UsageError) as error:
            choose_classes(source([0, 1]), source([0]), classes)
        assert str(error.value) == said
    with pytest.raises(JaxnextError, match=r"data\.classes: expected images for validation of b, found none"):
        choose_classes(source([0, 1]), source([0]), ["b"])


def test_a_share_of_each_class() -> None:
    labels = [0] * 20 + [2] * 3
    train, validation, line = take_share(source(labels), source(labels), 0.25, 5)
    for part in (train, validation):
        assert np.bincount(part.labels).tolist() == [5, 0, 1]
    assert train.names != validation.names
    assert train.names == take_share(source(labels), source(labels), 0.25, 5)[0].names
    assert line == "data.share: 25 % of each class (seed 5), 6 images for training and 6 for validation"
