import numpy as np
import pytest
from test_sheet import BLUE, ORANGE

from jaxnext.data.loader import HostBatch
from jaxnext.engine.pictured import Pictured
from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD, normalize
from jaxnext.training import pictures
from jaxnext.training.pictures import first_batch, mixed_label, validation_batch

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
CLASSES = ("hat", "shirt", "shoe")
BY = IMAGENET_MEAN, IMAGENET_STD


def host(mask: list[bool]) -> HostBatch:
    return HostBatch(0, np.zeros_like(IMAGES), np.array([0, 1, 2], np.int32), np.array(mask), np.arange(3), ())


def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[tuple[str, ...]], str]]:
    """Lines of the tiles and title of each sheet."""
    seen, sheet = [], pictures.sheet

    def listen(tiles, title):
        seen.append(([tile.lines for tile in tiles], title))
        return sheet(tiles, title)

    monkeypatch.setattr(pictures, "sheet", listen)
    return seen


def test_the_sheet_has_the_networks_pixels_and_leaves_out_what_does_not_count(monkeypatch) -> None:
    seen = said(monkeypatch)
    found = Pictured(np.asarray(normalize(IMAGES, np.float32)), None, None)
    paper = first_batch(found, host([True, False, True]), CLASSES, BY)
    # Below two lines of the title; a tile is 32 times as large, the next one 144 pixels further.
    for place, image in ((13, IMAGES[0]), (13 + 144, IMAGES[2])):
        np.testing.assert_array_equal(paper[71:183:32, place + 16 : place + 128 : 32], image)
    assert seen == [([("hat",), ("shoe",)], "first training batch as the network gets it\n2 images, 4x4 pixels")]


def test_mixed_labels(monkeypatch) -> None:
    seen = said(monkeypatch)
    found = Pictured(np.asarray(normalize(IMAGES, np.float32)), np.array([2, 0, 1], np.int32), np.array([0.7, 0.3]))
    first_batch(found, host([True] * 3), CLASSES, BY, processes=2)
    assert seen[0][0] == [("hat 0.7 / shoe 0.3",), ("shirt 0.7 / hat 0.3",), ("shoe 0.7 / shirt 0.3",)]
    assert seen[0][1].endswith("\n3 images, those of process 0 of 2, 4x4 pixels")
    assert mixed_label("hat", "shoe", 1.0) == ("hat",)
    first, second = mixed_label("a class with a very long name", "and another such one", 0.25)
    assert first.endswith("… 0.25")
    assert second.endswith(" 0.75")


def test_more_images_than_a_sheet_takes(monkeypatch) -> None:
    seen = said(monkeypatch)
    monkeypatch.setattr(pictures, "MOST", 2)
    first_batch(Pictured(np.zeros((3, 4, 4, 3), np.float32), None, None), host([True] * 3), CLASSES, BY)
    assert seen[0][0] == [("hat",), ("shirt",)]
    assert "\n2 of 3 images, " in seen[0][1]


def test_validation_says_label_prediction_and_probability(monkeypatch) -> None:
    seen = said(monkeypatch)
    logits = np.log([[0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    paper = validation_batch(IMAGES, np.array([0, 1, 2], np.int32), logits, CLASSES, 4)
    assert seen[0][0] == [("hat", "✓ hat 90%"), ("shirt", "✗ hat 60%"), ("shoe", "✓ shoe 70%")]
    assert seen[0][1].splitlines() == [
        "validation after epoch 4: label, then prediction",
        "2 of 3 images right (blue), the others wrong (orange)",
    ]
    assert [paper[52, 10 + 144 * place].tolist() for place in range(3)] == [BLUE, ORANGE, BLUE]
