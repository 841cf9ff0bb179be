import jax
import jax.numpy as jnp
import numpy as np

from jaxnext.config.training import EmaConfig
from jaxnext.engine.ema import MovingAverage, start

UPDATES = (1, 2, 3, 11, 32, 1000, 40_000)


def decays(average: MovingAverage, dtype: str = "float64") -> list[float]:
    with jax.enable_x64(True):
        return [1 - float(average.weight(jnp.int32(n), jnp.dtype(dtype))) for n in UPDATES]


def test_the_decay_grows_with_warmup_as_that_of_timm() -> None:
    # ModelEmaV3(model, 0.999, use_warmup=True).get_decay of timm 1.0.31
    recorded = [0.0, 0.3700394750525634, 0.5192501432308638, 0.7978199917664258, 0.9007874342519875, 0.99, 0.999]
    np.testing.assert_allclose(decays(MovingAverage(0.999)), recorded, rtol=1e-14)


def test_the_decay_without_warmup_begins_after_the_first_update_as_that_of_timm() -> None:
    recorded = [0.0, 0.999, 0.999, 0.999, 0.999, 0.999, 0.999]
    np.testing.assert_allclose(decays(MovingAverage(0.999, warmup=False)), recorded, rtol=1e-14)


def test_the_other_options_are_those_of_timm() -> None:
    average = MovingAverage(0.999, warmup_gamma=10.0, warmup_power=0.75, min_decay=0.125, update_after=2)
    # update_after_step=2, min_decay=0.125, warmup_gamma=10, warmup_power=0.75
    recorded = [0.0, 0.0, 0.0, 0.3565043415065172, 0.6396690682229156, 0.9685422325879433, 0.998012084086339]
    np.testing.assert_allclose(decays(average), recorded, rtol=1e-14)


def test_the_weight_has_all_digits_in_float32() -> None:
    assert float(MovingAverage(0.9998).weight(jnp.int32(10**9), jnp.dtype("float32"))) == np.float32(1 - 0.9998)


def test_an_average_is_a_copy_first_and_then_moves_towards_each_update() -> None:
    variables = {"params": {"w": jnp.array([1.0, -2.0])}, "batch_stats": {"var": jnp.ones(()), "n": jnp.int32(3)}}
    average, move = start(variables), MovingAverage(0.75, warmup=False)
    for value, count in ((2.0, 4), (4.0, 5), (8.0, 6)):
        average = move.step(average, {"w": jnp.full(2, value)}, {"var": jnp.full((), value), "n": jnp.int32(count)})
    # 2, then 2 + (4 - 2) / 4, then 2.5 + (8 - 2.5) / 4
    np.testing.assert_array_equal(average.params["w"], [3.875, 3.875])
    assert float(average.batch_stats["var"]) == 3.875
    assert (int(average.batch_stats["n"]), int(average.updates)) == (6, 3)


def test_an_update_before_averaging_begins_is_copied_to_the_bit() -> None:
    old = {"params": {"w": jnp.array([1e8], jnp.float32)}, "batch_stats": {}}
    new = {"w": jnp.array([0.1], jnp.float32)}
    assert MovingAverage(0.9, update_after=1).step(start(old), new, {}).params["w"][0] == new["w"][0]


def test_a_config_without_a_decay_has_no_average() -> None:
    assert MovingAverage.of(EmaConfig()) is None
    assert MovingAverage.of(EmaConfig(decay=0.5, warmup=False)) == MovingAverage(0.5, warmup=False)
