"""Whether an attention and a head that train can also be saved, loaded and predicted with."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.errors import JaxnextError, one_line
from jaxnext.models.classifier import Classifier
from jaxnext.models.folding import folded_shapes
from jaxnext.models.resnext import ResNeXt
from jaxnext.models.summary import variable_shapes
from jaxnext.tree import flatten, path_name

COLLECTIONS = ("params", "batch_stats")
"""What a checkpoint keeps of a network."""


class FeatureMap(nn.Module):
    """A map of the shape of a backbone's, which takes no time to trace.

    Attributes:
        halvings: of height and width.
        features: channels.
    """

    halvings: int
    features: int

    def __call__(
        self, x: jax.Array, *, train: bool, mask: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Map ``[N, H, W, 3]`` to ``[N, H', W', features]``."""
        del train, mask, keys
        x = x[:, :: 2**self.halvings, :: 2**self.halvings, :1]
        return jnp.broadcast_to(x, (*x.shape[:-1], self.features))


def check_parts(model: Classifier, classes: int, image_size: tuple[int, int]) -> None:
    """Refuse an attention or head with which a trained network could not be saved, loaded or predicted with.

    It traces the attention and the head in training, evaluation and evaluation with folded norms, and computes nothing.
    An attention in the blocks is traced in one block of each stage.

    Args:
        model: the network, without a mesh axis.
        classes: number of outputs.
        image_size: height and width of the images.

    Raises:
        JaxnextError: what was tried, and what went wrong.
    """
    if isinstance(model.backbone, ResNeXt):
        stages = model.backbone.features
        plain = model.backbone.block_attention is None
        one_each = model.backbone.clone(stage_sizes=(1,) * len(stages))
        model = model.clone(backbone=FeatureMap(1 + len(stages), stages[-1]) if plain else one_each)
    shapes = _traced("initialised", lambda: variable_shapes(model))
    for path in flatten(shapes):
        if path[0] not in COLLECTIONS:
            part = "block_attention" if path[1] == "backbone" else path[1]
            raise JaxnextError(
                f"model.{part}: expected variables in the collections {' and '.join(COLLECTIONS)}, "
                f"which a checkpoint keeps, found {path_name(path)}"
            )
    images = jax.ShapeDtypeStruct((2, *image_size, 3), model.dtype)
    mask, keys = jax.ShapeDtypeStruct((2,), bool), jax.eval_shape(lambda: jax.random.split(jax.random.key(0)))

    def train(variables: Any, images: Any, mask: Any, keys: Any) -> Any:
        return model.apply(variables, images, train=True, mask=mask, keys=keys, mutable=["batch_stats"])

    def predict(variables: Any, images: Any) -> Any:
        return model.apply(variables, images, train=False)

    trained, updated = _traced("trained", lambda: jax.eval_shape(train, shapes, images, mask, keys))
    predicted = _traced("predicted with", lambda: jax.eval_shape(predict, shapes, images))
    folded = _traced("predicted with", lambda: jax.eval_shape(predict, folded_shapes(model), images))
    for logits in (trained, predicted, folded):
        if logits.shape != (2, classes):
            raise JaxnextError(f"model.head: expected logits [2, {classes}] of 2 images, found {list(logits.shape)}")
    before, after = (_described(stats.get("batch_stats", {})) for stats in (shapes, updated))
    if before != after:
        changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        raise JaxnextError(
            f"the attention and head: expected training to keep shape and dtype of batch_stats/{changed[0]}, "
            f"{before.get(changed[0], 'which is not there')}, found {after.get(changed[0], 'none')}"
        )


def _traced(what: str, trace: Any) -> Any:
    try:
        return trace()
    except JaxnextError:
        raise
    except Exception as error:
        raise JaxnextError(
            f"the attention and head cannot be {what}: {type(error).__name__}: {one_line(error)}"
        ) from error


def _described(stats: Mapping[str, Any]) -> dict[str, str]:
    return {path_name(path): f"{leaf.dtype} {list(leaf.shape)}" for path, leaf in flatten(stats).items()}
