from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import FLOAT64_OPERATION
from torch_ported import ported, relative_error, to_numpy, to_torch

from jaxnext.errors import UsageError
from jaxnext.models.attention.cbam import Attention


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def parameters(hidden: Any, output: Any, spatial: Any) -> dict[str, Any]:
    channel = {"hidden": {"kernel": jnp.asarray(hidden)}, "output": {"kernel": jnp.asarray(output)}}
    return {"params": {"channel": channel, "spatial_conv": {"kernel": jnp.asarray(spatial)}}}


def test_parameters_by_name_and_shape() -> None:
    params = Attention().init(jax.random.key(0), jnp.zeros((1, 2, 2, 64)), train=False)["params"]
    assert jax.tree.map(jnp.shape, params) == {
        "channel": {"hidden": {"kernel": (64, 4)}, "output": {"kernel": (4, 64)}},
        "spatial_conv": {"kernel": (7, 7, 2, 1)},
    }
    # PyTorch's default: uniform in one over the root of fan-in, 2 x 7 x 7.
    assert 0.9 / np.sqrt(98) < np.abs(params["spatial_conv"]["kernel"]).max() <= 1 / np.sqrt(98)


def test_without_weights_both_maps_are_one_half() -> None:
    x = jnp.arange(2.0 * 3 * 3 * 4).reshape(2, 3, 3, 4)
    variables = parameters(np.zeros((4, 2)), np.zeros((2, 4)), np.zeros((7, 7, 2, 1)))
    np.testing.assert_allclose(Attention(reduction=2).apply(variables, x, train=False), x / 4, rtol=1e-6)


def test_by_hand() -> None:
    """Two channels, two by two pixels, a hidden layer of one, a 3x3 convolution; ReLU cuts the mean's path."""
    x = np.array([[[1.0, -1.0], [3.0, 0.0]], [[0.0, 2.0], [0.0, -5.0]]])  # [row, column, channel]
    hidden, output = np.array([[1.0], [2.0]]), np.array([[0.5, -0.25]])
    spatial = np.random.default_rng(0).normal(size=(3, 3, 2, 1))
    # means 1 and -1 give ReLU(1 - 2) = 0, maxima 3 and 2 give ReLU(3 + 4) = 7
    channel_map = sigmoid(np.array([0.5 * 7, -0.25 * 7]))
    weighted = x * channel_map
    pooled = np.zeros((4, 4, 2))
    pooled[1:3, 1:3] = np.stack([weighted.mean(-1), weighted.max(-1)], -1)
    convolved = [[(pooled[i : i + 3, j : j + 3] * spatial[..., 0]).sum() for j in range(2)] for i in range(2)]
    spatial_map = sigmoid(np.array(convolved))

    with jax.enable_x64(True):
        module = Attention(reduction=2, kernel_size=3, param_dtype=jnp.dtype("float64"))
        variables = parameters(hidden, output, spatial)
        y, sown = module.apply(variables, jnp.asarray(x[None]), train=False, mutable=["intermediates"])
        assert relative_error(y[0], weighted * spatial_map[..., None]) <= FLOAT64_OPERATION
        assert relative_error(sown["intermediates"]["channel_map"][0][0, 0, 0], channel_map) <= FLOAT64_OPERATION
        assert relative_error(sown["intermediates"]["spatial_map"][0][0, :, :, 0], spatial_map) <= FLOAT64_OPERATION


def test_shape_and_dtype_stay() -> None:
    module = Attention(reduction=2)
    x = jax.ShapeDtypeStruct((2, 3, 5, 8), jnp.bfloat16)
    y = jax.eval_shape(lambda x: module.apply(module.init(jax.random.key(0), x, train=False), x, train=False), x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": 0}, "model.attention.reduction: expected 1 to 8, the channels, found 0"),
        ({"reduction": 9}, "model.attention.reduction: expected 1 to 8, the channels, found 9"),
        (
            {"reduction": 8, "kernel_size": 4},
            "model.attention.kernel_size: expected an odd number of at least 1, found 4",
        ),
        (
            {"reduction": 8, "kernel_size": -1},
            "model.attention.kernel_size: expected an odd number of at least 1, found -1",
        ),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Attention(**{"reduction": 8} | options).init(jax.random.key(0), jnp.zeros((1, 2, 2, 8)), train=False)
    assert str(error.value) == message


def test_equals_pytorch_forward_and_backward() -> None:
    net, classifier, variables = ported("cbam")
    params = variables["params"]["attention"]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 3, 4, 2048))
    cotangent = rng.normal(size=x.shape)
    tensor = to_torch(x).requires_grad_()
    kept: list[Any] = []
    hook = net.layer4.cbam.spatial_conv.register_forward_hook(lambda module, inputs, output: kept.append(output))
    expected = net.layer4.cbam(tensor)
    hook.remove()
    expected.backward(to_torch(cotangent))

    def forward(x: jax.Array) -> Any:
        return classifier.attention.apply({"params": params}, x, train=True, mutable=["intermediates"])

    def run(x: jax.Array) -> tuple[jax.Array, jax.Array, Any]:
        y, pullback, sown = jax.vjp(forward, x, has_aux=True)
        return y, *pullback(cotangent), sown["intermediates"]["spatial_map"][0]

    with jax.enable_x64(True):
        y, gradient, spatial_map = jax.jit(run)(x)
    assert relative_error(spatial_map, to_numpy(kept[0].sigmoid())) <= FLOAT64_OPERATION
    assert relative_error(y, to_numpy(expected)) <= FLOAT64_OPERATION
    assert relative_error(gradient, to_numpy(tensor.grad)) <= FLOAT64_OPERATION
