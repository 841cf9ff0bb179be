"""The options that every optimizer has."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from descent import assert_equals_torch, nested

from jaxnext.config.sections import OPTIMIZERS
from jaxnext.engine.optimizer import clipped
from jaxnext.engine.optimizers.adam import Optimizer as Adam
from jaxnext.engine.optimizers.adamw import Optimizer as AdamW
from jaxnext.engine.optimizers.sgd import Optimizer as Sgd
from jaxnext.errors import UsageError

STAGES = ("stem_conv", "stage2_block1", "stage2_block2", "stage3_block1")
PARAMS = {
    "backbone": {name: {"kernel": jnp.ones((1, 2))} for name in STAGES},
    "attention": {"channel": {"kernel": jnp.ones((2, 2))}},
    "head": {"norm1": {"scale": jnp.ones(2)}, "output": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}},
}


def directions(config: Any, gradients: Any = PARAMS, **options: Any) -> Any:
    """What the first step subtracts, but for the learning rate."""
    optimizer = config.transformation(**options)
    return optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)[0]


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_has_them_and_they_are_off(name: str) -> None:
    chosen = OPTIMIZERS.choose(name)
    assert {key: chosen[key] for key in ("decay_norms", "clip_norm", "multipliers", "layer_decay")} == {
        "decay_norms": True,
        "clip_norm": None,
        "multipliers": None,
        "layer_decay": 1.0,
    }
    built = chosen.build()
    assert built.lines(PARAMS) == []
    start = built.transformation().init(PARAMS)
    # initial_moments makes every state of zeros.
    assert all(float(jnp.abs(leaf).max()) == 0 for leaf in jax.tree.leaves(start))
    everything = OPTIMIZERS.choose(name, decay_norms=False, clip_norm=1, multipliers={"head": 2}, layer_decay=0.5)
    after = everything.build().transformation().init(PARAMS)
    assert [leaf.shape for leaf in jax.tree.leaves(after)] == [leaf.shape for leaf in jax.tree.leaves(start)]


# Of PyTorch, torch.nn.utils.clip_grad_norm_: 3/(5 + 1e-6) and 1.
def test_a_gradient_is_scaled_down_to_the_norm_and_a_smaller_one_stays() -> None:
    gradients = {"a": jnp.array([3.0]), "b": jnp.array([[0.0, 4.0]])}
    with jax.enable_x64(True):
        gradients = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), gradients)
        update = clipped(3.0).update
        found, _ = update(gradients, clipped(3.0).init(gradients))
        np.testing.assert_allclose(found["a"], [1.79999964000007], rtol=1e-14)
        np.testing.assert_allclose(found["b"], [[0.0, 2.3999995200000964]], rtol=1e-14)
        same, _ = clipped(6.0).update(gradients, clipped(6.0).init(gradients))
        jax.tree.map(np.testing.assert_array_equal, same, gradients)


@pytest.mark.parametrize("norm", [1e-3, 1.0])
def test_clipped_steps_equal_torch(norm: float) -> None:
    torch = pytest.importorskip("torch")
    assert_equals_torch(
        Sgd(learning_rate=1e-2, weight_decay=0.1, clip_norm=norm),
        lambda params: torch.optim.SGD(params.values(), lr=1e-2, momentum=0.9, weight_decay=0.1),
        lambda params: torch.nn.utils.clip_grad_norm_(params, norm),
    )


@pytest.mark.parametrize("kind", [Adam, AdamW, Sgd])
def test_groups_with_their_own_rate_and_decay_equal_torch(kind: type) -> None:
    torch = pytest.importorskip("torch")
    config = kind(
        learning_rate=1e-2, weight_decay=0.1, decay_norms=False, multipliers={"stem": 0.1, "head": 10}, layer_decay=0.5
    )
    # The three leaves are of the three parts; the kernel alone decays.
    rates = {"backbone/stem_norm/scale": 0.1 * 0.25, "backbone/stage2_block1/conv1/kernel": 0.5, "head/output/bias": 10}
    own = {"momentum": 0.9} if kind is Sgd else {}
    names = {Adam: "Adam", AdamW: "AdamW", Sgd: "SGD"}

    def make(params: dict[str, Any]) -> Any:
        groups = [
            {"params": [value], "lr": 1e-2 * rates[name], "weight_decay": 0.1 * name.endswith("kernel")}
            for name, value in params.items()
        ]
        return getattr(torch.optim, names[kind])(groups, **own)

    assert_equals_torch(config, make)


def test_decay_leaves_out_norms_and_biases() -> None:
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    found = directions(Sgd(weight_decay=0.5, decay_norms=False), zeros)
    assert found["head"]["output"]["kernel"].tolist() == [[0.5, 0.5]] * 2
    assert found["head"]["output"]["bias"].tolist() == found["head"]["norm1"]["scale"].tolist() == [0.0, 0.0]
    every = directions(Sgd(weight_decay=0.5), zeros)
    assert {float(leaf.min()) for leaf in jax.tree.leaves(every)} == {0.5}


def test_rates_by_depth_times_multipliers() -> None:
    config = Sgd(layer_decay=0.5, multipliers={"stage3": 10, "head": 2})
    expected = {"stem": 0.0625, "stage2": 0.125, "stage3": 2.5, "attention": 0.5, "head": 2}
    assert config.rates(PARAMS) == expected
    assert list(config.rates(PARAMS)) == list(expected)
    assert config.lines(PARAMS) == [
        "learning rates of the parts, as multiples of the schedule's: "
        "stem 0.0625, stage2 0.125, stage3 2.5, attention 0.5, head 2"
    ]
    found = directions(config)
    assert [float(found["backbone"][name]["kernel"][0, 0]) for name in STAGES] == [0.0625, 0.125, 0.125, 2.5]
    assert float(found["attention"]["channel"]["kernel"][0, 0]) == 0.5
    assert {float(leaf.max()) for leaf in jax.tree.leaves(found["head"])} == {2.0}


def test_depth_is_that_of_the_whole_network_where_a_part_is_not_trained() -> None:
    config = Sgd(layer_decay=0.5, momentum=0.0)
    optimizer = config.transformation(PARAMS)
    trained = {"backbone": PARAMS["backbone"]}
    found, _ = optimizer.update(trained, optimizer.init(trained), trained)
    assert float(found["backbone"]["stage3_block1"]["kernel"][0, 0]) == 0.25


def test_a_part_that_the_network_does_not_have_is_refused_by_name() -> None:
    config = Sgd(multipliers={"head": 1, "stage4": 2})
    expected = (
        "optimizer.multipliers: expected parts of this network (stem, stage2, stage3, attention, head), found 'stage4'"
    )
    for refused in (config.rates, config.lines, config.transformation):
        with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
            refused(PARAMS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"clip_norm": 0.0}, "optimizer.clip_norm: expected null or a number above 0, found 0.0"),
        ({"layer_decay": 1.5}, "optimizer.layer_decay: expected a number above 0 and at most 1, found 1.5"),
        ({"layer_decay": 0.0}, "optimizer.layer_decay: expected a number above 0 and at most 1, found 0.0"),
        ({"multipliers": {"head": 0.0}}, "optimizer.multipliers.head: expected a number above 0, found 0.0"),
    ],
)
def test_what_is_refused(options: dict[str, Any], sentence: str) -> None:
    for kind in (Adam, AdamW, Sgd):
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            kind(**options)


def test_a_step_in_float32_keeps_the_dtype() -> None:
    config = AdamW(decay_norms=False, clip_norm=1.0, multipliers={"head": 3}, layer_decay=0.5)
    gradients = nested({"backbone/stem_conv/kernel": np.ones((2, 2), np.float32), "head/output/bias": np.ones(2, "f")})
    optimizer = config.transformation()
    found, _ = optimizer.update(gradients, optimizer.init(gradients), gradients)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype("float32")}
