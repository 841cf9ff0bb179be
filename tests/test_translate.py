"""Attentions and heads of a user's own: exported, or refused by name."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import onnx_programs
import pytest
from onnx_nets import CLASSES, IMAGES, logits_of, with_parts
from tolerances import FLOAT32_LOGITS
from torch_ported import relative_error

from jaxnext.errors import JaxnextError
from jaxnext.inference.exporters.onnx import Exporter
from jaxnext.models.layers import Conv, Dense, global_average_pool
from jaxnext.models.norm import BatchNorm

assert onnx_programs  # skips these where the libraries are missing


class OwnAttention(nn.Module):
    """Places weigh each other, then a gated convolution whose norm cannot be folded, and every channel's deviation."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: Any = None, keys: Any = None) -> jax.Array:
        count, height, width, channels = x.shape
        rows = nn.LayerNorm(name="norm")(x).reshape(count, height * width, channels)
        scores = nn.softmax(jnp.einsum("nic,njc->nij", rows, rows) / np.sqrt(channels).astype(np.float32))
        mixed = (scores @ rows).reshape(x.shape)
        conv, norm = Conv(channels, 3, groups=4, name="conv"), BatchNorm(name="conv_norm")
        twice = norm(conv(x) + norm(x, train=train), train=train)
        gate = nn.hard_swish(twice[..., ::-1]) * jnp.tanh(x.std((1, 2), keepdims=True))
        return jnp.concatenate([mixed[..., : channels // 2], gate[..., channels // 2 :]], -1) + x


class OwnHead(nn.Module):
    """Generalised mean and maximum, a hidden layer with GELU, and scaled cosines."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: Any = None, keys: Any = None) -> jax.Array:
        pooled = jnp.concatenate([(jnp.maximum(x, 1e-6) ** 3).mean((1, 2)) ** (1 / 3), x.max((1, 2))], -1)
        hidden = nn.gelu(Dense(12, name="hidden")(pooled))
        hidden = hidden / jnp.linalg.norm(hidden, axis=-1, keepdims=True)
        return 8 * Dense(len(CLASSES), use_bias=False, name="output")(hidden)


class SortingHead(nn.Module):
    """A head with an operation that has no translation."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: Any = None, keys: Any = None) -> jax.Array:
        return Dense(len(CLASSES), name="output")(jnp.sort(global_average_pool(x), -1))


def test_an_attention_and_a_head_of_ones_own(tmp_path: Any) -> None:
    net = with_parts(OwnAttention(), OwnHead())
    exporter = Exporter(preprocessing=True)
    exporter.write(net, tmp_path / "net.onnx")
    found = exporter.run(net, tmp_path / "net.onnx", IMAGES)
    assert relative_error(found, logits_of(net)) <= FLOAT32_LOGITS


def test_what_has_no_translation_is_refused_by_the_name_of_its_module(tmp_path: Any) -> None:
    with pytest.raises(JaxnextError) as error:
        Exporter().write(with_parts(None, SortingHead()), tmp_path / "net.onnx")
    assert str(error.value) == "head: expected operations that can be written in ONNX, found JAX's sort"
