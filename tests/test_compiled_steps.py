import dataclasses
import itertools
from pathlib import Path

import jax
import numpy as np
import pytest
import small_run

from jaxnext import compat
from jaxnext.config.sections import AUGMENTATIONS
from jaxnext.data.loader import HostBatch
from jaxnext.engine import parallel
from jaxnext.engine.network import network
from jaxnext.engine.state import TrainState, create
from jaxnext.mix import Mix
from jaxnext.models.summary import variable_shapes
from jaxnext.ops.cpu import onednn
from jaxnext.training.compiled_steps import CompiledSteps, variables_of
from jaxnext.training.environment import CompilationCache
from jaxnext.training.initial_weights import complete

CONFIG = small_run.config(Path("nowhere"), batch_size=5)


def programs(devices: int = 1) -> CompiledSteps:
    model = network(CONFIG.model, 12, CONFIG.precision, parallel.AXIS)
    return CompiledSteps(CONFIG, model, CONFIG.optimizer.build().transformation(), jax.devices()[:devices])


def start(of: CompiledSteps) -> TrainState:
    model = network(CONFIG.model, 12, CONFIG.precision, parallel.AXIS)
    variables = complete(model, variable_shapes(model), 0)
    return of.replicate(create(variables, CONFIG.optimizer.build().transformation(), 0.01, 0))


def host_batch() -> HostBatch:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (5, 16, 16, 3), np.uint8)
    mask = np.array([True, True, True, True, False])
    return HostBatch(0, image, np.arange(5, dtype=np.int32), mask, np.arange(5), ())


@pytest.fixture(scope="module")
def compiled() -> CompiledSteps:
    found = programs(devices=2)
    found.compile(start(found), None, lambda: 0.0)
    return found


@pytest.mark.slow
def test_batches_are_padded_to_what_the_devices_divide_and_each_image_counts_once(compiled: CompiledSteps) -> None:
    assert compiled.rows == 6
    state, sums = compiled.train(start(compiled), host_batch(), 0)
    assert int(sums["count"]) == 4
    assert int(state.step) == 1
    assert int(compiled.evaluate(variables_of(state), host_batch())["count"]) == 4


@pytest.mark.slow
def test_the_temporary_memory_of_a_step_is_at_least_its_images_in_float32(compiled: CompiledSteps) -> None:
    assert 3 * 16 * 16 * 3 * 4 < compiled.temporary_memory() < 2**30


@pytest.mark.slow
def test_the_augmentation_is_that_of_the_step(compiled: CompiledSteps) -> None:
    losses = [float(compiled.train(start(compiled), host_batch(), step)[1]["loss"]) for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]


def test_a_process_draws_the_augmentation_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = programs(devices=4)._augmentation(3)
    assert len(whole.choice) == 8
    monkeypatch.setattr(parallel, "own_rows", lambda rows, mesh: range(4, rows))
    (own,) = programs(devices=4)._augmentation(3)
    for part, array in zip(own, whole, strict=True):
        np.testing.assert_array_equal(part, array[4:])


def test_boxes_are_drawn_for_images_as_the_augmentation_leaves_them() -> None:
    model = network(CONFIG.model, 12, CONFIG.precision, parallel.AXIS)
    crop = dataclasses.replace(CONFIG, augment=(AUGMENTATIONS.choose("random_resized_crop", size=(4, 6)),))
    optimizer, cutmix = CONFIG.optimizer.build().transformation(), Mix(0.0, 1.0, 1.0, 0.5, steps=40)
    made = CompiledSteps(crop, model, optimizer, jax.devices()[:2], mix=cutmix)
    boxes = np.array([made._mixing(step).box for step in range(40)])
    assert boxes.shape == (40, 2, 4)
    assert boxes.max((0, 1)).tolist() == [3, 4, 5, 6]


class Quick:
    """Stands for a step that is lowered and compiled at once."""

    def lower(self, *arguments: object) -> "Quick":
        return self

    def compile(self) -> "Quick":
        return self


def compile_line(cache: CompilationCache | None, seconds: float) -> str:
    made, ticks = programs(), itertools.count(0, seconds)
    made._train = made._evaluate = Quick()
    variables = {"params": {"a": np.zeros(1, np.float32)}, "batch_stats": {}}
    state = create(variables, CONFIG.optimizer.build().transformation(), 0.01, 0)
    return made.compile(state, cache, lambda: next(ticks))


# The cache is asked before and after each of the two programs.
@pytest.mark.parametrize(
    ("found", "line"),
    [
        ((), "compiled in"),
        ((3, 3, 3, 3), "compiled in"),
        ((3, 4, 4, 5), "found in the compilation cache (~/kept) in"),
        ((3, 4, 4, 4), "training step found in the compilation cache (~/kept), validation step compiled, in"),
        ((3, 3, 3, 4), "validation step found in the compilation cache (~/kept), training step compiled, in"),
    ],
)
def test_what_was_compiled_or_found_is_one_line(
    found: tuple[int, ...], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "why_unavailable", lambda dtype: None)
    counts = iter(found)
    cache = CompilationCache("~/kept", lambda: next(counts)) if found else None
    assert compile_line(cache, 17.25) == f"{line} 17.2 s"
    assert list(counts) == []


def test_why_programs_are_not_kept_and_what_they_do_without_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = CompilationCache("", lambda: 0, "not kept: why")
    monkeypatch.setattr(onednn, "why_unavailable", lambda dtype: f"why not for {dtype}")
    assert compile_line(cache, 2.5) == "compiled in 2.5 s; not kept: why; without oneDNN: why not for float32"
    monkeypatch.setattr(onednn, "why_unavailable", lambda dtype: None)
    monkeypatch.setattr(compat, "XLA_INFERENCE_ON_CPU", {"xla_made_up": True})
    expected = "compiled in 2.5 s; without XLA's option xla_made_up, which this jaxlib does not know"
    assert compile_line(None, 2.5) == expected
