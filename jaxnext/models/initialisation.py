"""Fresh variables of a network."""

from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnext import compat
from jaxnext.models.classifier import Classifier
from jaxnext.tree import PARTS, flatten, unflatten
from jaxnext.types import Variables


def initialise(model: Classifier, seed: int, parts: Collection[str] = PARTS) -> Variables:
    """Return fresh variables as NumPy arrays: torchvision's initialisation of the backbone, PyTorch's of the rest.

    Args:
        model: the network.
        seed: of its random numbers. Each leaf has its own, whatever ``parts`` are asked for.
        parts: of the network to initialise; the others have no leaves in the result.
    """

    def init(key: jax.Array) -> Mapping[str, Any]:
        variables = flatten(model.init(key, jnp.zeros((1, 32, 32, 3)), train=False))
        return unflatten({path: leaf for path, leaf in variables.items() if path[1] in parts})

    # It runs once: LLVM's optimisation would take longer than it saves. A kernel for each leaf makes it seconds.
    options = compat.known_options(compat.XLA_QUICK_COMPILATION, jax.local_devices()[0])
    compiled = jax.jit(init, compiler_options=options)
    return dict(jax.tree.map(np.asarray, compiled(jax.random.key(seed))))
