import os

import numpy as np
import pytest
from inspected import encoded, picture, sound, source, spoiled
from square import original, square

from jaxnext.data.image_source import MemorySource
from jaxnext.data.inspection import Inspection, inspect
from jaxnext.data.splits import Splits
from jaxnext.reporting.check_text import described, member, report

SPOILED = """\
class  training  validation
cat           6           1
dog           3           1
imbalance: images for training: 3 of dog, 6 of cat, 2.0 times as many
sizes: 48x64 8, 64x48 1, 20x80 1; smallest 20x80 (dog/<5>.png), largest 48x64 (cat/0.png)
shapes: upright 9, wide 1; longest 4.0 to 1 (dog/<5>.png)
modes: RGB 9, P 1
orientations: 1: 9, 6: 1; 1 turned upright
images of several frames or pages: 1; the first of each is taken
cat/empty.png: the image cannot be read (the file is empty)
nearly the same picture, in training and in validation:
  dog/6.png (training, dog)
  dog/7.webp (validation, dog)
the same file, with different labels:
  cat/0.png (training, cat)
  dog/0.png (training, dog)
the same file:
  cat/3.png (training, cat)
  cat/4.png (training, cat)
duplicates: 3 in 3 groups of images that are the same or nearly
wrong: images that cannot be read: 1
wrong: groups of duplicates in training and in validation: 1
wrong: groups of duplicates with different labels: 1
"""

SOUND = """\
class  training  validation
cat           1           0
dog           1           1
imbalance: none, images for training: 1 of each class
sizes: 48x64 3
shapes: upright 3; longest 1.3 to 1 (cat/0.png)
modes: RGB 3
orientations: 1: 3
nothing wrong found in 3 images
"""


@pytest.mark.parametrize(("inspection", "text"), [(spoiled, SPOILED), (sound, SOUND)], ids=["spoiled", "sound"])
def test_the_whole_report(inspection, text: str) -> None:
    assert report(inspection()) == text.splitlines()


def inspected(train: MemorySource) -> Inspection:
    splits = Splits(train, source([(0, "v", encoded(picture(99)))]), train.classes, ())
    return inspect(splits, square(8), 1, lambda count: None)


def test_what_is_taken_as_stored_is_said() -> None:
    found = inspect(spoiled().splits, original(8), 1, lambda count: None)
    assert "orientations: 1: 9, 6: 1; 1 taken as stored" in report(found)


def test_where_no_image_can_be_read() -> None:
    splits = Splits(source([(0, "a", b""), (1, "b", b"text")]), source([(1, "c", b"")]), ("cat", "dog"), ())
    assert report(inspect(splits, square(8), 1, lambda count: None))[3:] == [
        "imbalance: none, images for training: 1 of each class",
        "a: the image cannot be read (the file is empty)",
        "b: the image cannot be read (not an image that Pillow can read)",
        "c: the image cannot be read (the file is empty)",
        "wrong: images that cannot be read: 3",
    ]


def test_long_lists_are_cut() -> None:
    good = encoded(picture(0))
    files = [good] * 9 + [b""] * 22
    labels = np.array([0] * 30 + [49], np.int32)
    classes = tuple(f"c{number:02}" for number in range(50))
    lines = report(inspected(MemorySource(tuple(files), tuple(map(str, range(31))), labels, classes)))
    # The largest of fifty classes are left out: one without images has zero, as have 47 others.
    assert lines[39:43] == [
        "c39           0           0",
        "c40           0           0",
        "and 10 more classes, none with fewer images",
        "imbalance: images for training: 0 of c01, 30 of c00",
    ]
    assert "and 2 more images that cannot be read" in lines
    assert lines[lines.index("the same file:") + 6 :][:2] == ["  5 (training, c00)", "  and 3 more images"]
    assert "duplicates: 8 in 1 groups of images that are the same or nearly" in lines


def test_names_that_are_not_utf_8() -> None:
    name = os.fsdecode(b"caf\xe9")
    train = MemorySource((encoded(picture(0)),) * 2, (name, "b"), np.array([0, 0], np.int32), (name,))
    found = inspected(train)
    assert member(found, 0) == r"caf\udce9 (training, caf\udce9)"
    assert described(found.groups[0]) == "the same file"
    assert "\n".join(report(found)).encode()
