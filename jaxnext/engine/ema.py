"""The moving average of a network: parameters and running statistics, as timm's ``ModelEmaV3`` of version 1.0.31."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnext.config.training import EmaConfig
from jaxnext.types import Variables


class Average(NamedTuple):
    """A network's moving average."""

    updates: jax.Array
    """int32 scalar: updates of the optimizer so far"""
    params: dict[str, Any]
    batch_stats: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class MovingAverage:
    """How the average moves; the fields are those of ``EmaConfig``."""

    decay: float
    warmup: bool = True
    warmup_gamma: float = 1.0
    warmup_power: float = 2 / 3
    min_decay: float = 0.0
    update_after: int = 0

    @classmethod
    def of(cls, config: EmaConfig) -> "MovingAverage | None":
        """Return what a config asks for; ``None``: no average."""
        return None if config.decay is None else cls(**dataclasses.asdict(config))

    def weight(self, updates: jax.Array, dtype: jnp.dtype) -> jax.Array:
        """Return the weight of the new parameters, one minus the decay.

        Computed as such: near 1, a decay in float32 would have few digits left for it.

        Args:
            updates: int32 scalar, the present one included.
            dtype: of the result.
        """
        counted = jnp.maximum(updates - self.update_after - 1, 0)
        weight = jnp.asarray(1 - self.decay, dtype)
        if self.warmup:
            warm = (1 + counted.astype(dtype) / self.warmup_gamma) ** -self.warmup_power
            weight = jnp.minimum(jnp.maximum(warm, 1 - self.decay), 1 - self.min_decay)
        return jnp.where(counted > 0, weight, 1)

    def step(self, average: Average, params: dict[str, Any], batch_stats: dict[str, Any]) -> Average:
        """Return the average after an update of the optimizer has given these parameters and statistics.

        Whole numbers, which count batches, are copied.
        """
        updates = average.updates + 1
        weight = self.weight(updates, jax.tree.leaves(params)[0].dtype)

        def towards(old: jax.Array, new: jax.Array) -> jax.Array:
            if not jnp.issubdtype(new.dtype, jnp.floating):
                return new
            # As torch.lerp: exact at a weight of 1.
            far = new - old
            return jnp.where(weight < 0.5, old + weight * far, new - far * (1 - weight))

        moved = jax.tree.map(towards, (average.params, average.batch_stats), (params, batch_stats))
        return Average(updates, *moved)


def start(variables: Variables) -> Average:
    """Return the average before the first update, a copy."""
    copies = jax.tree.map(jnp.array, (variables["params"], variables["batch_stats"]))
    return Average(jnp.zeros((), jnp.int32), *copies)
