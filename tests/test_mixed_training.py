"""Mixed images with weighted losses, and all else that a recipe has: 20 steps against PyTorch, devices, more epochs."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxnext_runs
import named_values
import numpy as np
import pytest
import small_run
import torch_runs
from jaxnext_runs import ADAM
from live_seed import SEED
from small_run import run_env, stop_after
from test_mix import kind
from tolerances import FLOAT64_ADAM_STEPS, FLOAT64_DEVICES
from torch_optimizer import optimizer_of, set_rate
from torch_reference import require

from jaxnext.config.sections import MixConfig
from jaxnext.engine import parallel, steps
from jaxnext.engine.accumulation import Accumulation
from jaxnext.engine.ema import MovingAverage
from jaxnext.engine.network import network
from jaxnext.engine.optimizers import adamw
from jaxnext.engine.padding import pad_rows
from jaxnext.engine.schedule import Length
from jaxnext.engine.schedules.cosine import Schedule
from jaxnext.engine.state import Batch, TrainBatch, TrainState, create
from jaxnext.engine.update import EACH_BATCH, Recipe
from jaxnext.losses.cross_entropy import Loss
from jaxnext.metrics import Accumulator
from jaxnext.mix import Drawn, Mix
from jaxnext.models.classifier import Classifier
from jaxnext.models.initialisation import initialise
from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD
from jaxnext.training.fit import fit
from jaxnext.tree import flatten, path_name

pytestmark = pytest.mark.slow

STEPS, SIZE, CLASSES = 20, 32, named_values.CLASSES
MIX = Mix(mixup=0.4, cutmix=1.0, probability=0.9, switch=0.5, steps=STEPS - 1)
LOSS = Loss(label_smoothing=0.1, weights=tuple(np.linspace(0.5, 2, CLASSES).tolist()))


def images(step: int, seed: int) -> np.ndarray:
    shape = (named_values.ROWS, SIZE, SIZE, 3)
    return (named_values.uniform(f"bytes {step}", shape, seed) * 256).astype(np.uint8)


def drawn(step: int, devices: int = 1, mixing: Mix = MIX) -> Drawn:
    return mixing.draw(5, step, (SIZE, SIZE), devices, np.float64)


class Updates(NamedTuple):
    """What makes updates of gradients, and how fast."""

    optimizer: Any = ADAM
    recipe: Recipe = EACH_BATCH

    def rate(self, step: int) -> float:
        """The learning rate of a batch: the optimizer's, or with accumulation along a cosine after a warm-up."""
        accumulation = self.recipe.accumulation
        if accumulation is None:
            return self.optimizer.learning_rate
        length = Length(STEPS // PER_EPOCH, accumulation.updates_per_epoch)
        return COSINE.rate(COSINE.start(self.optimizer.learning_rate), accumulation.updates_before(step), length)


PLAIN = Updates()
PER_EPOCH = 5
"""Batches; by two they make groups of 2, 2 and 1."""
COSINE = Schedule(warmup_epochs=1.0, warmup_factor=0.1, min_learning_rate=1e-5)
MODERN = adamw.Optimizer(weight_decay=0.5, decay_norms=False, clip_norm=16.0, multipliers={"head": 3.0, "stem": 0.25})
EVERYTHING = Updates(MODERN, Recipe(Accumulation(2, PER_EPOCH), MovingAverage(0.9)))


def descent(
    model: Classifier,
    variables: Any,
    devices: int,
    examples: tuple[int, ...],
    seed: int,
    mixing: Mix | None,
    updates: Updates = PLAIN,
) -> tuple[TrainState, list[dict[str, Any]]]:
    """The state after steps on batches of so many images, and the sums of each."""
    mesh, recipe = parallel.mesh_of(jax.devices()[:devices]), updates.recipe
    transformation = updates.optimizer.transformation(variables["params"])
    step_of = steps.compile_train_step(model, transformation, mesh, (), LOSS, recipe)
    state = create(
        jax.tree.map(jnp.asarray, variables),
        transformation,
        updates.rate(0),
        0,
        accumulates=recipe.accumulation is not None,
        averages=recipe.average is not None,
    )
    state, sums = parallel.replicate(state, mesh), []
    for step, count in enumerate(examples):
        rate = np.asarray(updates.rate(step), state.learning_rate.dtype)
        state = state._replace(learning_rate=parallel.replicate(rate, mesh))
        batch = (images(step, seed)[:count], named_values.labels(str(step), seed)[:count], np.ones(count, bool))
        rows = Batch(*(pad_rows(array, named_values.ROWS) for array in batch))  # pyright: ignore
        train_batch = TrainBatch(rows, (), drawn(step, devices, mixing) if mixing else None)
        state, found = step_of(state, parallel.split_batch(train_batch, mesh))
        sums.append(jax.tree.map(np.asarray, found))
    return state, sums


def variables_of(tree: Any) -> dict[str, Any]:
    """Of a state or a moving average, in NumPy."""
    return jax.tree.map(np.asarray, {"params": tree.params, "batch_stats": tree.batch_stats})


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """On layers as small as these PyTorch's threads wait for each other six times as long as they compute."""
    torch, _ = require()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Torch(NamedTuple):
    """What ``torch_descent`` has come to."""

    net: dict[str, np.ndarray]
    average: dict[str, np.ndarray]
    losses: list[float]
    clipped: list[bool]
    """of each update"""


def torch_descent(seed: int, examples: tuple[int, ...], mixed: bool, updates: Updates = PLAIN) -> Torch:
    """torchvision's mixing, PyTorch's loss and optimizer in double, given the same shares and boxes."""
    torch, _ = require()
    from torchvision.transforms import v2

    weights = named_values.weights(torch_runs.shapes_of("baseline", True), seed)
    net = torch_runs.network("baseline", True, weights, "float64").train()
    optimizer, recipe, losses, clipped = optimizer_of(updates.optimizer, net), updates.recipe, [], []
    average = {name: value.clone() for name, value in net.state_dict().items()}
    mean, deviation = (torch.tensor(v, dtype=torch.float64).reshape(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    mixup, cutmix = v2.MixUp(num_classes=CLASSES), v2.CutMix(num_classes=CLASSES)
    for step, count in enumerate(examples):
        pixels = torch.from_numpy(images(step, seed)[:count].transpose(0, 3, 1, 2).copy()).double()
        inputs, now = (pixels / 255 - mean) / deviation, drawn(step)
        labels = torch.from_numpy(named_values.labels(str(step), seed)[:count]).long()
        if mixed:
            # In double, as torchvision's own one-hot labels are not.
            labels = torch.nn.functional.one_hot(labels, CLASSES).double()
        top, bottom, left, right = now.box[0].tolist()
        box = {"box": (left, top, right, bottom), "lam_adjusted": float(now.labels[0, 0])}
        cutmix.make_params = lambda inputs, box=box: box
        mixup.make_params = lambda inputs, lam=float(now.pixels[0, 0]): {"lam": lam}
        if mixed and kind(now) != "none":
            inputs, labels = (cutmix if kind(now) == "cutmix" else mixup)(inputs, labels)
        weight = torch.tensor(LOSS.weights, dtype=torch.float64)
        loss = torch.nn.functional.cross_entropy(net(inputs), labels, weight, label_smoothing=LOSS.label_smoothing)
        losses.append(loss.item())
        place = step % PER_EPOCH
        last_alone = recipe.accumulation is not None and place == PER_EPOCH - 1
        group = 1 if recipe.accumulation is None or last_alone else 2
        (loss / group).backward()
        if group == 2 and place % 2 == 0:
            continue
        if (norm := updates.optimizer.clip_norm) is not None:
            clipped.append(bool(torch.nn.utils.clip_grad_norm_(net.parameters(), norm) > norm))
        set_rate(optimizer, updates.rate(step))
        optimizer.step()
        optimizer.zero_grad()
        if recipe.average is not None:
            # timm's ModelEmaV3 with warm-up: a copy at first.
            decay = min(1 - len(clipped) ** (-2 / 3), recipe.average.decay)
            for name, value in net.state_dict().items():
                if value.is_floating_point():
                    average[name].lerp_(value, 1 - decay)
                else:
                    average[name].copy_(value)
    found, kept = ({n: v.numpy() for n, v in tensors.items()} for tensors in (net.state_dict(), average))
    return Torch(found, kept, losses, clipped)


def assert_close(found: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    right, leaves = flatten(jaxnext_runs.to_leaves(found, tensors)), flatten(found)
    errors = {path_name(p): np.linalg.norm(leaves[p] - right[p]) / np.linalg.norm(right[p]) for p in leaves}
    worst = max(errors, key=lambda name: errors[name])
    print(f"worst leaf {worst} {errors[worst]:.1e}")
    assert errors[worst] <= FLOAT64_ADAM_STEPS, worst


FULL = (named_values.ROWS,) * STEPS
MIXED = {"mixed": (True, 1, FULL, PLAIN), "everything": (True, 1, FULL, EVERYTHING)}
"""Of which one is drawn: the other runs with ``-m full_size``."""


# Without mixing the mean is over the weights of the labels' classes, and batches need not be full.
@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(
    ("mixed", "devices", "examples", "updates"),
    [
        pytest.param(False, 2, (*FULL[:-2], 5, 8), PLAIN, id="not mixed"),
        *(
            pytest.param(*case, id=name, marks=() if name == list(MIXED)[SEED % 2] else pytest.mark.full_size)
            for name, case in MIXED.items()
        ),
    ],
)
def test_twenty_steps_equal_torch(mixed: bool, devices: int, examples: tuple[int, ...], updates: Updates) -> None:
    kinds = [kind(drawn(step)) for step in range(STEPS)]
    assert min(kinds.count(name) for name in ("mixup", "cutmix")) >= 5
    assert kinds[-1] == "none"
    expected = torch_descent(SEED, examples, mixed, updates)
    weights = named_values.weights(torch_runs.shapes_of("baseline", True), SEED)
    with jax.enable_x64(True):
        model = jaxnext_runs.network("baseline", True, "float64", parallel.AXIS)
        variables = jaxnext_runs.port(jaxnext_runs.network("baseline", True, "float64"), weights)
        state, sums = descent(model, variables, devices, examples, SEED, MIX if mixed else None, updates)
    assert all(("loss_weight" in each) != mixed for each in sums)
    losses = [Accumulator().add(each) for each in sums]
    np.testing.assert_allclose(losses, expected.losses, rtol=FLOAT64_ADAM_STEPS)
    assert_close(variables_of(state), expected.net)
    if updates.recipe.average is not None:
        assert 0 < sum(expected.clipped) < len(expected.clipped) == 12
        assert_close(variables_of(state.average), expected.average)


def test_an_epoch_is_the_same_on_more_devices_its_incomplete_batch_included() -> None:
    # Of the last batch the third of four devices has one row and the fourth none.
    examples, always = (8, 8, 8, 5), dataclasses.replace(MIX, probability=1.0)
    assert {kind(drawn(step, mixing=always)) for step in range(4)} == {"mixup", "cutmix"}
    with jax.enable_x64(True):
        model = network(small_run.config(Path("nowhere")).model, CLASSES, "float64", parallel.AXIS)
        variables = initialise(model, 0)
        runs = (descent(model, variables, devices, examples, 0, always) for devices in (1, 4))
        one, more = [(variables_of(state), sums) for state, sums in runs]
    assert [int(each["count"]) for each in one[1]] == list(examples)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=FLOAT64_DEVICES), more, one)


# ---- a whole run: 96 training images in batches of 10, the last one of 6 ----


def test_more_epochs_with_accumulation_keep_the_mixed_ones(images: Any, tmp_path: Any) -> None:
    """Of 10 batches an epoch each two make an update: what is begun is counted in batches."""
    config = small_run.config(images, epochs=3, mix=MixConfig(mixup=0.4, cutmix=1.0, probability=0.9, off_epochs=1))
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, accumulate=2))
    # It is asked some 15 times an epoch: in the second of three, the last of which is not mixed.
    fit(config, tmp_path / "r", False, run_env(stop_after(19)))
    lines: list[str] = []
    fit(dataclasses.replace(config, epochs=4), tmp_path / "r", True, run_env(stop_after(0), lines))
    assert lines[-1].startswith("stopped and saved")
