from html_reader import Reader
from predicted import literal, predictions
from reported import EVIL, evil_predictions

from jaxnext.reporting.report_maps import ImageMaps, images_with_maps, letters, maps_section, within

# Of class 0: right surely and right barely, taken for 1; of class 1: taken for 0 twice, and right.
FOUND = literal([0, 0, 0, 1, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2], [0.95, 0.05], [0.2, 0.8]])
TWO, THREE = (("image", "data:a"), ("Grad-CAM", "data:bb")), (("image", "a"), ("Grad-CAM", "b"), ("CBAM", "c"))


def test_mistakes_and_the_surest_right_one_of_each_class() -> None:
    assert images_with_maps(FOUND) == [4, 3, 2, 0, 5]


def test_at_most_so_many() -> None:
    found = predictions(400, certainty=1)
    numbers = images_with_maps(found)
    assert len(numbers) == len(set(numbers)) == 18
    assert not found.correct[numbers[:12]].any()
    assert found.correct[numbers[12:]].all()
    assert len(set(found.truth[numbers[12:]])) == 6


def test_they_have_so_much_room() -> None:
    shown = [ImageMaps(0, TWO), ImageMaps(1, TWO)]
    assert letters(shown) == 26
    assert within(shown, 26) == shown
    assert within(iter(shown), 25) == shown[:1]


def test_the_section() -> None:
    page = maps_section([ImageMaps(4, TWO), ImageMaps(5, TWO)], FOUND)
    words = " ".join(" ".join(Reader(page).texts).split())
    assert "Most confident mistakes image Grad-CAM is 1 5.0%, predicted 0 95.0% e" in words
    assert "Right ones image Grad-CAM is 1 80.0% f" in words
    assert page.count("background-image:url(data:bb)") == 2
    assert "CBAM" not in page
    assert "CBAM: the weights" in maps_section([ImageMaps(4, THREE)], FOUND)
    assert "Right ones" not in maps_section([ImageMaps(4, THREE)], FOUND)
    assert maps_section([], FOUND) == ""


def test_names_are_text() -> None:
    found = evil_predictions()
    page = maps_section([ImageMaps(number, TWO) for number in range(len(found))], found)
    assert EVIL in " ".join(Reader(page).texts)
    assert "script" not in Reader(page).tags
