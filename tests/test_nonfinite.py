import dataclasses
import json
import math
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import small_run
from small_run import TRAIN_STEPS, VAL_STEPS, assert_same_model, metrics, run_env, without_times

from jaxnext.config.training import CheckpointConfig, TrainingConfig
from jaxnext.data.bad_image import BadImage
from jaxnext.data.image_source import MemorySource
from jaxnext.data.order import BatchPlan, ShuffledOrder
from jaxnext.errors import JaxnextError
from jaxnext.losses import Terms
from jaxnext.losses.cross_entropy import cross_entropy
from jaxnext.metrics import Accumulator
from jaxnext.training.compiled_steps import CompiledSteps
from jaxnext.training.corrupt import CorruptImages
from jaxnext.training.fit import fit
from jaxnext.training.nonfinite import Done, Guard, check_epoch, summary
from jaxnext.training.processes import Processes
from jaxnext.training.progress import Progress

NAMES = ("a/0.jpg", "a/1.jpg", "b/2.jpg", "b/3.jpg", "b/4.jpg")
NORMS = {"backbone": math.inf, "head": 0.5}


def fake_run(tmp_path: Any, on_nonfinite: Any, warned: list[str], mixed: bool = False, norms: Any = NORMS) -> Any:
    """What a guard needs of a run of five images, which are one batch."""
    return SimpleNamespace(
        config=SimpleNamespace(training=TrainingConfig(on_nonfinite=on_nonfinite, max_nonfinite=2)),
        env=SimpleNamespace(warn=warned.append),
        processes=Processes(),
        output=tmp_path,
        corrupt=CorruptImages(True, tmp_path, warned.append),
        splits=SimpleNamespace(train=MemorySource((b"",) * 5, NAMES, np.zeros(5, np.int32), ("a",))),
        steps=SimpleNamespace(mixes=lambda step: mixed, gradient_norms=lambda state, host, step: norms),
        rate=lambda progress, step: 0.01 * (step + 1),
        kept=lambda: "no checkpoint was made yet",
    )


def done(step: int, loss: float, nonfinite: int | None = None) -> Done:
    sums: dict[str, Any] = {"loss": np.float32(loss), "count": np.int32(5)}
    if nonfinite is not None:
        sums["nonfinite"] = np.int32(nonfinite)
    return Done(BatchPlan(step, 1, True, step, np.arange(5), False), sums, SimpleNamespace(errors=()))  # pyright: ignore


def state(step: int, kernel: float = 1.0) -> Any:
    params = {"backbone": {"kernel": np.full(3, kernel)}, "head": {"kernel": np.ones(2)}}
    return SimpleNamespace(step=np.int32(step), params=params)


def test_a_run_stops_with_the_names_of_the_images_and_the_norms_of_the_gradients(tmp_path) -> None:
    guard = Guard(fake_run(tmp_path, "stop", []), Progress({}))
    sums = Accumulator()
    guard.count(done(0, 2.5), sums, state(2))
    assert [guard.stops(done(1, loss)) for loss in (1.0, math.inf)] == [False, True]
    with pytest.raises(JaxnextError) as error:
        guard.count(done(1, math.nan), sums, state(3))
    assert str(error.value) == (
        "the loss is nan in epoch 1, step 2, at learning rate 0.02; its batch is a/0.jpg, a/1.jpg, b/2.jpg and 2 more "
        f"(all in {tmp_path / 'nonfinite.json'}); the norms of its gradients with the weights after step 3 are "
        "backbone inf, head 0.5, not finite in backbone; no checkpoint was made yet; try a smaller "
        "--optimizer.learning_rate"
    )
    assert json.loads((tmp_path / "nonfinite.json").read_text()) == {
        "epoch": 1,
        "step": 2,
        "found": "the loss is nan",
        "learning_rate": 0.02,
        "weights_after_step": 3,
        "gradient_norms": {"backbone": "inf", "head": 0.5},
        "weight_norms": {"backbone": math.sqrt(3), "head": math.sqrt(2)},
        "images": [{"path": name} for name in NAMES],
    }


def test_both_images_of_a_mixed_one_are_named_and_weights_that_are_broken_already(tmp_path) -> None:
    warned: list[str] = []
    run = fake_run(tmp_path, "stop", warned, mixed=True, norms={"backbone": math.nan, "head": math.nan})
    run.corrupt.record([BadImage("a/1.jpg", "empty")])
    with pytest.raises(JaxnextError) as error:
        Guard(run, Progress({})).count(done(0, math.inf), Accumulator(), state(1, math.nan))
    assert (
        "the loss is inf in epoch 1, step 1, at learning rate 0.01; its batch is a/0.jpg mixed with b/4.jpg, b/2.jpg "
        "mixed with a/0.jpg, b/3.jpg mixed with b/2.jpg and 1 more (all in "
    ) in str(error.value)
    assert (
        "; the norms of its gradients are backbone nan, head nan, not finite in backbone, head, as the weights of "
        "backbone already are; "
    ) in str(error.value)
    written = json.loads((tmp_path / "nonfinite.json").read_text())
    assert written["images"][3] == {"path": "b/4.jpg", "mixed_with": "b/3.jpg"}
    assert written["weights_after_step"] == 0


def test_steps_left_out_are_counted_and_too_many_in_a_row_stop_the_run(tmp_path) -> None:
    warned: list[str] = []
    guard, sums = Guard(fake_run(tmp_path, "skip", warned), Progress({}, nonfinite=1)), Accumulator()
    assert guard.row == 1
    guard.count(done(0, math.nan, 1), sums, state(1))
    assert guard.row == 2
    guard.count(done(1, 2.0, 0), sums, state(2))
    assert guard.row == 0
    guard.count(done(2, 1.0, 1), sums, state(3))
    assert {name: float(value) for name, value in sums.sums.items()} == {"loss": 2.0, "count": 5, "nonfinite": 2}
    assert warned == [
        f"{broken}; the step is left out, of a/0.jpg, a/1.jpg, b/2.jpg and 2 more"
        for broken in ("the loss is nan in epoch 1, step 1", "a gradient is not finite in epoch 1, step 3")
    ]
    assert not guard.stops(done(3, math.nan, 1))
    guard.count(done(3, math.nan, 1), sums, state(4))
    assert guard.stops(done(4, math.nan, 1))
    assert not guard.stops(done(4, 1.0, 0))
    with pytest.raises(JaxnextError, match=r"^the loss is nan in epoch 1, step 5, at learning rate 0.05, after 2 such"):
        guard.count(done(4, math.nan, 1), sums, state(5))


def test_an_epoch_without_a_step_that_is_finite_ends_the_run() -> None:
    check_epoch(Accumulator({"count": np.array(0)}), 1)
    check_epoch(Accumulator({"count": np.array(5), "nonfinite": np.array(1)}), 1)
    with pytest.raises(JaxnextError) as error:
        check_epoch(Accumulator({"count": np.array(0), "nonfinite": np.array(3)}), 2)
    assert str(error.value) == (
        "expected training steps with a finite loss and gradients, found none in epoch 2: all 3 were left out; "
        "try a smaller --optimizer.learning_rate"
    )


def test_the_line_of_an_epoch_says_how_many_were_left_out() -> None:
    assert [summary(record) for record in ({}, {"nonfinite_steps": 0})] == ["", ""]
    assert summary({"nonfinite_steps": 1}) == "; 1 training step left out as not finite"
    assert summary({"nonfinite_steps": 1200}) == "; 1,200 training steps left out as not finite"


@dataclasses.dataclass(frozen=True)
class BrokenAt:
    """Cross-entropy, but not a number for a batch whose first image is of this class."""

    label: int

    def terms(self, logits: Any, targets: Any) -> Terms:
        return Terms(jnp.where(targets[0] == self.label, jnp.nan, cross_entropy(logits, targets)), None)


@pytest.mark.slow
def test_a_run_that_leaves_steps_out_and_is_killed_goes_on_bit_for_bit(images, tmp_path, monkeypatch) -> None:
    order = ShuffledOrder(96, 24, 10, 2, small_run.config(images).seed)
    labels = np.repeat(np.arange(12), 8)
    firsts = [
        [labels[order.locate(index).ids[0]] for index in range(n, n + TRAIN_STEPS)]
        for n in (0, TRAIN_STEPS + VAL_STEPS)
    ]
    # Of a class that begins a batch before the kill, and best also one after it.
    label = max(firsts[0][:5], key=lambda each: (each in firsts[0][6:]) + (each in firsts[1]))
    building = type(small_run.config(images).loss)
    monkeypatch.setattr(building, "build", _only_loss(building.build, BrokenAt(int(label))))
    config = small_run.config(
        images,
        epochs=2,
        training=TrainingConfig(on_nonfinite="skip"),
        checkpoint=CheckpointConfig(every_steps=2, every_minutes=None),
    )
    lines: list[str] = []
    fit(config, tmp_path / "whole", False, run_env(lines=lines))
    found = [record["nonfinite_steps"] for record in metrics(tmp_path / "whole")]
    assert found == [firsts[epoch].count(label) for epoch in (0, 1)]
    assert found[0] > 0
    assert sum("the loss is nan in epoch" in line for line in lines) == sum(found)
    train, calls = CompiledSteps.train, []

    def killed(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(CompiledSteps, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(config, tmp_path / "killed", False, run_env())
    lines.clear()
    fit(config, tmp_path / "killed", True, run_env(lines=lines))
    assert not any(line.startswith("resuming after epoch 0, batch 0 ") for line in lines)
    assert any(line.startswith("resuming after epoch 0, batch ") for line in lines)
    assert_same_model(tmp_path / "killed", tmp_path / "whole")
    assert without_times(metrics(tmp_path / "killed")) == without_times(metrics(tmp_path / "whole"))


def _only_loss(build: Any, loss: Any) -> Any:
    """A loss has class weights to be built with, other choices have not."""
    return lambda self, **given: loss if "weights" in given else build(self, **given)
