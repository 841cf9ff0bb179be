import json
import re
from pathlib import Path

import pytest
from flat_config import model_config

from jaxnext.config.sections import LOGGERS, OPTIMIZERS, SCHEDULES, Config, DataConfig
from jaxnext.config.training import CheckpointConfig
from jaxnext.config.yaml_text import load_config
from jaxnext.engine import run_folder
from jaxnext.errors import JaxnextError, UsageError


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_write_text(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "some.txt"
    run_folder.write_text(path, "é\r\n\n")
    assert path.read_bytes() == "é\r\n\n".encode()
    run_folder.write_text(path, "second")
    assert path.read_text() == "second"
    assert files(tmp_path) == ["new", "new/deep", "new/deep/some.txt"]


def test_a_text_that_cannot_be_encoded_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        run_folder.write_text(path, "x" * 10**6 + "\udce9")
    assert path.read_text() == "before"
    assert files(tmp_path) == ["some.txt"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_before_the_rename_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises((JaxnextError, KeyboardInterrupt)):
        run_folder.write_text(tmp_path / "some.txt", "text")
    assert files(tmp_path) == []


def test_write_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "some.txt"
    with pytest.raises(JaxnextError, match=rf"^{re.escape(str(path))}: the file cannot be written \(.+\)$"):
        run_folder.write_text(path, "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(JaxnextError, match=r"/folder: expected the name of a file, found a folder$"):
        run_folder.write_text(tmp_path / "folder", "text")
    assert files(tmp_path) == ["file", "folder"]


def test_holds_run(tmp_path: Path) -> None:
    assert not run_folder.holds_run(tmp_path / "none")
    assert not run_folder.holds_run(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    assert not run_folder.holds_run(tmp_path)
    (tmp_path / "checkpoints" / "best" / "7.orbax-checkpoint-tmp").mkdir(parents=True)
    run_folder.start(tmp_path, Config())
    assert not run_folder.holds_run(tmp_path)
    begin(tmp_path, Config())
    assert run_folder.holds_run(tmp_path)


def begin(output: Path, config: Config) -> None:
    """A run with a checkpoint."""
    run_folder.start(output, config)
    (output / "checkpoints" / "last" / "26").mkdir(parents=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_without_a_run_is_accepted_and_not_changed(tmp_path: Path, resume: bool) -> None:
    run_folder.check(tmp_path / "none", Config(), resume)
    run_folder.check(tmp_path, Config(), resume)
    assert files(tmp_path) == []


def test_a_file_in_the_way(tmp_path: Path) -> None:
    output = tmp_path / "runs"
    output.write_text("x")
    expected = f"{output}: expected a folder for the run, found a file"
    for resume in (False, True):
        with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
            run_folder.check(output, Config(), resume)


def test_a_run_is_refused_without_resume(tmp_path: Path) -> None:
    begin(tmp_path, Config())
    expected = f"{tmp_path}: the folder holds a run; go on with it with --resume auto, or give another --output"
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
        run_folder.check(tmp_path, Config(), resume=False)


def test_start_writes_the_full_config(tmp_path: Path) -> None:
    config = Config(epochs=7, model=model_config(dropout=0.5), data=DataConfig(path="/some/data"))
    run_folder.start(tmp_path, config)
    assert files(tmp_path) == ["config.yaml"]
    assert load_config(tmp_path / "config.yaml") == config
    run_folder.check(tmp_path, config, resume=True)


def test_what_a_resume_may_change(tmp_path: Path) -> None:
    begin(tmp_path, Config())
    free = Config(epochs=80, workers=3, model=model_config(max_parameters=10, remat=True))
    run_folder.check(tmp_path, free, resume=True)
    loggers = LOGGERS.choose("tensorboard"), LOGGERS.choose("wandb", project="p")
    run_folder.check(tmp_path, Config(report_every=2, logger=loggers), resume=True)
    kept = CheckpointConfig(every_epochs=5, every_minutes=None, every_steps=7)
    run_folder.check(tmp_path, Config(checkpoint=kept), resume=True)
    data = DataConfig(cache="disk", cache_path="/c", verify=True, on_corrupt="skip")
    run_folder.check(tmp_path, Config(data=data), resume=True)


def test_a_schedule_over_the_whole_run_may_be_stretched(tmp_path: Path) -> None:
    begin(tmp_path, Config(schedule=SCHEDULES.choose("cosine")))
    run_folder.check(tmp_path, Config(epochs=80, schedule=SCHEDULES.choose("cosine", stretch=True)), resume=True)
    with pytest.raises(UsageError, match=r"found schedule\.warmup_epochs was 0\.0 and is 1\.0$"):
        run_folder.check(tmp_path, Config(schedule=SCHEDULES.choose("cosine", warmup_epochs=1.0)), resume=True)


def test_a_run_from_before_these_settings_is_gone_on_with(tmp_path: Path) -> None:
    begin(tmp_path, Config())
    text = (tmp_path / "config.yaml").read_text()
    new = ("cache:", "cache_path:", "verify:", "on_corrupt:")
    kept = [line for line in text.splitlines() if not line.strip().startswith(new)]
    assert len(text.splitlines()) - len(kept) == 4
    (tmp_path / "config.yaml").write_text("\n".join(kept))
    run_folder.check(tmp_path, Config(), resume=True)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (Config(batch_size=8), "batch_size was 16 and is 8"),
        (Config(seed=1), "seed was 0 and is 1"),
        (Config(precision="float64"), "precision was 'float32' and is 'float64'"),
        (Config(data=DataConfig(path="elsewhere")), "data.path was None and is 'elsewhere'"),
        (
            Config(optimizer=OPTIMIZERS.choose("adam", learning_rate=1e-3)),
            "optimizer.learning_rate was 0.0001 and is 0.001",
        ),
        (
            Config(optimizer=OPTIMIZERS.choose("adamw", learning_rate=1e-4)),
            "optimizer was 'adam' and is 'adamw', optimizer.weight_decay was 0.0 and is 0.01",
        ),
        (
            Config(optimizer=OPTIMIZERS.choose("adam", multipliers={"head": 2})),
            "optimizer.multipliers was None and is {'head': 2.0}",
        ),
        (
            Config(epochs=99, model=model_config(attention="cbam", kernel_size=3)),
            "model.attention was 'none' and is 'cbam', model.attention.reduction was None and is 16, "
            "model.attention.kernel_size was None and is 3",
        ),
    ],
)
def test_what_a_resume_may_not_change(tmp_path: Path, changed: Config, found: str) -> None:
    begin(tmp_path, Config())
    expected = f"{tmp_path}: a resumed run may change epochs and nothing that alters the result, found {found}"
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
        run_folder.check(tmp_path, changed, resume=True)


def test_an_option_that_is_gone_is_a_change(tmp_path: Path) -> None:
    begin(tmp_path, Config(model=model_config(head="fc", dropout=0.5)))
    with pytest.raises(UsageError, match=r"model\.head\.dropout was 0\.5 and is None"):
        run_folder.check(tmp_path, Config(), resume=True)


def test_another_list_of_augmentations_is_a_change(tmp_path: Path) -> None:
    begin(tmp_path, Config())
    with pytest.raises(UsageError, match=r"augment\.original\.rotation was 45\.0 and is None"):
        run_folder.check(tmp_path, Config(augment=()), resume=True)


def test_a_damaged_config_is_an_error(tmp_path: Path) -> None:
    begin(tmp_path, Config())
    (tmp_path / "config.yaml").write_text("epoch: 3")
    with pytest.raises(UsageError, match=r"config\.yaml: unknown key epoch; did you mean epochs\?$"):
        run_folder.check(tmp_path, Config(), resume=True)


def test_metrics_text(tmp_path: Path) -> None:
    history = [
        {"epoch": 1, "val_loss": 0.1 + 0.2, "learning_rate": 1e-4},
        {"epoch": 2, "val_loss": 1 / 3, "learning_rate": 1e-5},
    ]
    run_folder.write_metrics(tmp_path, history[:1])
    run_folder.write_metrics(tmp_path, history)
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text == (
        '{"epoch": 1, "val_loss": 0.30000000000000004, "learning_rate": 0.0001}\n'
        '{"epoch": 2, "val_loss": 0.3333333333333333, "learning_rate": 1e-05}\n'
    )
    assert [json.loads(line) for line in text.splitlines()] == history
    assert files(tmp_path) == ["metrics.jsonl"]


def test_json_text(tmp_path: Path) -> None:
    run_folder.write_json(tmp_path / "run.json", {"devices": ["cpu"], "train_images": 3})
    assert (tmp_path / "run.json").read_text() == '{\n  "devices": [\n    "cpu"\n  ],\n  "train_images": 3\n}\n'
