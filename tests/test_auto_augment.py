import numpy as np
import pytest
from torch_reference import require

from jaxnext.augment.auto_augment import POLICY, Augmentation
from jaxnext.augment.operations import operation as kinds

SIZE = (64, 64)


def test_what_is_drawn_is_recorded() -> None:
    drawn = Augmentation().draw(0, 0, 6, SIZE)
    assert drawn.kind.tolist() == [[6, 1], [0, 8], [5, 6], [4, 0], [8, 0], [0, 8]]


def test_each_pair_has_its_probabilities() -> None:
    drawn = Augmentation().draw(1, 2, 20_000, SIZE)
    second = np.bincount(drawn.kind[:, 1], minlength=9) / 20_000
    # Of 25 pairs, the second operation: 11 times equalised with these probabilities.
    chances = [one[1] for _, one in POLICY if one[0] == "Equalize"]
    assert second[kinds.EQUALIZE] == pytest.approx(sum(chances) / 25, abs=0.012)
    first = np.bincount(drawn.kind[:, 0], minlength=9) / 20_000
    assert first[kinds.SHARPNESS] == pytest.approx(0.4 / 25, abs=0.004)
    assert first[kinds.AFFINE] == pytest.approx((0.2 + 0.8 + 0.4 + 0.8 + 0.6) / 25, abs=0.012)
    # Only one pair inverts second, and only after it may have sharpened.
    inverted = (drawn.kind[:, 1] == kinds.LEVELS) & (drawn.threshold[:, 1] == 0)
    assert inverted.mean() == pytest.approx(0.6 / 25, abs=0.005)
    assert (drawn.kind[inverted, 0] == kinds.SHARPNESS).mean() == pytest.approx(0.4, abs=0.06)
    sharpened = drawn.factor[drawn.kind == kinds.SHARPNESS]
    np.testing.assert_allclose(np.unique(sharpened), [0.3, 1.7], rtol=1e-6)
    assert (sharpened < 1).mean() == pytest.approx(0.5, abs=0.07)


def test_the_policy_is_torchvisions() -> None:
    require()
    from torchvision.transforms import v2

    expected = v2.AutoAugment()._policies
    found = [tuple((name, chance, strength) for name, chance, strength in pair) for pair in POLICY]
    assert found == [tuple((name, chance, strength or 0) for name, chance, strength in pair) for pair in expected]
