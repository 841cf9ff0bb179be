import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from live_seed import SEED
from tolerances import FLOAT64_FORWARD
from torch_ported import ported, relative_error, to_numpy, to_torch

from jaxnext.models.resnext import ResNeXt
from jaxnext.tree import flatten, path_name, unflatten

SMALL = ResNeXt(stage_sizes=(1, 2), widths=(4, 8), features=(6, 16), stem_features=6, groups=2)


@pytest.fixture(scope="module")
def small() -> tuple[dict[str, Any], jax.Array]:
    """Random weights and an image; nothing is compiled for them."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(2, 16, 16, 3)), jnp.float32)
    like = jax.eval_shape(lambda key, x: SMALL.init(key, x, train=False), jax.random.key(0), images)
    draw = {"kernel": rng.standard_normal, "num_batches_tracked": np.zeros}
    leaves = {path: draw.get(path[-1], rng.random)(leaf.shape) for path, leaf in flatten(like).items()}
    return jax.tree.map(lambda leaf, to: jnp.asarray(leaf, to.dtype), unflatten(leaves), like), images


@jax.jit
def run_small(variables: dict[str, Any], images: jax.Array) -> Any:
    """The output and everything that is sown, evaluation mode."""
    y, sown = SMALL.apply(variables, images, train=False, mutable=["intermediates"])
    return y, {name: value for name, (value,) in sown["intermediates"].items()}


def shapes(nested: Any) -> dict[str, tuple[int, ...]]:
    return {path_name(path): leaf.shape for path, leaf in flatten(nested).items()}


def norm(name: str, features: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/scale": (features,), f"{name}/bias": (features,)}


def test_parameters_by_name_and_shape(small: tuple[dict[str, Any], jax.Array]) -> None:
    assert shapes(small[0]["params"]) == {
        "stem_conv/kernel": (7, 7, 3, 6),
        **norm("stem_norm", 6),
        "stage2_block1/conv1/kernel": (1, 1, 6, 4),
        **norm("stage2_block1/norm1", 4),
        "stage2_block1/conv2/kernel": (3, 3, 2, 4),
        **norm("stage2_block1/norm2", 4),
        "stage2_block1/conv3/kernel": (1, 1, 4, 6),
        **norm("stage2_block1/norm3", 6),
        # No projection in stage 2: as many channels come in as go out, and the stride is 1.
        "stage3_block1/conv1/kernel": (1, 1, 6, 8),
        **norm("stage3_block1/norm1", 8),
        "stage3_block1/conv2/kernel": (3, 3, 4, 8),
        **norm("stage3_block1/norm2", 8),
        "stage3_block1/conv3/kernel": (1, 1, 8, 16),
        **norm("stage3_block1/norm3", 16),
        "stage3_block1/shortcut_conv/kernel": (1, 1, 6, 16),
        **norm("stage3_block1/shortcut_norm", 16),
        "stage3_block2/conv1/kernel": (1, 1, 16, 8),
        **norm("stage3_block2/norm1", 8),
        "stage3_block2/conv2/kernel": (3, 3, 4, 8),
        **norm("stage3_block2/norm2", 8),
        "stage3_block2/conv3/kernel": (1, 1, 8, 16),
        **norm("stage3_block2/norm3", 16),
    }


def test_a_stride_alone_needs_a_projection() -> None:
    model = SMALL.clone(features=(6, 6))
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    params = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)["params"]
    assert [name for name in params if "shortcut_conv" in params[name]] == ["stage3_block1"]


def test_every_norm_has_running_statistics(small: tuple[dict[str, Any], jax.Array]) -> None:
    like = jax.eval_shape(lambda key, x: SMALL.init(key, x, train=False), jax.random.key(0), small[1])
    norms = {name.removesuffix("/scale") for name in shapes(small[0]["params"]) if name.endswith("/scale")}
    assert len(norms) == 11
    leaves = ("mean", "var", "num_batches_tracked")
    assert shapes(like["batch_stats"]).keys() == {f"{name}/{leaf}" for name in norms for leaf in leaves}


def test_the_stem_and_each_stage_are_sown(small: tuple[dict[str, Any], jax.Array]) -> None:
    y, sown = run_small(*small)
    assert {name: value.shape for name, value in sown.items()} == {
        "stem": (2, 4, 4, 6),
        "stage2": (2, 4, 4, 6),
        "stage3": (2, 2, 2, 16),
    }
    np.testing.assert_array_equal(sown["stage3"], y)
    for value in sown.values():  # after a ReLU
        assert value.min() == 0
        assert value.max() > 0


def test_a_shortcut_goes_around_the_convolutions(small: tuple[dict[str, Any], jax.Array]) -> None:
    """With the last norm of a block at zero, the block is its shortcut: here the identity."""
    variables, images = small
    last = {name: jnp.zeros(6) for name in ("scale", "bias")}
    block = {**variables["params"]["stage2_block1"], "norm3": last}
    _, plain = run_small(variables, images)
    _, sown = run_small({**variables, "params": {**variables["params"], "stage2_block1": block}}, images)
    np.testing.assert_array_equal(sown["stage2"], plain["stem"])
    assert not np.array_equal(plain["stage2"], plain["stem"])


def test_remat_recomputes_each_block_in_training_alone(small: tuple[dict[str, Any], jax.Array]) -> None:
    model, (variables, images) = SMALL.clone(remat=True), small

    def blocks(train: bool) -> int:
        run = functools.partial(model.apply, train=train, mutable=["batch_stats"])
        operations = jax.make_jaxpr(run)(variables, images).eqns
        return sum(operation.primitive.name in ("checkpoint", "remat2") for operation in operations)

    assert (blocks(True), blocks(False)) == (3, 0)
    like = jax.eval_shape(lambda key, x: model.init(key, x, train=True), jax.random.key(0), images)
    assert shapes(like) == shapes(variables)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{}, {"remat": True, "frozen": ("stem",)}])
def test_with_one_gradient_for_norm_sum_and_relu_it_computes_the_same(
    small: tuple[dict[str, Any], jax.Array], changed: dict[str, Any]
) -> None:
    rng, mask = np.random.default_rng(1), np.array([True, True, False, True])
    images, cotangent = rng.normal(size=(4, 16, 16, 3)), rng.normal(size=(4, 2, 2, 16)) * mask[:, None, None, None]

    def run(fused: bool) -> Any:
        model = SMALL.clone(param_dtype=jnp.dtype("float64"), fused=fused, **changed)

        def loss(params: Any, stats: Any) -> Any:
            variables = {"params": params, "batch_stats": stats}
            y, updated = model.apply(variables, images, train=True, mask=mask, mutable=["batch_stats"])
            return (y * cotangent).sum(), updated

        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64 if leaf.ndim else np.int32), small[0])
        return jax.device_get(jax.jit(jax.grad(loss, has_aux=True))(wide["params"], wide["batch_stats"]))

    with jax.enable_x64(True):
        found, expected = run(True), run(False)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10), found, expected)


def test_shapes_of_the_real_size() -> None:
    model = ResNeXt(stage_sizes=(1, 1, 1, 1))
    images = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)

    def run(key: jax.Array, x: jax.Array) -> Any:
        return model.apply(model.init(key, x, train=False), x, train=False, mutable=["intermediates"])

    y, sown = jax.eval_shape(run, jax.random.key(0), images)
    assert y.shape == (2, 2, 2, 2048)
    assert {name: value.shape for name, (value,) in sown["intermediates"].items()} == {
        "stem": (2, 16, 16, 64),
        "stage2": (2, 16, 16, 256),
        "stage3": (2, 8, 8, 512),
        "stage4": (2, 4, 4, 1024),
        "stage5": (2, 2, 2, 2048),
    }


def test_odd_sizes_equal_pytorch() -> None:
    net, classifier, variables = ported("baseline")
    x = np.random.default_rng([SEED, 0]).normal(size=(8, 75, 53, 3))
    tensor = net.maxpool(net.relu(net.bn1(net.conv1(to_torch(x)))))
    expected = [tensor]
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        expected.append(layer(expected[-1]))
    own = {collection: leaves["backbone"] for collection, leaves in variables.items()}

    def run(own: dict[str, Any], x: jax.Array) -> Any:
        return classifier.backbone.apply(own, x, train=False, mutable=["intermediates"])

    with jax.enable_x64(True):
        y, sown = jax.jit(run)(own, x)
    assert y.shape == (8, 3, 2, 2048)
    for name, right in zip(("stem", "stage2", "stage3", "stage4", "stage5"), expected, strict=True):
        assert relative_error(sown["intermediates"][name][0], to_numpy(right)) <= FLOAT64_FORWARD, name
