import dataclasses
import functools
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flat_config import model_config
from tolerances import FLOAT32_FIRST_LOSS, FLOAT64_DEVICES, FLOAT64_PADDING

from jaxnext.augment import draw_all
from jaxnext.augment.original import Augmentation
from jaxnext.config.sections import OPTIMIZERS, ModelConfig
from jaxnext.engine import parallel, steps
from jaxnext.engine.network import network
from jaxnext.engine.padding import pad_rows
from jaxnext.engine.state import Batch, TrainBatch, create
from jaxnext.models.folding import fold
from jaxnext.models.initialisation import initialise
from jaxnext.models.summary import variable_shapes
from jaxnext.ops.cpu import onednn
from jaxnext.tree import flatten, path_name

NET = model_config(
    stage_sizes=(1, 1),
    widths=(8, 16),
    features=(16, 32),
    stem_features=8,
    groups=2,
    attention="cbam",
    reduction=4,
    head="fc",
    head_widths=(16, 8),
)
SIZE, ROWS, CLASSES = 16, 8, 3
AUGMENT = (Augmentation(),)


class Net(NamedTuple):
    train_step: Any
    eval_step: Any
    predict_step: Any
    mesh: Any
    state: Any


@functools.cache
def host_state(precision: str) -> Any:
    """The state on the host, so that a step's donation takes copies."""
    model = network(NET, CLASSES, precision, parallel.AXIS)  # pyright: ignore[reportArgumentType]
    state = create(initialise(model, 0), OPTIMIZERS.choose("adam").build().transformation(), 1e-3, 0)
    return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))


@functools.cache
def net(devices: int, precision: str = "float32") -> Net:
    """A tiny fc_cbam net over some of the four CPU devices."""
    mesh = parallel.mesh_of(jax.devices()[:devices])
    adam = OPTIMIZERS.choose("adam").build().transformation()
    model = network(NET, CLASSES, precision, parallel.AXIS)  # pyright: ignore[reportArgumentType]
    return Net(
        steps.compile_train_step(model, adam, mesh, AUGMENT),
        steps.compile_eval_step(model, mesh),
        steps.compile_predict_step(model, mesh),
        mesh,
        host_state(precision),
    )


def start(on: Net) -> Any:
    state = on.state._replace(key=jax.random.wrap_key_data(jnp.asarray(on.state.key)))
    return parallel.replicate(state, on.mesh)


def train_batch(on: Net, step: int, examples: int = ROWS, rows: int = ROWS) -> TrainBatch:
    random = np.random.default_rng([9, step])
    images = random.integers(0, 256, (ROWS, SIZE, SIZE, 3), dtype=np.uint8)[:examples]
    labels = random.integers(0, CLASSES, ROWS, dtype=np.int32)[:examples]
    batch = Batch(*(pad_rows(a, rows) for a in (images, labels, np.ones(examples, bool))))  # pyright: ignore
    return parallel.split_batch(TrainBatch(batch, draw_all(AUGMENT, 0, step, rows, (SIZE, SIZE))), on.mesh)


def run(devices: int, count: int, precision: str = "float32") -> tuple[Any, list[dict[str, np.ndarray]]]:
    on = net(devices, precision)
    state, sums = start(on), []
    for step in range(count):
        examples = 5 if step == count - 1 and count > 1 else ROWS
        state, step_sums = on.train_step(state, train_batch(on, step, examples))
        sums.append(jax.tree.map(np.asarray, step_sums))
    return jax.tree.map(np.asarray, {"params": state.params, "batch_stats": state.batch_stats}), sums


def largest_difference(a: Any, b: Any) -> float:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.max(np.abs(x.astype(np.float64) - y))) for x, y in pairs)


@pytest.mark.slow
def test_first_step_is_the_same_on_more_devices_float32():
    _, (one,) = run(1, 1)
    _, (more,) = run(2, 1)
    assert abs(more["loss"] - one["loss"]) <= FLOAT32_FIRST_LOSS * one["loss"]
    assert more["count"] == one["count"] == ROWS
    assert more["correct"] == one["correct"]


@pytest.mark.slow
def test_an_epoch_with_an_incomplete_batch_is_the_same_on_more_devices_float64():
    with jax.enable_x64(True):
        one, one_sums = run(1, 4, "float64")
        more, more_sums = run(4, 4, "float64")
    assert one["params"]["head"]["output"]["kernel"].dtype == np.float64
    assert largest_difference(one, more) <= FLOAT64_DEVICES
    assert [int(s["count"]) for s in more_sums] == [8, 8, 8, 5]
    assert largest_difference(one_sums, more_sums) <= FLOAT64_DEVICES


OPTIONS = {"learning_rate": 1e-3, "weight_decay": 1e-1, "decay_norms": False, "clip_norm": 0.1}
OPTIONS |= {"multipliers": {"stem": 0.1, "head": 3}, "layer_decay": 0.75}


@pytest.mark.slow
def test_clipped_steps_of_parts_with_their_own_rates_are_the_same_on_more_devices_float64():
    optimizer = OPTIMIZERS.choose("adamw", **OPTIONS).build().transformation()
    found = []
    with jax.enable_x64(True):
        model = network(NET, CLASSES, "float64", parallel.AXIS)
        variables = initialise(model, 0)
        for count in (1, 4):
            mesh = parallel.mesh_of(jax.devices()[:count])
            step = steps.compile_train_step(model, optimizer, mesh, AUGMENT)
            on = Net(step, None, None, mesh, None)
            state = parallel.replicate(create(variables, optimizer, OPTIONS["learning_rate"], 0), mesh)
            for number in range(4):
                state, _ = step(state, train_batch(on, number, 5 if number == 3 else ROWS))
            found.append(jax.tree.map(np.asarray, {"params": state.params, "optimizer": state.optimizer}))
    assert largest_difference(*found) <= FLOAT64_DEVICES
    head, stem = (
        np.abs(found[0]["params"][part][layer][leaf] - np.asarray(variables["params"][part][layer][leaf])).max()
        for part, layer, leaf in (("head", "output", "kernel"), ("backbone", "stem_conv", "kernel"))
    )
    assert head > 0
    assert stem > 0


@pytest.mark.slow
def test_padding_rows_changes_nothing():
    with jax.enable_x64(True):
        on = net(1, "float64")
        plain, plain_sums = on.train_step(start(on), train_batch(on, 0, 5, 5))
        padded, padded_sums = on.train_step(start(on), train_batch(on, 0, 5, 8))
        statistics = [jax.tree.map(np.asarray, s.batch_stats) for s in (plain, padded)]
        params = [jax.tree.map(np.asarray, s.params) for s in (plain, padded)]
        sums = [jax.tree.map(np.asarray, s) for s in (plain_sums, padded_sums)]
    assert largest_difference(*statistics) <= FLOAT64_PADDING
    assert largest_difference(*sums) <= FLOAT64_PADDING
    # Adam's first step divides each gradient by its own size and so raises the rounding of small ones.
    assert largest_difference(*params) <= FLOAT64_DEVICES


@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_batch_without_an_image_that_counts_changes_nothing_but_the_step(devices):
    on = net(devices)
    # After a step there are moments, which would move the parameters on.
    state, _ = on.train_step(start(on), train_batch(on, 0))
    before = jax.tree.map(np.asarray, (state.params, state.batch_stats, state.optimizer))
    images = train_batch(on, 1)
    empty = images._replace(batch=images.batch._replace(mask=parallel.split_batch(np.zeros(ROWS, bool), on.mesh)))
    state, sums = on.train_step(state, empty)
    after = jax.tree.map(np.asarray, (state.params, state.batch_stats, state.optimizer))
    jax.tree.map(np.testing.assert_array_equal, before, after)
    assert int(state.step) == 2
    assert {name: float(np.sum(value)) for name, value in sums.items()} == dict.fromkeys(sums, 0.0)
    state, sums = on.train_step(state, images)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.tree.map(np.asarray, state.params)))
    assert int(sums["count"]) == ROWS


def test_a_step_moves_step_count_parameters_and_statistics():
    on = net(1)
    state, _ = on.train_step(start(on), train_batch(on, 0))
    assert int(state.step) == 1
    assert int(state.batch_stats["backbone"]["stem_norm"]["num_batches_tracked"]) == 1
    moved = np.abs(
        np.asarray(state.params["backbone"]["stem_conv"]["kernel"]) - on.state.params["backbone"]["stem_conv"]["kernel"]
    )
    # Adam's first step is the learning rate, whatever the gradient.
    assert 0.9e-3 < np.median(moved) <= 1.01e-3


def test_learning_rate_zero_leaves_the_parameters():
    on = net(1)
    state = start(on)._replace(learning_rate=parallel.replicate(jnp.float32(0), on.mesh))
    state, _ = on.train_step(state, train_batch(on, 0))
    assert largest_difference(jax.tree.map(np.asarray, state.params), on.state.params) == 0


def test_dropout_and_augmentation_change_with_the_step():
    on = net(1)
    batch = train_batch(on, 0)
    _, first = on.train_step(start(on), batch)
    _, later = on.train_step(start(on)._replace(step=parallel.replicate(jnp.int32(7), on.mesh)), batch)
    assert float(first["loss"]) != float(later["loss"])


COLLECTIVE = re.compile(r"= (\(.*?\)|\S+) (all-\w+|reduce-scatter|ragged-\w+|collective-\w+)(?:-start)?\(")
BYTES = {"f32": 4, "s32": 4}


def collectives(text: str) -> list[tuple[str, int]]:
    """Each collective operation of an optimised program: its name, and the bytes of its results."""
    found = []
    for shapes, name in COLLECTIVE.findall(text):
        arrays = re.findall(r"(\w+)\[([\d,]*)\]", shapes)
        found.append(
            (name, sum(BYTES[kind] * math.prod(int(n) for n in size.split(",") if n) for kind, size in arrays))
        )
    return found


needs_onednn = pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib is not known to have oneDNN")
BASELINE = model_config(stage_sizes=(1, 2, 1, 1))


# The two programs of a CPU, of the tiny net and one, in full width but less deep, of baseline.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "by_onednn"),
    [
        pytest.param(NET, False, id="tiny"),
        pytest.param(NET, True, id="tiny by oneDNN", marks=needs_onednn),
        pytest.param(BASELINE, True, id="baseline by oneDNN", marks=needs_onednn),
    ],
)
def test_train_step_is_named_gathers_nothing_and_reduces_parameters_and_batch_norm_sums(
    config: ModelConfig, by_onednn: bool, onednn_calls: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        onednn, "why_unavailable", lambda dtype: None if by_onednn else "the other program is asked for"
    )
    text, shapes = compiled_train_step(config)
    assert re.search(r"HloModule jit_train_step\b", text)
    calls = len(re.findall(r'custom_call_target="__onednn\$convolution"', text))
    # The stem, a grouped convolution a block and CBAM's, three parts each, but for the gradient of the image.
    convolutions = 1 + sum(config.stage_sizes) + (config.attention.type == "cbam")
    assert calls == (3 * convolutions - 1 if by_onednn else 0)
    found = collectives(text)
    assert {name for name, _ in found} == {"all-reduce"}
    assert len(found) == len(re.findall(r" all-reduce(?:-start)?\(", text))
    params = {path_name(path): leaf for path, leaf in flatten(shapes).items()}
    # Every gradient. A batch norm's backward pass needs those of its scale and bias: they are summed once for both.
    expected = sum(leaf.size * 4 for leaf in params.values())
    # In the forward pass of each batch norm, for each channel, the sum of some values, near whose mean the others are
    # taken, then the sum of all and that of their squares.
    scales = {name: leaf for name, leaf in params.items() if name.endswith("/scale")}
    head_norms = 2 if config.head.type == "fc" else 0
    stages = len(config.stage_sizes)
    assert len(scales) == 1 + 3 * sum(config.stage_sizes) + stages + head_norms
    expected += sum(3 * leaf.size * 4 for leaf in scales.values())
    # The number of rows that count, once for all of them.
    expected += 4
    # The end of a residual block adds norm3 and shortcut_norm: their biases have one gradient, summed once.
    expected -= sum(leaf.size * 4 for name, leaf in params.items() if name.endswith("shortcut_norm/bias"))
    # The metrics: loss, correct, correct_top5, class_count, class_correct, and count, also the divisor of the loss.
    expected += 4 * (4 + 2 * CLASSES)
    assert sum(size for _, size in found) == expected


def compiled_train_step(config: ModelConfig) -> tuple[str, Any]:
    """Text of the program over two devices, and the shapes of its parameters."""
    adam, model = OPTIMIZERS.choose("adam").build().transformation(), network(config, CLASSES, "float32", parallel.AXIS)
    state = jax.eval_shape(lambda v: create(v, adam, 1e-3, 0), variable_shapes(model))
    size = 64  # every stage is of a size of its own
    label, mask = (jax.ShapeDtypeStruct((ROWS,), dtype) for dtype in (jnp.int32, bool))
    images = jax.ShapeDtypeStruct((ROWS, size, size, 3), jnp.uint8)
    batch = TrainBatch(Batch(images, label, mask), draw_all(AUGMENT, 0, 0, ROWS, (size, size)))
    lowered = steps.compile_train_step(model, adam, parallel.mesh_of(jax.devices()[:2]), AUGMENT).lower(state, batch)
    # LLVM's optimisation does not change what XLA sends.
    return lowered.compile(compiler_options={"xla_backend_optimization_level": 0}).as_text(), state.params


def test_collectives_of_a_program():
    text = """
  %all-reduce.4 = (f32[8]{0}, f32[], /*index=2*/s32[3,2]{1,0}) all-reduce(%a, %b, %c), channel_id=1, to_apply=%region
  %g = f32[8]{0} get-tuple-element(%all-reduce.4), index=0, metadata={op_name="all-gather("}
  %start = f32[2,3]{1,0} all-reduce-start(%g), channel_id=2
  %done = f32[2,3]{1,0} all-reduce-done(%start)
  ROOT %gather = f32[16]{0} all-gather(%g), channel_id=3
"""
    assert collectives(text) == [("all-reduce", 32 + 4 + 24), ("all-reduce", 24), ("all-gather", 64)]


def test_eval_step_counts_only_real_rows_and_changes_nothing():
    on = net(2)
    variables = parallel.replicate({"params": on.state.params, "batch_stats": on.state.batch_stats}, on.mesh)
    full = on.eval_step(variables, train_batch(on, 0, 5, 8).batch)
    probabilities = np.asarray(on.predict_step(variables, train_batch(on, 0, 5, 8).batch.image))
    labels = np.asarray(train_batch(on, 0, 5, 8).batch.label)
    assert probabilities.shape == (8, CLASSES)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-6)
    expected = -np.log(probabilities[np.arange(5), labels[:5]]).sum()
    np.testing.assert_allclose(full["loss"], expected, rtol=1e-5)
    assert int(full["count"]) == 5
    assert int(full["correct"]) == int((probabilities[:5].argmax(-1) == labels[:5]).sum())


# ---- remat ----


@pytest.mark.slow
def test_remat_changes_no_result():
    """A step with padding and dropout: loss, statistics, and gradients (of which the moments are made)."""
    with jax.enable_x64(True):
        on = net(1, "float64")
        model = network(dataclasses.replace(NET, remat=True), CLASSES, "float64", parallel.AXIS)
        again = steps.compile_train_step(model, OPTIMIZERS.choose("adam").build().transformation(), on.mesh, AUGMENT)
        batch = train_batch(on, 0, 5)
        plain, plain_sums = on.train_step(start(on), batch)
        quick = again.lower(start(on), batch).compile(compiler_options={"xla_backend_optimization_level": 0})
        state, sums = quick(start(on), batch)
        found, expected = ((s.batch_stats, s.optimizer, m) for s, m in ((state, sums), (plain, plain_sums)))
        assert jax.tree.structure(state.params) == jax.tree.structure(plain.params)
        for (path, leaf), right in zip(jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(leaf, right, rtol=1e-10, atol=1e-10, err_msg=jax.tree_util.keystr(path))
        assert int(state.batch_stats["backbone"]["stage3_block1"]["norm1"]["num_batches_tracked"]) == 1
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(plain.optimizer)) > 1e-3


@pytest.mark.slow
def test_remat_takes_less_memory():
    """Measured: 6.9 MB instead of 11.2 MB beside state and batch, the augmentation's arrays included."""
    on = net(1)
    adam, config = (
        OPTIMIZERS.choose("adam").build().transformation(),
        model_config(stage_sizes=(2, 2), widths=(16, 32), features=(64, 128), stem_features=8, groups=4),
    )
    bytes_of = {}
    for remat in (False, True):
        model = network(dataclasses.replace(config, remat=remat), CLASSES, "float32", parallel.AXIS)
        state = jax.eval_shape(lambda v: create(v, adam, 1e-3, 0), variable_shapes(model))
        images = jax.ShapeDtypeStruct((ROWS, 64, 64, 3), jnp.uint8)
        label, mask = (jax.ShapeDtypeStruct((ROWS,), dtype) for dtype in (jnp.int32, bool))
        batch = TrainBatch(Batch(images, label, mask), draw_all(AUGMENT, 0, 0, ROWS, (64, 64)))
        lowered = steps.compile_train_step(model, adam, on.mesh, AUGMENT).lower(state, batch)
        # LLVM's optimisation does not change where XLA puts its arrays.
        compiled = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
        bytes_of[remat] = compiled.memory_analysis().temp_size_in_bytes
    assert bytes_of[True] <= 0.75 * bytes_of[False]


# ---- bfloat16 ----


def operations(jaxpr: Any, place: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every operation of a program and of the programs inside it: name, module path, and the equation itself."""
    for equation in jaxpr.eqns:
        here = f"{place}/{equation.source_info.name_stack}"
        yield equation.primitive.name, here, equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            if hasattr(inner, "eqns"):
                yield from operations(getattr(inner, "jaxpr", inner), here)


def dtypes_of_products(step: Any, *arguments: Any) -> dict[str, set[str]]:
    """Dtypes of what convolutions and matrix products multiply: in the head's last layer, and in all others.

    Products with ones that add up batch norms' terms are left out; they are in float32.
    """
    found: dict[str, set[str]] = {"last": set(), "others": set()}
    for name, place, equation in operations(step.trace(*arguments).jaxpr):
        if name == "dot_general" and place.endswith("/channel_sums"):
            assert {v.aval.dtype.name for v in equation.invars} == {"float32"}
        elif name in ("conv_general_dilated", "dot_general"):
            kinds = {v.aval.dtype.name for v in equation.invars}
            found["last" if place.endswith("head/output") else "others"] |= kinds
    return found


def test_every_broadcast_along_new_axes_is_written():
    on, folded = net(1), network(NET, CLASSES, "float32")
    variables = {"params": on.state.params, "batch_stats": on.state.batch_stats}
    state, batch, predict = start(on), train_batch(on, 0), steps.compile_predict_step(folded, on.mesh)
    with jax.numpy_rank_promotion("raise"):
        on.train_step.trace(state, batch)
        on.eval_step.trace(variables, batch.batch)
        predict.trace(fold(variables, folded), batch.batch.image)


def test_bfloat16_multiplies_in_bfloat16_up_to_the_logits():
    on = net(1, "bfloat16")
    variables = {"params": on.state.params, "batch_stats": on.state.batch_stats}
    folded = network(NET, CLASSES, "bfloat16")
    batch = train_batch(on, 0)
    expected = {"last": {"float32"}, "others": {"bfloat16"}}
    assert dtypes_of_products(on.train_step, start(on), batch) == expected
    assert dtypes_of_products(on.eval_step, variables, batch.batch) == expected
    predict = steps.compile_predict_step(folded, on.mesh)
    assert dtypes_of_products(predict, fold(variables, folded), batch.batch.image) == expected


def test_bfloat16_keeps_state_gradients_and_sums_in_float32():
    on = net(2, "bfloat16")
    adam, gradients = OPTIMIZERS.choose("adam").build().transformation(), {}

    def update(updates: Any, *rest: Any) -> Any:
        gradients.update(flatten(updates))
        return adam.update(updates, *rest)

    model = network(NET, CLASSES, "bfloat16", parallel.AXIS)
    step = steps.compile_train_step(model, adam._replace(update=update), on.mesh, AUGMENT)
    before, batch = start(on), train_batch(on, 0)
    state, sums = jax.eval_shape(step, before, batch)
    assert jax.tree.map(lambda leaf: leaf.dtype, state) == jax.tree.map(lambda leaf: leaf.dtype, before)
    assert {leaf.dtype.name for leaf in gradients.values()} == {"float32"}
    assert gradients.keys() == flatten(on.state.params).keys()
    kinds = {name: value.dtype.name for name, value in sums.items()}
    assert kinds == {name: "float32" if name == "loss" else "int32" for name in kinds}
    summed = [e for name, _, e in operations(step.trace(before, batch).jaxpr) if name.startswith("psum")]
    # Sums of batch norms (their statistics, and in the gradient), of gradients and of metrics.
    assert {v.aval.dtype.name for equation in summed for v in equation.invars} == {"float32", "int32"}


@pytest.mark.slow
def test_bfloat16_starts_near_float32():
    on = net(1, "bfloat16")
    lowered = on.train_step.lower(start(on), train_batch(on, 0))
    quick = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
    state, found = quick(start(on), train_batch(on, 0))
    right, (expected,) = run(1, 1)
    assert abs(found["loss"] - expected["loss"]) <= 5e-3 * expected["loss"]
    statistics = flatten(right["batch_stats"])
    for path, leaf in flatten(state.batch_stats).items():
        np.testing.assert_allclose(leaf, statistics[path], atol=1e-2, err_msg=path_name(path))


def test_example_keys_depend_on_the_global_place():
    def keys(devices: int) -> np.ndarray:
        mesh = parallel.mesh_of(jax.devices()[:devices])
        function = jax.shard_map(
            lambda: jax.random.key_data(steps.example_keys(jax.random.key(3), jnp.int32(5), 8 // devices)),
            mesh=mesh,
            in_specs=(),
            out_specs=jax.sharding.PartitionSpec(parallel.AXIS),
            check_vma=False,
        )
        return np.asarray(jax.jit(function)())

    np.testing.assert_array_equal(keys(1), keys(2))
    np.testing.assert_array_equal(keys(1), keys(4))
    assert len(np.unique(keys(1), axis=0)) == 8


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[0, 0], [0, 1], [1, 1]])
def test_the_wish_to_stop_goes_through_the_steps_without_another_collective(flags):
    on = net(2)
    flagged = parallel.split_batch(np.array(flags, np.int32), on.mesh)
    batch = train_batch(on, 0)
    told = batch._replace(batch=batch.batch._replace(stop=flagged))
    if sum(flags) == 0:
        text, plain = (on.train_step.lower(start(on), b).compile().as_text() for b in (told, batch))
        assert len(collectives(text)) == len(collectives(plain))
        assert sum(size for _, size in collectives(text)) == sum(size for _, size in collectives(plain)) + 4
    state, sums = on.train_step(start(on), told)
    _, right = on.train_step(start(on), batch)
    assert int(sums.pop("stop")) == sum(flags)
    assert largest_difference(jax.tree.map(np.asarray, sums), jax.tree.map(np.asarray, right)) == 0
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    assert int(on.eval_step(variables, told.batch)["stop"]) == sum(flags)
    assert "stop" not in on.eval_step(variables, batch.batch)
