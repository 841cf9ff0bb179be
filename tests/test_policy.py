import numpy as np
import pytest

from jaxnext.augment import auto_augment, rand_augment, trivial_augment_wide
from jaxnext.config.mapping import build
from jaxnext.errors import JaxnextError

KINDS = {
    "auto_augment": auto_augment.Augmentation,
    "rand_augment": rand_augment.Augmentation,
    "trivial_augment_wide": trivial_augment_wide.Augmentation,
}


@pytest.mark.parametrize("name", KINDS)
def test_options_of_each(name: str) -> None:
    assert (KINDS[name]().interpolation, KINDS[name]().fill) == ("nearest", 0)
    (chosen,) = build({"augment": [{"type": name, "interpolation": "bilinear", "fill": [124, 116, 104]}]}).augment
    augmentation = chosen.build()
    assert (augmentation.interpolation, augmentation.fill) == ("bilinear", (124, 116, 104))
    assert augmentation.draw(0, 0, 5, (8, 8)).affine.shape[2:] == (7, 2)
    assert KINDS[name]().draw(0, 0, 5, (8, 8)).affine.shape[2:] == (6,)


@pytest.mark.parametrize(("fill", "found"), [(256, "256"), (-1, "-1"), ((1, 2), r"\[1, 2\]"), ((0, 0, 300), ".*300")])
def test_what_is_no_fill_is_refused(fill: int | tuple[int, ...], found: str) -> None:
    sentence = rf"^augment\.rand_augment\.fill: expected one level or three, from 0 to 255, found {found}"
    with pytest.raises(ValueError, match=sentence):
        rand_augment.Augmentation(fill=fill)


def test_another_interpolation_is_refused() -> None:
    with pytest.raises((ValueError, JaxnextError), match="expected one of nearest, bilinear, found 'cubic'"):
        build({"augment": [{"type": "rand_augment", "interpolation": "cubic"}]})


def test_the_options_reach_the_pixels() -> None:
    images = np.full((40, 12, 15, 3), 255, np.uint8)
    augmentation = trivial_augment_wide.Augmentation(interpolation="bilinear", fill=(10, 20, 30))
    drawn = augmentation.draw(0, 0, 40, (12, 15))
    moved = np.asarray(augmentation.apply(images, drawn))[drawn.kind[:, 0] == 1]
    assert {tuple(pixel) for pixel in moved.reshape(-1, 3).tolist()} == {(255, 255, 255), (10, 20, 30)}
