from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flat_config import model_config

from jaxnext.engine.network import network
from jaxnext.errors import UsageError
from jaxnext.models.freezing import check_frozen, frozen_network, join, split
from jaxnext.models.initialisation import initialise
from jaxnext.models.parts import part_names
from jaxnext.models.summary import variable_shapes
from jaxnext.tree import flatten

FIELDS: dict[str, Any] = {
    **{"stage_sizes": (1, 1), "widths": (2, 2), "features": (4, 4), "stem_features": 2, "groups": 1},
    **{"attention": "cbam", "reduction": 2, "head": "fc", "head_widths": (3,), "dropout": 0.5},
}
CONFIG = model_config(**FIELDS)


@pytest.fixture(scope="module")
def params() -> dict[str, Any]:
    return variable_shapes(network(CONFIG, 2, "float32"))["params"]


def test_a_tree_is_split_by_part_and_joined_again(params: dict[str, Any]) -> None:
    trained, fixed = split(params, ("stem", "attention"))
    assert part_names(trained) == ("stage2", "stage3", "head")
    assert part_names(fixed) == ("stem", "attention")
    assert join(trained, fixed) == params
    assert split(params, ()) == (params, {})


def test_frozen_parts_compute_as_in_evaluation_and_keep_their_statistics() -> None:
    model = network(CONFIG, 2, "float32")
    variables = initialise(model, 0)
    images = jax.random.normal(jax.random.key(1), (4, 16, 16, 3))
    keys = jax.random.split(jax.random.key(2), 4)
    every = part_names(variables["params"])

    @jax.jit
    def run(variables: Any, images: Any) -> Any:
        found = {}
        for frozen in (every, ("stem", "stage3", "head"), ()):
            net = frozen_network(model, frozen)
            found[frozen] = net.apply(variables, images, train=True, keys=keys, mutable=["batch_stats"])
        return model.apply(variables, images, train=False), list(found.values())

    evaluated, ((all_frozen, untouched), (_, some), (trained, moved)) = run(variables, images)
    np.testing.assert_array_equal(all_frozen, evaluated)
    jax.tree.map(np.testing.assert_array_equal, untouched["batch_stats"], variables["batch_stats"])
    assert not np.allclose(trained, evaluated)
    counts = {
        path[:2]: int(count) for path, count in flatten(some["batch_stats"]).items() if path[-1].startswith("num_")
    }
    assert counts == {
        ("backbone", "stem_norm"): 0,
        ("backbone", "stage2_block1"): 1,
        ("backbone", "stage3_block1"): 0,
        ("head", "norm1"): 0,
    }
    assert int(moved["batch_stats"]["head"]["norm1"]["num_batches_tracked"]) == 1


def test_a_network_of_which_everything_is_trained_is_itself() -> None:
    model = network(CONFIG, 2, "float32")
    assert frozen_network(model, ()) is model


def test_what_is_not_trained_is_said(params: dict[str, Any]) -> None:
    assert check_frozen(CONFIG, params) == []
    config = model_config(**FIELDS, freeze=("stem", "stage2"), unfreeze={3: ("stage2",)})
    count = sum(int(jnp.prod(jnp.array(leaf.shape))) for leaf in flatten(split(params, config.freeze)[1]).values())
    assert check_frozen(config, params) == [
        f"not trained: stem, stage2, {count:,} parameters; stage2 until epoch 3 is done"
    ]


def test_parts_that_cannot_be_frozen_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        check_frozen(model_config(**FIELDS, freeze=("layer1",)), params)
    assert str(caught.value) == (
        "model.freeze: expected parts of this network (stem, stage2, stage3, attention, head), found 'layer1'"
    )
    with pytest.raises(UsageError) as caught:
        check_frozen(model_config(**FIELDS, freeze=part_names(params)), params)
    assert str(caught.value) == (
        "model.freeze: expected a part that is trained, found all, stem, stage2, stage3, attention, head"
    )
