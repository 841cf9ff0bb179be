from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flat_config import model_config

from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError
from jaxnext.models.summary import check_size, parameter_counts, summary, variable_shapes

CONFIG = model_config(
    stage_sizes=(1, 1),
    widths=(4, 8),
    features=(8, 32),
    stem_features=4,
    groups=2,
    attention="cbam",
    reduction=8,
    head="fc",
    head_widths=(1000,),
)


@pytest.fixture(scope="module")
def shapes() -> dict[str, Any]:
    return variable_shapes(network(CONFIG, 7, "float32"))


def test_text(shapes: dict[str, Any]) -> None:
    assert summary(shapes["params"]) == (
        "stem           596 parameters\n"
        "stage2         200 parameters\n"
        "stage3       1,024 parameters\n"
        "attention      354 parameters\n"
        "head        42,007 parameters\n"
        "total       44,181 parameters"
    )


def test_counts_of_parts_that_are_counted_by_hand(shapes: dict[str, Any]) -> None:
    counts = parameter_counts(shapes["params"])
    assert list(counts) == ["stem", "stage2", "stage3", "attention", "head"]
    assert counts["stem"] == 7 * 7 * 3 * 4 + 2 * 4
    assert counts["stage2"] == (4 * 4 + 8) + (9 * 2 * 4 + 8) + (4 * 8 + 16) + (4 * 8 + 16)
    assert counts["stage3"] == (8 * 8 + 16) + (9 * 4 * 8 + 16) + (8 * 32 + 64) + (8 * 32 + 64)
    assert counts["attention"] == 2 * 32 * 4 + 7 * 7 * 2
    assert counts["head"] == (32 * 1000 + 1000) + 2 * 1000 + (1000 * 7 + 7)


def test_shapes_are_described_without_computing(shapes: dict[str, Any]) -> None:
    assert sorted(shapes) == ["batch_stats", "params"]
    leaves = jax.tree.leaves(shapes)
    assert {type(leaf) for leaf in leaves} == {jax.ShapeDtypeStruct}
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32"), jnp.dtype("int32")}


def test_a_network_at_the_limit_passes_and_one_above_is_refused() -> None:
    params = {"head": {"output": {"kernel": jnp.zeros((30, 50)), "bias": jnp.zeros(50)}}}
    check_size(params, 1550)
    with pytest.raises(JaxnextError) as caught:
        check_size(params, 1549)
    assert str(caught.value) == (
        "model.max_parameters: expected at most 1,549 parameters, found 1,550; "
        "choose a smaller network or raise the limit with --model.max_parameters 1550"
    )
