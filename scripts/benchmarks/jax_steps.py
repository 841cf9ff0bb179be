"""This project's training step and inference, compiled and called once."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from benchmarks.machine import compiled_bytes, device_peak_bytes, jax_candidate
from benchmarks.timing import Candidate
from jaxnext.config.sections import Config
from jaxnext.engine import parallel, state, steps
from jaxnext.engine.network import network
from jaxnext.models.classifier import Classifier
from jaxnext.models.folding import fold
from jaxnext.types import Variables

NAME = "jaxnext"


def prepare(mode: str, config: Config, classes: int, variables: Variables, images: np.ndarray) -> Candidate:
    """Return a training step without its augmentation, or inference from bytes to probabilities.

    Args:
        mode: ``train`` or ``inference``.
        config: the network, the optimizer and the precision.
        classes: number of outputs.
        variables: of the network, NumPy arrays.
        images: normalised, float32 ``[N, S, S, 3]``; inference takes bytes made of them.

    Returns:
        with ``compile_seconds`` (tracing and compiling), ``compiled_memory_bytes`` (arguments, results and temporaries,
        as the compiler planned them) and, on a GPU, ``peak_memory_bytes``: the most that JAX has had in use so far.
    """
    mesh = parallel.mesh_of(jax.devices()[:1])
    call, compiled, seconds = (_training if mode == "train" else _inference)(config, classes, variables, images, mesh)
    jax.block_until_ready(call())
    facts = {
        "compile_seconds": seconds,
        "compiled_memory_bytes": compiled_bytes(compiled),
        "peak_memory_bytes": device_peak_bytes(),
    }
    return jax_candidate(NAME, call, facts)


def compile_training(
    model: Classifier, optimizer: optax.GradientTransformation, mesh: Mesh
) -> Callable[..., tuple[state.TrainState, steps.Sums]]:
    """Return ``steps.train_step`` over a mesh, as ``steps.compile_train_step`` has it with the augmentation before."""

    def step(now: state.TrainState, images: jax.Array, labels: jax.Array, mask: jax.Array) -> Any:
        return steps.train_step(now, images, labels, mask, model=model, optimizer=optimizer)

    share = PartitionSpec(parallel.AXIS)
    return parallel.jit_shard_map(mesh, step, (PartitionSpec(), share, share, share), PartitionSpec(), donate_argnums=0)


def _inference(config: Config, classes: int, variables: Variables, images: np.ndarray, mesh: Mesh) -> Any:
    """As prediction has it: the batch norms are folded into the layers before them."""
    model = network(config.model, classes, config.precision)
    weights = parallel.replicate(fold(variables, model), mesh)
    pixels = (np.clip(images, -2, 2) * 63 + 128).astype(np.uint8)
    batch = parallel.split_batch(pixels, mesh)
    compiled, seconds = _compile(steps.compile_predict_step(model, mesh), (weights, batch))
    return lambda: compiled(weights, batch), compiled, seconds


def _training(config: Config, classes: int, variables: Variables, images: np.ndarray, mesh: Mesh) -> Any:
    optimizer = config.optimizer.build().transformation()
    model = network(config.model, classes, config.precision, parallel.AXIS)
    now = state.create(jax.tree.map(jnp.asarray, variables), optimizer, config.optimizer["learning_rate"], config.seed)
    now = parallel.replicate(now, mesh)
    labels = np.arange(len(images), dtype=np.int32) % classes
    batch = (jnp.asarray(images, model.dtype), labels, np.ones(len(images), bool))
    batch = parallel.split_batch(batch, mesh)
    compiled, seconds = _compile(compile_training(model, optimizer, mesh), (now, *batch))

    def call() -> Any:
        nonlocal now
        now, sums = compiled(now, *batch)
        # The loss is there before the update is.
        return now.params, sums

    return call, compiled, seconds


def _compile(function: Any, arguments: tuple[Any, ...]) -> tuple[Any, float]:
    begin = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    return compiled, time.perf_counter() - begin
