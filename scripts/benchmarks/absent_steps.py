"""This project's training step and inference, lowered for devices that are not there: all arrays are shapes alone."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnext.augment import draw_all
from jaxnext.config.sections import Config
from jaxnext.engine import parallel, state, steps
from jaxnext.engine.network import network
from jaxnext.models.folding import fold
from jaxnext.models.summary import variable_shapes


def training(config: Config, classes: int, devices: Sequence[Any]) -> Any:
    """Return the lowered training step of a run, its augmentation before it, ``config.batch_size`` images a device."""
    mesh = parallel.mesh_of(devices)
    model = network(config.model, classes, config.precision, parallel.AXIS, devices[0].platform)
    optimizer = config.optimizer.build().transformation()
    augmentations = tuple(choice.build() for choice in config.augment)
    rows, size = config.batch_size * mesh.size, config.data.size
    now = jax.eval_shape(
        lambda variables: state.create(variables, optimizer, config.optimizer["learning_rate"], config.seed),
        variable_shapes(model),
    )
    drawn = draw_all(augmentations, config.seed, 0, rows, size)
    stop = np.zeros(mesh.size, np.int32) if mesh.is_multi_process else None
    batch = state.Batch(*_batch(rows, size), stop)  # pyright: ignore[reportArgumentType]
    step = steps.compile_train_step(model, optimizer, mesh, augmentations)
    given = state.TrainBatch(batch, drawn)
    return step.lower(_shapes(now, mesh, PartitionSpec()), _shapes(given, mesh, PartitionSpec(parallel.AXIS)))  # pyright: ignore


def inference(config: Config, classes: int, devices: Sequence[Any]) -> Any:
    """Return lowered inference from bytes to probabilities, the batch norms folded, so many images a device."""
    mesh = parallel.mesh_of(devices)
    model = network(config.model, classes, config.precision)
    # It is folded on the host, where only shapes count.
    folded = fold(jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), variable_shapes(model)), model)
    images = np.broadcast_to(np.uint8(0), (config.batch_size * mesh.size, *config.data.size, 3))
    step = steps.compile_predict_step(model, mesh)
    return step.lower(_shapes(folded, mesh, PartitionSpec()), _shapes(images, mesh, PartitionSpec(parallel.AXIS)))  # pyright: ignore


def _batch(rows: int, size: tuple[int, int]) -> tuple[Any, Any, Any]:
    images = np.broadcast_to(np.uint8(0), (rows, *size, 3))
    labels = np.zeros(rows, np.int32)
    return images, labels, labels.astype(bool)


def _shapes(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    sharding = NamedSharding(mesh, spec)

    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        dtype = leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)
        return jax.ShapeDtypeStruct(np.shape(leaf), dtype, sharding=sharding)

    return jax.tree.map(shape, tree)
