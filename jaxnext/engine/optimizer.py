"""What an optimizer is, and the options that all have: the files of ``engine/optimizers`` extend this.

Each step is: the gradient, clipped; what the file makes of it; times the rate of the parameter's part, times the
schedule's learning rate. All options are off by default and then leave nothing behind in the compiled program.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxnext.config.values import require

if TYPE_CHECKING:
    import optax


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedOptions:
    """Options of every optimizer, and the transformation that they and the file's own make together."""

    decay_norms: bool = True
    """false: weight decay leaves out norms and biases, that is every parameter with one axis"""
    clip_norm: float | None = None
    """a gradient whose norm over all parameters is larger is scaled down to it, as clip_grad_norm_ of PyTorch does"""
    multipliers: dict[str, float] | None = None
    """of the learning rate of parts, such as {head: 10, stem: 0.1}; the parts are stem, stage2 and so on, attention,
    head, and those that are not named have 1"""
    layer_decay: float = 1.0
    """the learning rate of each part is that of the next deeper one times this, and the head has 1; 1: all alike"""

    def __post_init__(self) -> None:
        require(
            self.clip_norm is None or (math.isfinite(self.clip_norm) and self.clip_norm > 0),
            "optimizer.clip_norm",
            "null or a number above 0",
            self.clip_norm,
        )
        for part, value in (self.multipliers or {}).items():
            require_positive(f"multipliers.{part}", value)
        fits = 0 < self.layer_decay <= 1
        require(fits, "optimizer.layer_decay", "a number above 0 and at most 1", self.layer_decay)

    def own(self) -> tuple["optax.GradientTransformation", ...]:
        """Return what the file makes of a clipped gradient, weight decay included: directions to be subtracted."""
        raise NotImplementedError

    def transformation(self, params: Mapping[str, Any] | None = None) -> "optax.GradientTransformation":
        """Return what makes directions of gradients, without the step size, which the training step applies.

        Args:
            params: the network's, arrays or shapes, of which the parts are read; ``None``: those that are trained.

        Raises:
            UsageError: as ``rates``.
        """
        # Imported here so that --help, which lists the options, does not wait for JAX.
        import optax

        links = self.own()
        if self.clip_norm is not None:
            links = (clipped(self.clip_norm), *links)
        if self.by_part:
            links = (*links, self._by_part(params))
        return links[0] if len(links) == 1 else optax.chain(*links)

    @property
    def by_part(self) -> bool:
        """Whether the learning rate is not the same everywhere."""
        return bool(self.multipliers) or self.layer_decay != 1

    def rates(self, params: Mapping[str, Any]) -> dict[str, float]:
        """Return for each part of a network what its learning rate is multiplied by, in the order of the parts.

        A decay by depth as in BEiT (Bao et al., 2021) and timm: the last part has 1.

        Args:
            params: the ``params`` collection, arrays or shapes.

        Raises:
            UsageError: a multiplier of a part that the network does not have.
        """
        from jaxnext.models.parts import check_part_names, part_names

        given = self.multipliers or {}
        check_part_names("optimizer.multipliers", given, params)
        parts = part_names(params)
        return {
            part: self.layer_decay**depth * given.get(part, 1.0)
            for part, depth in zip(parts, reversed(range(len(parts))), strict=True)
        }

    def lines(self, params: Mapping[str, Any]) -> list[str]:
        """Return what is to be said before a run: the rates of the parts where they differ; errors as ``rates``."""
        if not self.by_part:
            return []
        rates = ", ".join(f"{part} {rate:.4g}" for part, rate in self.rates(params).items())
        return [f"learning rates of the parts, as multiples of the schedule's: {rates}"]

    def decay(self, weight_decay: float) -> tuple["optax.GradientTransformation", ...]:
        """Return what adds the parameters times ``weight_decay``: to all, or not to norms and biases; empty for 0."""
        import optax

        if weight_decay == 0:
            return ()
        return (optax.add_decayed_weights(weight_decay, None if self.decay_norms else decayed),)

    def _by_part(self, params: Mapping[str, Any] | None) -> "optax.GradientTransformation":
        import jax
        import optax

        from jaxnext.models.parts import part_of

        known = None if params is None else self.rates(params)

        def scale(directions: Any, trained: Any) -> Any:
            rates = self.rates(directions) if known is None else known
            return jax.tree.map_with_path(lambda path, leaf: leaf * rates[part_of(_names(path))], directions)

        return optax.stateless(scale)


def decayed(params: Any) -> Any:
    """Return which parameters are neither of a norm nor a bias: those of two axes or more, as timm's rule is."""
    import jax

    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def clipped(norm: float) -> "optax.GradientTransformation":
    """Return a scaling down of gradients to a norm: ``torch.nn.utils.clip_grad_norm_``, with its 1e-6 in the divisor.

    Args:
        norm: largest, Euclidean, over all leaves.
    """
    import jax
    import jax.numpy as jnp
    import optax

    def clip(gradients: Any, params: Any) -> Any:
        del params
        found = jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradients)))
        share = jnp.minimum(norm / (found + 1e-6), 1)
        return jax.tree.map(lambda leaf: leaf * share, gradients)

    return optax.stateless(clip)


def require_positive(name: str, value: float) -> None:
    """Refuse an option that is not a number above 0."""
    require(math.isfinite(value) and value > 0, f"optimizer.{name}", "a number above 0", value)


def require_not_negative(name: str, value: float) -> None:
    """Refuse an option that is not a number of at least 0."""
    require(math.isfinite(value) and value >= 0, f"optimizer.{name}", "a number of at least 0", value)


def require_share(name: str, value: float) -> None:
    """Refuse an option that is not a number from 0 to below 1."""
    require(0 <= value < 1, f"optimizer.{name}", "a number from 0 to below 1", value)


def _names(path: Any) -> tuple[str, ...]:
    return tuple(key.key for key in path)
