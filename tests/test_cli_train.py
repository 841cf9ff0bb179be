import contextlib
import io
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, create_autospec

import jax
import pytest
from flat_config import model_config

from jaxnext.cli import train as command
from jaxnext.cli.distributed import Distributed
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.main import main
from jaxnext.cli.train import Arguments, parse
from jaxnext.config.sections import OPTIMIZERS, Config
from jaxnext.config.yaml_text import load_config
from jaxnext.errors import UsageError
from jaxnext.ops.cpu import onednn
from jaxnext.training import fit as training
from jaxnext.training.processes import Processes

INSTALLED = Invocation()
SCRIPT = Invocation("scripts/train.py", is_script=True)


@pytest.fixture(autouse=True)
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "tiny.yaml").write_text("epochs: 3\nmodel: {head: {type: fc, dropout: 0.5}}\n")
    (folder / "other.yaml").write_text("epochs: 4")
    monkeypatch.setattr(command, "configs_folder", lambda: folder)
    return folder


@pytest.fixture
def jax_settings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    onednn.is_available()  # its trial, done once in a process, changes a setting and sets it back
    settings: list[tuple[str, Any]] = []
    own = "jax_persistent_cache_min_entry_size_bytes"  # which JAX sets itself
    monkeypatch.setattr(jax.config, "update", lambda *setting: settings.extend([setting] * (setting[0] != own)))
    return settings


@pytest.fixture(autouse=True)
def pixels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For batches of how many pixels freed memory is to be kept."""
    told: list[int] = []
    monkeypatch.setattr(command, "keep_freed_memory", lambda platforms, pixels: told.append(pixels))
    return told


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    double = create_autospec(training.fit)
    monkeypatch.setattr(training, "fit", double)
    return double


def test_train_reads_the_file_first_wherever_the_overrides_stand(configs: Path) -> None:
    argv = ["--epochs", "7", "--optimizer.learning_rate", "1e-5", "--config", "tiny", "--model.head.widths=[2]"]
    expected = Config(
        epochs=7,
        model=model_config(head="fc", dropout=0.5, head_widths=(2,)),
        optimizer=OPTIMIZERS.choose("adam", learning_rate=1e-5),
    )
    expected_arguments = Arguments(expected, Path("runs/tiny"), resume=False, compilation_cache=None)
    assert parse(argv, INSTALLED, configs) == expected_arguments


def test_the_compilation_cache_is_no_setting_of_the_run(configs: Path) -> None:
    read = parse(["--config", "tiny", "--compilation_cache", "false"], INSTALLED, configs)
    assert read.compilation_cache is False
    assert read.config == parse(["--config", "tiny"], INSTALLED, configs).config


def test_train_output_and_resume(configs: Path) -> None:
    read = parse(["--config", str(configs / "tiny.yaml"), "--output", "there", "--resume", "auto"], INSTALLED, configs)
    assert (read.output, read.resume) == (Path("there"), True)
    assert parse(["--config", str(configs / "tiny.yaml")], INSTALLED, configs).output == Path("runs/tiny")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "--config is missing: give one of other, tiny, or the path of a .yaml file"),
        (["--config", "tiny", "--resume", "true"], "--resume: expected auto or null, found true"),
        (["--config", "tiny", "--model.groop", "1"], "unknown option --model.groop; did you mean --model.groups?"),
        (["--config", "tiny", "--outptu", "x"], "unknown option --outptu; did you mean --output?"),
        (["--config", "tiny", "--model.classes", "0"], "model.classes: expected null or at least 1, found 0"),
        (["--config", "tiny", "tiny"], "unexpected argument 'tiny'"),
        (["--config", "tiny", "--output", ""], "--output: expected a value, found an empty one"),
        (["--config", "tiny", "--data.path="], "--data.path: expected a value, found an empty one"),
    ],
)
def test_mistakes_of_train(configs: Path, argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv, INSTALLED, configs)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", None),
        ("--distributed false", None),
        ("--distributed true", Distributed()),
        (
            "--coordinator_address host:1234 --num_processes 4 --process_id 3",
            Distributed(coordinator_address="host:1234", num_processes=4, process_id=3),
        ),
        ("--process_id 0 --num_processes 1 --coordinator_address [::1]:80", Distributed("[::1]:80", 1, 0)),
    ],
)
def test_how_several_processes_find_each_other(configs: Path, options: str, expected: Distributed | None) -> None:
    assert parse(["--config", "tiny", *options.split()], INSTALLED, configs).distributed == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            "--process_id 0",
            "--coordinator_address and --num_processes missing: several processes need "
            "--coordinator_address HOST:PORT, --num_processes N and --process_id I, or --distributed true",
        ),
        (
            "--coordinator_address h:1 --process_id 0",
            "--num_processes missing: several processes need --coordinator_address HOST:PORT, "
            "--num_processes N and --process_id I, or --distributed true",
        ),
        (
            "--distributed true --process_id 0",
            "--distributed true finds out --process_id by itself: give only one of the two",
        ),
        ("--coordinator_address h:1 --num_processes 2 --process_id 2", "--process_id: expected 0 to 1, found 2"),
        ("--coordinator_address h:1 --num_processes 2 --process_id=-1", "--process_id: expected 0 to 1, found -1"),
        ("--coordinator_address h:1 --num_processes 0 --process_id 0", "--num_processes: expected at least 1, found 0"),
    ],
)
def test_mistakes_of_several_processes(configs: Path, options: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(["--config", "tiny", *options.split()], INSTALLED, configs)
    assert str(error.value) == sentence


@pytest.mark.parametrize("address", ["h", "h:", ":80", "h:0", "h:x", "h:65536", "h:\u0662"])
def test_a_coordinator_address_without_a_port(configs: Path, address: str) -> None:
    options = ["--coordinator_address", address, "--num_processes", "2", "--process_id", "0"]
    with pytest.raises(UsageError) as error:
        parse(["--config", "tiny", *options], INSTALLED, configs)
    assert str(error.value) == f"--coordinator_address: expected HOST:PORT, found {address}"


def test_a_mistake_in_the_file_names_the_file(configs: Path) -> None:
    (configs / "tiny.yaml").write_text("model: {groop: 0.1}")
    sentence = f"{configs / 'tiny.yaml'}: unknown key model.groop; did you mean model.groups?"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        parse(["--config", "tiny"], INSTALLED, configs)


def test_print_config_can_be_loaded_again(configs: Path, tmp_path: Path) -> None:
    argv = ["--config", "tiny", "--model.stage_sizes", "[1,1,1,1]", "--optimizer.learning_rate", "1e-5"]
    expected = parse(argv, INSTALLED, configs).config
    shown = io.StringIO()
    with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(shown):
        parse([*argv, "--print_config"], INSTALLED, configs)
    assert end.value.code == 0
    again = tmp_path / "again.yaml"
    again.write_text(shown.getvalue())
    assert load_config(again) == expected
    assert parse(["--config", str(again)], INSTALLED, configs).config == expected


def test_train_calls_fit(
    fit: MagicMock, monkeypatch: pytest.MonkeyPatch, jax_settings: list[tuple[str, Any]], pixels: list[int], capsys: Any
) -> None:
    assert command.run(["--config", "tiny", "--output", "there", "--seed", "5"], SCRIPT) == 0
    (config, output, resume, env), _ = fit.call_args
    assert (config.epochs, config.seed, output, resume) == (3, 5, Path("there"), False)
    assert list(env.host.devices) == jax.local_devices()
    assert env.host.clock is time.perf_counter
    assert env.stop() is False
    assert env.host.cores >= 1
    assert env.host.versions["jax"] == jax.__version__
    again = "scripts/train.py --config tiny --output there --seed 5 --resume auto"
    assert env.console.resume_command.endswith(again)
    assert env.console.port_command == "python scripts/port_weights.py"
    assert env.compilation_cache.place == jax.config.jax_compilation_cache_dir  # pyright: ignore
    assert env.compilation_cache.found() == 0
    assert pixels == [16 * 512 * 512]
    env.console.say("a line")
    assert tuple(capsys.readouterr()) == ("a line\n", "")
    assert jax_settings == []


def test_without_a_home_folder_a_run_goes_on(
    fit: MagicMock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert main(command.run, ["--config", "tiny"], INSTALLED) == 0
    folders = fit.call_args.args[3].folders
    assert (folders.index, folders.decoded, folders.tfds) == (None, None, None)
    said = capsys.readouterr().err
    assert said.startswith("the user's home folder is unknown (HOME is not set")
    assert said.endswith("; listings of images are not kept\n")


def test_train_after_an_interrupt(fit: MagicMock) -> None:
    fit.side_effect = lambda *_: signal.raise_signal(signal.SIGINT)
    assert main(command.run, ["--config", "tiny"], INSTALLED) == 130


@pytest.mark.parametrize(("index", "said"), [(0, "a line\n"), (1, "")])
def test_one_of_several_processes(
    index: int, said: str, fit: MagicMock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    processes = Processes(index, 2)

    def together(how: Distributed, command: Callable[[Processes], int], main: Any) -> int:
        assert how == Distributed("host:1234", 2, index)
        return command(processes)

    def run(config: Config, output: Path, resume: bool, env: Any) -> None:
        env.console.say("a line")
        processes.stopping = True

    devices = [SimpleNamespace(id=number, process_index=number % 2) for number in range(4)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(command, "together", together)
    fit.side_effect = run
    options = ["--coordinator_address", "host:1234", "--num_processes", "2", "--process_id", str(index)]
    assert command.run(["--config", "tiny", *options], INSTALLED) == 130
    env = fit.call_args.args[3]
    assert env.processes is processes
    assert [device.id for device in env.host.devices] == [0, 2, 1, 3]
    assert env.console.show_progress is (None if index == 0 else False)
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (["--precision", "float64"], ("jax_enable_x64", True)),
        (["--compilation_cache", "false"], ("jax_enable_compilation_cache", False)),
    ],
)
def test_what_jax_is_told(
    options: list[str], setting: tuple[str, Any], fit: MagicMock, jax_settings: list[tuple[str, Any]]
) -> None:
    command.run(["--config", "tiny", *options], INSTALLED)
    assert jax_settings[0] == setting


@pytest.mark.parametrize(("batch_size", "small"), [(12, True), (13, False)])
def test_programs_for_few_pixels_do_without_onednn(
    batch_size: int, small: bool, fit: MagicMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def recorded(*arguments: Any, **options: Any) -> Any:
        given.append(options)
        return contextlib.nullcontext()

    monkeypatch.setattr("jaxnext.cli.compilation.compilation_cache", recorded)
    command.run(
        ["--config", "tiny", "--batch_size", str(batch_size), "--data.image_size=64", "--onednn=false"], INSTALLED
    )
    assert given == [{"small": small, "use_onednn": False}]


def test_requests_to_save_are_answered_before_anything_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: object) -> Arguments:
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
        raise UsageError("both came")

    before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)]
    monkeypatch.setattr(command, "parse", parse)
    try:
        with pytest.raises(UsageError, match=r"^both came$"):
            command.run([], INSTALLED)
    finally:
        for number, handler in zip((signal.SIGUSR1, signal.SIGUSR2), before, strict=True):
            signal.signal(number, handler)
