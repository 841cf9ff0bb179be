"""The compiled functions: one training step, one evaluation step, one prediction step.

Each is a pure function of what it is given, run on every device over its share of the batch.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from jaxnext.augment import Augmentation, apply_all
from jaxnext.compat import XLA_INFERENCE_ON_CPU
from jaxnext.engine.parallel import AXIS, GPUS, jit_shard_map
from jaxnext.engine.recalibration import averaged, sown_moments
from jaxnext.engine.state import Batch, TrainBatch, TrainState
from jaxnext.engine.update import EACH_BATCH, Recipe, all_finite, update
from jaxnext.losses import Loss, Terms
from jaxnext.losses.cross_entropy import PLAIN
from jaxnext.metrics import LOSS_WEIGHT, NONFINITE, metric_sums
from jaxnext.mix import MixedLabels, mix
from jaxnext.models.classifier import Classifier
from jaxnext.models.freezing import join, split
from jaxnext.normalization import normalize
from jaxnext.ops.collectives import psum
from jaxnext.types import Variables

Sums = dict[str, jax.Array]


def augmented_train_step(
    state: TrainState,
    train_batch: TrainBatch,
    *,
    model: Classifier,
    optimizer: optax.GradientTransformation,
    augmentations: Sequence[Augmentation],
    loss: Loss = PLAIN,
    recipe: Recipe = EACH_BATCH,
) -> tuple[TrainState, Sums]:
    """Step down the gradient of the mean loss of the examples that count. Runs under the mesh axis.

    Args:
        state: the same on every device.
        train_batch: this device's share.
        model: built with ``axis_name=AXIS``.
        optimizer: from an optimizer's ``transformation``.
        augmentations: that ``train_batch`` has parameters for.
        loss: that is minimised.
        recipe: what an update does beside the optimizer's.

    Returns:
        the new state, and the metric sums over the global batch.
    """
    batch = train_batch.batch
    images, mixed = augmented_images(train_batch, model=model, augmentations=augmentations)
    return train_step(
        state,
        images,
        batch.label,
        batch.mask,
        batch.stop,
        mixed,
        model=model,
        optimizer=optimizer,
        loss=loss,
        recipe=recipe,
    )


def augmented_images(
    train_batch: TrainBatch, *, model: Classifier, augmentations: Sequence[Augmentation]
) -> tuple[jax.Array, MixedLabels | None]:
    """Return what a training step gives the network of a batch. Runs under the mesh axis.

    Args:
        train_batch: this device's share.
        model: whose dtype, mean and deviation they are normalised by.
        augmentations: that ``train_batch`` has parameters for.

    Returns:
        images ``[N, H, W, 3]``, augmented, normalised and mixed, and the labels of mixed ones.
    """
    batch = train_batch.batch
    images = normalize(
        apply_all(augmentations, batch.image, train_batch.augmentation), model.dtype, model.mean, model.std
    )
    if train_batch.mix is None:
        return images, None
    return mix(images, batch.label, batch.mask, train_batch.mix, AXIS)


def train_step(
    state: TrainState,
    images: jax.Array,
    labels: jax.Array,
    mask: jax.Array,
    stop: jax.Array | None = None,
    mixed: MixedLabels | None = None,
    *,
    model: Classifier,
    optimizer: optax.GradientTransformation,
    loss: Loss = PLAIN,
    recipe: Recipe = EACH_BATCH,
) -> tuple[TrainState, Sums]:
    """Do the training step after the augmentation: loss, gradient, statistics, update. Runs under the mesh axis.

    A batch of which no example counts, because no image could be read, is a step that changes nothing but its number.
    So is one whose loss is not finite, and where ``recipe.skip`` says so one with a gradient that is not.

    Args:
        state: the same on every device.
        images: this device's share, normalised, ``[N, H, W, 3]`` in the model's dtype.
        labels: ``[N]`` int32.
        mask: ``[N]`` of bool; ``False`` is padding.
        stop: of ``Batch``; where there is one, its sum is among the sums.
        mixed: labels of mixed images, instead of ``labels``. The loss then has probabilities for targets, also in a
            batch in which nothing is mixed; what is counted as correct is the label with the larger share.
        model: built with ``axis_name=AXIS``; of its ``frozen`` parts there is no gradient.
        optimizer: from an optimizer's ``transformation``.
        loss: that is minimised: the sum of its terms over the sum of their weights, of the global batch.
        recipe: what an update does beside the optimizer's.

    Returns:
        the new state, and the metric sums over the global batch; ``loss`` is the sum of the loss's terms, and
        ``loss_weight`` that of their weights, if they have such; with ``recipe.skip`` also ``nonfinite``, 1 where loss
        or gradients are not finite, int32.
    """
    made = gradients_of(state, images, labels, mask, stop, mixed, model=model, loss=loss)
    sums = made.sums
    # Of summed values, so that all devices decide alike.
    finite = jnp.isfinite(sums["loss"])
    if recipe.skip:
        finite &= all_finite(made.gradients)
        sums = sums | {NONFINITE: ((made.total > 0) & ~finite).astype(jnp.int32)}
    state = update(
        state,
        made.gradients,
        made.batch_stats,
        (made.total > 0) & finite,
        optimizer=optimizer,
        recipe=recipe,
        frozen=model.frozen,
    )
    return state._replace(step=state.step + 1), sums


class Gradients(NamedTuple):
    """What a training step makes of a batch, before the update."""

    gradients: dict[str, Any]
    """of the parameters that are trained, summed over the devices"""
    batch_stats: dict[str, Any]
    """after it"""
    sums: Sums
    """over the global batch"""
    total: jax.Array
    """int32 scalar: examples of the global batch that count"""


def gradients_of(
    state: TrainState,
    images: jax.Array,
    labels: jax.Array,
    mask: jax.Array,
    stop: jax.Array | None = None,
    mixed: MixedLabels | None = None,
    *,
    model: Classifier,
    loss: Loss,
) -> Gradients:
    """Differentiate the loss of a batch; the arguments are those of ``train_step``. Runs under the mesh axis."""
    keys = example_keys(state.key, state.step, labels.shape[0])
    total = psum(jnp.sum(mask), AXIS)

    frozen = model.frozen
    trained, fixed = split(state.params, frozen) if frozen else (state.params, {})

    def local_loss(trained: dict[str, Any]) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        variables = {"params": join(trained, fixed) if frozen else trained, "batch_stats": state.batch_stats}
        logits, updated = model.apply(variables, images, train=True, mask=mask, keys=keys, mutable=["batch_stats"])
        terms = loss.terms(logits, _targets(logits, labels, mixed))
        losses = jnp.where(mask, terms.losses, 0)
        return losses.sum() / _divisor(terms, mask, total), (logits, updated["batch_stats"])

    # Each device differentiates its own examples' part of the loss; the sum of the parts' gradients is the gradient.
    gradients, (logits, batch_stats) = jax.grad(local_loss, has_aux=True)(trained)
    gradients, sums = psum((gradients, _train_sums(logits, labels, mask, mixed, loss) | _asked(stop)), AXIS)
    return Gradients(gradients, batch_stats, sums, total)


def _divisor(terms: Terms, mask: jax.Array, total: jax.Array) -> jax.Array:
    """Return what the global batch's sum of losses is divided by; ``total`` examples count in it."""
    if terms.weights is None:
        return jnp.maximum(total, 1)
    # Classes weigh more than nothing, so that the sum is 0 only where nothing counts.
    weight = psum(jnp.sum(jnp.where(mask, terms.weights, 0)), AXIS)
    return jnp.where(total > 0, weight, 1)


def _train_sums(logits: jax.Array, labels: jax.Array, mask: jax.Array, mixed: MixedLabels | None, loss: Loss) -> Sums:
    counted, targets = labels if mixed is None else mixed.larger(), _targets(logits, labels, mixed)
    sums = metric_sums(logits, counted, mask, lambda logits, _: loss.terms(logits, targets).losses)
    weights = loss.terms(logits, targets).weights
    return sums if weights is None else sums | {LOSS_WEIGHT: jnp.sum(jnp.where(mask, weights, 0))}


def _targets(logits: jax.Array, labels: jax.Array, mixed: MixedLabels | None) -> jax.Array:
    return labels if mixed is None else mixed.probabilities(logits)


def example_keys(key: jax.Array, step: jax.Array, count: int) -> jax.Array:
    """Return one random key per example, from the step and the example's place in the global batch.

    Drawn so that the number of devices does not matter.

    Args:
        key: of the run.
        step: int32 scalar.
        count: examples on this device.

    Returns:
        ``[count]`` keys.
    """
    positions = lax.axis_index(AXIS) * count + jnp.arange(count)
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, step), positions)


def eval_step(variables: dict[str, Any], batch: Batch, *, model: Classifier) -> Sums:
    """Return metric sums of a batch over all devices, with running statistics and no augmentation."""
    logits = model.apply(variables, normalize(batch.image, model.dtype, model.mean, model.std), train=False)
    sums = metric_sums(logits, batch.label, batch.mask)  # pyright: ignore[reportArgumentType]
    return psum(sums | _asked(batch.stop), AXIS)


def recalibration_step(variables: Variables, batch: Batch, *, model: Classifier) -> tuple[dict[str, Any], Sums]:
    """Average a batch's statistics, without augmentation and dropout, into ``batch_stats``. Runs under the mesh axis.

    Args:
        variables: with the statistics of the batches before, ``recalibration.blank`` before the first.
        batch: this device's share.
        model: built with ``axis_name=AXIS``; its ``frozen`` parts keep their statistics.

    Returns:
        the statistics, and ``count``, the number of examples.
    """
    sown = sown_moments(model, variables, normalize(batch.image, model.dtype, model.mean, model.std), batch.mask)
    sums = psum({"count": jnp.sum(batch.mask, dtype=jnp.int32)} | _asked(batch.stop), AXIS)
    return averaged(variables["batch_stats"], sown), sums


def _asked(stop: jax.Array | None) -> Sums:
    return {} if stop is None else {"stop": stop.sum()}


def predict_step(variables: dict[str, Any], images: jax.Array, *, model: Classifier) -> jax.Array:
    """Return class probabilities ``[N, classes]`` of uint8 images ``[N, S, S, 3]``."""
    logits = model.apply(variables, normalize(images, model.dtype, model.mean, model.std), train=False)
    return jax.nn.softmax(logits)  # pyright: ignore[reportArgumentType]


def compile_train_step(
    model: Classifier,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    augmentations: Sequence[Augmentation],
    loss: Loss = PLAIN,
    recipe: Recipe = EACH_BATCH,
) -> Callable[[TrainState, TrainBatch], tuple[TrainState, Sums]]:
    """Return ``train_step`` over a mesh, compiled on first call; it is given its state for good and overwrites it.

    On GPUs it does not: vectors are updated together there, which takes memory for a second state and spares 238 of
    1,352 kernels of a ResNeXt-50.
    """
    recipe = dataclasses.replace(recipe, grouped=mesh.devices.flat[0].platform in GPUS)

    def step(state: TrainState, train_batch: TrainBatch) -> tuple[TrainState, Sums]:
        return augmented_train_step(
            state, train_batch, model=model, optimizer=optimizer, augmentations=augmentations, loss=loss, recipe=recipe
        )

    step.__name__ = train_step.__name__
    donated = None if recipe.grouped else 0
    return jit_shard_map(mesh, step, (PartitionSpec(), PartitionSpec(AXIS)), PartitionSpec(), donate_argnums=donated)


def compile_eval_step(model: Classifier, mesh: Mesh) -> Callable[[dict[str, Any], Batch], Sums]:
    """Return ``eval_step`` over a mesh, compiled on first call."""

    def step(variables: dict[str, Any], batch: Batch) -> Sums:
        return eval_step(variables, batch, model=model)

    step.__name__ = eval_step.__name__
    return jit_shard_map(mesh, step, (PartitionSpec(), PartitionSpec(AXIS)), PartitionSpec(), XLA_INFERENCE_ON_CPU)


def compile_recalibration_step(
    model: Classifier, mesh: Mesh
) -> Callable[[Variables, Batch], tuple[dict[str, Any], Sums]]:
    """Return ``recalibration_step`` over a mesh, compiled on first call."""

    def step(variables: Variables, batch: Batch) -> tuple[dict[str, Any], Sums]:
        return recalibration_step(variables, batch, model=model)

    step.__name__ = recalibration_step.__name__
    return jit_shard_map(mesh, step, (PartitionSpec(), PartitionSpec(AXIS)), PartitionSpec())


def compile_predict_step(model: Classifier, mesh: Mesh) -> Callable[[dict[str, Any], jax.Array], jax.Array]:
    """Return ``predict_step`` over a mesh, compiled on first call."""

    def step(variables: dict[str, Any], images: jax.Array) -> jax.Array:
        return predict_step(variables, images, model=model)

    step.__name__ = predict_step.__name__
    return jit_shard_map(mesh, step, (PartitionSpec(), PartitionSpec(AXIS)), PartitionSpec(AXIS), XLA_INFERENCE_ON_CPU)
