import numpy as np
import pytest

from jaxnext.augment.operations import operation as kinds
from jaxnext.augment.rand_augment import Augmentation

SIZE = (331, 662)


def test_what_is_drawn_is_recorded() -> None:
    drawn = Augmentation().draw(0, 0, 4, SIZE)
    assert drawn.kind.tolist() == [[0, 1], [4, 8], [1, 5], [3, 7]]


def test_operations_are_uniform_and_of_one_strength() -> None:
    drawn = Augmentation(num_ops=3, magnitude=20).draw(1, 2, 3000, SIZE)
    assert drawn.kind.shape == (3000, 3)
    shares = np.bincount(drawn.kind.reshape(-1), minlength=9) / 9000 * 14
    np.testing.assert_allclose(shares, [1, 5, 1, 1, 1, 1, 2, 1, 1], atol=0.2)
    assert np.corrcoef(drawn.kind.T) == pytest.approx(np.eye(3), abs=0.06)
    np.testing.assert_allclose(np.unique(drawn.factor[drawn.kind == kinds.SHARPNESS]), [0.4, 1.6], rtol=1e-6)
    levels = drawn.kind == kinds.LEVELS
    assert set(zip(drawn.threshold[levels], drawn.mask[levels], strict=True)) == {(86, 255), (256, 0b11111000)}
    moves = drawn.affine[drawn.kind == kinds.AFFINE]
    assert set(moves[(moves[:, 1] == 0) & (moves[:, 3] == 0), 2].tolist()) == {
        32768,
        32768 - 200 * 65536,
        32768 + 200 * 65536,
    }


def test_nothing_to_do_and_what_is_refused() -> None:
    assert Augmentation(num_ops=0).draw(0, 0, 5, SIZE).kind.shape == (5, 0)
    for options, sentence in (
        ({"num_ops": -1}, r"num_ops: expected at least 0, found -1"),
        ({"magnitude": 31}, r"magnitude: expected a number from 0 to 30, found 31"),
        ({"num_magnitude_bins": 1}, r"num_magnitude_bins: expected at least 2, found 1"),
    ):
        with pytest.raises(ValueError, match=rf"^augment\.rand_augment\.{sentence}$"):
            Augmentation(**options)
