"""Tiny nets of the settings with made weights, for the tests of their export."""

import functools
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from test_folding import model_of, random_variables

from jaxnext.config.sections import Config, DataConfig
from jaxnext.data.pixels import Pixels
from jaxnext.engine.checkpoint import Meta
from jaxnext.inference.exporter import Net
from jaxnext.models.check import FeatureMap
from jaxnext.models.classifier import Classifier
from jaxnext.normalization import normalize
from jaxnext.types import Variables

CLASSES = ("ant", "bee", "cat", "dög", "elk")
IMAGES = list(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8))


def of(model: Classifier, variables: Variables) -> Net:
    """A net for images of 32x32."""
    data = DataConfig(image_size=32)
    return Net(Path("run"), model, variables, CLASSES, Meta(Config(data=data), CLASSES, ()), Pixels.of(data))


def with_parts(attention: nn.Module | None, head: nn.Module) -> Net:
    """A net of parts alone, behind the images made small: it takes no time to trace."""
    model = Classifier(FeatureMap(3, 8), attention, head)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False))
    draw = np.random.default_rng(5).uniform
    return of(model, jax.tree.map(lambda leaf: draw(0.1, 0.5, leaf.shape).astype(leaf.dtype), dict(shapes)))


@functools.cache
def net_of(setting: str) -> Net:
    """A net of a setting, for images of 32x32."""
    model = model_of(setting)
    return of(model, random_variables(model))


def logits_of(net: Net) -> np.ndarray:
    """What the net itself says of ``IMAGES``."""

    def apply(variables: Any, images: Any) -> Any:
        return net.model.apply(variables, normalize(images, np.float32), train=False)

    return np.asarray(jax.jit(apply)(net.variables, np.stack(IMAGES)))
