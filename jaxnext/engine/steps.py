"""The compiled functions: one training step, one evaluation step, one prediction step.

Each is a pure function of what it is given, run on every device over its share of the batch under ``jax.shard_map``.
Sharding annotations alone would not do: XLA's partitioner gathers the whole batch on every device before a grouped
convolution (openxla/xla#47945).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnext.augment.original import augment, normalize
from jaxnext.engine.state import Batch, TrainBatch, TrainState
from jaxnext.losses import cross_entropy
from jaxnext.metrics import metric_sums
from jaxnext.models.classifier import Classifier
from jaxnext.ops.collectives import psum

AXIS = "batch"
"""The one axis of the mesh: the batch is split over all devices."""

Sums = dict[str, jax.Array]

Device = Any
"""``jax.Device``, which type checkers take for a variable."""


def mesh_of(devices: Sequence[Device]) -> Mesh:
    """The one-axis mesh over these devices."""
    return Mesh(np.array(list(devices)), (AXIS,))


def round_up(batch_size: int, mesh: Mesh) -> int:
    """The smallest number of rows, at least ``batch_size``, that the devices divide."""
    return -(-batch_size // mesh.size) * mesh.size


def own_rows(rows: int, mesh: Mesh) -> range:
    """Those of the rows of a global batch that this process's devices hold.

    Args:
        rows: of the global batch, a multiple of the number of devices.
        mesh: in which the devices of each process stand side by side.
    """
    devices, share = list(mesh.devices.flat), rows // mesh.size
    places = [devices.index(device) for device in mesh.local_devices]
    if places != list(range(places[0], places[0] + len(places))):
        raise ValueError(f"expected the devices of a process side by side, found {devices}")
    return range(places[0] * share, (places[-1] + 1) * share)


def split_batch(tree: Any, mesh: Mesh) -> Any:
    """Host arrays onto the devices, split along the leading axis, which the devices must divide.

    In a run of several processes each gives its own rows.
    """
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    if not mesh.is_multi_process:
        return jax.device_put(tree, sharding)
    own = len(mesh.local_devices)

    def whole(rows: np.ndarray) -> jax.Array:
        shape = (len(rows) // own * mesh.size, *rows.shape[1:])
        return jax.make_array_from_process_local_data(sharding, rows, shape)

    return jax.tree.map(whole, tree)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The same arrays on every device; of several processes each must give the same."""
    sharding = NamedSharding(mesh, PartitionSpec())
    if not mesh.is_multi_process:
        return jax.device_put(tree, sharding)

    # device_put would compare them across the processes, one collective operation for each array.
    def copies(leaf: Any) -> jax.Array:
        arrays = [jax.device_put(leaf, device) for device in mesh.local_devices]
        return jax.make_array_from_single_device_arrays(np.shape(leaf), sharding, arrays)

    return jax.tree.map(copies, tree)


def augmented_train_step(
    state: TrainState, train_batch: TrainBatch, *, model: Classifier, optimizer: optax.GradientTransformation
) -> tuple[TrainState, Sums]:
    """One step of gradient descent on the mean cross-entropy of the examples that count. Runs under the mesh axis.

    Args:
        state: the same on every device.
        train_batch: this device's share.
        model: built with ``axis_name=AXIS``.
        optimizer: from ``training.optimizer.build``.

    Returns:
        the new state, and the metric sums over the global batch.
    """
    batch = train_batch.batch
    images = normalize(augment(batch.image, train_batch.augmentation), model.dtype)
    return train_step(state, images, batch.label, batch.mask, batch.stop, model=model, optimizer=optimizer)


def train_step(
    state: TrainState,
    images: jax.Array,
    labels: jax.Array,
    mask: jax.Array,
    stop: jax.Array | None = None,
    *,
    model: Classifier,
    optimizer: optax.GradientTransformation,
) -> tuple[TrainState, Sums]:
    """The training step after the augmentation: loss, gradient, statistics and update. Runs under the mesh axis.

    A batch of which no example counts, because no image could be read, is a step that changes nothing but its number.

    Args:
        state: the same on every device.
        images: this device's share, normalised, ``[N, H, W, 3]`` in the model's dtype.
        labels: ``[N]`` int32.
        mask: ``[N]`` of bool; ``False`` is padding.
        stop: of ``Batch``; where there is one, its sum is among the sums.
        model: built with ``axis_name=AXIS``.
        optimizer: from ``training.optimizer.build``.

    Returns:
        the new state, and the metric sums over the global batch.
    """
    keys = example_keys(state.key, state.step, labels.shape[0])
    total = psum(jnp.sum(mask), AXIS)

    def local_loss(params: dict[str, Any]) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, updated = model.apply(variables, images, train=True, mask=mask, keys=keys, mutable=["batch_stats"])
        losses = jnp.where(mask, cross_entropy(logits, labels), 0)
        return losses.sum() / jnp.maximum(total, 1), (logits, updated["batch_stats"])

    # Each device differentiates its own examples' part of the loss; the sum of the parts' gradients is the gradient.
    gradients, (logits, batch_stats) = jax.grad(local_loss, has_aux=True)(state.params)
    gradients, sums = psum((gradients, metric_sums(logits, labels, mask) | _asked(stop)), AXIS)
    directions, moments = optimizer.update(gradients, state.optimizer, state.params)
    params = jax.tree.map(lambda p, d: p - state.learning_rate * d, state.params, directions)
    # Without a gradient, the moments and the weight decay would still move the parameters.
    params, batch_stats, moments = jax.tree.map(
        lambda new, old: jnp.where(total > 0, new, old),
        (params, batch_stats, moments),
        (state.params, state.batch_stats, state.optimizer),
    )
    return TrainState(state.step + 1, params, batch_stats, moments, state.learning_rate, state.key), sums


def example_keys(key: jax.Array, step: jax.Array, count: int) -> jax.Array:
    """One random key per example, from the step and the example's place in the global batch.

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
    """Metric sums of a batch over all devices, with running statistics and no augmentation."""
    logits = model.apply(variables, normalize(batch.image, model.dtype), train=False)
    sums = metric_sums(logits, batch.label, batch.mask)  # pyright: ignore[reportArgumentType]
    return psum(sums | _asked(batch.stop), AXIS)


def _asked(stop: jax.Array | None) -> Sums:
    return {} if stop is None else {"stop": stop.sum()}


def predict_step(variables: dict[str, Any], images: jax.Array, *, model: Classifier) -> jax.Array:
    """Class probabilities ``[N, classes]`` of uint8 images ``[N, S, S, 3]``."""
    logits = model.apply(variables, normalize(images, model.dtype), train=False)
    return jax.nn.softmax(logits)  # pyright: ignore[reportArgumentType]


def compile_train_step(
    model: Classifier, optimizer: optax.GradientTransformation, mesh: Mesh
) -> Callable[[TrainState, TrainBatch], tuple[TrainState, Sums]]:
    """``train_step`` over a mesh, compiled on first call; it is given its state for good and overwrites it."""

    def step(state: TrainState, train_batch: TrainBatch) -> tuple[TrainState, Sums]:
        return augmented_train_step(state, train_batch, model=model, optimizer=optimizer)

    step.__name__ = train_step.__name__
    return jit_shard_map(mesh, step, (PartitionSpec(), PartitionSpec(AXIS)), PartitionSpec(), donate_argnums=0)


def compile_eval_step(model: Classifier, mesh: Mesh) -> Callable[[dict[str, Any], Batch], Sums]:
    """``eval_step`` over a mesh, compiled on first call."""

    def step(variables: dict[str, Any], batch: Batch) -> Sums:
        return eval_step(variables, batch, model=model)

    step.__name__ = eval_step.__name__
    return jit_shard_map(mesh, step, (PartitionSpec(), PartitionSpec(AXIS)), PartitionSpec(), _INFERENCE_ON_CPU)


def compile_predict_step(model: Classifier, mesh: Mesh) -> Callable[[dict[str, Any], jax.Array], jax.Array]:
    """``predict_step`` over a mesh, compiled on first call."""

    def step(variables: dict[str, Any], images: jax.Array) -> jax.Array:
        return predict_step(variables, images, model=model)

    step.__name__ = predict_step.__name__
    return jit_shard_map(mesh, step, (PartitionSpec(), PartitionSpec(AXIS)), PartitionSpec(AXIS), _INFERENCE_ON_CPU)


_ON_CPU: dict[str, bool | str] = {"xla_cpu_enable_concurrency_optimized_scheduler": False}
"""XLA's default on the CPU orders operations so that many can run at once. On two cores that gains nothing, and every
activation lives longer: a quarter more memory."""
_INFERENCE_ON_CPU = _ON_CPU | {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
}
"""Products and sums by XLA's CPU library, but convolutions, which it computes on one thread, by XLA itself. In training
other operations run beside them, and this gains nothing."""


def jit_shard_map(
    mesh: Mesh,
    function: Callable[..., Any],
    in_specs: Any,
    out_specs: Any,
    on_cpu: dict[str, bool | str] = _ON_CPU,
    donate_argnums: int | None = None,
) -> Callable[..., Any]:
    """``function`` on every device of a mesh over its share of what it is given, compiled on first call.

    Float32 products are computed in float32 on every platform.

    Args:
        mesh: from ``mesh_of``.
        function: of this device's share of each argument; may use ``AXIS``.
        in_specs: a ``PartitionSpec`` for each argument.
        out_specs: of the results.
        on_cpu: XLA's options where the mesh is of CPUs.
        donate_argnums: argument that is overwritten.
    """

    @jax.default_matmul_precision("highest")
    def whole(*args: Any) -> Any:
        return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)(*args)

    whole.__name__ = function.__name__
    options = on_cpu if mesh.devices.flat[0].platform == "cpu" else None
    return jax.jit(whole, donate_argnums=donate_argnums, compiler_options=options)
