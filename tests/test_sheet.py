import numpy as np
import pytest

from jaxnext.reporting.sheet import Tile, fits, fitting, sheet

BLUE, ORANGE = [0, 114, 178], [213, 94, 0]


def images(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def test_small_images_keep_their_pixels() -> None:
    tiles = [Tile(image, ("a",)) for image in images(5, 4, 4)]
    paper = sheet(tiles, "title")
    # 10 pixels and a line above, 10 and a frame before; a tile of 4x4 pixels is magnified 32 times.
    assert paper[39, 13].tolist() == tiles[0].image[0, 0].tolist()
    np.testing.assert_array_equal(paper[39 + 16 : 39 + 128 : 32, 13 + 16 : 13 + 128 : 32], tiles[0].image)
    # The fifth of four columns stands in the next row: tile, two frames, a line and a gap further down.
    np.testing.assert_array_equal(paper[39 + 160 + 16 : 39 + 288 : 32, 13 + 16 : 13 + 128 : 32], tiles[4].image)
    assert paper.shape == (36 + 2 * 160, 10 + 4 * 144, 3)


def test_large_images_are_made_small_in_their_shape() -> None:
    red = np.zeros((300, 600, 3), np.uint8)
    red[..., 0] = 255
    paper = sheet([Tile(red, ("a",))], "title")
    found = np.argwhere((paper == [255, 0, 0]).all(-1))
    assert (found.max(0) - found.min(0) + 1).tolist() == [64, 128]


@pytest.mark.parametrize(("right", "colour"), [(True, BLUE), (False, ORANGE), (None, [255, 255, 255])])
def test_frames_say_what_is_right(right: bool | None, colour: list[int]) -> None:
    paper = sheet([Tile(images(1, 8, 8)[0], ("a",), right)], "title")
    assert paper[36, 10].tolist() == colour
    assert paper[36 + 133, 10 + 133].tolist() == colour


def test_at_most_eight_columns() -> None:
    assert sheet([Tile(image, ("a",)) for image in images(64, 8, 8)], "t").shape[1] == 10 + 8 * 144


def test_a_long_title_makes_it_wide() -> None:
    assert sheet([Tile(images(1, 8, 8)[0], ("a",))], "many words " * 9).shape[1] > 400


def test_texts_that_are_too_long_are_cut_and_their_end_stays() -> None:
    assert fitting("hat", " 0.7") == "hat 0.7"
    cut = fitting("a class with a very long name", " 0.7")
    assert cut.startswith("a class with")
    assert cut.endswith("… 0.7")
    assert fits(cut)
    assert not fits("a class with a very long name 0.7")
    assert fitting("two\nlines\udce9") == r"two lines\udce9"


def test_other_scripts_have_letters() -> None:
    # A missing letter would be drawn as the same empty box.
    drawn = [sheet([Tile(np.zeros((8, 8, 3), np.uint8), (letter,))], "t").tobytes() for letter in "жλ✓"]
    assert len(set(drawn)) == 3
