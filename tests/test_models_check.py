from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jaxnext.errors import JaxnextError, UsageError
from jaxnext.models.attention.cbam import Attention
from jaxnext.models.check import check_parts
from jaxnext.models.classifier import Classifier
from jaxnext.models.dropout import dropout
from jaxnext.models.heads.fc import Head
from jaxnext.models.layers import Dense, global_average_pool
from jaxnext.models.norm import BatchNorm
from jaxnext.models.resnext import ResNeXt

BACKBONE = ResNeXt(stage_sizes=(1, 1), widths=(4, 4), features=(4, 8), stem_features=4, groups=2)


class Squeeze(nn.Module):
    """Squeeze and excitation with batch norm and dropout."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: Any = None, keys: Any = None) -> jax.Array:
        y = BatchNorm(name="norm")(Dense(2, name="squeeze")(global_average_pool(x)), train=train, mask=mask)
        y = dropout(nn.relu(y), 0.5, train=train, keys=keys, layer=1)
        return x * nn.sigmoid(Dense(x.shape[-1], name="excite")(y))[:, None, None, :]


class Counting(nn.Module):
    """An attention with a variable that no checkpoint keeps."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: Any = None, keys: Any = None) -> jax.Array:
        self.variable("cache", "seen", jnp.zeros, ())
        return x


class Odd(nn.Module):
    """A head that does one thing that cannot be."""

    how: str

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: Any = None, keys: Any = None) -> jax.Array:
        if self.how == "collection":
            self.variable("cache", "seen", jnp.zeros, ())
        if self.how == "generator":
            x = nn.Dropout(0.5, deterministic=not train)(x)
        if self.how == "train alone" and train:
            x = x * self.param("gain", nn.initializers.ones, ())
        if self.how == "keys" and not train:
            x = x * jax.random.uniform(keys[0])
        if self.how == "statistics":
            count = self.variable("batch_stats", "count", jnp.zeros, ())
            if train:
                count.value = jnp.zeros(2)
        if self.how == "size":
            return Dense(5)(x.reshape(x.shape[0], -1))
        return global_average_pool(x) if self.how == "outputs" else Dense(5)(global_average_pool(x))


def test_an_attention_in_the_blocks_is_tried_too() -> None:
    def check(attention: nn.Module) -> None:
        check_parts(Classifier(BACKBONE.clone(block_attention=attention), None, Head(5)), 5, (40, 40))

    check(Squeeze())
    found = "found cache/backbone/stage2_block1/attention/seen"
    with pytest.raises(JaxnextError, match=rf"^model\.block_attention: expected variables .*{found}$"):
        check(Counting())
    with pytest.raises(UsageError, match=r"^model\.block_attention\.reduction: expected 1 to 4, the channels, found 9"):
        check(Attention(9, setting="model.block_attention"))


@pytest.mark.parametrize("attention", [None, Attention(2), Squeeze()])
def test_what_trains_and_predicts_passes(attention: nn.Module | None) -> None:
    check_parts(Classifier(BACKBONE, attention, Head(5, (6,))), 5, (40, 40))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "collection",
            r"model.head: expected variables in the collections params and batch_stats, which a checkpoint keeps, "
            r"found cache/head/seen$",
        ),
        ("generator", r"the attention and head cannot be trained: InvalidRngError: .*dropout"),
        ("train alone", r"the attention and head cannot be trained: ScopeParamNotFoundError: .*gain"),
        ("keys", r"the attention and head cannot be initialised: TypeError: "),
        (
            "statistics",
            r"the attention and head: expected training to keep shape and dtype of batch_stats/head/count, "
            r"float32 \[\], found float32 \[2\]$",
        ),
        ("size", r"the attention and head cannot be trained: ScopeParamShapeError: "),
        ("outputs", r"model.head: expected logits \[2, 5\] of 2 images, found \[2, 8\]$"),
    ],
)
def test_what_cannot_be_loaded_or_predicted_with_is_refused(how: str, message: str) -> None:
    with pytest.raises(JaxnextError, match=f"^{message}"):
        check_parts(Classifier(BACKBONE, None, Odd(how)), 5, (96, 96))


def test_an_option_out_of_range_keeps_its_own_sentence() -> None:
    with pytest.raises(UsageError, match=r"^model\.attention\.reduction: expected 1 to 8, the channels, found 9"):
        check_parts(Classifier(BACKBONE, Attention(9), Head(5)), 5, (40, 40))
