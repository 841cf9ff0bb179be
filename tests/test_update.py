"""Accumulation, the moving average and freezing in whole training steps, against PyTorch and across devices."""

import functools
import math
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
from jaxnext.engine.update import EACH_BATCH, TOGETHER_BY_SIZE, Recipe, where_by_size
from jaxnext.losses import Terms
from jaxnext.losses.cross_entropy import cross_entropy
from jaxnext.models.freezing import frozen_network
from jaxnext.ops.collectives import psum
from jaxnext.training.phases import entered

SETTING, STEPS = "fc", 8
"""Of a tiny net, without dropout."""
PER_EPOCH, TOGETHER = 5, 2
"""Batches of an epoch and of an update: groups of 2, 2 and 1."""
SIZE = 32
AVERAGE = MovingAverage(0.9)


def step_of(mesh: Any, optimizer: Any, recipe: Recipe = EACH_BATCH, frozen: tuple[str, ...] = ()) -> Any:
    model = frozen_network(network(SETTING, True, "float64", parallel.AXIS), frozen)
    step = functools.partial(steps.train_step, model=model, optimizer=optimizer, recipe=recipe)
    split = PartitionSpec(parallel.AXIS)
    specs = (PartitionSpec(), split, split, split)
    over = jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False)
    return jax.jit(over)


def batch(step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shown, right = images(str(step), SIZE).astype(np.float64), labels(str(step))
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
            group = TOGETHER if done <= 4 else 1
            logits = theirs(torch.from_numpy(shown.transpose(0, 3, 1, 2).copy()))
            (torch.nn.functional.cross_entropy(logits, torch.from_numpy(right).long()) / group).backward()
            if done in (2, 4, 5):
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
        assert [int(group.count) for group in moments] == [8, 4]
        unmoved = variables["params"]["backbone"]["stem_conv"]["kernel"]
        np.testing.assert_array_equal(state.params["backbone"]["stem_conv"]["kernel"], unmoved)


@pytest.mark.slow
def test_devices_do_not_matter_with_everything_on() -> None:
    from test_steps import NET, ROWS
    from test_steps import SIZE as SMALL

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
            state, _ = over(state, random.normal(size=(ROWS, SMALL, SMALL, 3)), random.integers(0, 3, ROWS), mask)
        # Of an epoch's three batches two and one make an update; of the fourth the gradient is gathered.
        assert int(state.accumulated.batches) == 1
        return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))

    with jax.enable_x64(True):
        one, more = run(1), run(4)
        for (path, found), right in zip(jax.tree.leaves_with_path(more), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(found, right, atol=FLOAT64_DEVICES, err_msg=jax.tree_util.keystr(path))


class Net:
    """A layer after the mean of an image's pixels and of noise, with a running mean: what a step needs of a network."""

    frozen = ()

    def apply(self, variables: Any, images: Any, *, keys: Any, **_: Any) -> Any:
        noise = jax.vmap(lambda key: jax.random.uniform(key, (3,)))(keys)
        shown = images.mean((1, 2)) + 0.1 * noise
        mean = psum(shown.mean(0), parallel.AXIS)
        moved = {"backbone": {"mean": 0.9 * variables["batch_stats"]["backbone"]["mean"] + 0.1 * mean}}
        return shown @ variables["params"]["head"]["kernel"], {"batch_stats": moved}


class Breaks:
    """Cross-entropy, whose gradient is not a number in a batch with an example of class 2, though its value is one."""

    def terms(self, logits: Any, targets: Any) -> Terms:
        root = jnp.sqrt(0 * logits.sum(-1) + (targets != 2))
        return Terms(cross_entropy(logits, targets) + root, None)


@functools.cache
def breaking_step(devices: int, recipe: Recipe) -> Any:
    mesh = parallel.mesh_of(jax.devices()[:devices])
    step = functools.partial(
        steps.train_step, model=Net(), optimizer=ADAM.transformation(), loss=Breaks(), recipe=recipe
    )
    split = PartitionSpec(parallel.AXIS)
    specs = (PartitionSpec(), split, split, split)
    return jax.jit(jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False))


def few_steps(batches: list[Any], devices: int, recipe: Recipe) -> Any:
    """States after each of some steps on (number of the step, images, labels), and their sums."""
    kernel = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    variables = {"params": {"head": {"kernel": kernel}}, "batch_stats": {"backbone": {"mean": np.ones(3, np.float32)}}}
    state = create(
        jax.tree.map(jnp.asarray, variables),
        ADAM.transformation(),
        0.1,
        0,
        accumulates=recipe.accumulation is not None,
        averages=recipe.average is not None,
    )
    mesh = parallel.mesh_of(jax.devices()[:devices])
    state, found = parallel.replicate(state, mesh), []
    for number, shown, right in batches:
        state = state._replace(step=parallel.replicate(np.int32(number), mesh))
        state, sums = breaking_step(devices, recipe)(state, shown, right, np.ones(len(right), bool))
        found.append((jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key))), sums))
    return found


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("everything", [False, True], ids=["each batch", "gathered and averaged"])
def test_a_step_that_is_not_finite_changes_nothing_but_its_number(devices: int, everything: bool) -> None:
    gathered = (Accumulation(3, 7), AVERAGE) if everything else (None, None)
    random, batches = np.random.default_rng(1), []
    for number in range(7):
        shown, right = random.normal(size=(4, 2, 2, 3)).astype(np.float32), random.integers(0, 2, 4).astype(np.int32)
        if number == 2:
            shown[3, 1, 0, 2] = np.inf
        if number == 4:
            right[0] = 2
        batches.append((number, shown, right))
    found = few_steps(batches, devices, Recipe(*gathered, skip=True))
    assert [int(sums["nonfinite"]) for _, sums in found] == [0, 0, 1, 0, 1, 0, 0]
    assert [math.isfinite(sums["loss"]) for _, sums in found] == [number != 2 for number in range(7)]
    # A group of gathered gradients ends with the step that is left out, too, which a plain loop cannot show.
    left_out = (4,) if everything else (2, 4)
    plain = few_steps([batch for batch in batches if batch[0] not in left_out], devices, Recipe(*gathered, skip=True))
    jax.tree.map(np.testing.assert_array_equal, found[-1][0], plain[-1][0])
    for number in (2, 4):
        before, after = found[number - 1][0], found[number][0]
        if not (everything and number == 2):
            jax.tree.map(np.testing.assert_array_equal, after, before._replace(step=np.int32(number + 1)))
    if everything:
        # Steps 0 and 1 make the update that is due at step 2.
        assert [int(each.average.updates) for each, _ in found] == [0, 0, 1, 1, 1, 2, 3]
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found[-1][0]))


@pytest.mark.parametrize("recipe", [Recipe(skip=True), Recipe(grouped=True)], ids=["would leave out", "together"])
def test_where_all_is_finite_steps_are_those_of_each_batch(recipe: Recipe) -> None:
    random = np.random.default_rng(2)
    batches = [
        (number, random.normal(size=(4, 2, 2, 3)).astype(np.float32), random.integers(0, 2, 4).astype(np.int32))
        for number in range(3)
    ]
    (one, _), (other, _) = (few_steps(batches, 1, each)[-1] for each in (EACH_BATCH, recipe))
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_choice_of_arrays_by_size() -> None:
    sizes = [2] * (TOGETHER_BY_SIZE + 1) + [3]
    new = {"vectors": [jnp.full(size, place) for place, size in enumerate(sizes)], "matrix": jnp.ones((2, 2))}
    old = jax.tree.map(lambda leaf: -leaf - 1, new)
    for condition, expected in ((True, new), (False, old)):
        jax.tree.map(np.testing.assert_array_equal, where_by_size(jnp.bool_(condition), new, old), expected)
    text = jax.jit(where_by_size).lower(jnp.bool_(True), new, old).as_text()
    # Two of size 2, of eight and of one; one of size 3; the matrix.
    assert text.count("stablehlo.select") == 4
