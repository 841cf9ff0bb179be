import numpy as np
import pytest

from jaxnext.augment.operations import operation as kinds
from jaxnext.augment.trivial_augment_wide import Augmentation

SIZE = (64, 64)


def test_what_is_drawn_is_recorded() -> None:
    drawn = Augmentation().draw(0, 0, 8, SIZE)
    assert drawn.kind.shape == (8, 1)
    assert drawn.kind[:, 0].tolist() == [0, 4, 8, 1, 3, 6, 8, 0]


def test_operations_strengths_and_directions_are_uniform() -> None:
    drawn = Augmentation().draw(1, 2, 8000, SIZE)
    shares = np.bincount(drawn.kind[:, 0], minlength=9) / 8000 * 14
    # Five move pixels, two change levels; what changes nothing at its strength is of its kind all the same.
    np.testing.assert_allclose(shares, [1, 5, 1, 1, 1, 1, 2, 1, 1], atol=0.2)
    factor = drawn.factor[drawn.kind == kinds.CONTRAST]
    assert (factor.min(), factor.max()) == (pytest.approx(0.01), pytest.approx(1.99))
    assert len(np.unique(factor)) == 61
    assert (factor < 1).mean() == pytest.approx(15 / 31, abs=0.06)
    levels = drawn.kind == kinds.LEVELS
    assert set(drawn.mask[levels].tolist()) == {256 - 2 ** (8 - bits) for bits in range(2, 9)}
    assert set(drawn.threshold[levels].tolist()) >= {0, 9, 255, 256}
    # Rotation by up to 135 degrees, shears of up to 0.99, translations of up to 32 pixels.
    affine = drawn.affine[drawn.kind == kinds.AFFINE]
    assert affine[:, 0].min() == pytest.approx(65536 * np.cos(np.radians(135)), abs=1)
    only_shear = (affine[:, 0] == 65536) & (affine[:, 3] == 0) & (affine[:, 1] != 0)
    assert np.abs(affine[only_shear, 1]).max() == pytest.approx(65536 * 0.99, abs=1)
    only_move = (affine[:, 0] == 65536) & (affine[:, 1] == 0) & (affine[:, 3] == 0)
    assert (affine[only_move, 2].min(), affine[only_move, 2].max()) == (32768 - 32 * 65536, 32768 + 32 * 65536)


def test_bins_are_an_option() -> None:
    factor = Augmentation(num_magnitude_bins=2).draw(0, 0, 400, SIZE).factor
    np.testing.assert_allclose(np.unique(factor), [0.01, 1, 1.99], rtol=1e-6)
    with pytest.raises(ValueError, match=r"^augment\.trivial_augment_wide\.num_magnitude_bins: expected at least 2"):
        Augmentation(num_magnitude_bins=1)
