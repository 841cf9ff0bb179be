"""The phases of a run: epochs in which the same parts are trained on images of the same size."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import optax
from jax.sharding import Mesh

from jaxnext.config.sections import Config
from jaxnext.engine import accumulation, parallel
from jaxnext.engine.optimizer import clipped
from jaxnext.engine.optimizer_groups import grouped
from jaxnext.engine.state import TrainState, initial_moments
from jaxnext.models.freezing import split


class Phase(NamedTuple):
    """What is constant in a phase; the training step is compiled once for each."""

    frozen: tuple[str, ...]
    """parts that are not trained"""
    size: tuple[int, int]
    """height and width of training images"""


def phase_of(config: Config, epochs: int) -> Phase:
    """Return the phase of a run after so many epochs."""
    return Phase(config.model.frozen(epochs), config.data.train_size(epochs))


def changes(config: Config) -> Iterator[int]:
    """Yield the numbers of epochs after which another phase may begin, in order, the run's length last."""
    yield from sorted({*config.data.changes, *config.model.unfreeze, config.epochs})


def optimizer_of(config: Config, params: Mapping[str, Any]) -> optax.GradientTransformation:
    """Return the optimizer of a run, which may train some parts later than others.

    Args:
        config: of the run.
        params: the network's, arrays or shapes.
    """
    unfreeze, options = config.model.unfreeze, config.optimizer.build()
    if not unfreeze:
        return options.transformation(params)
    # Gradients are clipped by the norm over all groups.
    each = dataclasses.replace(options, clip_norm=None).transformation(params)
    clip = None if options.clip_norm is None else clipped(options.clip_norm)
    return grouped(each, [unfreeze[epochs] for epochs in sorted(unfreeze)], clip)


def entered(
    state: TrainState, optimizer: optax.GradientTransformation, frozen: tuple[str, ...], mesh: Mesh
) -> TrainState:
    """Return the state in which a phase with fewer frozen parts begins: the optimizer's state of the new ones is zero.

    Args:
        state: at the end of the phase before, with ``grouped``'s state.
        optimizer: from ``optimizer_of``.
        frozen: parts that are still not trained.
        mesh: on which the state is.
    """
    trained = split(state.params, frozen)[0]
    before: Any = state.optimizer
    begun: Any = initial_moments(optimizer, trained)
    new = begun[len(before) :]
    gathered = None if state.accumulated is None else accumulation.start(trained)
    new, gathered = parallel.replicate((new, gathered), mesh)
    return state._replace(optimizer=(*before, *new), accumulated=gathered)
