"""What jaxnext computes from given weights, images and labels, to be held against PyTorch's results."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flat_config import model_config
from jax.sharding import Mesh, PartitionSpec
from named_values import CLASSES
from torch_reference import fields
from uncached import uncached

from jaxnext.config.sections import Precision
from jaxnext.engine import parallel, steps
from jaxnext.engine.network import network as described
from jaxnext.engine.optimizer import SharedOptions
from jaxnext.engine.optimizers.adam import Optimizer
from jaxnext.engine.schedules.plateau import Schedule
from jaxnext.engine.state import create
from jaxnext.losses.cross_entropy import cross_entropy
from jaxnext.models.classifier import Classifier
from jaxnext.models.summary import variable_shapes
from jaxnext.porting.merge import merge
from jaxnext.porting.torchvision import Entry, to_torch, weight_map
from jaxnext.tree import flatten, unflatten
from jaxnext.types import LeafPath

# The tests' own programs are compiled without LLVM's optimisation, see conftest.py.
less_quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": False}
)
"""For what runs twenty times: a full-size step in double takes a sixth of the time and compiles almost as fast."""
default_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
)
"""As ``jax.jit`` compiles for a user, whose rounding is what is compared in float32."""
ADAM = Optimizer(learning_rate=1e-3)
PLATEAU = Schedule(factor=0.1, patience=6, threshold=0.1)
"""Set so that the loss of these steps, given to the schedule one by one, reduces the learning rate mid-way."""


@functools.cache
def network(setting: str, tiny: bool, precision: Precision, axis_name: str | None = None) -> Classifier:
    """A setting or net without dropout."""
    config = model_config(**fields(setting, tiny), dropout=0.0)
    return described(config, CLASSES, precision, axis_name)


def port(classifier: Classifier, state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The variables of a network, filled from PyTorch's tensors through the package's own strict merge."""
    return to_leaves(variable_shapes(classifier), state_dict)


def to_leaves(like: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    target = {path: (leaf.shape, np.dtype(leaf.dtype)) for path, leaf in flatten(like).items()}
    merged = merge(target, tensors, name="PyTorch")
    assert (merged.new, merged.left_out) == ((), ())
    return unflatten(merged.filled)


def in_torch(setting: str, tiny: bool, tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Leaves under PyTorch's names and in its layouts."""
    table = _table(setting, tiny)
    leaves = {table[path]: np.asarray(leaf) for path, leaf in flatten(tree).items()}
    return {entry.source: to_torch(entry.transform, leaf) for entry, leaf in leaves.items()}


@functools.cache
def _table(setting: str, tiny: bool) -> dict[LeafPath, Entry]:
    return weight_map(flatten(variable_shapes(network(setting, tiny, "float32"))))


@functools.cache
def _both_modes(setting: str, tiny: bool, precision: Precision) -> Callable[..., Any]:
    classifier = network(setting, tiny, precision)

    def loss(params: Any, batch_stats: Any, images: Any, labels: Any) -> Any:
        logits, updated = classifier.apply(
            {"params": params, "batch_stats": batch_stats}, images, train=True, mutable=["batch_stats"]
        )
        return cross_entropy(logits, labels).mean(), (logits, updated["batch_stats"])

    def run(variables: Any, images: Any, labels: Any) -> Any:
        evaluation = classifier.apply(variables, images, train=False, mutable=["intermediates"])
        training = jax.value_and_grad(loss, has_aux=True)
        return evaluation, training(variables["params"], variables["batch_stats"], images, labels)

    # float32, whose rounding depends on it, as users compile it.
    compiled = default_jit if precision == "float32" else jax.jit if tiny else less_quick_jit
    return compiled(run)


class BothModes(NamedTuple):
    """One batch in evaluation and in training mode, as NumPy arrays."""

    activations: dict[str, np.ndarray]
    """Evaluation mode, NHWC: ``stem``, ``stage2`` to ``stage5``, ``cbam``, ``head/activation1`` and ``2``, if there."""
    evaluation: np.ndarray
    """Logits."""
    training: np.ndarray
    """Logits."""
    loss: float
    gradients: dict[str, Any]
    batch_stats: dict[str, Any]
    """After the training mode's batch."""


def both_modes(
    setting: str,
    tiny: bool,
    precision: Precision,
    state_dict: Mapping[str, np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
) -> BothModes:
    """Run one batch in both modes, the gradient being that of the mean cross-entropy in training mode."""
    # In float32 as users compile it: by oneDNN where it works.
    cached = uncached() if precision == "float32" else contextlib.nullcontext()
    with cached, jax.enable_x64(precision == "float64"), jax.default_matmul_precision("highest"):
        variables = port(network(setting, tiny, precision), state_dict)
        run = _both_modes(setting, tiny, precision)
        found = jax.device_get(run(variables, images.astype(precision), labels))
    (logits, sown), ((loss, (train_logits, stats)), gradients) = found
    return BothModes(_activations(sown), logits, train_logits, float(loss), gradients, stats)


def _activations(sown: dict[str, Any]) -> dict[str, np.ndarray]:
    # What attentions in the blocks sow is nested.
    stages = sown["intermediates"]["backbone"].items()
    activations = {name: value[0] for name, value in stages if isinstance(value, tuple)}
    if "attention_output" in sown["intermediates"]:
        activations["cbam"] = sown["intermediates"]["attention_output"][0]
    for name, value in sown["intermediates"].get("head", {}).items():
        activations[f"head/{name}"] = value[0]
    return activations


@functools.cache
def _step(setting: str, tiny: bool, mesh: Mesh, optimizer: SharedOptions) -> Callable[..., Any]:
    transformation = optimizer.transformation()
    model = network(setting, tiny, "float64", parallel.AXIS)

    def step(state: Any, images: Any, labels: Any, mask: Any) -> Any:
        return steps.train_step(state, images, labels, mask, model=model, optimizer=transformation)

    split = PartitionSpec(parallel.AXIS)
    over = jax.shard_map(
        step, mesh=mesh, in_specs=(PartitionSpec(), split, split, split), out_specs=PartitionSpec(), check_vma=False
    )
    return less_quick_jit(over, donate_argnums=0)


class Descent(NamedTuple):
    """Steps of an optimizer."""

    losses: list[float]
    learning_rates: list[float]
    """With which each step was made."""
    norms: list[dict[str, float]]
    """Of each parameter after each step, under PyTorch's names."""
    params: dict[str, Any]
    """After the last step."""
    batch_stats: dict[str, Any]
    """After the last step."""


def descent(
    setting: str,
    tiny: bool,
    state_dict: Mapping[str, np.ndarray],
    batches: list[tuple[np.ndarray, np.ndarray]],
    optimizer: Any = ADAM,
) -> Descent:
    """jaxnext's training step in float64, batch after batch, its loss given to the plateau schedule after each."""
    with jax.enable_x64(True):
        variables = port(network(setting, tiny, "float64"), state_dict)
        mesh = parallel.mesh_of(jax.devices()[:1])
        step = _step(setting, tiny, mesh, optimizer)
        schedule = PLATEAU.start(optimizer.learning_rate)
        rate = optimizer.learning_rate
        state = create(jax.tree.map(jnp.asarray, variables), optimizer.transformation(), rate, 0)
        state = parallel.replicate(state, mesh)
        losses, rates, norms = [], [], []
        for images, labels in batches:
            rates.append(float(state.learning_rate))
            state, sums = step(state, images.astype(np.float64), labels, np.ones(len(labels), bool))
            losses.append(float(sums["loss"]) / int(sums["count"]))
            leaves = in_torch(setting, tiny, {"params": state.params})
            norms.append({name: float(np.linalg.norm(leaf)) for name, leaf in leaves.items()})
            schedule = PLATEAU.after_epoch(schedule, losses[-1])
            rate = np.asarray(schedule["learning_rate"], state.learning_rate.dtype)
            state = state._replace(learning_rate=parallel.replicate(rate, mesh))
        params, stats = (jax.tree.map(np.asarray, tree) for tree in (state.params, state.batch_stats))
        return Descent(losses, rates, norms, params, stats)
