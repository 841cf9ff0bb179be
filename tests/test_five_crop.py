import numpy as np
import pytest
from PIL import Image
from torch_reference import require

from jaxnext.errors import UsageError
from jaxnext.inference.tta import views_of
from jaxnext.inference.tta.five_crop import Views

PLACES = np.stack(np.broadcast_arrays(*np.ogrid[:7, :9], 0), -1).astype(np.uint8)
"""7x9 pixels, each its row and its column."""


def test_the_corners_and_the_centre() -> None:
    crops = Views(crop_share=0.5).views(np.stack([PLACES, PLACES + 1]))  # pyright: ignore[reportArgumentType]
    # Half of 7 is 4 rows, half of 9 is 4 columns: halves go to the even number. 3 / 2 rows above the centre are 2.
    assert [crop.shape for crop in crops] == [(2, 4, 4, 3)] * 5
    assert [crop[0, 0, 0, :2].tolist() for crop in crops] == [[0, 0], [0, 5], [3, 0], [3, 5], [2, 2]]
    assert [crop[1, -1, -1, :2].tolist() for crop in crops] == [[4, 4], [4, 9], [7, 4], [7, 9], [6, 6]]


def test_a_crop_has_a_pixel() -> None:
    assert {crop.shape for crop in Views(crop_share=0.01).views(PLACES[None])} == {(1, 1, 1, 3)}  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("share", [0.0, 1.01])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(UsageError, match=rf"^tta\.crop_share: expected a share above 0 and at most 1, found {share}$"):
        views_of({"type": "five_crop", "crop_share": share})


@pytest.mark.slow
def test_equal_to_torchvision() -> None:
    require()
    from torchvision.transforms import v2 as vision

    random = np.random.default_rng(0)
    for height, width, share in [(7, 9, 0.5), (32, 32, 0.875), (33, 40, 0.8), (31, 50, 0.33), (5, 5, 1.0)]:
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        crops = Views(crop_share=share).views(image[None])  # pyright: ignore[reportArgumentType]
        expected = vision.FiveCrop(crops[0].shape[1:3])(Image.fromarray(image))
        for crop, one in zip(crops, expected, strict=True):
            np.testing.assert_array_equal(crop[0], np.asarray(one))
