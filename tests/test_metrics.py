import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.metrics import Accumulator, metric_sums


def sums_of(logits: Any, labels: list[int], mask: list[bool] | None = None) -> dict[str, np.ndarray]:
    rows = np.ones(len(labels), bool) if mask is None else np.array(mask)
    found = metric_sums(jnp.array(logits, jnp.float32), jnp.array(labels, jnp.int32), jnp.array(rows))
    return {name: np.asarray(value) for name, value in found.items()}


def test_literal() -> None:
    log3 = math.log(3)
    sums = sums_of([[log3, 0], [log3, 0], [0, log3], [0, 0]], [0, 1, 1, 0])
    np.testing.assert_allclose(sums["loss"], 2 * math.log(4 / 3) + math.log(4) + math.log(2), rtol=1e-6)
    assert {name: value.tolist() for name, value in sums.items() if name != "loss"} == {
        "count": 4,
        "correct": 3,
        "correct_top5": 4,
        "class_count": [2, 2],
        "class_correct": [2, 1],
    }


def test_dtypes() -> None:
    sums = sums_of([[0, 1, 2]], [2])
    assert sums.pop("loss").dtype == np.float32
    assert {name: value.dtype for name, value in sums.items()} == dict.fromkeys(sums, np.dtype("int32"))


def test_padding_does_not_count_whatever_it_holds() -> None:
    logits = [[2.0, 0.0, 1.0], [0.0, 5.0, 0.0], [math.nan, math.inf, -math.inf]]
    whole, padded = sums_of(logits[:2], [0, 2]), sums_of(logits, [0, 2, 1], [True, True, False])
    for name, value in whole.items():
        np.testing.assert_array_equal(padded[name], value, err_msg=name)


def test_a_batch_of_padding_is_zero() -> None:
    sums = sums_of([[1.0, 2.0]] * 3, [0, 0, 0], [False] * 3)
    assert {name: value.tolist() for name, value in sums.items()} == {
        "loss": 0,
        "count": 0,
        "correct": 0,
        "correct_top5": 0,
        "class_count": [0, 0],
        "class_correct": [0, 0],
    }


@pytest.mark.parametrize(
    ("logits", "label", "inside"),
    [
        ([7, 6, 5, 4, 3, 2, 1], 4, 1),
        ([7, 6, 5, 4, 3, 2, 1], 5, 0),
        ([5, 5, 5, 5, 5, 5, 5], 6, 1),
        ([9, 9, 9, 9, 5, 5, 5], 6, 1),
        ([9, 9, 9, 9, 9, 5, 5], 6, 0),
        ([1, 2, 3, 4], 0, 1),
    ],
    ids=["fifth", "sixth", "all equal", "tie for the fifth", "tie for the sixth", "fewer than five classes"],
)
def test_top5(logits: list[float], label: int, inside: int) -> None:
    assert sums_of([logits], [label])["correct_top5"] == inside


def test_a_tie_for_the_highest_goes_to_the_first() -> None:
    assert sums_of([[3, 3, 1]], [0])["correct"] == 1
    assert sums_of([[3, 3, 1]], [1])["correct"] == 0


jitted_sums = jax.jit(metric_sums)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_sums_of_parts_add_up(seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits, labels, mask = generator.standard_normal((8, 6)), generator.integers(0, 6, 8), generator.random(8) < 0.7
    with jax.enable_x64(True):
        whole, *parts = (
            jitted_sums(logits[rows], labels[rows].astype(np.int32), mask[rows])
            for rows in (slice(None), slice(4), slice(4, None))
        )
        for name, value in whole.items():
            np.testing.assert_allclose(np.add(parts[0][name], parts[1][name]), value, rtol=1e-12, err_msg=name)
    best = logits.argmax(1)
    assert whole["correct"] == sum(mask & (best == labels))
    assert whole["class_correct"].tolist() == [sum(mask & (best == labels) & (labels == c)) for c in range(6)]
    assert whole["class_count"].tolist() == [sum(mask & (labels == c)) for c in range(6)]


def step(loss: float, count: int, **sums: list[int]) -> dict[str, jax.Array]:
    """A training step's sums."""
    counts = {name: jnp.array(value, jnp.int32) for name, value in sums.items()}
    return {"loss": jnp.float32(loss), "count": jnp.int32(count), **counts}


def test_accumulator() -> None:
    total = Accumulator()
    assert math.isnan(total.mean("loss"))
    assert total.add(step(loss=3, count=4, class_count=[1, 3])) == 0.75
    assert total.add(step(loss=1, count=1, class_count=[0, 1])) == 1
    assert total.mean("loss") == 0.8
    assert total.sums["class_count"].tolist() == [1, 4]


def test_accumulator_divides_losses_by_their_weights_and_nothing_else() -> None:
    total = Accumulator()
    assert total.add({**step(loss=3, count=4), "correct": jnp.int32(2), "loss_weight": jnp.float32(0.5)}) == 6
    assert total.add(
        {**step(loss=1, count=4), "correct": jnp.int32(4), "loss_weight": jnp.float32(1.5)}
    ) == pytest.approx(2 / 3)
    assert total.mean("loss") == 2
    assert total.mean("correct") == 0.75


def test_accumulator_is_wide() -> None:
    total = Accumulator()
    for _ in range(3):
        total.add(step(loss=2**24, count=2**30))
    total.add(step(loss=1, count=1))
    assert total.sums["loss"].dtype == np.float64
    assert total.sums["count"].dtype == np.int64
    assert total.sums["loss"] == 3 * 2**24 + 1
    assert total.sums["count"] == 3 * 2**30 + 1


def test_accumulator_goes_on_from_sums_and_leaves_them_alone() -> None:
    before = {"loss": np.float64(2), "count": np.array(2)}
    total = Accumulator(before)
    total.add(step(loss=1, count=1))
    assert total.mean("loss") == 1
    assert before == {"loss": 2, "count": 2}


def test_a_step_of_padding_has_no_mean_loss_of_its_own() -> None:
    total = Accumulator()
    assert total.add(step(loss=0, count=0)) == 0
    assert math.isnan(total.mean("loss"))
