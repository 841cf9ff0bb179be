"""Accumulation, the moving average and freezing in whole training steps, against PyTorch and across devices."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from jaxnext_runs import ADAM, in_torch, network, port
from named_values import images, labels, weights
from tolerances import FLOAT64_ADAM_STEPS, FLOAT64_DEVICES

from jaxnext.engine import parallel, steps
from jaxnext.engine.accumulation import Accumulation
from jaxnext.engine.ema import MovingAverage
from jaxnext.engine.optimizer_groups import grouped
from jaxnext.engine.state import create
from jaxnext.engine.update import EACH_BATCH, Recipe
from jaxnext.models.freezing import frozen_network
from jaxnext.training.phases import entered

SETTING, STEPS = "fc", 20
"""Of a tiny net, without dropout."""
PER_EPOCH, TOGETHER = 10, 4
"""Batches of an epoch and of an update: groups of 4, 4 and 2."""
AVERAGE = MovingAverage(0.9)


def step_of(mesh: Any, optimizer: Any, recipe: Recipe = EACH_BATCH, frozen: tuple[str, ...] = ()) -> Any:
    model = frozen_network(network(SETTING, True, "float64", parallel.AXIS), frozen)
    step = functools.partial(steps.train_step, model=model, optimizer=optimizer, recipe=recipe)
    split = PartitionSpec(parallel.AXIS)
    specs = (PartitionSpec(), split, split, split)
    over = jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False)
    return jax.jit(over)


def batch(step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shown, right = images(str(step)).astype(np.float64), labels(str(step))
    return shown, right, np.ones(len(right), bool)


def torch_weights() -> Any:
    from torch_runs import shapes_of

    return weights(shapes_of(SETTING, True))


def assert_close(found: Any, expected: dict[str, Any]) -> None:
    for name, leaf in in_torch(SETTING, True, found).items():
        right = expected[name].numpy()
        error = np.linalg.norm(leaf - right)
        assert error <= FLOAT64_ADAM_STEPS * max(np.linalg.norm(right), 1e-3), name


@pytest.mark.slow
def test_accumulation_and_the_average_are_those_of_a_loop_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    from torch_runs import network as torch_network

    start = torch_weights()
    theirs = torch_network(SETTING, True, start, "float64").train()
    adam = torch.optim.Adam(theirs.parameters(), lr=ADAM.learning_rate)
    averaged = {name: value.clone() for name, value in theirs.state_dict().items()}
    updates = 0
    with jax.enable_x64(True):
        mesh, optimizer = parallel.mesh_of(jax.devices()[:1]), ADAM.transformation()
        recipe = Recipe(Accumulation(TOGETHER, PER_EPOCH), AVERAGE)
        variables = jax.tree.map(jnp.asarray, port(network(SETTING, True, "float64"), start))
        state = create(variables, optimizer, ADAM.learning_rate, 0, accumulates=True, averages=True)
        state, step = parallel.replicate(state, mesh), step_of(mesh, optimizer, recipe)
        for number in range(PER_EPOCH):
            shown, right, mask = batch(number)
            state, _ = step(state, shown, right, mask)
            done = number + 1
            group = TOGETHER if done <= 8 else 2
            logits = theirs(torch.from_numpy(shown.transpose(0, 3, 1, 2).copy()))
            (torch.nn.functional.cross_entropy(logits, torch.from_numpy(right).long()) / group).backward()
            if done in (4, 8, 10):
                adam.step()
                adam.zero_grad()
                updates += 1
                # timm's rule: a copy at first, then with warm-up.
                decay = min(1 - updates ** (-2 / 3), 0.9)
                for name, value in theirs.state_dict().items():
                    if value.is_floating_point():
                        averaged[name].lerp_(value, 1 - decay)
                    else:
                        averaged[name].copy_(value)
        assert state.average is not None
        assert int(state.average.updates) == updates == 3
        assert_close({"params": state.params, "batch_stats": state.batch_stats}, theirs.state_dict())
        assert_close({"params": state.average.params, "batch_stats": state.average.batch_stats}, averaged)
        assert state.accumulated is not None
        assert int(state.accumulated.batches) == 0


@pytest.mark.slow
def test_frozen_parts_and_parts_trained_later_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    from torch_runs import network as torch_network

    start = torch_weights()
    theirs = torch_network(SETTING, True, start, "float64").train()
    stem, stage2 = (theirs.conv1, theirs.bn1), (theirs.layer1,)
    for module in (*stem, *stage2):
        module.requires_grad_(False).eval()
    adam = torch.optim.Adam(theirs.parameters(), lr=ADAM.learning_rate)
    with jax.enable_x64(True):
        mesh, optimizer = parallel.mesh_of(jax.devices()[:1]), grouped(ADAM.transformation(), [("stage2",)])
        variables = jax.tree.map(jnp.asarray, port(network(SETTING, True, "float64"), start))
        state = create(variables, optimizer, ADAM.learning_rate, 0, frozen=("stem", "stage2"))
        state, step = parallel.replicate(state, mesh), step_of(mesh, optimizer, frozen=("stem", "stage2"))
        for number in range(STEPS):
            if number == STEPS // 2:
                for module in stage2:
                    module.requires_grad_(True).train()
                state = entered(state, optimizer, ("stem",), mesh)
                step = step_of(mesh, optimizer, frozen=("stem",))
            shown, right, mask = batch(number)
            state, _ = step(state, shown, right, mask)
            adam.zero_grad()
            logits = theirs(torch.from_numpy(shown.transpose(0, 3, 1, 2).copy()))
            torch.nn.functional.cross_entropy(logits, torch.from_numpy(right).long()).backward()
            adam.step()
        assert_close({"params": state.params, "batch_stats": state.batch_stats}, theirs.state_dict())
        moments: Any = state.optimizer
        assert [int(group.count) for group in moments] == [20, 10]
        unmoved = variables["params"]["backbone"]["stem_conv"]["kernel"]
        np.testing.assert_array_equal(state.params["backbone"]["stem_conv"]["kernel"], unmoved)


@pytest.mark.slow
def test_devices_do_not_matter_with_everything_on() -> None:
    from test_steps import NET, ROWS, SIZE

    from jaxnext.engine.network import network as described
    from jaxnext.models.initialisation import initialise

    def run(devices: int) -> Any:
        mesh, optimizer = parallel.mesh_of(jax.devices()[:devices]), ADAM.transformation()
        model = frozen_network(described(NET, 3, "float64", parallel.AXIS), ("stem",))
        recipe = Recipe(Accumulation(2, 3), MovingAverage(0.5))
        step = functools.partial(steps.train_step, model=model, optimizer=optimizer, recipe=recipe)
        split = PartitionSpec(parallel.AXIS)
        specs = (PartitionSpec(), split, split, split)
        over = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False))
        state = create(initialise(model, 0), optimizer, 1e-3, 0, frozen=("stem",), accumulates=True, averages=True)
        state = parallel.replicate(state, mesh)
        for number in range(4):
            random = np.random.default_rng(number)
            mask = np.arange(ROWS) < (ROWS if number != 2 else 5)
            state, _ = over(state, random.normal(size=(ROWS, SIZE, SIZE, 3)), random.integers(0, 3, ROWS), mask)
        # Of an epoch's three batches two and one make an update; of the fourth the gradient is gathered.
        assert int(state.accumulated.batches) == 1
        return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))

    with jax.enable_x64(True):
        one = run(1)
        for devices in (2, 4):
            more = run(devices)
            for (path, found), right in zip(jax.tree.leaves_with_path(more), jax.tree.leaves(one), strict=True):
                np.testing.assert_allclose(found, right, atol=FLOAT64_DEVICES, err_msg=jax.tree_util.keystr(path))
