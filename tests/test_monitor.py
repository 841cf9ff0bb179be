import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import small_run
from small_run import assert_same_model, run_env, train
from test_compiled_steps import host_batch
from test_curves import history_of

from jaxnext.config.sections import LOGGERS
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.training.loggers import mlflow, tensorboard
from jaxnext.training.monitor import Monitor
from jaxnext.training.processes import Processes

HISTORY: Any = [
    record | {"images_per_second": 1.0, "data_wait_fraction": 0.0, "seconds": 2.0} for record in history_of(3)
]


class Seen:
    """A log that remembers what it is shown, and fails at some epoch."""

    def __init__(self, fails: int | None = None) -> None:
        self.id, self.fails = "i", fails
        self.epochs: list[int] = []
        self.images: list[str] = []
        self.closed: list[bool] = []

    def show(self, shown: Any) -> None:
        if shown.epoch == self.fails:
            raise RuntimeError("the server\nis gone")
        self.epochs.append(shown.epoch)
        self.images += shown.images

    def close(self, failed: bool) -> None:
        self.closed.append(failed)


def monitor_of(output: Path, lines: list[str], steps: Any = None, processes: Processes | None = None) -> Monitor:
    loggers = LOGGERS.choose("tensorboard"), LOGGERS.choose("mlflow")
    env = dataclasses.replace(run_env(lines=lines), processes=processes or Processes())
    output.mkdir(exist_ok=True)
    return Monitor(small_run.config(output, logger=loggers), output, small_run.CLASSES, None, {}, steps, env)  # pyright: ignore


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Seen]:
    """What TensorBoard's and MLflow's logger open instead."""
    opened = {"tensorboard": Seen(), "mlflow": Seen()}
    monkeypatch.setattr(tensorboard.Logger, "open", lambda self, begun: opened["tensorboard"])
    monkeypatch.setattr(mlflow.Logger, "open", lambda self, begun: opened["mlflow"])
    return opened


def test_epochs_that_were_missed_are_shown_and_others_not_again(tmp_path, logs) -> None:
    with monitor_of(tmp_path, []).watching(HISTORY[:1], False):
        pass
    with monitor_of(tmp_path, []).watching(HISTORY, True):
        pass
    assert logs["tensorboard"].epochs == logs["mlflow"].epochs == [1, 2, 3]
    assert json.loads((tmp_path / "loggers.json").read_text())["mlflow"] == {"id": "i", "epochs": 3}
    with monitor_of(tmp_path, []).watching(HISTORY[:1], False):
        pass
    assert logs["mlflow"].epochs == [1, 2, 3, 1]


def test_a_logger_that_fails_is_named_once_and_the_others_go_on(tmp_path, logs) -> None:
    logs["mlflow"].fails, lines = 2, []
    with monitor_of(tmp_path, lines).watching(HISTORY, False):
        pass
    assert lines == ["logger mlflow: the run goes on without it (the server is gone)"]
    assert (logs["mlflow"].epochs, logs["tensorboard"].epochs) == ([1], [1, 2, 3])
    assert (logs["mlflow"].closed, logs["tensorboard"].closed) == ([], [False])
    # Resumed, it is shown what it has missed.
    logs["mlflow"].fails = None
    with monitor_of(tmp_path, lines).watching(HISTORY, True):
        pass
    assert logs["mlflow"].epochs == [1, 2, 3]


def test_a_logger_that_cannot_begin_ends_the_run_before_it(tmp_path, logs, monkeypatch) -> None:
    def refuse(self: Any, begun: Any) -> None:
        raise ValueError("no such\nserver")

    monkeypatch.setattr(mlflow.Logger, "open", refuse)
    with (
        pytest.raises(UsageError, match=r"^logger mlflow: expected it to begin, found no such server$"),
        monitor_of(tmp_path, []).watching((), False),
    ):
        pass
    assert logs["tensorboard"].closed == [True]


def test_only_the_first_process_logs(tmp_path, logs) -> None:
    with monitor_of(tmp_path, [], processes=Processes(1, 2)).watching(HISTORY, False):
        pass
    assert logs["tensorboard"].epochs == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.draws_curves
def test_pictures_go_to_the_loggers_that_take_them(tmp_path, logs) -> None:
    image = np.zeros((5, 4, 4, 3), np.float32)
    steps = SimpleNamespace(pictured=lambda host, step: SimpleNamespace(image=image, partner=None, shares=None))
    monitor = monitor_of(tmp_path, [], steps)
    with monitor.watching((), False):
        assert monitor.first_batch(host_batch()) == 1 / 8
    assert (logs["tensorboard"].images, logs["mlflow"].images) == (["first_batch"], [])
    assert (tmp_path / "first_batch.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.draws_curves
def test_a_picture_that_cannot_be_drawn_is_one_line(tmp_path) -> None:
    def fail(host: Any, step: int) -> None:
        raise MemoryError("none left")

    lines: list[str] = []
    monitor = monitor_of(tmp_path, lines, SimpleNamespace(pictured=fail))
    monitor.first_batch(host_batch())
    monitor.first_batch(host_batch())
    assert lines == ["first_batch.png: the run goes on without it (none left)"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.draws_curves
def test_a_folder_that_was_removed_is_not_made_anew_for_a_picture(tmp_path) -> None:
    image = np.zeros((5, 4, 4, 3), np.float32)
    steps = SimpleNamespace(pictured=lambda host, step: SimpleNamespace(image=image, partner=None, shares=None))
    lines: list[str] = []
    monitor = monitor_of(tmp_path / "r", lines, steps)
    (tmp_path / "r").rmdir()
    monitor.first_batch(host_batch())
    assert lines == [f"first_batch.png: the run goes on without it ({tmp_path}/r: the folder has been removed)"]
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "'list' object has no attribute 'items'"),
        ('{"tensorboard": {"epochs": 1}}', "'id'"),
        ('{"tensorboard": {"id": "a", "epochs": null}}', "int() argument must be"),
    ],
)
def test_what_does_not_say_how_far_loggers_are(tmp_path, logs, text: str, found: str) -> None:
    (tmp_path / "loggers.json").write_text(text)
    with pytest.raises(JaxnextError) as error, monitor_of(tmp_path, []).watching((), True):
        pass
    assert str(error.value).startswith(
        f"{tmp_path}/loggers.json: expected how far each logger has come, found another file ({found}"
    )
    assert str(error.value).endswith("); remove it, and they are shown all epochs")


@pytest.mark.slow
@pytest.mark.draws_curves
def test_a_run_that_is_watched_and_resumed_is_the_same_run(run, images, tmp_path) -> None:
    test_tensorboard = pytest.importorskip("test_tensorboard", reason="needs tensorboardX")
    watched = {"checkpoint": small_run.EVERY_THIRD, "report_every": 4, "logger": (LOGGERS.choose("tensorboard"),)}
    train(tmp_path / "r", images, epochs=2, **watched)
    train(tmp_path / "r", images, resume=True, **watched)
    assert_same_model(tmp_path / "r", run)
    events = list(test_tensorboard.events(tmp_path / "r" / "tensorboard"))
    shown = sorted((value.tag, event.step) for event in events for value in event.summary.value)
    for tag in ("loss/train", "accuracy/val", "learning_rate", "images_per_second", "logits/val"):
        assert [step for name, step in shown if name == tag] == [1, 2, 3, 4]
    assert [step for name, step in shown if name == "first_batch"] == [0]
    page = (tmp_path / "r" / "report.html").read_text()
    assert page.count("data:image/png") == 2
    assert "http-equiv" not in page
