import errno
import hashlib

import numpy as np
import pytest
from inspected import CLASSES, encoded, picture, sound, source, spoiled
from PIL import Image
from square import original, square

from jaxnext.data.bad_image import BadImage
from jaxnext.data.image_source import Subset
from jaxnext.data.inspection import Group, inspect
from jaxnext.data.splits import Splits
from jaxnext.errors import JaxnextError


def test_facts_of_each_image() -> None:
    found = spoiled()
    assert len(found) == 11
    assert list(found.facts) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert found.facts[0][:5] == (48, 64, "RGB", 1, ())
    assert found.facts[0].content == hashlib.sha256(encoded(picture(0))).digest()
    assert found.facts[1][:5] == (64, 48, "RGB", 6, ())
    assert found.facts[2][:5] == (48, 64, "P", 1, ("frames",))
    assert found.bad == {5: BadImage("cat/empty.png", "the file is empty")}


def test_the_narrowest_images() -> None:
    files = [encoded(Image.new("RGB", *each)) for each in (((1, 1), "red"), ((30_000, 200), "blue"))]
    train = source([(0, "one", files[0]), (1, "wide", files[1])])
    found = inspect(sound().splits._replace(train=train), square(8), 1, lambda count: None)
    assert [found.facts[i][:2] for i in (0, 1)] == [(1, 1), (30_000, 200)]
    assert not found.is_wrong


def test_duplicates_the_worst_first() -> None:
    assert spoiled().groups == (
        Group((7, 9), is_same=False, across=True, labels_differ=False),
        Group((0, 8), is_same=True, across=False, labels_differ=True),
        Group((3, 4), is_same=True, across=False, labels_differ=False),
    )


def test_a_file_and_another_encoding_of_it_are_one_group() -> None:
    png, jpeg = encoded(picture(0)), encoded(picture(0), "JPEG")
    train = source([(0, "a", png), (1, "b", encoded(picture(1))), (-1, "c", jpeg), (0, "d", jpeg)])
    found = inspect(Splits(train, source([(1, "e", png)]), CLASSES, ()), square(8), 1, lambda count: None)
    assert found.groups == (Group((0, 2, 3, 4), is_same=False, across=True, labels_differ=True),)


def test_an_image_without_a_label_contradicts_nothing() -> None:
    train = source([(0, "a", encoded(picture(0))), (-1, "b", encoded(picture(0)))])
    found = inspect(sound().splits._replace(train=train), square(8), 1, lambda count: None)
    assert found.groups == (Group((0, 1), is_same=True, across=False, labels_differ=False),)
    assert [found.class_name(number) for number in (0, 1)] == ["cat", ""]


def test_where_an_image_is() -> None:
    found = spoiled()
    assert [found.location(number) for number in (0, 8, 9)] == ["cat/0.png", "dog/0.png", "dog/7.webp"]
    assert [found.class_name(number) for number in (0, 8, 9)] == ["cat", "dog", "dog"]
    assert [found.is_validation(number) for number in (8, 9)] == [False, True]
    assert found.counts().tolist() == [[6, 1], [3, 1]]
    np.testing.assert_array_equal(found.decoded(10), np.asarray(picture(8)))


def test_what_is_wrong() -> None:
    assert spoiled().is_wrong
    assert not sound().is_wrong
    assert sound().groups == ()
    splits, pixels = sound().splits, square(8)
    assert inspect(splits._replace(validation=source([(1, "a", b"")])), pixels, 1, lambda count: None).is_wrong
    again = splits._replace(train=source([(0, name, encoded(picture(0))) for name in "ab"]))
    assert not inspect(again, pixels, 1, lambda count: None).is_wrong


def test_as_training_decodes_them_and_counted() -> None:
    done: list[int] = []
    splits = spoiled().splits
    many = splits._replace(train=Subset(splits.train, np.arange(70) % 3))
    found = inspect(many, original(8), 3, done.append)
    assert found.facts[1][:4] == (48, 64, "RGB", 6)
    assert done == [32, 32, 8]
    assert [group.numbers[:2] for group in found.groups] == [(0, 3), (1, 4), (2, 5)]


def test_a_failing_disk_ends_it() -> None:
    class Failing(Subset):
        def read(self, index: int) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    splits = sound().splits
    with pytest.raises(JaxnextError) as error:
        inspect(splits._replace(train=Failing(splits.train, np.arange(2))), square(8), 1, lambda count: None)
    assert str(error.value) == (
        "cat/0.png: reading has failed (Input/output error), for no fault of the image; put that right and start again"
    )
