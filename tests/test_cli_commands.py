import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, create_autospec

import jax
import pytest

from jaxnext.cli import commands as cli
from jaxnext.cli.distributed import Distributed
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import dump_config
from jaxnext.errors import JaxnextError
from jaxnext.ops.cpu import onednn
from jaxnext.training.processes import Processes

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("train", "port_weights", "predict", "evaluate", "export_weights")


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "tiny.yaml").write_text("epochs: 3")
    return folder


@pytest.fixture
def jax_settings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    onednn.is_available()  # its trial, done once in a process, changes a setting and sets it back
    settings: list[tuple[str, Any]] = []
    monkeypatch.setattr(jax.config, "update", lambda name, value: settings.append((name, value)))
    return settings


@pytest.fixture(autouse=True)
def pixels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For batches of how many pixels freed memory is to be kept."""
    told: list[int] = []
    monkeypatch.setattr(cli, "keep_freed_memory", lambda platforms, pixels: told.append(pixels))
    return told


def replace(monkeypatch: pytest.MonkeyPatch, module: str, name: str, **behaviour: Any) -> MagicMock:
    """Puts in place of a function a double that refuses calls which the real one would refuse."""
    owner = importlib.import_module(f"jaxnext.training.{module}")
    double = create_autospec(getattr(owner, name), **behaviour)
    monkeypatch.setattr(owner, name, double)
    return double


# Commands


def test_train_calls_fit(
    configs: Path,
    monkeypatch: pytest.MonkeyPatch,
    jax_settings: list[tuple[str, Any]],
    pixels: list[int],
    capsys: Any,
) -> None:
    fit = replace(monkeypatch, "fit", "fit")
    monkeypatch.setattr(sys, "argv", ["scripts/train.py"])
    assert cli.train(["--config", "tiny", "--output", "there", "--seed", "5"], configs) == 0
    (config, output, resume, env), _ = fit.call_args
    assert (config, output, resume) == (Config(epochs=3, seed=5), Path("there"), False)
    assert list(env.devices) == jax.local_devices()
    assert env.clock is time.perf_counter
    assert env.stop() is False
    assert env.cores >= 1
    assert env.versions["jax"] == jax.__version__
    assert env.resume_command.endswith("scripts/train.py --config tiny --output there --seed 5 --resume auto")
    assert env.compilation_cache.place == jax.config.jax_compilation_cache_dir  # pyright: ignore
    assert env.compilation_cache.found() == 0
    assert pixels == [16 * 512 * 512]
    env.say("a line")
    assert capsys.readouterr().out == "a line\n"
    assert jax_settings == []


def test_train_after_an_interrupt(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(monkeypatch, "fit", "fit", side_effect=lambda *_: signal.raise_signal(signal.SIGINT))
    assert cli.main(cli.train, ["--config", "tiny"], configs) == 130


@pytest.mark.parametrize(("index", "said"), [(0, "a line\n"), (1, "")])
def test_one_of_several_processes(
    index: int, said: str, configs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    processes, found = Processes(index, 2), []

    def together(how: Distributed, command: Callable[[Processes], int], main: Any) -> int:
        assert how == Distributed("host:1234", 2, index)
        assert main is cli.main
        return command(processes)

    def fit(config: Config, output: Path, resume: bool, env: Any) -> None:
        found.append(env)
        env.say("a line")
        processes.stopping = True

    devices = [SimpleNamespace(id=number, process_index=number % 2) for number in range(4)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(cli, "together", together)
    replace(monkeypatch, "fit", "fit", side_effect=fit)
    options = ["--coordinator_address", "host:1234", "--num_processes", "2", "--process_id", str(index)]
    assert cli.train(["--config", "tiny", *options], configs) == 130
    (env,) = found
    assert env.processes is processes
    assert [device.id for device in env.devices] == [0, 2, 1, 3]
    assert env.show_progress is (None if index == 0 else False)
    assert capsys.readouterr().out == said


def test_train_in_float64(configs: Path, monkeypatch: pytest.MonkeyPatch, jax_settings: list[tuple[str, Any]]) -> None:
    fit = replace(monkeypatch, "fit", "fit")
    cli.train(["--config", "tiny", "--precision", "float64"], configs)
    assert jax_settings == [("jax_enable_x64", True)]
    assert fit.call_args.args[0].precision == "float64"


@pytest.mark.parametrize(("batch_size", "small"), [(12, True), (13, False)])
def test_programs_for_few_pixels_do_without_onednn(
    batch_size: int, small: bool, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    replace(monkeypatch, "fit", "fit")

    def recorded(*arguments: Any, **options: Any) -> Any:
        given.append(options)
        return contextlib.nullcontext()

    monkeypatch.setattr("jaxnext.cli.compilation.compilation_cache", recorded)
    cli.train(["--config", "tiny", "--batch_size", str(batch_size), "--data.image_size", "64"], configs)
    assert given == [{"small": small}]


@pytest.mark.parametrize("command", ["train", "predict", "evaluate"])
def test_the_compilation_cache_can_be_switched_off(
    command: str, configs: Path, monkeypatch: pytest.MonkeyPatch, jax_settings: list[tuple[str, Any]]
) -> None:
    argv = ["--compilation_cache", "false"]
    if command == "train":
        replace(monkeypatch, "fit", "fit", side_effect=JaxnextError("far enough"))
        arguments: list[Any] = [["--config", "tiny", *argv], configs]
    else:
        replace(monkeypatch, "trained", "TrainedClassifier", side_effect=JaxnextError("far enough"))
        arguments = [["--checkpoint", "run", "--data", "a", *argv]]
    with pytest.raises(JaxnextError, match="far enough"):
        getattr(cli, command)(*arguments)
    assert jax_settings == [("jax_enable_compilation_cache", False)]


def test_port_weights_calls_port_weights(configs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/large")
    port = replace(monkeypatch, "port", "port_weights")
    assert cli.port_weights(["net.pth", "--config", "tiny", "--output", "there"], configs) == 0
    options = dict(port.call_args.kwargs)
    options.pop("say")("good")
    options.pop("warn")("bad")
    assert tuple(capsys.readouterr()) == ("good\n", "bad\n")
    assert options == {
        "source": "net.pth",
        "config": Config(epochs=3),
        "output": Path("there"),
        "classes": None,
        "words": ("net.pth", "--config", "tiny"),
        "cache": Path("/large/jaxnext"),
    }


@pytest.mark.parametrize("status", [0, 1])
def test_predict_calls_predict_to_csv(monkeypatch: pytest.MonkeyPatch, capsys: Any, status: int) -> None:
    classifier = replace(monkeypatch, "trained", "TrainedClassifier")
    to_csv = replace(monkeypatch, "predict", "predict_to_csv", return_value=status)
    argv = "--checkpoint run --which last --data a b --top_k 2 --workers 1"
    assert cli.predict(argv.split()) == status
    assert classifier.call_args.args == (Path("run"), "last")
    assert to_csv.call_args.args == (classifier.return_value, [Path("a"), Path("b")], Path("prediction.csv"))
    options = dict(to_csv.call_args.kwargs)
    assert list(options.pop("progress")([1, 2, 3], 3)) == [1, 2, 3]
    options.pop("say")("good")
    options.pop("warn")("bad")
    assert tuple(capsys.readouterr()) == ("good\n", "bad\n")
    assert options.pop("cores") >= 1
    assert options == {
        "probabilities": False,
        "top_k": 2,
        "batch_size": 16,
        "workers": 1,
        "keep_extension": False,
    }


def test_evaluate_prints_the_report(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    classifier = replace(monkeypatch, "trained", "TrainedClassifier")
    classifier.return_value.classes = ("cat", "dog")
    evaluate = replace(monkeypatch, "evaluate", "evaluate")
    report = replace(monkeypatch, "evaluate", "report", return_value="the report")
    assert cli.evaluate(["--checkpoint", "run", "--data", "a"]) == 0
    assert evaluate.call_args.args == (classifier.return_value, Path("a"))
    assert report.call_args.args == (evaluate.return_value, ("cat", "dog"))
    assert capsys.readouterr().out == "the report\n"


def test_export_weights_calls_export_weights(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    export = replace(monkeypatch, "export", "export_weights")
    assert cli.export_weights(["run", "--which", "last", "--output", "net.pth", "--classes", "names.txt"]) == 0
    arguments, options = export.call_args
    assert arguments == (Path("run"), "last", Path("net.pth"), "pth", Path("names.txt"))
    options.pop("say")("good")
    assert options == {}
    assert tuple(capsys.readouterr()) == ("good\n", "")


def test_a_float64_checkpoint_is_exported_in_float64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jax_settings: list[tuple[str, Any]]
) -> None:
    replace(monkeypatch, "export", "export_weights")
    (tmp_path / "config.yaml").write_text(dump_config(Config(precision="float64")))
    cli.export_weights([str(tmp_path), "--output", "net.pth"])
    assert jax_settings == [("jax_enable_x64", True)]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_float64_checkpoint_is_read_in_float64(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jax_settings: list[tuple[str, Any]]
) -> None:
    replace(monkeypatch, "trained", "TrainedClassifier", side_effect=JaxnextError("far enough"))
    (tmp_path / "config.yaml").write_text(dump_config(Config(precision="float64")))
    with pytest.raises(JaxnextError, match="far enough"):
        getattr(cli, command)(["--checkpoint", str(tmp_path), "--data", "a"])
    assert jax_settings == [("jax_enable_x64", True)]


# Scripts, as a user runs them


def run(
    script: str, *argv: str, cwd: Path, python: tuple[str, ...] = (), code: str = ""
) -> subprocess.CompletedProcess:
    file = ROOT / "scripts" / f"{script}.py"
    start = ["-c", f"import sys, runpy; sys.argv = sys.argv[1:]\n{code}", str(file)] if code else [str(file)]
    environment = os.environ | {"PYTHONPATH": "" if python else str(ROOT)}
    command = [sys.executable, *python, *start, *argv]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("script", COMMANDS)
def test_help_imports_nothing_that_takes_long(script: str, tmp_path: Path) -> None:
    code = """
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    slow = "jax jaxlib flax optax orbax grain torch sklearn scipy matplotlib numpy PIL simplejpeg tqdm absl".split()
    print("imported:", sorted(set(slow) & set(sys.modules)))
"""
    result = run(script, "--help", cwd=tmp_path, code=code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: python scripts/{script}.py ")
    assert result.stdout.endswith("imported: []\n")


# Processor time of that process alone, which other work on the machine hardly changes: 0.1 to 0.2 s when written.
@pytest.mark.parametrize("script", sorted(file.stem for file in (ROOT / "scripts").glob("*.py")))
def test_help_takes_less_than_a_second(script: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), "--help"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_utime + usage.ru_stime < 1


def test_a_name_is_found_from_any_folder(tmp_path: Path) -> None:
    result = run("train", "--config", "fc_cbam", "--print_config", "--epochs", "3", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "epochs: 3\n" in result.stdout
    assert "  attention: cbam\n" in result.stdout


def test_a_mistake_ends_with_status_two_and_one_sentence(tmp_path: Path) -> None:
    result = run("train", "--config", "fc", "--model.dropot", "1", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: unknown option --model.dropot; did you mean --model.dropout?\n"


def test_without_installation_the_sentence_gives_the_command(tmp_path: Path) -> None:
    for script in COMMANDS:
        result = run(script, "--help", cwd=tmp_path, python=("-S",))
        assert result.returncode == 1
        assert result.stderr == (
            f"error: jaxnext is not installed for this Python; run {sys.executable} -m pip install -e {ROOT}\n"
        )
