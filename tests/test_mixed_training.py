"""Label smoothing, class weights, mixup and cutmix together: 20 steps against PyTorch, devices, more epochs."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from torch_reference import require

from jaxnext.config.sections import MixConfig
from jaxnext.engine import parallel, steps
from jaxnext.engine.network import network
from jaxnext.engine.padding import pad_rows
from jaxnext.engine.state import Batch, TrainBatch, create
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


def descent(
    model: Classifier, variables: Any, devices: int, examples: tuple[int, ...], seed: int, mixing: Mix | None
) -> tuple[Any, list[dict[str, Any]]]:
    """Variables after steps on batches of so many images, and the sums of each."""
    mesh = parallel.mesh_of(jax.devices()[:devices])
    step_of = steps.compile_train_step(model, ADAM.transformation(), mesh, (), LOSS)
    state = create(jax.tree.map(jnp.asarray, variables), ADAM.transformation(), ADAM.learning_rate, 0)
    state, sums = parallel.replicate(state, mesh), []
    for step, count in enumerate(examples):
        batch = (images(step, seed)[:count], named_values.labels(str(step), seed)[:count], np.ones(count, bool))
        rows = Batch(*(pad_rows(array, named_values.ROWS) for array in batch))  # pyright: ignore
        train_batch = TrainBatch(rows, (), drawn(step, devices, mixing) if mixing else None)
        state, found = step_of(state, parallel.split_batch(train_batch, mesh))
        sums.append(jax.tree.map(np.asarray, found))
    return jax.tree.map(np.asarray, {"params": state.params, "batch_stats": state.batch_stats}), sums


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """On layers as small as these PyTorch's threads wait for each other six times as long as they compute."""
    torch, _ = require()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def torch_descent(seed: int, examples: tuple[int, ...], mixed: bool) -> tuple[dict[str, np.ndarray], list[float]]:
    """torchvision's mixing, PyTorch's loss and Adam in double, given the same shares and boxes."""
    torch, _ = require()
    from torchvision.transforms import v2

    weights = named_values.weights(torch_runs.shapes_of("baseline", True), seed)
    net = torch_runs.network("baseline", True, weights, "float64").train()
    adam, losses = torch.optim.Adam(net.parameters(), lr=ADAM.learning_rate), []
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
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return {name: value.numpy() for name, value in net.state_dict().items()}, losses


FULL = (named_values.ROWS,) * STEPS


# Without mixing the mean is over the weights of the labels' classes, and batches need not be full.
@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(("mixed", "devices", "examples"), [(True, 1, FULL), (False, 2, (*FULL[:-2], 5, 8))])
def test_twenty_steps_equal_torch(mixed: bool, devices: int, examples: tuple[int, ...]) -> None:
    kinds = [kind(drawn(step)) for step in range(STEPS)]
    assert min(kinds.count(name) for name in ("mixup", "cutmix")) >= 5
    assert kinds[-1] == "none"
    expected, expected_losses = torch_descent(SEED, examples, mixed)
    weights = named_values.weights(torch_runs.shapes_of("baseline", True), SEED)
    with jax.enable_x64(True):
        model = jaxnext_runs.network("baseline", True, "float64", parallel.AXIS)
        variables = jaxnext_runs.port(jaxnext_runs.network("baseline", True, "float64"), weights)
        variables, sums = descent(model, variables, devices, examples, SEED, MIX if mixed else None)
    assert all(("loss_weight" in each) != mixed for each in sums)
    losses = [Accumulator().add(each) for each in sums]
    np.testing.assert_allclose(losses, expected_losses, rtol=FLOAT64_ADAM_STEPS)
    right, found = flatten(jaxnext_runs.to_leaves(variables, expected)), flatten(variables)
    errors = {path_name(p): np.linalg.norm(found[p] - right[p]) / np.linalg.norm(right[p]) for p in found}
    worst = max(errors, key=lambda name: errors[name])
    print(f"worst leaf {worst} {errors[worst]:.1e}")
    assert errors[worst] <= FLOAT64_ADAM_STEPS, worst


def test_an_epoch_is_the_same_on_more_devices_its_incomplete_batch_included() -> None:
    # Of the last batch the third of four devices has one row and the fourth none.
    examples, always = (8, 8, 8, 5), dataclasses.replace(MIX, probability=1.0)
    assert {kind(drawn(step, mixing=always)) for step in range(4)} == {"mixup", "cutmix"}
    with jax.enable_x64(True):
        model = network(small_run.config(Path("nowhere")).model, CLASSES, "float64", parallel.AXIS)
        variables = initialise(model, 0)
        one, *more = (descent(model, variables, devices, examples, 0, always) for devices in (1, 2, 4))
    assert [int(each["count"]) for each in one[1]] == list(examples)
    for found in more:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=FLOAT64_DEVICES), found, one)


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
