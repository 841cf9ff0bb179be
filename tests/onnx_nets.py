"""Tiny nets of the settings with made weights, for the tests of their export."""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from test_folding import model_of, random_variables

from jaxnext.config.sections import Config, DataConfig
from jaxnext.data.pixels import Pixels
from jaxnext.engine.checkpoint import Meta
from jaxnext.inference.exporter import Net
from jaxnext.normalization import normalize

CLASSES = ("ant", "bee", "cat", "dög", "elk")
IMAGES = list(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8))


@functools.cache
def net_of(setting: str) -> Net:
    """A net of a setting, for images of 32x32."""
    model = model_of(setting)
    data = DataConfig(image_size=32)
    net = Net(
        Path(setting), model, random_variables(model), CLASSES, Meta(Config(data=data), CLASSES, ()), Pixels.of(data)
    )
    return net


@functools.cache
def logits_of(setting: str) -> np.ndarray:
    """What the net itself says of ``IMAGES``."""
    net = net_of(setting)

    def apply(variables: Any, images: Any) -> Any:
        return net.model.apply(variables, normalize(images, np.float32), train=False)

    return np.asarray(jax.jit(apply)(net.variables, np.stack(IMAGES)))
