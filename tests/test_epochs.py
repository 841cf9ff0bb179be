import json
from unittest.mock import create_autospec

import jax
import pytest
import small_run
from small_run import (
    TRAIN_STEPS,
    VAL_STEPS,
    assert_same_model,
    data,
    fit_with,
    metrics,
    model_of,
    run_env,
    spoiled,
    stop_after,
    train,
    without_times,
)

from jaxnext.config.yaml_text import load_config
from jaxnext.errors import JaxnextError
from jaxnext.training import epochs as module
from jaxnext.training.fit import fit


def test_a_run_learns_and_leaves_its_files(run, images):
    records = metrics(run)
    assert [r["epoch"] for r in records] == [1, 2, 3, 4]
    assert set(records[0]) == {
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "images_per_second",
        "data_wait_fraction",
        "seconds",
    }
    assert max(r["val_accuracy"] for r in records) >= 0.75
    assert records[-1]["train_loss"] < records[0]["train_loss"]
    assert all(0 <= r["data_wait_fraction"] <= 1 for r in records)
    assert load_config(run / "config.yaml") == small_run.config(images, checkpoint=small_run.EVERY_THIRD)
    described = json.loads((run / "run.json").read_text())
    assert (described["train_images"], described["val_images"]) == (96, 24)
    assert described["classes"] == list(small_run.CLASSES)
    assert (run / "loss.png").read_bytes()[:4] == (run / "accuracy.png").read_bytes()[:4] == b"\x89PNG"
    left = sorted(path.name for path in run.iterdir())
    files = ["accuracy.png", "checkpoints", "config.yaml", "first_batch.png", "loss.png", "metrics.jsonl", "run.json"]
    assert left == [*files, "validation_batch.png"]


# stop() is asked once an epoch before it, once a step, and again between training and validation
@pytest.mark.slow
@pytest.mark.parametrize(
    "calls", [4, 1 + TRAIN_STEPS, 1 + TRAIN_STEPS + 2], ids=["in training", "before validation", "in validation"]
)
def test_interrupted_anywhere_it_resumes_bit_for_bit(calls, run, images, tmp_path):
    lines = []
    env = run_env(stop_after(calls), lines, console={"resume_command": "again --resume auto"})
    stopped = train(tmp_path / "r", images, env=env, checkpoint=small_run.EVERY_THIRD)
    assert not stopped.history
    assert 0 < stopped.position <= TRAIN_STEPS
    assert lines[-1] == "stopped and saved; go on with: again --resume auto"
    train(tmp_path / "r", images, resume=True, checkpoint=small_run.EVERY_THIRD)
    assert_same_model(tmp_path / "r", run)
    assert without_times(metrics(tmp_path / "r")) == without_times(metrics(run))


@pytest.mark.slow
def test_the_last_line_says_how_well_and_where(run, images, tmp_path):
    lines = []
    train(run, images, resume=True, env=run_env(lines=lines), checkpoint=small_run.EVERY_THIRD)
    best = max(metrics(run), key=lambda r: r["val_accuracy"])
    assert lines[-1] == (
        f"done: best validation accuracy {best['val_accuracy']:.2%} in epoch {best['epoch']}; "
        f"checkpoints, metrics and curves are in {run}"
    )


@pytest.mark.slow
def test_bfloat16_learns_and_keeps_float32_parameters(images, tmp_path):
    train(tmp_path / "r", images, precision="bfloat16")
    assert max(r["val_accuracy"] for r in metrics(tmp_path / "r")) >= 0.75
    variables, _ = model_of(tmp_path / "r")
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(variables)}
    assert kinds == {"float32", "int32"}


def test_resume_of_a_finished_run_does_nothing(run, images):
    before = sorted((p.name, p.stat().st_mtime_ns) for p in (run / "checkpoints").rglob("*"))
    progress = train(run, images, resume=True, checkpoint=small_run.EVERY_THIRD)
    assert progress.position == 4 * (TRAIN_STEPS + VAL_STEPS)
    assert sorted((p.name, p.stat().st_mtime_ns) for p in (run / "checkpoints").rglob("*")) == before


@pytest.mark.slow
def test_a_run_on_two_devices_pads_and_counts_every_image(images, tmp_path):
    train(tmp_path / "r", images, env=run_env(devices=2), epochs=1, batch_size=9)
    (record,) = metrics(tmp_path / "r")
    assert record["train_accuracy"] * 96 == pytest.approx(round(record["train_accuracy"] * 96))
    assert record["val_accuracy"] * 24 == pytest.approx(round(record["val_accuracy"] * 24))


def test_out_of_memory_names_the_batch_size(images, tmp_path, monkeypatch):
    def exhausted(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12345 bytes.")

    monkeypatch.setattr("jaxnext.training.compiled_steps.CompiledSteps.compile", exhausted)
    with pytest.raises(JaxnextError) as error:
        train(tmp_path / "r", images)
    assert str(error.value) == "out of memory with batch_size 10 and data.image_size 16; try --batch_size 5"


@pytest.mark.slow
def test_the_list_of_corrupt_images_survives_a_resume(tmp_path):
    path = spoiled(tmp_path / "data", "train/3/1.jpg", "val/7/0.jpg")
    fit_with(tmp_path / "r", path, [], on_corrupt="skip", stop=stop_after(5))
    listed = (tmp_path / "r" / "corrupt.csv").read_text().splitlines()
    lines = []
    fit_with(tmp_path / "r", path, lines, on_corrupt="skip", resume=True)
    after = (tmp_path / "r" / "corrupt.csv").read_text().splitlines()
    assert after[: len(listed)] == listed
    assert len(after) == 3
    assert lines[-1].endswith("; 2 images left out as corrupt")
    whole = fit_with(tmp_path / "whole", path, [], on_corrupt="skip")
    assert whole.history
    assert_same_model(tmp_path / "r", tmp_path / "whole")


@pytest.mark.slow
def test_a_cache_does_not_change_a_run(run, images, tmp_path):
    for kind in ("memory", "disk"):
        place = str(tmp_path / "c") if kind == "disk" else None
        config = small_run.config(
            images, checkpoint=small_run.EVERY_THIRD, **data(images, cache=kind, cache_path=place)
        )
        fit(config, tmp_path / kind, False, run_env())
        assert_same_model(tmp_path / kind, run)
    lines = []
    config = small_run.config(images, epochs=1, **data(images, cache="disk", cache_path=str(tmp_path / "c")))
    fit(config, tmp_path / "again", False, run_env(lines=lines, host={"boot": "another"}))
    # Both stores were settled, so that they outlive another start of the machine.
    assert [line.rpartition(": ")[2] for line in lines if line.startswith("decoded cache")] == [
        "96 of 96 images, 0.1 MB when full",
        "24 of 24 images, 0.0 MB when full",
    ]


@pytest.mark.slow
def test_threads_take_over_from_workers_when_the_cache_is_warm(run, images, tmp_path, monkeypatch):
    opened = create_autospec(module.stream, side_effect=module.stream)
    monkeypatch.setattr(module, "stream", opened)
    monkeypatch.setattr(module, "default_workers", lambda cores, source, cache: int(not cache.warm))
    config = small_run.config(
        images, checkpoint=small_run.EVERY_THIRD, **data(images, cache="disk", cache_path=str(tmp_path / "c"))
    )
    fit(config, tmp_path / "r", False, run_env())
    found = [(call.kwargs["workers"], call.kwargs["start"]) for call in opened.call_args_list]
    assert found == [(1, 0), (0, TRAIN_STEPS + VAL_STEPS)]
    assert_same_model(tmp_path / "r", run)
