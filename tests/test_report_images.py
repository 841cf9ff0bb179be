import json

import numpy as np
from html_reader import Reader
from predicted import literal, predictions
from reported import EVIL, report

from jaxnext.reporting import report_images
from jaxnext.reporting.report_images import cards, cells_json, picture_rules, select, within

# Of class 0: right surely and right barely, taken for 1; of class 1: taken for 0 twice, the second time more surely.
FOUND = literal([0, 0, 0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2], [0.95, 0.05]])


def test_which_images_are_shown() -> None:
    found = select(FOUND)
    assert found.mistakes == [4, 3, 2]
    assert [(pair.truth, pair.predicted, images) for pair, images in found.pairs] == [(1, 0, [4, 3]), (0, 1, [2])]
    # Right images: those that were nearly wrong first.
    assert found.cells == {(1, 0): [4, 3], (0, 1): [2], (0, 0): [1, 0]}
    assert found.numbers == [4, 3, 2, 1, 0]
    assert (found.all_errors, [error.number for error in found.errors]) == (3, [4, 3, 2])


def test_every_cell_has_its_turn(monkeypatch) -> None:
    found = predictions(400, certainty=1)
    cells = len(np.argwhere(found.confusion))
    monkeypatch.setattr(report_images, "_ALL", 150)
    numbers = select(found).numbers
    assert len(numbers) == len(set(numbers)) == 150
    shown = {(found.truth[i], found.predicted[i]) for i in numbers if not found.correct[i]}
    assert len(shown) == cells - np.count_nonzero(np.diag(found.confusion))


def test_pictures_have_so_much_room() -> None:
    assert within([(3, "aaaa"), (1, None), (2, "bbbb"), (0, "")], 7) == {3: "aaaa", 1: None}
    assert within([(3, "aaaa"), (1, None), (2, "bbb")], 7) == {3: "aaaa", 1: None, 2: "bbb"}
    assert picture_rules({3: "data:x", 1: None}) == ".i3{background-image:url(data:x)}"


def test_cards() -> None:
    selection = select(FOUND)
    text = cards(selection, FOUND, {4: "data:x", 3: None})
    found = Reader(text)
    words = " ".join(" ".join(found.texts).split())
    assert "is 1 5.0% predicted 0 95.0% e" in words
    assert "1 taken for 0 2 images, 100.0% of the class" in words
    assert "labelled 1 5.0% perhaps 0 95.0% margin 0.050" in words
    # As mistake, of a pair, and as label error.
    assert text.count('class="thumb i4"') == found.texts.count("gone") == found.texts.count("no room") == 3


def test_without_a_mistake() -> None:
    right = literal([0, 1], [[0.9, 0.1], [0.2, 0.8]])
    words = " ".join(Reader(cards(select(right), right, {})).texts)
    assert "No image was predicted wrongly." in words
    assert "pairs" not in words


def test_names_are_text() -> None:
    made = report()
    shown = cards(made.selection, made.predictions, made.pictures)
    assert EVIL in " ".join(Reader(shown).texts)
    assert "script" not in Reader(shown).tags
    data = cells_json(made.selection, made.predictions, made.pictures)
    assert "<" not in data
    cells = json.loads(data)
    assert cells["classes"][0] == EVIL
    assert sum(count for count, _ in cells["cells"].values()) == 60
    images = [image for _, listed in cells["cells"].values() for image in listed]
    assert f"val/{EVIL}.jpg" in [path for _, path, _ in images]
    # The one that is gone is named, the one without room is counted only.
    assert [number for number, _, _ in images].count(None) == 1
    assert made.selection.numbers[-1] not in [number for number, _, _ in images]
