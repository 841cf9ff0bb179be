import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from pixel_cases import assert_pixels, pillow, random_images
from torch_reference import require

from jaxnext.augment.color_jitter import Augmentation, Drawn, jitter_sequentially, jitter_vectorized

SIZE = (19, 14)
FORMULATIONS = {"sequential": jax.jit(jitter_sequentially), "vectorized": jax.jit(jitter_vectorized)}


def share(shift: int) -> float:
    """A share of a turn, -0.5 to 0.5, that torchvision makes this byte of: 255 times as much without its fraction."""
    signed = (shift + 128) % 256 - 128
    return (signed + 0.25 * np.sign(signed)) / 255


@pytest.mark.parametrize("formulation", ["sequential", pytest.param("vectorized", marks=pytest.mark.slow)])
def test_equals_torchvision(formulation: str) -> None:
    require()
    from torchvision.transforms.v2 import functional

    drawn = Augmentation(brightness=1.5, contrast=1.0, saturation=1.0, hue=0.5).draw(3, 4, 24, SIZE)
    # Some with less to do, as with a probability or without a change of hue.
    drawn = drawn._replace(order=np.where(np.arange(24)[:, None] < 18, drawn.order, np.int32([0, 4, 3, 4])))
    images = random_images(24, *SIZE)

    def expected(image: Any, order: np.ndarray, factors: np.ndarray, shift: int) -> Any:
        changes: list[Callable[[Any], Any]] = [
            lambda image: functional.adjust_brightness(image, float(factors[0])),
            lambda image: functional.adjust_contrast(image, float(factors[1])),
            lambda image: functional.adjust_saturation(image, float(factors[2])),
            lambda image: functional.adjust_hue(image, share(shift)),
            lambda image: image,
        ]
        for number in order:
            image = changes[number](image)
        return image

    rows = zip(pillow(images), drawn.order, drawn.factors, drawn.shift.tolist(), strict=True)
    assert_pixels(np.asarray(FORMULATIONS[formulation](images, drawn)), [expected(*row) for row in rows])


def test_ranges_and_orders() -> None:
    drawn = Augmentation(brightness=0.2, contrast=0.5, saturation=1.5, hue=0.25).draw(1, 2, 6000, SIZE)
    np.testing.assert_allclose(drawn.factors.min(0), [0.8, 0.5, 0.0], atol=0.002)
    np.testing.assert_allclose(drawn.factors.max(0), [1.2, 1.5, 2.5], atol=0.002)
    np.testing.assert_allclose(drawn.factors.mean(0), [1.0, 1.0, 1.25], atol=0.03)
    turn = (drawn.shift + 128) % 256 - 128
    assert (turn.min(), turn.max()) == (-63, 63)
    orders, counts = np.unique(drawn.order, axis=0, return_counts=True)
    assert len(orders) == 24
    np.testing.assert_allclose(counts / 6000, 1 / 24, atol=0.01)
    assert np.abs(np.corrcoef(drawn.factors.T) - np.eye(3)).max() < 0.05


def test_what_does_not_change_is_left_out() -> None:
    drawn = Augmentation(contrast=0.0, hue=0.0).draw(1, 2, 50, SIZE)
    assert set(drawn.order.reshape(-1).tolist()) == {0, 2, 4}
    drawn = Augmentation(probability=0.3).draw(1, 2, 4000, SIZE)
    changed = (drawn.order != 4).any(1)
    assert changed.mean() == pytest.approx(0.3, abs=0.03)
    assert (drawn.order[changed] != 4).all()


def test_what_is_drawn_is_recorded() -> None:
    drawn = Augmentation().draw(0, 0, 3, SIZE)
    assert Drawn._fields == ("order", "factors", "shift")
    assert drawn.order.tolist() == [[0, 1, 2, 3], [3, 2, 0, 1], [2, 0, 3, 1]]
    assert drawn.shift.tolist() == [0, 10, 245]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"brightness": -0.1}, "brightness: expected a number of at least 0, found -0.1"),
        ({"hue": 0.6}, "hue: expected a number from 0 to 0.5, found 0.6"),
        ({"probability": 2.0}, "probability: expected a number from 0 to 1, found 2.0"),
    ],
)
def test_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'augment.color_jitter.{sentence}')}$"):
        Augmentation(**options)
