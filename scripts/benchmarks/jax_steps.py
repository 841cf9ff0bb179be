"""This project's training step and inference, compiled and called once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from benchmarks.machine import compiled_bytes, device_peak_bytes, jax_candidate
from benchmarks.timing import Candidate, Clock
from jaxnext.config.sections import Config
from jaxnext.engine import parallel, state, steps
from jaxnext.engine.network import network
from jaxnext.models.classifier import Classifier
from jaxnext.models.folding import fold
from jaxnext.types import Variables

NAME = "jaxnext"


class Prepared(NamedTuple):
    """A function that has been called once, and what that took."""

    candidate: Candidate
    compile_seconds: float
    """tracing and compiling"""
    compiled_memory_bytes: int | None
    """arguments, results and temporaries, as the compiler planned them"""
    device_peak_memory_bytes: int | None
    """on a GPU: the most that JAX has had in use so far"""


def predict_function(
    config: Config, classes: int, variables: Variables, mesh: Mesh
) -> tuple[Callable[[Any, jax.Array], jax.Array], Any]:
    """The function that ``predict`` runs, and what it takes beside the images ``[N, S, S, 3]`` of uint8.

    As ``training.trained`` has it: the batch norms are folded into the layers before them.
    """
    model = network(config.model, classes, config.precision)
    return steps.compile_predict_step(model, mesh), parallel.replicate(fold(variables, model), mesh)


def prepare_inference(config: Config, classes: int, variables: Variables, images: np.ndarray, clock: Clock) -> Prepared:
    """Inference from bytes to probabilities.

    Args:
        config: the network and the precision.
        classes: number of outputs.
        variables: of the network, NumPy arrays.
        images: uint8 ``[N, S, S, 3]``.
        clock: seconds.
    """
    mesh = parallel.mesh_of(jax.devices()[:1])
    function, weights = predict_function(config, classes, variables, mesh)
    batch = parallel.split_batch(images, mesh)
    compiled, seconds = _compile(function, (weights, batch), clock)

    def call() -> jax.Array:
        return compiled(weights, batch)

    return _called_once(call, compiled, seconds)


def prepare_training(config: Config, classes: int, variables: Variables, images: np.ndarray, clock: Clock) -> Prepared:
    """The training step, without its augmentation.

    Args:
        config: the network, the optimizer and the precision.
        classes: number of outputs.
        variables: of the network, NumPy arrays.
        images: normalised, float32 ``[N, S, S, 3]``.
        clock: seconds.
    """
    mesh = parallel.mesh_of(jax.devices()[:1])
    optimizer = config.optimizer.build().transformation()
    model = network(config.model, classes, config.precision, parallel.AXIS)
    now = state.create(jax.tree.map(jnp.asarray, variables), optimizer, config.optimizer["learning_rate"], config.seed)
    now = parallel.replicate(now, mesh)
    labels = np.arange(len(images), dtype=np.int32) % classes
    batch = (jnp.asarray(images, model.dtype), labels, np.ones(len(images), bool))
    batch = parallel.split_batch(batch, mesh)
    compiled, seconds = _compile(compile_training(model, optimizer, mesh), (now, *batch), clock)

    def call() -> Any:
        nonlocal now
        now, sums = compiled(now, *batch)
        # The loss is there before the update is.
        return now.params, sums

    return _called_once(call, compiled, seconds)


def compile_training(
    model: Classifier, optimizer: optax.GradientTransformation, mesh: Mesh
) -> Callable[..., tuple[state.TrainState, steps.Sums]]:
    """``steps.train_step`` over a mesh, as ``steps.compile_train_step`` compiles it with the augmentation before it."""

    def step(now: state.TrainState, images: jax.Array, labels: jax.Array, mask: jax.Array) -> Any:
        return steps.train_step(now, images, labels, mask, model=model, optimizer=optimizer)

    share = PartitionSpec(parallel.AXIS)
    return parallel.jit_shard_map(mesh, step, (PartitionSpec(), share, share, share), PartitionSpec(), donate_argnums=0)


def _compile(function: Any, arguments: tuple[Any, ...], clock: Clock) -> tuple[Any, float]:
    begin = clock()
    compiled = function.lower(*arguments).compile()
    return compiled, clock() - begin


def _called_once(call: Callable[[], Any], compiled: Any, seconds: float) -> Prepared:
    jax.block_until_ready(call())
    return Prepared(jax_candidate(NAME, call), seconds, compiled_bytes(compiled), device_peak_bytes())
