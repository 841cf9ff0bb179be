import jax
import numpy as np

from jaxnext.types import Augmentation


def test_augmentation_fields_in_order() -> None:
    assert Augmentation._fields == ("choice", "affine", "factors", "order")


def test_augmentation_travels_through_jax_as_four_leaves() -> None:
    order = np.zeros((2, 3), np.int32)
    one = Augmentation(np.zeros(2, np.int32), np.zeros((2, 6), np.int32), np.ones((2, 3), np.float32), order)
    leaves, structure = jax.tree.flatten(one)
    assert [leaf.shape for leaf in leaves] == [(2,), (2, 6), (2, 3), (2, 3)]
    assert isinstance(jax.tree.unflatten(structure, leaves), Augmentation)
