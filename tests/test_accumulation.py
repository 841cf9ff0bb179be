import jax.numpy as jnp
import numpy as np

from jaxnext.engine.accumulation import Accumulation, gathered, mean, start


def test_groups_end_with_the_epoch() -> None:
    # 10 batches an epoch: groups of 4, 4 and 2.
    groups = Accumulation(4, 10)
    due = [step for step in range(20) if groups.due(jnp.int32(step))]
    assert due == [3, 7, 9, 13, 17, 19]
    assert groups.updates_per_epoch == 3
    assert [groups.updates_before(step) for step in (0, 3, 4, 8, 9, 10, 13, 14, 20)] == [0, 0, 1, 2, 2, 3, 3, 4, 6]


def test_a_group_longer_than_an_epoch_is_an_epoch() -> None:
    groups = Accumulation(8, 3)
    assert [step for step in range(6) if groups.due(jnp.int32(step))] == [2, 5]
    assert groups.updates_per_epoch == 1


def test_the_mean_is_over_the_batches_that_had_an_image() -> None:
    so_far = start({"w": jnp.zeros(2)})
    np.testing.assert_array_equal(mean(so_far)["w"], [0, 0])
    for gradient, counts in (([1.0, 2.0], True), ([0.0, 0.0], False), ([3.0, -4.0], True)):
        so_far = gathered(so_far, {"w": jnp.array(gradient)}, jnp.array(counts))
    assert int(so_far.batches) == 2
    np.testing.assert_array_equal(mean(so_far)["w"], [2, -1])
