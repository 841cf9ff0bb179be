"""Residual blocks against torchvision's, and an attention inside them."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxnext_runs
import numpy as np
import pytest
from flat_config import model_config
from tolerances import FLOAT64_FORWARD, FLOAT64_GRADIENT
from torch_ported import gradient_errors, relative_error, to_leaves, to_torch
from torch_reference import fields, model, require, settle

from jaxnext.engine.network import network
from jaxnext.models.blocks import Block
from jaxnext.models.dropout import dropout
from jaxnext.models.resnext import ResNeXt
from jaxnext.models.summary import variable_shapes
from jaxnext.tree import flatten, path_name

X = jax.ShapeDtypeStruct((2, 8, 8, 4), jnp.float32)


def shapes(block: Block) -> dict[str, tuple[int, ...]]:
    params = jax.eval_shape(lambda x: block.init(jax.random.key(0), x, train=False), X)["params"]
    return {path_name(path): leaf.shape for path, leaf in flatten(params).items() if path[-1] == "kernel"}


def test_kernels_of_a_basic_block() -> None:
    assert shapes(Block("basic", 4, 4)) == {"conv1/kernel": (3, 3, 4, 4), "conv2/kernel": (3, 3, 4, 4)}
    assert shapes(Block("basic", 6, 8, stride=2)) == {
        "conv1/kernel": (3, 3, 4, 6),
        "shortcut_conv/kernel": (1, 1, 4, 8),
        "conv2/kernel": (3, 3, 6, 8),
    }


def test_kernels_of_a_bottleneck() -> None:
    assert shapes(Block("bottleneck", 6, 8, groups=2)) == {
        "conv1/kernel": (1, 1, 4, 6),
        "conv2/kernel": (3, 3, 3, 6),
        "shortcut_conv/kernel": (1, 1, 4, 8),
        "conv3/kernel": (1, 1, 6, 8),
    }


class Recording(nn.Module):
    """Doubles what it is given and drops a part, and keeps its arguments."""

    note: Callable[[dict[str, Any]], None]

    @nn.compact
    def __call__(self, x: jax.Array, **arguments: Any) -> jax.Array:
        self.note({"lowest": x.min(), **arguments})
        gain = self.param("gain", nn.initializers.constant(2.0), ())
        return dropout(x * gain, 0.5, train=arguments["train"], keys=arguments["keys"], layer=1)


def test_the_attention_weighs_what_is_added_to_the_shortcut() -> None:
    x = jnp.asarray(np.random.default_rng(0).random((2, 4, 4, 4)) + 0.1, jnp.float32)
    calls: list[dict[str, Any]] = []
    block = Block("basic", 4, 4, attention=Recording(calls.append))
    variables = block.init(jax.random.key(0), x, train=False)
    calls.clear()
    mask = jnp.array([True, False])
    found = block.apply(variables, x, train=False, mask=mask)
    plain = Block("basic", 4, 4).apply({**variables, "params": {**variables["params"]}}, x, train=False)
    np.testing.assert_allclose(jnp.maximum(x + 2 * (plain - x), 0), jnp.where(plain > 0, found, 0), atol=1e-6)
    (call,) = calls
    assert call["lowest"] < 0, "before the ReLU"
    assert (call["train"], call["mask"] is mask, call["keys"]) == (False, True, None)


def backbone_of(calls: list[dict[str, Any]]) -> ResNeXt:
    return ResNeXt((2, 1), (4, 4), (4, 8), 4, 1, block="basic", block_attention=Recording(calls.append))


def test_every_block_has_an_attention_of_its_own() -> None:
    images = jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: backbone_of([]).init(jax.random.key(0), x, train=False), images)
    gains = [name for name in map(path_name, flatten(variables["params"])) if name.endswith("gain")]
    assert gains == [f"{block}/attention/gain" for block in ("stage2_block1", "stage2_block2", "stage3_block1")]


@pytest.mark.slow
@pytest.mark.parametrize("remat", [False, True])
def test_every_block_and_example_has_keys_of_its_own(remat: bool) -> None:
    calls: list[dict[str, Any]] = []
    model, images = backbone_of(calls).clone(remat=remat), jnp.ones((2, 16, 16, 3))
    variables = model.init(jax.random.key(0), images, train=False)
    calls.clear()
    keys = jax.random.split(jax.random.key(1), 2)
    model.apply(variables, images, train=True, keys=keys, mutable=["batch_stats"])
    assert len(calls) == 3
    if not remat:  # there they are traced
        given = [jax.random.key_data(call["keys"]).tolist() for call in calls]
        assert len({str(key) for row in given for key in row}) == 6


# ---- PyTorch ----


@pytest.mark.slow
def test_recomputed_blocks_with_attention_equal_pytorch_in_double() -> None:
    """Logits in both modes and the gradients of a weighted sum, with remat; test_golden has them without."""
    net = "se"
    require()
    theirs = settle(model(net, 12, tiny=True)).double()
    x = np.random.default_rng(0).normal(size=(8, 20, 20, 3))
    with jax.enable_x64(True):
        ours = network(model_config(**fields(net, tiny=True), remat=True), 12, "float64")
        variables = to_leaves(variable_shapes(ours), theirs.state_dict())
        cotangent = np.random.default_rng(1).normal(size=(8, 12))

        def run(variables: Any, x: Any) -> Any:
            def loss(params: Any) -> Any:
                own = {**variables, "params": params}
                logits, _ = ours.apply(own, x, train=True, mutable=["batch_stats"])
                return (logits * cotangent).sum(), logits

            gradients, training = jax.grad(loss, has_aux=True)(variables["params"])
            return ours.apply(variables, x, train=False), training, gradients

        evaluation, training, gradients = jax.device_get(jaxnext_runs.less_quick_jit(run)(variables, x))
    assert relative_error(evaluation, theirs(to_torch(x)).detach().numpy()) <= FLOAT64_FORWARD
    logits = theirs.train()(to_torch(x))
    assert relative_error(training, logits.detach().numpy()) <= FLOAT64_FORWARD
    (logits * to_torch(cotangent[:, None, None]).reshape(8, 12)).sum().backward()
    right = to_leaves(
        {"params": variables["params"]}, {name: parameter.grad for name, parameter in theirs.named_parameters()}
    )
    errors = gradient_errors({"params": gradients}, right, zero=set())
    assert max(errors.values()) <= FLOAT64_GRADIENT, errors
