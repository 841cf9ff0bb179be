import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import FLOAT64_OPERATION

from jaxnext.ops import channel_sums as module
from jaxnext.ops.channel_sums import channel_sums, sums_at_once


def moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, x * x


def test_by_hand() -> None:
    x = jnp.arange(1.0, 13.0).reshape(2, 3, 1, 2)
    total, squares = channel_sums(moments, x)
    assert total.tolist() == [1 + 3 + 5 + 7 + 9 + 11, 2 + 4 + 6 + 8 + 10 + 12]
    assert squares.tolist() == [1 + 9 + 25 + 49 + 81 + 121, 4 + 16 + 36 + 64 + 100 + 144]


def test_an_array_of_rows_is_spread_over_the_places() -> None:
    x = jnp.arange(1.0, 13.0).reshape(2, 3, 1, 2)
    rows = jnp.array([True, False]).reshape(2, 1, 1, 1)
    (total,) = channel_sums(lambda x, rows: (jnp.where(rows, x, 0),), x, rows)
    assert total.tolist() == [1 + 3 + 5, 2 + 4 + 6]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3, 1)])
def test_without_rows_the_sums_are_zero(shape: tuple[int, ...]) -> None:
    (total,) = channel_sums(lambda x: (x,), jnp.ones(shape))
    assert total.tolist() == [0.0] * shape[-1]


def test_each_sum_has_its_terms_dtype() -> None:
    found = channel_sums(lambda x: (x, x.astype(jnp.float32)), jnp.ones((4, 2), jnp.bfloat16))
    assert [(each.dtype.name, each.tolist()) for each in found] == [("bfloat16", [4, 4]), ("float32", [4, 4])]


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_any_number_of_rows(batch: int, height: int, width: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, batch, height, width, channels))
    with jax.enable_x64(True):
        found = jax.device_get(channel_sums(lambda x, y: (x, x * y, y + 1), x, y))
    for each, terms in zip(found, (x, x * y, y + 1), strict=True):
        expected = terms.sum((0, 1, 2))
        assert np.abs(each - expected).max() <= FLOAT64_OPERATION * np.abs(terms).sum()


def test_it_is_differentiated_twice() -> None:
    def squares(x: jax.Array) -> jax.Array:
        return (channel_sums(lambda x: (x**3,), x)[0] ** 2).sum()

    x = jnp.array([[1.0], [2.0]])
    assert jax.grad(squares)(x).tolist() == [[2 * 9 * 3 * 1], [2 * 9 * 3 * 4]]
    twice = jax.grad(lambda x: jax.grad(squares)(x).sum())(x)
    # The derivatives of 6 s x_i^2 with s = x_1^3 + x_2^3, summed over i.
    assert twice[:, 0].tolist() == [12 * 9 * 1 + 18 * 1 * (1 + 4), 12 * 9 * 2 + 18 * 4 * (1 + 4)]


def test_on_a_cpu_the_terms_are_not_written_out() -> None:
    x = jnp.zeros((16, 24, 32))
    text = jax.jit(lambda x: channel_sums(lambda x: (jnp.sin(x),), x)).lower(x).compile().as_text()
    entry = text[text.index("\nENTRY") :]
    written = [math.prod(map(int, shape.split(","))) for shape in re.findall(r"= f32\[([\d,]+)\]\S* fusion", entry)]
    assert max(written) == 16 * 24 * 32 // module.IN_SUM


@pytest.mark.parametrize("shape", [(2, 3, 1, 2), (6, 2), (module.ROWS_AT_ONCE, 1, 2)])
def test_sums_at_once(shape: tuple[int, ...]) -> None:
    x = np.arange(math.prod(shape), dtype=np.float64).reshape(shape) % 7
    found = jax.jit(lambda x: sums_at_once((x, x * x)))(jnp.asarray(x, jnp.float32))
    rows = x.reshape(-1, shape[-1])
    assert [each.tolist() for each in found] == [rows.sum(0).tolist(), (rows**2).sum(0).tolist()]
