from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import FLOAT64_OPERATION
from torch_ported import relative_error, to_numpy, to_torch
from torch_reference import require

from jaxnext.errors import UsageError
from jaxnext.models.attention.se import Attention


def hidden_of(channels: int, **options: int) -> int:
    x = jax.ShapeDtypeStruct((1, 2, 2, channels), jnp.float32)
    variables = jax.eval_shape(lambda x: Attention(**options).init(jax.random.key(0), x, train=False), x)
    shapes = jax.tree.map(lambda leaf: leaf.shape, variables["params"])
    size = shapes["hidden"]["bias"][0]
    assert shapes == {
        "hidden": {"kernel": (channels, size), "bias": (size,)},
        "output": {"kernel": (size, channels), "bias": (channels,)},
    }
    return size


def test_channels_of_the_hidden_layer_are_timms() -> None:
    # timm.layers.SEModule(channels).fc1.out_channels
    assert [hidden_of(channels) for channels in (4, 64, 191, 192, 256, 512, 2048)] == [8, 8, 8, 16, 16, 32, 128]
    assert hidden_of(64, reduction=4, divisor=1) == 16
    assert hidden_of(50, reduction=4, divisor=4) == 12


def test_kernels_begin_as_timms_resnet_does_and_biases_as_pytorchs() -> None:
    params = Attention().init(jax.random.key(0), jnp.zeros((1, 2, 2, 1024)), train=False)["params"]
    assert params["hidden"]["kernel"].std() == pytest.approx((2 / 64) ** 0.5, rel=0.02)
    assert params["output"]["kernel"].std() == pytest.approx((2 / 1024) ** 0.5, rel=0.02)
    assert 0.8 / 32 < jnp.abs(params["hidden"]["bias"]).max() <= 1 / 32
    assert 0.9 / 8 < jnp.abs(params["output"]["bias"]).max() <= 1 / 8


def test_by_hand() -> None:
    """Channels of means 2 and -1; the hidden layer 2 * 1 - 1 * 3 + 4 = 3 and -5, which the ReLU cuts."""
    x = np.array([[[[1.0, -1.0], [3.0, -1.0]]]])
    params = {
        "hidden": {"kernel": np.array([[1.0, 0.0], [3.0, 1.0]]), "bias": np.array([4.0, -4.0])},
        "output": {"kernel": np.array([[0.5, 0.0], [9.0, 9.0]]), "bias": np.array([0.5, -1.0])},
    }
    weights = 1 / (1 + np.exp(-np.array([0.5 * 3 + 0.5, -1.0])))
    with jax.enable_x64(True):
        module = Attention(reduction=1, divisor=1, param_dtype=jnp.dtype("float64"))
        y, sown = module.apply({"params": params}, jnp.asarray(x), train=False, mutable=["intermediates"])
    assert relative_error(y, x * weights) <= FLOAT64_OPERATION
    assert relative_error(sown["intermediates"]["channel_map"][0], weights[None, None, None]) <= FLOAT64_OPERATION


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": 0}, "model.attention.reduction: expected at least 1, found 0"),
        (
            {"reduction": -1, "setting": "model.block_attention"},
            "model.block_attention.reduction: expected at least 1, found -1",
        ),
        ({"reduction": 8, "divisor": 0}, "model.attention.divisor: expected at least 1, found 0"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Attention(**options).init(jax.random.key(0), jnp.zeros((1, 2, 2, 8)), train=False)
    assert str(error.value) == message


def test_equals_pytorch_forward_and_backward() -> None:
    torch, _ = require()
    rng = np.random.default_rng(0)
    x, cotangent = rng.normal(size=(2, 8, 3, 4, 32))
    fc1, fc2 = torch.nn.Conv2d(32, 8, 1).double(), torch.nn.Conv2d(8, 32, 1).double()
    tensor = to_torch(x).requires_grad_()
    expected = tensor * torch.sigmoid(fc2(torch.relu(fc1(tensor.mean((2, 3), keepdim=True)))))
    expected.backward(to_torch(cotangent))
    params = {
        name: {"kernel": layer.weight.detach().numpy()[:, :, 0, 0].T, "bias": layer.bias.detach().numpy()}
        for name, layer in (("hidden", fc1), ("output", fc2))
    }

    def run(params: Any, x: jax.Array) -> Any:
        module = Attention(param_dtype=jnp.dtype("float64"))
        y, pullback = jax.vjp(lambda params, x: module.apply({"params": params}, x, train=True), params, x)
        return y, *pullback(cotangent)

    with jax.enable_x64(True):
        y, gradients, gradient = jax.jit(run)(params, x)
    assert relative_error(y, to_numpy(expected)) <= FLOAT64_OPERATION
    assert relative_error(gradient, to_numpy(tensor.grad)) <= FLOAT64_OPERATION
    for name, layer in (("hidden", fc1), ("output", fc2)):
        assert relative_error(gradients[name]["kernel"].T, layer.weight.grad[:, :, 0, 0]) <= FLOAT64_OPERATION
        assert relative_error(gradients[name]["bias"], layer.bias.grad) <= FLOAT64_OPERATION
